//! Spread preferences, generic resources, tasks that are bound to a node, and moves.

use super::lab::Lab;
use crate::rebalance;
use model::service::{RevisionCause, ServiceSpec};
use model::task::{ReplaceReason, TaskSpec};
use model::{Change, DesiredState, TaskState};
use std::sync::Arc;

#[test]
fn a_preference_evens_out_its_branches_before_nodes() {
    let mut lab = Lab::new("a zone=east\nb zone=east\nc zone=east\nd zone=west\ne");
    lab.service("web", "prefer=node.labels.zone", 1..=6);
    lab.check("web", "1: a\n2: d\n3: e\n4: b\n5: d\n6: e");
}

#[test]
fn levels_are_evened_out_from_the_outer_one_on() {
    let mut lab = Lab::new(
        "a engine.dc=one rack=1
         b engine.dc=one rack=2
         c engine.dc=two rack=1
         d engine.dc=two rack=1",
    );
    let spec = "prefer=engine.labels.dc prefer=node.labels.rack";
    lab.service("web", spec, 1..=8);
    lab.check("web", "1: a\n2: c\n3: b\n4: d\n5: a\n6: c\n7: b\n8: d");
}

#[test]
fn a_branch_without_room_is_left_out() {
    let mut lab = Lab::new("a zone=east mem=10\nb zone=west mem=100");
    lab.service("web", "mem=10 prefer=node.labels.zone", 1..=4);
    lab.check("web", "1: a\n2: b\n3: b\n4: b");
}

#[test]
fn what_is_no_label_is_no_preference() {
    let mut lab = Lab::new("a zone=east\nb zone=east\nc zone=west");
    let spec = "prefer=node.hostname prefer=node.labels. prefer=Node.Labels.zone";
    lab.service("web", spec, 1..=3);
    lab.check("web", "1: a\n2: c\n3: b");
}

#[test]
fn generic_resources_are_claimed_by_name_or_number() {
    let mut lab = Lab::new("a gpu=g1,g2\nb fpga=3\nc gpu=g3 fpga=1");
    lab.service("train", "gpu=1", 1..=4);
    let reason = "no suitable node (insufficient resources on 3 nodes)";
    lab.check("train", &format!("1: a g1\n2: c g3\n3: a g2\n4: {reason}"));
    lab.service("code", "fpga=2", 1..=2);
    lab.check("code", &format!("1: b 2\n2: {reason}"));
    let over = lab.state("train1", TaskState::Failed);
    lab.apply(vec![over]);
    lab.schedule();
    assert!(lab.show("train").ends_with("4: a g1"));
}

#[test]
fn a_policy_keeps_privileges_away() {
    let mut lab = Lab::new("a\nb trusting");
    lab.service("web", "privileged=1", 1..=2);
    lab.check("web", "1: b\n2: b");
    lab.set_node("b");
    lab.service("db", "privileged=1", 1..=1);
    let reason = "devices and privileges not allowed on 2 nodes";
    lab.check("db", &format!("1: no suitable node ({reason})"));
}

#[test]
fn a_bound_task_is_checked_on_its_node_only() {
    let mut lab = Lab::new("a mem=100\nb mem=10\nc mem=100 drain\nd mem=100 disk=hdd\ne mem=100");
    lab.set_node("e mem=100");
    lab.global("agent", "mem=50 max=1 constraint=node.labels.disk!=hdd");
    lab.check(
        "agent",
        "a: a
         b: insufficient resources on 1 node
         c: 1 node not available for new tasks
         d: scheduling constraints not satisfied on 1 node
         e: e",
    );
    assert_eq!(lab.schedule(), 0);
    lab.set_node("d mem=100");
    lab.schedule();
    assert!(lab.show("agent").contains("d: d"));
}

#[test]
fn nodes_are_found_by_what_names_them() {
    let mut lab = Lab::new("a host=Alpha\nb host=beta\nc host=beta");
    lab.service("one", "constraint=node.hostname==ALPHA", 1..=2);
    lab.check("one", "1: a\n2: a");
    lab.service("two", "constraint=node.hostname==beta", 1..=3);
    lab.check("two", "1: b\n2: c\n3: b");
    lab.service(
        "three",
        "constraint=node.id==C constraint=node.hostname==beta",
        1..=1,
    );
    lab.check("three", "1: c");
    lab.service("four", "constraint=node.hostname!=beta", 1..=1);
    lab.check("four", "1: a");
    lab.service("five", "constraint=node.id==a constraint=node.id==b", 1..=1);
    let reason = "scheduling constraints not satisfied on 3 nodes";
    lab.check("five", &format!("1: no suitable node ({reason})"));
}

/// Runs what is assigned.
fn run_all(lab: &mut Lab) {
    let assigned = lab
        .store
        .tasks()
        .filter(|t| t.status.state == TaskState::Assigned);
    let ids: Vec<String> = assigned.map(|t| t.id.to_string()).collect();
    let changes = ids.iter().map(|id| lab.state(id, TaskState::Running));
    let changes = changes.collect();
    lab.apply(changes);
}

/// Nodes as they are while the tasks start, the service, and nodes as they are then; the moves, as `task: from to`.
#[track_caller]
fn check_moves(before: &str, spec: &str, tasks: u64, after: &[&str], expected: &str) {
    let mut lab = Lab::new(before);
    lab.service("web", spec, 1..=tasks);
    lab.schedule();
    run_all(&mut lab);
    after.iter().for_each(|line| lab.set_node(line));
    assert_eq!(moves(&lab, 100), expected, "{before} {spec}");
}

fn moves(lab: &Lab, limit: usize) -> String {
    let moves = rebalance(&lab.store, &["web".into()], limit);
    let lines = moves
        .iter()
        .map(|(task, from, to)| format!("{task}: {from} {to}"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn as_few_tasks_move_as_even_a_service_out() {
    check_moves("a\nb drain", "", 4, &["b"], "web4: a b\nweb3: a b");
    check_moves("a\nb drain", "", 3, &["b"], "web3: a b");
    check_moves("a\nb", "", 3, &[], "");
    check_moves("a\nb drain\nc drain", "", 2, &["b", "c"], "web2: a b");
    check_moves("a\nb drain", "", 4, &[], "");
    check_moves(
        "a mem=90\nb mem=30 drain",
        "mem=30",
        3,
        &["b mem=30"],
        "web3: a b",
    );
    check_moves("a mem=90\nb mem=20 drain", "mem=30", 3, &["b mem=20"], "");
    check_moves("a\nb drain", "constraint=node.id==a", 4, &["b"], "");
    check_moves("a\nb drain", "", 4, &["a pause", "b"], "");
    let zones = "a zone=x\nb zone=x\nc zone=y drain";
    let spec = "prefer=node.labels.zone";
    check_moves(zones, spec, 4, &["c zone=y"], "web4: b c\nweb3: a c");
    check_moves(zones, "", 4, &["c zone=y"], "web4: b c");
}

#[test]
fn what_is_on_its_way_already_is_not_moved_again() {
    let mut lab = Lab::new("a\nb drain");
    lab.service("web", "", 1..=4);
    lab.schedule();
    run_all(&mut lab);
    lab.set_node("b");
    assert_eq!(moves(&lab, 1), "web4: a b");
    lab.apply(vec![Change::SetReplace {
        id: "web4".into(),
        reason: Some(ReplaceReason::Rebalance),
    }]);
    assert_eq!(moves(&lab, 9), "web3: a b");
    lab.apply(vec![Change::SetReplace {
        id: "web3".into(),
        reason: Some(ReplaceReason::Rebalance),
    }]);
    assert_eq!(moves(&lab, 9), "");
    // The replacement of a marked task goes where the move said, under either order.
    lab.tasks("web", 5..=5);
    lab.schedule();
    assert!(lab.show("web").ends_with("5: b"), "{}", lab.show("web"));
}

#[test]
fn another_version_of_a_service_counts_what_the_first_one_got() {
    let mut lab = Lab::new("a\nb");
    lab.service("web", "max=1", 1..=1);
    let service = lab.store.service(&"web".into()).expect("service").clone();
    let spec = ServiceSpec {
        task: Arc::new(TaskSpec {
            force_update: 1,
            ..TaskSpec::clone(&service.spec.task)
        }),
        ..ServiceSpec::clone(&service.spec)
    };
    lab.apply(vec![Change::UpdateService {
        id: "web".into(),
        if_version: service.meta.version,
        spec: Arc::new(spec),
        cause: RevisionCause::Update,
        status: None,
    }]);
    lab.tasks("web", 2..=3);
    let reason = "no suitable node (max replicas per node limit exceed)";
    lab.check("web", &format!("1: a\n2: b\n3: {reason}"));
    let stop = Change::SetDesired {
        id: "web1".into(),
        desired: DesiredState::Shutdown,
    };
    lab.apply(vec![stop]);
    lab.check("web", "1: a\n2: b\n3: a");
}
