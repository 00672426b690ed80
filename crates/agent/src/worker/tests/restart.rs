//! What a new process makes of the journal and of the containers that it finds.

use super::bench::{Bench, running};
use crate::worker::{Existing, Exit, Outcome};
use std::time::Duration;

fn started() -> Bench {
    let mut b = Bench::new();
    b.complete(4, "");
    b.run(5, "a");
    b
}

fn exited(code: i64) -> Existing {
    let exit = Exit {
        code,
        ..Exit::default()
    };
    Existing::Exited(running("a"), exit)
}

#[test]
fn nothing_moves_before_the_containers_are_known() {
    let mut b = Bench::restarted(Default::default());
    assert_eq!(b.up(), "");
    assert_eq!(b.complete(5, "+a"), "");
    assert_eq!(
        b.found(vec![]),
        "journal a:preparing #5; prepare a; report a:preparing; wake +2000ms"
    );
}

#[test]
fn a_running_container_is_adopted_without_a_manager() {
    let mut b = started().crash();
    assert_eq!(b.found(vec![("a", Existing::Running(running("a")))]), "");
    assert_eq!(b.up(), "report a:running; wake +2000ms");
    b.acknowledge_all();
    assert_eq!(b.complete(5, "+a"), "");
}

#[test]
fn an_end_during_the_daemons_absence_is_seen() {
    let mut b = started().crash();
    let failed = "a:failed(task: non-zero exit (9))";
    assert_eq!(b.found(vec![("a", exited(9))]), format!("journal {failed}"));
    assert_eq!(b.up(), format!("report {failed}; wake +2000ms"));
    let mut b = started().crash();
    assert_eq!(b.found(vec![("a", exited(0))]), "journal a:complete");
}

#[test]
fn a_container_that_is_gone_has_failed() {
    for found in [vec![], vec![("a", Existing::Created)]] {
        let mut b = started().crash();
        assert!(
            b.found(found)
                .contains("a:failed(task: its container is gone")
        );
    }
}

#[test]
fn nothing_begins_after_a_restart_until_the_manager_has_said_what_it_wants() {
    let mut b = Bench::new();
    b.complete(5, "+a +b");
    let mut b = b.crash();
    assert_eq!(b.found(vec![("a", Existing::Created)]), "");
    assert_eq!(b.up(), "report a:ready b:accepted; wake +2000ms");
    assert_eq!(
        b.more(6, "+c"),
        "journal c:accepted #6; report c:accepted; wake +2000ms"
    );
    let said = b.complete(7, "+a +b +c=shutdown");
    assert!(said.contains("start a; prepare b"), "{said}");
    assert!(said.contains("c:shutdown"), "{said}");
}

#[test]
fn the_index_survives() {
    let mut b = started().crash();
    b.found(vec![("a", Existing::Running(running("a")))]);
    b.up();
    assert_eq!(b.worker.index(), 5);
    assert!(!b.complete(4, "").contains("stop"));
}

#[test]
fn giving_up_survives() {
    let mut b = started();
    b.more(6, "a=shutdown");
    let mut b = b.crash();
    assert_eq!(
        b.found(vec![("a", Existing::Running(running("a")))]),
        "stop a"
    );
    let mut b = started();
    b.more(6, "-a");
    let mut b = b.crash();
    assert_eq!(
        b.found(vec![("a", exited(0))]),
        "journal !a:shutdown; remove a"
    );
}

#[test]
fn a_container_that_runs_although_its_task_is_over_is_stopped() {
    let mut b = started();
    b.exits("a", 1);
    let mut b = b.crash();
    assert_eq!(
        b.found(vec![("a", Existing::Running(running("a")))]),
        "stop a"
    );
    assert_eq!(b.did("a", Outcome::Stopped), "");
}

#[test]
fn without_a_journal_running_containers_are_kept_until_the_manager_claims_them() {
    let mut b = Bench::restarted(Default::default());
    let found = vec![
        ("a", Existing::Running(running("a"))),
        ("b", Existing::Running(running("b"))),
    ];
    assert_eq!(b.found(found), "");
    b.up();
    assert_eq!(
        b.complete(5, "+a"),
        "journal a:running #5; stop b; report a:running; wake +2000ms"
    );
    b.acknowledge_all();
    assert_eq!(b.did("b", Outcome::Stopped), "remove b");
    assert_eq!(
        b.did("b", Outcome::RemoveFailed("busy".into())),
        "wake +1000ms"
    );
    assert_eq!(b.wait(Duration::from_secs(1)), "remove b");
    assert_eq!(b.did("b", Outcome::Removed), "");
}

#[test]
fn a_stray_that_is_being_taken_down_is_not_started_by_a_late_assignment() {
    let mut b = Bench::restarted(Default::default());
    b.found(vec![("s", Existing::Running(running("s")))]);
    b.up();
    assert_eq!(b.complete(5, ""), "journal #5; stop s");
    let said = b.more(6, "+s");
    assert!(said.contains("report s:shutdown"), "{said}");
    assert_eq!(b.did("s", Outcome::StopFailed("no".into())), "wake +1000ms");
}

#[test]
fn a_stray_that_ends_before_it_is_claimed_has_ended() {
    let mut b = Bench::restarted(Default::default());
    b.found(vec![("a", Existing::Running(running("a")))]);
    b.up();
    assert_eq!(b.exits("a", 4), "");
    let said = b.complete(5, "+a");
    assert!(
        said.contains("report a:failed(task: non-zero exit (4))"),
        "{said}"
    );
}
