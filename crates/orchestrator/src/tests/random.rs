//! Services of all modes under random requests and faults, with a change of leader at any step. What has to hold after each commit
//! is in `invariants`; `World` itself sees to it that a decision, once applied, is not followed by another one.
//!
//! `STARLING_SEEDS` asks for more seeds, `STARLING_SEED` for this one.

use super::world::{Behaviour, SECOND, World, constraints, image, reserve};
use model::node::DrainConfig;
use model::service::{FailureAction, UpdateConfig, UpdateOrder};
use model::task::{ReplaceReason, RestartCondition, RestartPolicy};
use model::{
    Availability, Change, DesiredState, Mode, NodeId, NodeState, Service, ServiceId, ServiceSpec,
    SlotKey, Task, TaskState, TaskStatus,
};
use std::sync::Arc;
use std::time::Duration;

/// Seeds in a normal run: two seconds.
const SEEDS: u64 = 150;
/// Requests and faults of a seed.
const STEPS: usize = 150;
/// After the faults, everything has to come to its end within this time: the longest back-off and the longest
/// update of a seed are well below.
const CALM: Duration = Duration::from_secs(3600);

const IMAGES: [&str; 6] = ["good", "other", "bad", "hung", "unfit", "short"];

/// splitmix64.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }
    fn pick<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize].clone()
    }
    fn seconds(&mut self, bound: u64) -> Duration {
        Duration::from_secs(self.below(bound))
    }
}

struct Run {
    world: World,
    rng: Rng,
    /// Every decision is a new leader's.
    always_new: bool,
    names: u64,
}

impl Run {
    fn new(seed: u64) -> Run {
        let mut world = World::with_nodes(&["n1 zone=a", "n2 zone=b mem:20", "n3 zone=a", "n4"]);
        world.behaviours.insert("short", Behaviour::Completes);
        let mut rng = Rng(seed);
        let always_new = rng.one_in(2);
        Run {
            world,
            rng,
            always_new,
            names: 0,
        }
    }

    /// Some rounds of the loops, in which not every agent gets its turn.
    fn churn(&mut self) {
        for _ in 0..self.rng.below(6) {
            if self.always_new || self.rng.one_in(10) {
                self.world.due.clear();
                self.world.dirty = store::Dirty::everything();
            }
            self.world.decide();
            let rng = &mut self.rng;
            self.world.obey_for(|_| !rng.one_in(3));
        }
    }

    fn service(&mut self) -> Option<Arc<Service>> {
        let all: Vec<_> = self.world.store.services().cloned().collect();
        (!all.is_empty()).then(|| self.rng.pick(&all))
    }

    fn task(&mut self, fits: impl Fn(&Task) -> bool) -> Option<Arc<Task>> {
        let tasks = self.world.store.tasks().filter(|t| fits(t));
        let all: Vec<_> = tasks.cloned().collect();
        (!all.is_empty()).then(|| self.rng.pick(&all))
    }

    fn node(&mut self) -> NodeId {
        let all: Vec<_> = self.world.store.nodes().map(|n| n.id.clone()).collect();
        self.rng.pick(&all)
    }

    fn config(&mut self) -> UpdateConfig {
        UpdateConfig {
            parallelism: self.rng.below(4),
            delay: self.rng.seconds(4),
            failure_action: self.rng.pick(&[
                FailureAction::Pause,
                FailureAction::Continue,
                FailureAction::Rollback,
            ]),
            monitor: Some(self.rng.seconds(6)),
            max_failure_ratio: self.rng.pick(&[0.0, 0.0, 0.3, 1.0]),
            order: self
                .rng
                .pick(&[UpdateOrder::StopFirst, UpdateOrder::StartFirst]),
        }
    }

    fn edit(&mut self, spec: &mut ServiceSpec) {
        let rng = &mut self.rng;
        match rng.below(12) {
            0..=3 => image(spec, rng.pick(&IMAGES)),
            4 => super::force(spec),
            5 => {
                spec.labels.insert("x".into(), rng.below(3).to_string());
            }
            6 => {
                let all: &[&[&str]] = &[&[], &["node.labels.zone==a"], &["node.id!=n1"]];
                constraints(spec, rng.pick(all));
            }
            7 => spec.update = Some(self.config()),
            8 => spec.rollback = Some(self.config()),
            9 => {
                spec.progress_deadline = rng.pick(&[None, Some(10 * SECOND), Some(60 * SECOND)]);
            }
            10 => {
                let conditions = [
                    RestartCondition::Any,
                    RestartCondition::Any,
                    RestartCondition::OnFailure,
                    RestartCondition::None,
                ];
                Arc::make_mut(&mut spec.task).restart = Some(RestartPolicy {
                    condition: rng.pick(&conditions),
                    delay: Some(rng.seconds(8)),
                    max_attempts: rng.pick(&[0, 0, 0, 2, 20]),
                    window: rng.seconds(60),
                });
            }
            _ => {
                if let Mode::Replicated { replicas } = &mut spec.mode {
                    *replicas = Some(rng.below(7));
                }
                let all: [(i64, &[&str]); 3] = [(0, &[]), (2, &[]), (6, &[])];
                let (memory, generic) = rng.pick(&all);
                if rng.one_in(2) {
                    reserve(spec, memory, generic);
                }
                spec.stopped = rng.pick(&[None, None, None, Some(2)]);
            }
        }
    }

    fn create(&mut self) {
        if self.world.store.services().len() >= 4 {
            return;
        }
        let concurrent = 1 + self.rng.below(3);
        let mode = match self.rng.below(6) {
            0..=2 => Mode::Replicated {
                replicas: Some(self.rng.below(7)),
            },
            3 => Mode::Global,
            4 => Mode::ReplicatedJob {
                max_concurrent: Some(concurrent),
                total_completions: Some(concurrent + self.rng.below(4)),
            },
            _ => Mode::GlobalJob,
        };
        self.names += 1;
        let name = format!("s{}", self.names);
        let mut spec = ServiceSpec {
            name: name.clone(),
            mode,
            ..Default::default()
        };
        image(&mut spec, "good");
        for _ in 0..3 {
            self.edit(&mut spec);
        }
        self.world.commit(vec![Change::CreateService {
            id: ServiceId::from(name),
            spec: Arc::new(spec),
        }]);
    }

    fn request(&mut self) {
        let Some(service) = self.service() else {
            return;
        };
        let mut spec = ServiceSpec::clone(&service.spec);
        match self.rng.below(10) {
            0 => {
                let id = service.id.clone();
                self.world.commit(vec![Change::RemoveService { id }]);
            }
            1 => {
                if let Some(previous) = &service.previous_spec {
                    self.world.go_back(&service, previous.clone());
                }
            }
            2 => {
                let of_it = |t: &Task| t.service == service.id && t.is_wanted();
                if let Some(task) = self.task(of_it) {
                    let reason = Some(
                        self.rng
                            .pick(&[ReplaceReason::Restart, ReplaceReason::Rebalance]),
                    );
                    let id = task.id.clone();
                    self.world.commit(vec![Change::SetReplace { id, reason }]);
                }
            }
            _ => {
                self.edit(&mut spec);
                self.world.write(&service, spec);
            }
        }
    }

    fn fault(&mut self) {
        let node = self.node();
        match self.rng.below(10) {
            0..=2 => {
                let running = |t: &Task| t.status.state == TaskState::Running;
                if let Some(task) = self.task(running) {
                    let state =
                        self.rng
                            .pick(&[TaskState::Failed, TaskState::Failed, TaskState::Complete]);
                    self.world.commit(vec![Change::SetTaskStatus {
                        id: task.id.clone(),
                        status: TaskStatus::new(state, self.world.now, "by itself"),
                    }]);
                }
            }
            3 | 4 => {
                let states = [
                    NodeState::Down,
                    NodeState::Ready,
                    NodeState::Ready,
                    NodeState::Disconnected,
                    NodeState::Unknown,
                ];
                let state = self.rng.pick(&states);
                self.world.write_node_state(node.as_str(), state);
            }
            5 | 6 => {
                let availability = self.rng.pick(&[
                    Availability::Active,
                    Availability::Active,
                    Availability::Pause,
                    Availability::Drain,
                ]);
                let order = self
                    .rng
                    .pick(&[UpdateOrder::StartFirst, UpdateOrder::StopFirst]);
                let parallelism = self.rng.below(3);
                let drain = DrainConfig { parallelism, order };
                let drain = self.rng.pick(&[None, Some(drain)]);
                self.world.write_node_spec(node.as_str(), |spec| {
                    spec.availability = availability;
                    spec.drain = drain;
                });
            }
            7 => {
                let zone = self.rng.pick(&["a", "b"]);
                self.world.write_node_spec(node.as_str(), |spec| {
                    spec.labels.insert("zone".into(), zone.into());
                });
            }
            8 => {
                if self.rng.one_in(2) {
                    self.world.silent.push(node);
                } else {
                    self.world.silent.clear();
                }
            }
            _ => {
                let memory = self.rng.pick(&[4, 10, 1000]);
                let text = format!("mem:{memory}");
                self.world.write_description(node.as_str(), &text);
            }
        }
    }

    /// Time passes, in part without anybody being woken in time.
    fn wait(&mut self) {
        let seconds = self.rng.pick(&[0, 1, 2, 5, 20, 400]);
        self.world.now = self.world.now + Duration::from_secs(seconds);
        let now = self.world.now;
        let due = self.world.due.iter().filter(|(_, at)| **at <= now);
        let due: Vec<ServiceId> = due.map(|(id, _)| id.clone()).collect();
        self.world.dirty.services.extend(due);
        self.world.due.retain(|_, at| *at > now);
    }

    fn chaos(&mut self) {
        for _ in 0..STEPS {
            match self.rng.below(8) {
                0 => self.create(),
                1 | 2 => self.request(),
                3..=5 => self.fault(),
                _ => self.wait(),
            }
            self.churn();
        }
    }

    /// The faults stop: everything runs that should.
    fn calm(&mut self) {
        self.world.silent.clear();
        self.world.behaviours.clear();
        let nodes: Vec<NodeId> = self.world.store.nodes().map(|n| n.id.clone()).collect();
        for node in nodes {
            self.world.write_node_state(node.as_str(), NodeState::Ready);
            self.world.write_description(node.as_str(), "mem:1000");
            self.world.write_node_spec(node.as_str(), |spec| {
                spec.availability = Availability::Active;
                spec.drain = None;
                let zone = if node.as_str() == "n2" { "b" } else { "a" };
                spec.labels.insert("zone".into(), zone.into());
            });
        }
        self.world.finish_jobs = true;
        self.world.settle();
        self.world.pass(CALM);
        if self.always_new {
            self.world.change_leader();
        }
    }

    fn check(&self) {
        let store = &self.world.store;
        for service in store.services() {
            let state = service.update_status.as_ref().map(|s| s.state);
            assert!(
                !state.is_some_and(|s| s.is_under_way()),
                "{}",
                self.tell(service)
            );
            let expected = self.expected_slots(service);
            for slot in expected {
                let tasks = store.tasks_in_slot(&service.id, &slot);
                assert!(
                    fulfilled(service, tasks),
                    "{slot} of {}: {tasks:?}",
                    self.tell(service)
                );
            }
        }
        let lost = store
            .tasks()
            .filter(|t| t.is_wanted() && !t.status.state.is_terminal())
            .filter(|t| t.status.state != TaskState::Running);
        assert_eq!(lost.count(), 0);
        let gone = store.services_with_tasks();
        for service in gone {
            assert!(store.service(service).is_some(), "{service} left tasks");
        }
    }

    fn tell(&self, service: &Service) -> String {
        let spec = &service.spec;
        format!(
            "{} {:?} {:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{}",
            service.id,
            spec.mode,
            service.update_status,
            spec.update,
            spec.rollback,
            spec.task.restart,
            spec.task.placement,
            self.world.show_as(service.id.as_str())
        )
    }

    /// Slots that have to be filled: as many as there are replicas, whatever their numbers.
    fn expected_slots(&self, service: &Service) -> Vec<SlotKey> {
        if service.spec.stopped.is_some() {
            return Vec::new();
        }
        let suits = |node: &model::Node| crate::suits::Needs::of(&service.spec.task).suit(node);
        let nodes = self.world.store.nodes().filter(|node| suits(node));
        match service.spec.mode {
            Mode::Global | Mode::GlobalJob => {
                nodes.map(|node| SlotKey::Node(node.id.clone())).collect()
            }
            Mode::ReplicatedJob { .. } => {
                let (_, total) = service.spec.completions().unwrap_or_default();
                (1..=total).map(SlotKey::Replica).collect()
            }
            Mode::Replicated { .. } => {
                let slots = self.world.store.slots_of_service(&service.id);
                let slots: Vec<SlotKey> = slots.map(|(slot, _)| slot).collect();
                assert_eq!(
                    slots.len() as u64,
                    service.spec.replicas(),
                    "{}",
                    self.tell(service)
                );
                slots
            }
        }
    }
}

/// A slot runs its one task, or has come to an end that its restart policy lets stand.
fn fulfilled(service: &Service, tasks: &[Arc<Task>]) -> bool {
    let wanted = || tasks.iter().filter(|t| t.is_wanted());
    let runs = wanted().any(|t| t.status.state == TaskState::Running);
    let last = tasks.last();
    let ended = last.is_some_and(|t| {
        t.status.state.is_terminal() && t.desired <= DesiredState::Shutdown && is_bounded(t)
    });
    if service.spec.mode.is_job() {
        let run = service.job.map(|j| j.iteration);
        let completed =
            |t: &&Arc<Task>| t.job_iteration == run && t.status.state == TaskState::Complete;
        return tasks.iter().any(|t| completed(&t)) || ended;
    }
    // A paused update under start-first keeps the old task beside the new one.
    (runs && wanted().count() <= 2) || ended
}

fn is_bounded(task: &Task) -> bool {
    let policy = task.spec.restart_policy();
    policy.max_attempts > 0 || policy.condition != RestartCondition::Any
}

fn run(seed: u64) {
    let mut run = Run::new(seed);
    run.chaos();
    run.calm();
    run.check();
}

#[test]
fn whatever_happens_everything_comes_to_its_end() {
    let number = |name| std::env::var(name).ok().and_then(|s| s.parse::<u64>().ok());
    let seeds = match number("STARLING_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("STARLING_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        if let Err(panic) = std::panic::catch_unwind(|| run(seed)) {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
