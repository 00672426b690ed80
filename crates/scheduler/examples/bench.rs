//! Placements per second on one core: `cargo run --release -p scheduler --example bench [nodes…]`.
//!
//! (a) one spec with many tasks, without and with preferences; (b) each task a service of its own, with constraints
//! and preferences. Each is measured in a cluster that is empty, and again when it is three times as full. "decided" is the
//! scheduler alone with decisions of its usual size, one after the other on the state that they led to; at the
//! end comes what one decision for one task takes, and the first one of a scheduler that knows no nodes yet.

use model::node::{NodeDescription, NodeSpec, NodeState, NodeStatus};
use model::service::ServiceSpec;
use model::task::{Placement, Platform, ResourceRequirements, Resources, TaskSpec};
use model::{
    Change, DesiredState, Labels, Meta, NewTask, Node, Proposal, Role, ServiceId, TaskId,
    TaskState, TaskStatus, Timestamp,
};
use scheduler::{Context, Limits, Scheduler};
use std::sync::Arc;
use std::time::Duration;
use store::{Dirty, Store};

/// Tasks that are placed to be measured.
const TASKS: u64 = 100_000;
/// Tasks that are placed before it is measured again.
const FILL: u64 = 2 * TASKS;
/// Decisions of one task that are measured.
const SINGLES: u32 = 1_000;
/// First decisions of a scheduler that are measured.
const NEW: u32 = 5;

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

/// The processor time of this thread: other work on the host does not count.
struct Clock(Duration);

impl Clock {
    fn now() -> Clock {
        // The first number is nanoseconds on a processor.
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("a Linux host");
        let nanoseconds = text.split(' ').next().and_then(|n| n.parse().ok());
        Clock(Duration::from_nanos(nanoseconds.expect("a number")))
    }

    fn elapsed(&self) -> Duration {
        Clock::now().0 - self.0
    }
}

/// Text that looks like an id: the same number gives the same one.
fn id(kind: u64, number: u64) -> String {
    let mut state = (kind << 56) ^ number;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    format!("{:016x}{:09x}", next(), next() >> 28)
}

/// Three zones of four racks, two kinds of disk, two platforms, and a label that each node has for itself.
fn node(n: u64) -> Change {
    let label = |key: &str, value: String| (key.to_owned(), value);
    let labels = Labels::from([
        label("zone", format!("z{}", n % 3)),
        label("rack", format!("r{}", n / 3 % 4)),
        label("disk", if n % 5 < 3 { "ssd" } else { "hdd" }.into()),
        label("serial", n.to_string()),
    ]);
    let architecture = if n.is_multiple_of(7) {
        "aarch64"
    } else {
        "x86_64"
    };
    Change::CreateNode(Box::new(Node {
        id: id(1, n).into(),
        meta: Meta::default(),
        spec: NodeSpec {
            labels,
            ..NodeSpec::default()
        },
        role: Role::Worker,
        description: Some(NodeDescription {
            hostname: format!("host{n}"),
            platform: Platform {
                os: "linux".into(),
                architecture: architecture.into(),
            },
            resources: Resources {
                nano_cpus: 64_000_000_000,
                memory_bytes: 256 << 30,
            },
            ..NodeDescription::default()
        }),
        status: NodeStatus {
            state: NodeState::Ready,
            ..NodeStatus::default()
        },
        manager: None,
    }))
}

fn placement(constraints: &[&str], preferences: &[&str], platform: Option<&str>) -> Placement {
    let strings = |all: &[&str]| all.iter().map(|s| (*s).to_owned()).collect();
    Placement {
        constraints: strings(constraints),
        preferences: strings(preferences),
        max_replicas: 0,
        platforms: platform
            .into_iter()
            .map(|architecture| Platform {
                architecture: architecture.into(),
                os: "linux".into(),
            })
            .collect(),
    }
}

/// The placement of the nth service of its own.
fn distinct(n: u64) -> Placement {
    let zone = format!("node.labels.zone!=z{}", n % 3);
    let both = ["node.labels.zone", "node.labels.rack"];
    match n % 4 {
        0 => placement(&["node.labels.disk==ssd"], &both, Some("amd64")),
        1 => placement(&[&zone, "node.role==worker"], &both[1..], None),
        2 => placement(&["node.labels.disk==hdd", &zone], &both[..1], Some("amd64")),
        _ => placement(
            &["node.labels.disk!=hdd", "node.platform.os==linux"],
            &both,
            None,
        ),
    }
}

fn service(number: u64, placement: Placement) -> (ServiceId, Change) {
    let service = ServiceId::from(id(2, number));
    let reservations = Some(Resources {
        nano_cpus: 1_000_000 + i64::try_from(number % 50).expect("small") * 1_000_000,
        memory_bytes: 4 << 20,
    });
    let task = TaskSpec {
        placement: Some(placement),
        resources: Some(ResourceRequirements {
            reservations,
            ..ResourceRequirements::default()
        }),
        ..TaskSpec::default()
    };
    let change = Change::CreateService {
        id: service.clone(),
        spec: Arc::new(ServiceSpec {
            name: format!("web{number}"),
            task: Arc::new(task),
            ..ServiceSpec::default()
        }),
    };
    (service, change)
}

fn pending(service: &ServiceId, spec_version: u64, number: u64, slot: u64) -> [Change; 2] {
    let task = TaskId::from(id(3, number));
    let create = Change::CreateTask(NewTask {
        id: task.clone(),
        service: service.clone(),
        spec_version,
        slot,
        node: None,
        desired: DesiredState::Running,
        start_after: None,
        restarts: vec![],
    });
    let status = TaskStatus::new(TaskState::Pending, Timestamp(0), "pending task scheduling");
    [create, Change::SetTaskStatus { id: task, status }]
}

/// A cluster with a scheduler, and numbers that were not used yet.
struct Cluster {
    store: Store,
    scheduler: Scheduler,
    number: u64,
    /// The service with many tasks, and the spec version of its tasks.
    one: Option<(ServiceId, u64)>,
}

#[derive(Clone, Copy)]
enum Kind {
    /// All tasks of one service.
    One(&'static [&'static str]),
    /// Each task of its own service.
    Distinct,
}

impl Cluster {
    fn new(nodes: u64) -> Cluster {
        let mut store = Store::new();
        apply(&mut store, (0..nodes).map(node).collect());
        Cluster {
            store,
            scheduler: Scheduler::default(),
            number: 0,
            one: None,
        }
    }

    /// Makes tasks that wait.
    fn wait(&mut self, kind: Kind, tasks: u64) {
        let first = self.number;
        self.number += tasks;
        let mut changes = Vec::new();
        match kind {
            Kind::One(preferences) => {
                let version = self.store.index() + 1;
                let (service, version) = self.one.clone().unwrap_or_else(|| {
                    let placement = placement(&["node.labels.disk==ssd"], preferences, None);
                    let (service, change) = service(first, placement);
                    changes.push(change);
                    (service, version)
                });
                for n in first..self.number {
                    changes.extend(pending(&service, version, n, n + 1));
                }
                self.one = Some((service, version));
            }
            Kind::Distinct => {
                let version = self.store.index() + 1;
                for n in first..self.number {
                    let (service, change) = service(n, distinct(n));
                    changes.push(change);
                    changes.extend(pending(&service, version, n, 1));
                }
            }
        }
        apply(&mut self.store, changes);
    }

    fn decide(&mut self) -> Vec<Change> {
        let limits = Limits::default();
        let mut ctx = Context {
            now: Timestamp(0),
            limits: &limits,
        };
        let dirty = Dirty::everything();
        let decision = self.scheduler.reconcile(&mut ctx, &self.store, &dirty);
        decision.changes
    }

    /// Places all that waits; the time for decisions and for applying them.
    fn place(&mut self) -> (Duration, Duration) {
        let (mut decided, mut applied) = (Duration::ZERO, Duration::ZERO);
        while self.store.pending_groups().next().is_some() {
            let begin = Clock::now();
            let changes = self.decide();
            decided += begin.elapsed();
            let begin = Clock::now();
            apply(&mut self.store, changes);
            applied += begin.elapsed();
        }
        (decided, applied)
    }

    /// The time of a decision for what waits, which is not applied and so can be made again and again.
    fn single(&mut self) -> Duration {
        self.decide();
        let begin = Clock::now();
        for _ in 0..SINGLES {
            self.decide();
        }
        begin.elapsed() / SINGLES
    }
}

fn measure(nodes: u64, name: &str, kind: Kind) {
    let mut cluster = Cluster::new(nodes);
    for (when, tasks) in [("empty", 0), ("three times as full", FILL)] {
        if tasks > 0 {
            cluster.wait(kind, tasks);
            cluster.place();
        }
        cluster.wait(kind, TASKS);
        let (decided, applied) = cluster.place();
        cluster.wait(kind, 1);
        let single = cluster.single();
        cluster.place();
        let per_second = |time: Duration| TASKS as f64 / time.as_secs_f64();
        println!(
            "{nodes:>6} nodes, {name}, {when}: {:.0}/s decided, {:.0}/s applied, a decision for one task {:.1} us",
            per_second(decided),
            per_second(applied),
            single.as_secs_f64() * 1e6,
        );
    }
    cluster.wait(kind, 1);
    let begin = Clock::now();
    for _ in 0..NEW {
        cluster.scheduler = Scheduler::default();
        cluster.decide();
    }
    let new = begin.elapsed() / NEW;
    println!("{nodes:>6} nodes, {name}: the first decision of a new scheduler {new:?}");
}

fn main() {
    let given = std::env::args().skip(1);
    let given: Vec<u64> = given
        .map(|n| n.parse().expect("a number of nodes"))
        .collect();
    let sizes = if given.is_empty() {
        vec![1_000, 10_000, 100_000]
    } else {
        given
    };
    for nodes in sizes {
        measure(nodes, "(a) one spec", Kind::One(&[]));
        let preferences: &[&str] = &["node.labels.zone", "node.labels.rack"];
        measure(
            nodes,
            "(a) one spec, two preferences",
            Kind::One(preferences),
        );
        measure(nodes, "(b) distinct specs", Kind::Distinct);
    }
}
