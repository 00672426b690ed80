//! Services on many nodes, whose ranking is kept, and explanations that are.

use super::lab::{Lab, node};
use crate::{Context, Limits, Scheduler};
use model::{Change, TaskState};
use std::time::Duration;
use store::Dirty;

const NODES: usize = 100;

fn cluster() -> Lab {
    let line = |n: usize| format!("n{n:03} mem=100 zone={} disk={}", n % 3, n % 2);
    Lab::new(&(0..NODES).map(line).collect::<Vec<_>>().join("\n"))
}

/// Both decide the same; it is applied.
#[track_caller]
fn step(lab: &mut Lab, scheduler: &mut Scheduler) -> usize {
    let changes = lab.decide_with(scheduler);
    assert_eq!(changes, lab.decide_with(&mut Scheduler::default()));
    // Made twice without being applied, it is the same again.
    assert_eq!(changes, lab.decide_with(scheduler));
    let count = changes.len();
    lab.apply(changes);
    count
}

fn end(lab: &mut Lab, task: &str, state: TaskState) {
    let change = lab.state(task, state);
    lab.apply(vec![change]);
}

fn spread_and_follow(spec: &str) {
    let mut lab = cluster();
    let mut scheduler = Scheduler::default();
    lab.service("few", "mem=10", 1..=20);
    lab.service("web", spec, 1..=80);
    assert_eq!(step(&mut lab, &mut scheduler), 100);
    assert_eq!(scheduler.memory.standings.len(), 0, "made for one decision");
    lab.tasks("web", 81..=90);
    assert_eq!(step(&mut lab, &mut scheduler), 10);
    assert_eq!(scheduler.memory.standings.len(), 1, "kept from now on");
    for round in 0..12u64 {
        let first = 91 + round * 4;
        lab.tasks("web", first..=first + 3);
        match round % 6 {
            0 => lab.set_node(&format!("n{:03} mem=100 zone=0 disk=0 down", round)),
            1 => end(&mut lab, &format!("web{}", first - 30), TaskState::Complete),
            2 => lab.tasks("few", 21 + round..=22 + round),
            3 => lab.set_node(&format!("n{:03} mem=100 zone=1 disk=1", 50 + round)),
            4 => lab.apply(vec![Change::CreateNode(Box::new(node(&format!(
                "m{round} mem=100 zone=2 disk=0"
            ))))]),
            _ => {
                // Five failures on one node, the last of which is the newest.
                let nodes: Vec<_> = lab.store.nodes().map(|n| n.id.clone()).collect();
                let fails = |id: &&model::NodeId| {
                    let tasks = lab.store.tasks_on_node(id);
                    tasks.filter(|t| t.may_run() && t.slot > 0).count() > 0
                };
                let id = nodes
                    .iter()
                    .find(fails)
                    .expect("a node with a task")
                    .clone();
                let tasks = lab.store.tasks_on_node(&id).filter(|t| t.may_run());
                let ids: Vec<_> = tasks.map(|t| t.id.to_string()).collect();
                for id in ids {
                    end(&mut lab, &id, TaskState::Failed);
                }
                lab.now = lab.now + Duration::from_secs(200);
            }
        }
        step(&mut lab, &mut scheduler);
        assert_eq!(scheduler.memory.standings.len(), 1);
    }
}

#[test]
fn a_service_on_many_nodes_is_followed() {
    spread_and_follow("mem=5 constraint=node.labels.disk!=none");
}

#[test]
fn so_is_one_with_preferences() {
    spread_and_follow("mem=5 prefer=node.labels.zone prefer=node.labels.disk");
}

#[test]
fn so_is_one_that_fills_the_nodes() {
    spread_and_follow("mem=45 max=2");
}

#[test]
fn a_service_on_few_nodes_is_not_kept() {
    let mut lab = cluster();
    let mut scheduler = Scheduler::default();
    lab.service("web", "", 1..=60);
    for first in [61, 63] {
        step(&mut lab, &mut scheduler);
        lab.tasks("web", first..=first + 1);
    }
    // 62 nodes have it now.
    step(&mut lab, &mut scheduler);
    assert_eq!(scheduler.memory.standings.len(), 0);
}

#[test]
fn what_was_explained_holds_until_a_node_changes() {
    let mut lab = cluster();
    let mut scheduler = Scheduler::default();
    lab.service("web", "mem=101", 1..=2);
    lab.service("max", "mem=100 max=1", 1..=1);
    let reason = "no suitable node (insufficient resources on 100 nodes)";
    let decide = |lab: &Lab, scheduler: &mut Scheduler| {
        let limits = Limits::default();
        let mut ctx = Context {
            now: lab.now,
            limits: &limits,
        };
        scheduler
            .reconcile(&mut ctx, &lab.store, &Dirty::everything())
            .changes
    };
    assert_eq!(step(&mut lab, &mut scheduler), 3);
    assert!(lab.show("web").contains(reason));
    // Said already.
    assert_eq!(decide(&lab, &mut scheduler), []);
    lab.tasks("web", 3..=3);
    assert_eq!(
        step(&mut lab, &mut scheduler),
        1,
        "the new one is told the same"
    );
    // The other service is on the first node.
    lab.set_node("n050 mem=101");
    let count = step(&mut lab, &mut scheduler);
    assert_eq!(count, 1, "one is placed, for the others it is as before");
    assert!(lab.show("web").starts_with("1: n050\n"));
    end(&mut lab, "web1", TaskState::Complete);
    assert_eq!(step(&mut lab, &mut scheduler), 1);
    assert!(lab.show("web").contains("2: n050\n"));
}
