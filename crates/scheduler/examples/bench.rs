//! Placements per second on one core: `cargo run --release -p scheduler --example bench [nodes…] [one|preferences|distinct…]`.
//!
//! `one`: one spec with many tasks; `preferences`: the same, spread over two labels; `distinct`: each task a service of its own, with
//! constraints and preferences. Each begins with an empty cluster and goes on until it has 300,000 tasks. Measured is the scheduler alone with
//! decisions of its usual size, one after the other on the state that they led to, in processor time of its thread, since other work on the
//! host should not count; the first and the last tenth of them tell whether it gets slower. Then a decision
//! for one more task, and the same when a node has changed before. What a scheduler needs that knows no nodes yet comes first.

use model::node::{NodeDescription, NodeSpec, NodeState, NodeStatus};
use model::service::ServiceSpec;
use model::task::{Placement, Platform, ResourceRequirements, Resources, TaskSpec};
use model::{
    Change, DesiredState, Labels, Meta, NewTask, Node, Proposal, Role, ServiceId, TaskId,
    TaskState, TaskStatus, Timestamp,
};
use scheduler::{Context, Limits, Scheduler};
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::{Dirty, Store};

/// Tasks that wait at once.
const TASKS: u64 = 100_000;
/// How often so many tasks come.
const ROUNDS: u32 = 3;
/// Decisions of one task that are measured, at most.
const SINGLES: usize = 1_000;
/// First decisions of a scheduler that are measured.
const STARTS: u32 = 5;
/// Time in decisions of one task after which no more are measured.
const ENOUGH: Duration = Duration::from_secs(1);

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

/// When a measurement began.
struct Clock {
    processor: Duration,
    wall: Instant,
}

/// How long something took.
#[derive(Clone, Copy)]
struct Spent {
    /// Of this thread: other work on the host does not count.
    processor: Duration,
    wall: Duration,
}

impl Clock {
    fn now() -> Clock {
        Clock {
            processor: processor_time(),
            wall: Instant::now(),
        }
    }

    fn elapsed(&self) -> Spent {
        // First, since it takes some microseconds to read the other.
        let wall = self.wall.elapsed();
        Spent {
            processor: processor_time() - self.processor,
            wall,
        }
    }
}

/// The processor time of this thread.
fn processor_time() -> Duration {
    // The first number is nanoseconds on a processor.
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("a Linux host");
    let nanoseconds = text.split(' ').next().and_then(|n| n.parse().ok());
    Duration::from_nanos(nanoseconds.expect("a number"))
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

    /// Places all that waits; how long each decision took, and how many tasks it placed.
    fn place(&mut self) -> Vec<(usize, Spent)> {
        let mut decisions = Vec::new();
        while self.store.pending_groups().next().is_some() {
            let begin = Clock::now();
            let changes = self.decide();
            decisions.push((changes.len(), begin.elapsed()));
            apply(&mut self.store, changes);
        }
        decisions
    }

    /// The usual time of a decision for what waits, which is not applied and so can be made again and again.
    /// `before` happens before each, and is not measured.
    fn single(&mut self, mut before: impl FnMut(&mut Store, u64)) -> Duration {
        self.decide();
        let mut times = Vec::new();
        while times.len() < SINGLES && times.iter().sum::<Duration>() < ENOUGH {
            before(&mut self.store, times.len() as u64);
            let begin = Clock::now();
            self.decide();
            times.push(begin.elapsed().wall);
        }
        median(times)
    }
}

/// Processor time is counted too coarsely for what takes microseconds; of many times by the wall clock, the one in the
/// middle was not disturbed by other work.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// A node changes its state to and fro.
fn change_node(store: &mut Store, nodes: u64, round: u64) {
    let id = id(1, round / 2 * 7919 % nodes);
    let state = if round.is_multiple_of(2) {
        NodeState::Down
    } else {
        NodeState::Ready
    };
    apply(
        store,
        vec![Change::SetNodeStatus {
            id: id.into(),
            status: NodeStatus {
                state,
                ..NodeStatus::default()
            },
        }],
    );
}

/// Bytes of memory that this process has now.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").expect("a Linux host");
    let pages = text.split(' ').nth(1).and_then(|n| n.parse::<u64>().ok());
    pages.expect("a number") * 4096
}

/// What a scheduler costs that knows no nodes yet: time until its first decision, and memory.
fn measure_start(nodes: u64) {
    let mut cluster = Cluster::new(nodes);
    cluster.wait(Kind::Distinct, 4);
    let before = resident();
    cluster.decide();
    let memory = resident().saturating_sub(before) / nodes;
    let (mut processor, mut walls) = (Duration::ZERO, Vec::new());
    for _ in 0..STARTS {
        cluster.scheduler = Scheduler::default();
        let begin = Clock::now();
        cluster.decide();
        let spent = begin.elapsed();
        processor += spent.processor / STARTS;
        walls.push(spent.wall);
    }
    let wall = median(walls);
    println!(
        "{nodes:>6} nodes: the first decision takes {processor:.1?} ({wall:.1?} by the wall clock), \
         and about {memory} bytes per node"
    );
}

fn measure(nodes: u64, name: &str, kind: Kind) {
    let mut cluster = Cluster::new(nodes);
    // The start has been measured already.
    cluster.wait(kind, 1);
    cluster.place();
    let mut decisions = Vec::new();
    for _ in 0..ROUNDS {
        cluster.wait(kind, TASKS);
        decisions.extend(cluster.place());
    }
    cluster.wait(kind, 1);
    let single = cluster.single(|_, _| ());
    let after_change = cluster.single(|store, round| change_node(store, nodes, round));
    let tenth = decisions.len() / 10;
    let [first, last] = [&decisions[..tenth], &decisions[decisions.len() - tenth..]]
        .map(|part| per_second(part, |spent| spent.processor));
    println!(
        "{nodes:>6} nodes, {name:<22} {:>7.0}/s ({:.0}/s by the wall clock), first tenth {first:.0}/s, last {last:.0}/s; \
         one task {single:.1?}, after a node changed {after_change:.1?}",
        per_second(&decisions, |spent| spent.processor),
        per_second(&decisions, |spent| spent.wall),
    );
}

fn per_second(decisions: &[(usize, Spent)], which: impl Fn(&Spent) -> Duration) -> f64 {
    let tasks: usize = decisions.iter().map(|(tasks, _)| tasks).sum();
    let spent: Duration = decisions.iter().map(|(_, spent)| which(spent)).sum();
    tasks as f64 / spent.as_secs_f64()
}

fn main() {
    let (mut sizes, mut only) = (Vec::new(), Vec::new());
    for argument in std::env::args().skip(1) {
        match argument.parse() {
            Ok(nodes) => sizes.push(nodes),
            Err(_) => only.push(argument),
        }
    }
    if sizes.is_empty() {
        sizes = vec![1_000, 10_000, 100_000];
    }
    let kinds = [
        ("one", Kind::One(&[])),
        (
            "preferences",
            Kind::One(&["node.labels.zone", "node.labels.rack"]),
        ),
        ("distinct", Kind::Distinct),
    ];
    for nodes in sizes {
        measure_start(nodes);
        for (name, kind) in kinds {
            if only.is_empty() || only.iter().any(|o| o == name) {
                measure(nodes, name, kind);
            }
        }
    }
}
