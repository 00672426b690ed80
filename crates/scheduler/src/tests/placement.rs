//! Filters, order and explanations.

use super::lab::Lab;
use crate::{FAILURE_WINDOW, Limits, MAX_FAILURES};
use model::{Change, DesiredState, TaskState};
use std::time::Duration;
use store::Dirty;

#[test]
fn tasks_spread_over_the_service_first_then_over_all() {
    let mut lab = Lab::new("a\nb\nc");
    lab.service("web", "", 1..=4);
    lab.check("web", "1: a\n2: b\n3: c\n4: a");
    lab.service("db", "", 1..=2);
    lab.check("db", "1: b\n2: c");
    lab.service("job", "constraint=node.id!=c", 1..=3);
    lab.check("job", "1: a\n2: b\n3: a");
}

#[test]
fn only_ready_and_active_nodes_take_tasks() {
    let mut lab = Lab::new("a drain\nb pause\nc down\nd unknown\ne");
    lab.service("web", "", 1..=2);
    lab.check("web", "1: e\n2: e");
}

#[test]
fn reasons_are_told_in_dockers_words_most_frequent_first() {
    let mut lab = Lab::new(
        "a drain
         b mem=10
         c mem=100
         d mem=100
         e mem=100 disk=ssd platform=linux/aarch64",
    );
    let spec = "mem=20 constraint=node.labels.disk==ssd platform=linux/amd64";
    lab.service("web", spec, 1..=1);
    lab.check(
        "web",
        "1: no suitable node (scheduling constraints not satisfied on 2 nodes; \
         1 node not available for new tasks; insufficient resources on 1 node; unsupported platform on 1 node)",
    );
    assert_eq!(lab.schedule(), 0, "the same text is not written again");
    lab.set_node("c mem=100 disk=ssd");
    lab.check("web", "1: c");
    let task = lab.store.task(&"web1".into()).expect("task");
    assert_eq!(task.status.message, "scheduler assigned task to node");
    assert_eq!(task.status.error, "");
}

#[test]
fn without_nodes_there_is_no_suitable_node() {
    let mut lab = Lab::new("");
    lab.service("web", "", 1..=1);
    lab.check("web", "1: no suitable node");
}

#[test]
fn reservations_are_counted_within_a_decision_and_freed_at_the_end() {
    let mut lab = Lab::new("a mem=100 cpu=10\nb mem=50 cpu=10");
    lab.service("web", "mem=40", 1..=4);
    lab.check(
        "web",
        "1: a
         2: b
         3: a
         4: no suitable node (insufficient resources on 2 nodes)",
    );
    lab.service("cpu", "cpu=6", 1..=2);
    lab.check("cpu", "1: b\n2: a");
    let stop = Change::SetDesired {
        id: "web2".into(),
        desired: DesiredState::Shutdown,
    };
    lab.apply(vec![stop]);
    assert_eq!(
        lab.schedule(),
        0,
        "a task holds its memory until it is over"
    );
    let over = lab.state("web2", TaskState::Shutdown);
    lab.apply(vec![over]);
    lab.check("web", "1: a\n2: b\n3: a\n4: b");
}

#[test]
fn max_replicas_bounds_the_tasks_of_a_service_on_a_node() {
    let mut lab = Lab::new("a\nb");
    lab.service("web", "max=1", 1..=3);
    let reason = "no suitable node (max replicas per node limit exceed)";
    lab.check("web", &format!("1: a\n2: b\n3: {reason}"));
}

#[test]
fn platforms_match_under_either_name_and_empty_is_any() {
    let mut lab = Lab::new("a platform=linux/x86_64\nb platform=linux/aarch64");
    for (name, platform, node) in [
        ("one", "linux/amd64", "a"),
        ("two", "linux/arm64", "b"),
        ("three", "linux/x86_64", "a"),
    ] {
        lab.service(name, &format!("platform={platform}"), 1..=1);
        lab.check(name, &format!("1: {node}"));
    }
    lab.service("any", "platform=linux/", 1..=1);
    lab.check("any", "1: b");
    lab.service("none", "platform=windows/amd64", 1..=1);
    lab.check(
        "none",
        "1: no suitable node (unsupported platform on 2 nodes)",
    );
}

#[test]
fn a_node_where_it_keeps_failing_comes_last_until_the_window_is_over() {
    let mut lab = Lab::new("a\nb x=y");
    lab.service("other", "constraint=node.id==b", 1..=3);
    lab.schedule();
    for round in 1..=MAX_FAILURES as u64 {
        match round {
            1 => lab.service("web", "", 1..=1),
            _ => lab.tasks("web", round..=round),
        }
        lab.schedule();
        let id = format!("web{round}");
        let task = lab.store.task(&id.as_str().into()).expect("task");
        assert_eq!(task.node, Some("a".into()));
        let failed = lab.state(&id, TaskState::Failed);
        lab.apply(vec![failed]);
    }
    lab.tasks("web", 6..=6);
    lab.schedule();
    assert!(lab.show("web").ends_with("6: b"), "{}", lab.show("web"));
    lab.now = lab.now + FAILURE_WINDOW + Duration::from_secs(1);
    lab.tasks("web", 7..=7);
    lab.schedule();
    assert!(lab.show("web").ends_with("7: a"), "{}", lab.show("web"));
}

#[test]
fn blocked_tasks_are_looked_at_when_something_changed_for_them() {
    let mut lab = Lab::new("a drain");
    lab.service("web", "", 1..=1);
    lab.service("db", "", 1..=1);
    let decided = |lab: &Lab, dirty: &Dirty| lab.decide(dirty, Limits::default()).changes.len();
    assert_eq!(decided(&lab, &Dirty::default()), 0);
    let mut dirty = Dirty::default();
    dirty.services.insert("web".into());
    assert_eq!(decided(&lab, &dirty), 1);
    let mut dirty = Dirty::default();
    dirty.nodes.insert("a".into());
    assert_eq!(decided(&lab, &dirty), 2);
    let room = Dirty {
        room: true,
        ..Dirty::default()
    };
    assert_eq!(decided(&lab, &room), 2);
}

#[test]
fn a_full_decision_says_what_it_left_out() {
    let mut lab = Lab::new("a");
    lab.service("db", "", 1..=2);
    lab.service("job", "", 1..=2);
    lab.service("web", "", 1..=2);
    let limits = Limits {
        changes_per_decision: 3,
    };
    let decision = lab.decide(&Dirty::everything(), limits);
    assert_eq!(decision.changes.len(), 3);
    assert_eq!(decision.postponed, ["job".into(), "web".into()]);
}
