//! The way of one task up the ladder.

use super::bench::{Bench, fails, running};
use crate::worker::{Exit, Outcome};
use std::time::Duration;

const WAKE: &str = "; wake +2000ms";

#[test]
fn a_task_climbs_to_running_and_complete() {
    let mut b = Bench::new();
    assert_eq!(
        b.complete(5, "+a"),
        format!("journal a:preparing #5; prepare a; report a:preparing{WAKE}")
    );
    assert_eq!(
        b.did("a", Outcome::Prepared),
        format!("start a; report a:starting{WAKE}")
    );
    assert_eq!(
        b.did("a", Outcome::Started(running("a"))),
        format!("journal a:running; report a:running{WAKE}")
    );
    assert_eq!(
        b.exits("a", 0),
        format!("journal a:complete; report a:complete{WAKE}")
    );
    b.acknowledge_all();
    assert_eq!(b.more(6, "a=remove"), "journal a:complete #6");
    assert_eq!(b.more(7, "-a"), "journal !a:complete #7; remove a");
    assert_eq!(b.did("a", Outcome::Removed), "journal -a");
    assert_eq!(b.worker.statuses().count(), 0);
}

#[test]
fn a_replacement_waits_in_ready_until_it_is_its_turn() {
    let mut b = Bench::new();
    b.complete(5, "+a=ready");
    assert_eq!(
        b.did("a", Outcome::Prepared),
        format!("report a:ready{WAKE}")
    );
    b.acknowledge_all();
    assert_eq!(
        b.more(6, "a=running"),
        format!("journal a:starting #6; start a; report a:starting{WAKE}")
    );
}

#[test]
fn promotion_during_preparation_leads_to_the_start() {
    let mut b = Bench::new();
    b.complete(5, "+a=ready");
    b.acknowledge_all();
    assert_eq!(b.more(6, "a=running"), "journal a:preparing #6");
    assert!(b.did("a", Outcome::Prepared).contains("start a"));
}

#[test]
fn what_cannot_be_prepared_is_rejected_with_the_reason() {
    let mut b = Bench::new();
    b.complete(5, "+a");
    let said = b.did(
        "a",
        Outcome::PrepareFailed(fails("No such image: web:9", true)),
    );
    let text = "a:rejected(No such image: web:9)";
    assert_eq!(said, format!("journal {text}; report {text}{WAKE}"));
    // The container may be half made; it goes when the manager forgets the task.
    b.acknowledge_all();
    assert!(b.more(6, "-a").ends_with("remove a"));
}

#[test]
fn what_cannot_be_started_has_failed() {
    let mut b = Bench::new();
    b.complete(5, "+a");
    b.did("a", Outcome::Prepared);
    let said = b.did("a", Outcome::StartFailed(fails("exec: not found", true)));
    assert!(said.contains("report a:failed(exec: not found)"), "{said}");
}

#[test]
fn a_passing_failure_is_tried_again_and_shown() {
    let mut b = Bench::new();
    b.complete(5, "+a");
    b.acknowledge_all();
    let busy = || Outcome::PrepareFailed(fails("disk busy", false));
    assert_eq!(
        b.did("a", busy()),
        "report a:preparing(disk busy); wake +1000ms"
    );
    b.acknowledge_all();
    assert_eq!(b.wait(Duration::from_millis(999)), "wake +1ms");
    assert_eq!(b.wait(Duration::from_millis(1)), "prepare a");
    // The same reason again is no news.
    assert_eq!(b.did("a", busy()), "wake +1000ms");
    b.wait(Duration::from_secs(1));
    assert!(b.did("a", Outcome::Prepared).contains("report a:starting"));
    let said = b.did("a", Outcome::StartFailed(fails("busy", false)));
    assert!(said.contains("a:starting(busy)"), "{said}");
    b.acknowledge_all();
    assert_eq!(b.wait(Duration::from_secs(1)), "start a");
}

#[test]
fn reasons_that_change_at_every_try_are_bounded() {
    let mut b = Bench::new();
    b.complete(5, "+a");
    b.acknowledge_all();
    let mut told = 0;
    for number in 0..100 {
        let why = format!("disk busy: file {number}");
        let said = b.did("a", Outcome::PrepareFailed(fails(&why, false)));
        told += usize::from(said.contains("report"));
        b.acknowledge_all();
        b.wait(Duration::from_secs(1));
    }
    assert_eq!(told, 8);
    // Another state, other reasons.
    b.did("a", Outcome::Prepared);
    let said = b.did("a", Outcome::StartFailed(fails("busy", false)));
    assert!(said.contains("a:starting(busy)"), "{said}");
}

#[test]
fn a_bad_end_is_a_failure_with_dockers_words() {
    let cases = [
        (3, false, "", "task: non-zero exit (3)"),
        (
            137,
            true,
            "",
            "task: non-zero exit (137): killed by the kernel: out of memory",
        ),
        (
            255,
            false,
            "host restarted",
            "task: non-zero exit (255): host restarted",
        ),
    ];
    for (code, oom_killed, error, expected) in cases {
        let mut b = Bench::new();
        b.complete(4, "");
        b.run(5, "a");
        let exit = Exit {
            code,
            oom_killed,
            at: b.now,
            error: error.into(),
        };
        let said = b.did("a", Outcome::Exited(exit));
        assert!(
            said.contains(&format!("report a:failed({expected})")),
            "{said}"
        );
    }
}

#[test]
fn an_exit_that_overtakes_the_start_counts() {
    let mut b = Bench::new();
    b.complete(5, "+a");
    b.did("a", Outcome::Prepared);
    assert!(b.exits("a", 1).contains("report a:failed"));
    b.acknowledge_all();
    assert_eq!(b.did("a", Outcome::Started(running("a"))), "");
    assert_eq!(
        b.more(6, "-a"),
        "journal !a:failed(task: non-zero exit (1)) #6; remove a"
    );
}

#[test]
fn a_stopped_task_ends_in_shutdown_whatever_its_exit_code() {
    for exit_first in [true, false] {
        let mut b = Bench::new();
        b.complete(4, "");
        b.run(5, "a");
        assert_eq!(b.more(6, "a=shutdown"), "journal a:running #6; stop a");
        let said = if exit_first {
            let said = b.exits("a", 143);
            assert_eq!(b.did("a", Outcome::Stopped), "wake +2000ms");
            said
        } else {
            b.did("a", Outcome::Stopped)
        };
        assert_eq!(said, format!("journal a:shutdown; report a:shutdown{WAKE}"));
        // Kept as history until the manager forgets it.
        b.acknowledge_all();
        assert_eq!(b.more(7, "-a"), "journal !a:shutdown #7; remove a");
    }
}

#[test]
fn a_task_that_never_began_needs_no_executor_to_end() {
    let mut b = Bench::new();
    let said = b.complete(5, "+a=shutdown");
    assert_eq!(
        said,
        format!("journal a:shutdown #5; report a:shutdown{WAKE}")
    );
    b.acknowledge_all();
    assert_eq!(b.more(6, "-a"), "journal -a #6");
}

#[test]
fn a_stop_overtakes_a_preparation_and_its_late_answer_is_ignored() {
    let mut b = Bench::new();
    b.complete(5, "+a");
    b.acknowledge_all();
    assert_eq!(b.more(6, "a=shutdown"), "journal a:preparing #6; stop a");
    assert_eq!(b.did("a", Outcome::Prepared), "");
    assert!(b.did("a", Outcome::Stopped).contains("report a:shutdown"));
}

#[test]
fn a_stop_during_the_start_lets_nothing_run() {
    let mut b = Bench::new();
    b.complete(5, "+a");
    b.did("a", Outcome::Prepared);
    b.acknowledge_all();
    assert!(b.more(6, "a=shutdown").contains("stop a"));
    assert_eq!(b.did("a", Outcome::Started(running("a"))), "");
    assert!(b.did("a", Outcome::Stopped).contains("a:shutdown"));
}

#[test]
fn a_stop_that_fails_is_tried_again() {
    let mut b = Bench::new();
    b.complete(4, "");
    b.run(5, "a");
    b.more(6, "a=shutdown");
    let said = b.did("a", Outcome::StopFailed("supervisor lost".into()));
    assert!(said.contains("a:running(supervisor lost)"), "{said}");
    b.acknowledge_all();
    assert_eq!(b.wait(Duration::from_secs(1)), "stop a");
}

#[test]
fn a_removal_that_fails_is_tried_again() {
    let mut b = Bench::new();
    b.complete(4, "");
    b.run(5, "a");
    assert_eq!(b.more(6, "-a"), "journal !a:running #6; stop a");
    assert_eq!(
        b.did("a", Outcome::Stopped),
        "journal !a:shutdown; remove a"
    );
    assert_eq!(
        b.did("a", Outcome::RemoveFailed("busy".into())),
        "wake +1000ms"
    );
    assert_eq!(b.wait(Duration::from_secs(1)), "remove a");
    assert_eq!(b.did("a", Outcome::Removed), "journal -a");
}

#[test]
fn giving_up_ends_a_pause_before_a_retry() {
    let mut b = Bench::new();
    b.complete(5, "+a");
    b.did("a", Outcome::PrepareFailed(fails("no space", false)));
    assert!(b.more(6, "a=shutdown").contains("stop a"));
}
