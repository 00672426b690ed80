//! Tasks with a health check, and jobs.

use super::bench::{Bench, running};
use crate::worker::{Existing, Exit, Health, Outcome};
use model::TaskState::{Complete, Failed, Running, Shutdown, Starting};
use std::time::Duration;

const UNHEALTHY: &str = "task: non-zero exit (137): dockerexec: unhealthy container";

fn starting() -> Bench {
    let mut b = Bench::new();
    b.complete(5, "+a");
    b.did("a", Outcome::Prepared);
    b.did("a", Outcome::Checked(running("a")));
    b.acknowledge_all();
    b
}

fn says(b: &mut Bench, health: Health) -> String {
    b.did("a", Outcome::Health(health))
}

fn unhealthy() -> Health {
    Health::Unhealthy("health check 3/3 failed: no".into())
}

#[test]
fn starting_lasts_until_the_check_succeeds() {
    let mut b = starting();
    let (state, message, _) = b.status("a");
    assert_eq!(state, Starting);
    let waits = "starting: waiting for the health check to succeed";
    assert_eq!(message, waits);
    let why = "health probe failed 1 of 3 times: no";
    let told = says(&mut b, Health::Starting(why.into()));
    assert!(told.starts_with("report a:starting"), "{told}");
    let (_, message, error) = b.status("a");
    assert_eq!((message.as_str(), error.as_str()), (waits, why));
    let told = says(&mut b, Health::Healthy);
    assert!(
        told.starts_with("journal a:running; report a:running"),
        "{told}"
    );
    assert_eq!(b.status("a").2, "");
    assert_eq!(says(&mut b, Health::Healthy), "wake +2000ms");
}

#[test]
fn reasons_of_failing_probes_are_bounded() {
    let mut b = starting();
    let mut told = 0;
    for probe in 0..100 {
        let why = format!("health probe failed: try {probe}");
        told += usize::from(says(&mut b, Health::Starting(why)).contains("report"));
        b.acknowledge_all();
    }
    assert_eq!(told, 8);
    // Whether it gets healthy or not is always told.
    assert!(says(&mut b, unhealthy()).contains("report a:starting"));
    assert_eq!(b.status("a").2, "health check 3/3 failed: no");
}

#[test]
fn the_reason_of_an_end_is_shown_while_it_is_stopped() {
    let mut b = starting();
    says(&mut b, Health::Healthy);
    says(&mut b, unhealthy());
    let (state, _, error) = b.status("a");
    assert_eq!(state, Running);
    assert_eq!(error, "health check 3/3 failed: no");
    // A daemon that starts meanwhile finds it healthy.
    let mut b = b.crash();
    b.found(vec![("a", Existing::Running(running("a")))]);
    b.up();
    let (state, _, error) = b.status("a");
    assert_eq!((state, error.as_str()), (Running, ""));
}

#[test]
fn a_container_that_is_never_healthy_fails() {
    let mut b = starting();
    assert!(says(&mut b, unhealthy()).contains("stop a"));
    assert!(b.exits("a", 137).contains("a:failed"));
    let (state, message, error) = b.status("a");
    assert_eq!((state, error.as_str()), (Failed, UNHEALTHY));
    assert_eq!(message, "health check 3/3 failed: no");
    b.did("a", Outcome::Stopped);
    assert_eq!(b.status("a").2, UNHEALTHY);
}

#[test]
fn a_container_that_gets_unhealthy_is_stopped_and_has_failed() {
    let mut b = starting();
    says(&mut b, Health::Healthy);
    assert!(says(&mut b, unhealthy()).contains("stop a"));
    // It is healthy again: too late.
    assert!(!says(&mut b, Health::Healthy).contains("start"));
    // Its end was not seen in time.
    b.did("a", Outcome::Stopped);
    let (state, _, error) = b.status("a");
    assert_eq!((state, error.as_str()), (Failed, UNHEALTHY));
}

#[test]
fn one_that_ends_well_when_it_is_stopped_for_it_has_failed_too() {
    let mut b = starting();
    says(&mut b, unhealthy());
    b.exits("a", 0);
    let (state, _, error) = b.status("a");
    assert_eq!(state, Failed);
    assert_eq!(error, "task: dockerexec: unhealthy container");
}

#[test]
fn an_end_before_the_first_check_counts_as_such() {
    for (code, state) in [(0, Complete), (3, Failed)] {
        let mut b = starting();
        b.exits("a", code);
        assert_eq!(b.status("a").0, state);
    }
}

#[test]
fn a_stop_overtakes_the_check() {
    let mut b = starting();
    assert!(b.more(6, "a=shutdown").contains("stop a"));
    assert!(!says(&mut b, unhealthy()).contains("stop a"));
    says(&mut b, Health::Healthy);
    assert_eq!(b.status("a").0, Starting);
    b.exits("a", 143);
    b.did("a", Outcome::Stopped);
    assert_eq!(b.status("a").0, Shutdown);
}

#[test]
fn a_stop_that_fails_is_tried_again() {
    let mut b = starting();
    says(&mut b, unhealthy());
    b.did("a", Outcome::StopFailed("no".into()));
    assert!(b.wait(Duration::from_secs(1)).contains("stop a"));
}

#[test]
fn a_restart_goes_on_in_each_state() {
    let found = |health: Health| vec![("a", Existing::Checked(running("a"), health))];
    // Still starting.
    let mut b = starting().crash();
    b.found(found(Health::Starting(String::new())));
    b.up();
    assert_eq!(b.status("a").0, Starting);
    assert!(!b.complete(6, "+a").contains("start a"), "it runs already");
    assert!(says(&mut b, Health::Healthy).contains("a:running"));
    // It got unhealthy while nobody looked: no manager is needed for that.
    let mut b = starting().crash();
    assert!(b.found(found(unhealthy())).contains("stop a"));
    // It was told to run.
    let mut b = starting();
    says(&mut b, Health::Healthy);
    let mut b = b.crash();
    b.found(found(Health::Starting(String::new())));
    assert_eq!(b.status("a").0, Running);
    // It ended meanwhile.
    let mut b = starting().crash();
    let exit = Exit {
        code: 137,
        error: "dockerexec: unhealthy container".into(),
        ..Exit::default()
    };
    b.found(vec![("a", Existing::Exited(running("a"), exit))]);
    assert_eq!(b.status("a").2, UNHEALTHY);
}

#[test]
fn a_stray_keeps_what_its_check_says() {
    let mut b = starting().crash();
    b.journal.clear();
    let mut b = b.crash();
    let health = Health::Starting(String::new());
    b.found(vec![("a", Existing::Checked(running("a"), health))]);
    says(&mut b, Health::Healthy);
    b.up();
    assert!(b.complete(6, "+a").contains("a:running"));
}

#[test]
fn a_job_runs_to_its_end() {
    let mut b = Bench::new();
    b.complete(5, "+a=ready +b=complete");
    b.did("b", Outcome::Prepared);
    assert!(b.did("a", Outcome::Prepared).contains("report a:ready"));
    assert!(b.more(6, "a=complete").contains("start a"));
    for id in ["a", "b"] {
        b.did(id, Outcome::Started(running(id)));
        b.exits(id, 0);
        assert_eq!(b.status(id).0, Complete);
    }
}
