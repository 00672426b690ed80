//! The assignment stream and the reports.

use super::bench::{Bench, running, task};
use crate::worker::{Input, Outcome};
use model::DesiredState;
use model::assignment::AssignmentChange;
use std::time::Duration;

#[test]
fn an_older_assignment_changes_nothing() {
    let mut b = Bench::new();
    b.complete(9, "+a");
    b.acknowledge_all();
    assert_eq!(b.more(8, "a=shutdown"), "");
    assert_eq!(b.worker.index(), 9);
}

#[test]
fn an_older_complete_set_is_refused_and_asked_for_again() {
    let mut b = Bench::new();
    b.complete(4, "");
    b.run(9, "a");
    assert_eq!(b.complete(8, ""), "wake +1000ms");
    assert_eq!(
        b.wait(Duration::from_secs(1)),
        "need-complete; wake +1000ms"
    );
    assert_eq!(b.complete(9, "+a"), "");
}

#[test]
fn another_digest_asks_once_for_the_complete_set() {
    let mut b = Bench::new();
    b.complete(5, "");
    assert_eq!(
        b.raw(6, false, vec![], 12345),
        "journal #6; need-complete; wake +1000ms"
    );
    assert_eq!(b.raw(7, false, vec![], 12345), "journal #7; wake +1000ms");
    assert_eq!(b.complete(7, ""), "");
}

#[test]
fn a_complete_set_with_a_wrong_digest_is_applied_and_asked_for_again_later() {
    let mut b = Bench::new();
    let put = AssignmentChange::Put(task("a", DesiredState::Running));
    let said = b.raw(6, true, vec![put], 12345);
    assert!(said.contains("prepare a"), "{said}");
    assert!(!said.contains("need-complete"), "{said}");
    assert!(b.wait(Duration::from_secs(1)).contains("need-complete"));
}

#[test]
fn a_wish_for_an_unknown_task_shows_in_the_digest() {
    let mut b = Bench::new();
    b.complete(5, "");
    assert!(b.more(6, "ghost=shutdown").contains("need-complete"));
}

#[test]
fn a_complete_set_stops_and_removes_what_it_does_not_name() {
    let mut b = Bench::new();
    b.complete(4, "");
    b.run(5, "a");
    b.run(6, "b");
    assert_eq!(b.complete(7, "+b"), "journal !a:running #7; stop a");
    assert_eq!(
        b.did("a", Outcome::Stopped),
        "journal !a:shutdown; remove a"
    );
    assert_eq!(b.did("a", Outcome::Removed), "journal -a");
}

#[test]
fn a_task_once_given_up_is_never_started_again() {
    let mut b = Bench::new();
    b.complete(5, "+a=ready");
    b.did("a", Outcome::Prepared);
    b.acknowledge_all();
    assert!(b.complete(6, "").contains("stop a"));
    // Neither a wish nor the whole task brings it back.
    assert!(!b.complete(7, "+a").contains("start"));
    let said = b.did("a", Outcome::Stopped);
    assert!(said.contains("report a:shutdown"), "{said}");
    assert!(!b.more(8, "a=running").contains("start"));
}

#[test]
fn a_lower_wish_does_not_lower_anything() {
    let mut b = Bench::new();
    b.complete(4, "");
    b.run(5, "a");
    b.more(6, "a=shutdown");
    assert_eq!(b.more(7, "a=running"), "journal #7");
    assert!(b.did("a", Outcome::Stopped).contains("a:shutdown"));
}

#[test]
fn a_lost_session_stops_nothing_and_reports_wait_for_the_next() {
    let mut b = Bench::new();
    b.complete(4, "");
    b.run(5, "a");
    b.run(6, "b");
    assert_eq!(b.input(Input::SessionDown), "");
    assert_eq!(b.exits("b", 1), "journal b:failed(task: non-zero exit (1))");
    assert_eq!(
        b.up(),
        "report a:running b:failed(task: non-zero exit (1)); wake +2000ms"
    );
}

#[test]
fn reports_are_sent_again_until_the_manager_has_them() {
    let mut b = Bench::new();
    b.complete(5, "+a");
    let again = b.wait(Duration::from_secs(2));
    assert_eq!(again, "report a:preparing; wake +2000ms");
    b.input(Input::Reported { sequence: 2 });
    assert_eq!(b.wait(Duration::from_secs(9)), "");
}

#[test]
fn an_acknowledgement_of_an_older_status_does_not_hide_a_newer_one() {
    let mut b = Bench::new();
    b.complete(5, "+a");
    b.did("a", Outcome::Prepared);
    b.did("a", Outcome::Started(running("a")));
    b.input(Input::Reported { sequence: 2 });
    assert_eq!(
        b.wait(Duration::from_secs(2)),
        "report a:running; wake +2000ms"
    );
}

#[test]
fn one_message_makes_one_journal_write_and_one_report() {
    let mut b = Bench::new();
    let said = b.complete(5, "+a +b +c");
    assert_eq!(said.matches("journal").count(), 1, "{said}");
    assert_eq!(said.matches("report").count(), 1, "{said}");
    assert_eq!(said.matches("prepare ").count(), 3, "{said}");
}

#[test]
fn stops_come_before_new_work() {
    let mut b = Bench::new();
    b.complete(4, "");
    b.run(5, "z");
    let said = b.more(6, "+a z=shutdown");
    assert!(
        said.find("stop z").expect("a stop") < said.find("prepare a").expect("a preparation"),
        "{said}"
    );
}
