//! Memory per task on a manager, with all indexes: `cargo run --release -p store --example memory`.
//!
//! Makes running tasks as a cluster has them (services of 100 tasks on 1,000 nodes, each task with a container, a
//! message and a restart behind it), and prints how much larger the process became per task.

use model::node::{NodeSpec, NodeState, NodeStatus};
use model::service::{Mode, ServiceSpec};
use model::task::ContainerStatus;
use model::{
    Change, DesiredState, Meta, NewTask, Node, Proposal, Role, ServiceId, TaskId, TaskState,
    TaskStatus, Timestamp,
};
use std::sync::Arc;
use std::time::Instant;
use store::Store;

const TASKS: u64 = 100_000;
const TASKS_PER_SERVICE: u64 = 100;
const NODES: u64 = 1_000;
/// Bytes of a page.
const PAGE: u64 = 4096;

/// Bytes of the process in memory.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").expect("a Linux host");
    let pages = text.split(' ').nth(1).and_then(|n| n.parse::<u64>().ok());
    pages.expect("a number of pages") * PAGE
}

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

/// Text that looks like an id: the same number gives the same one.
fn id(kind: u64, number: u64) -> String {
    let mixed = (kind << 56 ^ number)
        .wrapping_add(1)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let other = (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    format!("{other:016x}{:09x}", mixed >> 28)
}

fn node(n: u64) -> Change {
    Change::CreateNode(Box::new(Node {
        id: id(1, n).into(),
        meta: Meta::default(),
        spec: NodeSpec::default(),
        role: Role::Worker,
        description: None,
        status: NodeStatus {
            state: NodeState::Ready,
            ..NodeStatus::default()
        },
        manager: None,
    }))
}

fn create(service: u64, version: u64) -> Vec<Change> {
    let first = service * TASKS_PER_SERVICE;
    let service = ServiceId::from(id(2, service));
    let tasks = first..first + TASKS_PER_SERVICE;
    let mut changes = vec![Change::CreateService {
        id: service.clone(),
        spec: Arc::new(ServiceSpec {
            name: format!("web{first}"),
            mode: Mode::Replicated {
                replicas: Some(TASKS_PER_SERVICE),
            },
            ..ServiceSpec::default()
        }),
    }];
    changes.extend(tasks.flat_map(|n| {
        let task = TaskId::from(id(3, n));
        let create = Change::CreateTask(NewTask {
            id: task.clone(),
            service: service.clone(),
            spec_version: version,
            slot: n - first + 1,
            node: None,
            desired: DesiredState::Running,
            start_after: None,
            restarts: vec![Timestamp(1)],
        });
        [
            create,
            status(task, TaskState::Pending, "pending task scheduling"),
        ]
    }));
    changes
}

fn status(id: TaskId, state: TaskState, message: &str) -> Change {
    let mut status = TaskStatus::new(state, Timestamp(0), message);
    if state >= TaskState::Running {
        status.container = Some(ContainerStatus {
            id: "0123456789abcdef".repeat(4),
            pid: 4711,
            exit_code: 0,
        });
    }
    Change::SetTaskStatus { id, status }
}

fn main() {
    let mut store = Store::new();
    apply(&mut store, (0..NODES).map(node).collect());
    let before = resident();
    let begin = Instant::now();
    for service in 0..TASKS / TASKS_PER_SERVICE {
        let version = store.index() + 1;
        apply(&mut store, create(service, version));
        let tasks = service * TASKS_PER_SERVICE..(service + 1) * TASKS_PER_SERVICE;
        let assigned = tasks.clone().map(|n| Change::AssignTask {
            id: id(3, n).into(),
            node: id(1, n % NODES).into(),
            generic: vec![],
            status: TaskStatus::new(
                TaskState::Assigned,
                Timestamp(0),
                "scheduler assigned task to node",
            ),
        });
        apply(&mut store, assigned.collect());
        for (state, message) in [
            (TaskState::Starting, "starting"),
            (TaskState::Running, "started"),
        ] {
            let started = tasks
                .clone()
                .map(|n| status(id(3, n).into(), state, message));
            apply(&mut store, started.collect());
        }
    }
    let took = begin.elapsed();
    println!(
        "{} bytes per task, {:.1} us per task for 5 changes; a task object is {} bytes, an id {}",
        (resident() - before) / TASKS,
        took.as_secs_f64() * 1e6 / TASKS as f64,
        size_of::<model::Task>(),
        size_of::<TaskId>(),
    );
    let begin = Instant::now();
    let copy = store.clone();
    println!("a copy of the store takes {:?}", begin.elapsed());
    assert_eq!(copy.tasks().len() as u64, TASKS);
}
