//! Prints how many placements per second the scheduler decides: `cargo run --release -p scheduler --example placements`.

use model::node::{NodeSpec, NodeState, NodeStatus};
use model::service::ServiceSpec;
use model::{
    Change, DesiredState, Meta, NewTask, Node, Proposal, TaskState, TaskStatus, Timestamp,
};
use std::sync::Arc;
use std::time::Instant;
use store::{Dirty, Store};

const TASKS: u64 = 100_000;

fn apply(store: &mut Store, changes: Vec<Change>) {
    let proposal = Proposal {
        request: None,
        at: Timestamp(0),
        changes,
    };
    let index = store.index() + 1;
    let applied = store.apply(index, &[proposal]);
    assert_eq!(applied.outcomes, [Ok(())]);
}

fn node(n: u64) -> Change {
    Change::CreateNode(Box::new(Node {
        id: format!("node{n:021}").into(),
        meta: Meta::default(),
        spec: NodeSpec::default(),
        role: model::Role::Worker,
        description: None,
        status: NodeStatus {
            state: NodeState::Ready,
            ..Default::default()
        },
        manager: None,
    }))
}

fn main() {
    for (nodes, services) in [(1_000, 1), (1_000, 100), (10_000, 1), (10_000, 100)] {
        let mut store = Store::new();
        apply(&mut store, (0..nodes).map(node).collect());
        let mut changes = Vec::new();
        for s in 0..services {
            let id = model::ServiceId::from(format!("service{s:018}"));
            let name = format!("web{s}");
            changes.push(Change::CreateService {
                id: id.clone(),
                spec: Arc::new(ServiceSpec {
                    name,
                    ..Default::default()
                }),
            });
            for slot in 1..=TASKS / services {
                let task = model::TaskId::from(format!("t{s:04}{slot:020}"));
                changes.push(Change::CreateTask(NewTask {
                    id: task.clone(),
                    service: id.clone(),
                    spec_version: 2,
                    slot,
                    node: None,
                    desired: DesiredState::Running,
                    start_after: None,
                    restarts: vec![],
                }));
                changes.push(Change::SetTaskStatus {
                    id: task,
                    status: TaskStatus::new(TaskState::Pending, Timestamp(0), "pending"),
                });
            }
        }
        apply(&mut store, changes);
        let limits = scheduler::Limits {
            changes_per_decision: usize::MAX,
        };
        let mut ctx = scheduler::Context {
            now: Timestamp(0),
            limits: &limits,
        };
        let start = Instant::now();
        let decision = scheduler::reconcile(&mut ctx, &store, &Dirty::everything());
        let decided = start.elapsed();
        assert_eq!(decision.changes.len() as u64, TASKS);
        let start = Instant::now();
        apply(&mut store, decision.changes);
        let applied = start.elapsed();
        println!(
            "{nodes} nodes, {services} services, {TASKS} tasks: {:.0} placements/s decided, {:.0} assignments/s applied",
            TASKS as f64 / decided.as_secs_f64(),
            TASKS as f64 / applied.as_secs_f64(),
        );
    }
}
