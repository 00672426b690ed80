//! Tasks that use secrets and configs.

use super::bench::{Bench, payload, task_with};
use crate::worker::{Existing, Outcome};
use model::assignment::AssignmentChange;
use model::service::RegistryAuth;
use model::{DesiredState, TaskState};

#[test]
fn a_task_is_prepared_when_its_secret_is_there() {
    let mut b = Bench::new();
    assert!(b.complete(5, "$s +a~s").contains("prepare a $s;"));
    // It comes late.
    let waits = b.more(6, "+b~t");
    assert!(!waits.contains("prepare"), "{waits}");
    let (state, message, _) = b.status("b");
    assert_eq!(state, TaskState::Accepted);
    assert_eq!(message, "waiting for secret name-t");
    assert!(b.more(7, "$t").contains("prepare b $t;"));
    assert_eq!(b.status("b").1, "preparing");
}

#[test]
fn what_is_not_used_any_more_is_forgotten() {
    let mut b = Bench::new();
    b.complete(5, "$s +a~s");
    b.did("a", Outcome::Prepared);
    b.more(6, "a=remove");
    b.more(7, "-a -$s");
    assert!(!b.more(8, "+b~s").contains("prepare"));
    // A complete set that does not name it takes it away, too.
    b.complete(9, "$s");
    b.complete(10, "");
    assert!(!b.more(11, "+c~s").contains("prepare"));
}

#[test]
fn a_lost_secret_shows_in_the_digest() {
    let mut b = Bench::new();
    b.complete(5, "+a");
    b.acknowledge_all();
    let changes = vec![AssignmentChange::PutPayload(payload("s"))];
    let without = model::assignment::digest(
        [(&"a".into(), DesiredState::Running)].into_iter(),
        [].iter(),
    );
    assert!(b.raw(6, false, changes, without).contains("need-complete"));
}

#[test]
fn a_container_is_prepared_again_after_a_restart() {
    let mut b = Bench::new();
    b.complete(5, "$s +a~s=ready +b=ready");
    b.did("a", Outcome::Prepared);
    b.did("b", Outcome::Prepared);
    let mut b = b.crash();
    b.found(vec![("a", Existing::Created), ("b", Existing::Created)]);
    b.up();
    // What the executor had in memory is gone; b had nothing there.
    let done = b.complete(6, "$s +a~s +b");
    assert!(
        done.contains("prepare a $s") && done.contains("start b"),
        "{done}"
    );
    assert!(b.did("a", Outcome::Prepared).contains("start a"));
}

#[test]
fn credentials_and_secrets_are_not_written_down() {
    let mut b = Bench::new();
    let mut task = task_with("a", DesiredState::Running, &["s"]);
    task.registry_auth = Some(RegistryAuth("hunter2".into()));
    let changes = vec![
        AssignmentChange::PutPayload(payload("s")),
        AssignmentChange::Put(task),
    ];
    b.raw(5, true, changes, 0);
    let written = format!("{:?}", b.journal);
    assert!(written.contains("registry_auth: None"), "{written}");
    assert!(!written.contains("PayloadData"), "{written}");
}

#[test]
fn a_waiting_task_can_be_given_up() {
    let mut b = Bench::new();
    b.complete(5, "+a~s");
    b.more(6, "a=shutdown");
    assert_eq!(b.status("a").0, TaskState::Shutdown);
    b.acknowledge_all();
    assert_eq!(b.more(7, "-a"), "journal -a #7");
}
