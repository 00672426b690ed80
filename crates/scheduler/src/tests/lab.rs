//! Nodes and services as small texts.

use crate::{Context, Decision, Limits, Scheduler, reconcile};
use model::node::{Availability, NodeDescription, NodeSpec, NodeState, NodeStatus};
use model::service::{Mode, ServiceSpec};
use model::task::{
    GenericResource, GenericValue, Placement, Platform, ResourceRequirements, Resources, TaskSpec,
};
use model::{
    Change, DesiredState, Labels, Meta, NewTask, Node, Proposal, Role, TaskState, TaskStatus,
    Timestamp,
};
use std::sync::Arc;
use store::{Dirty, Store};

pub(super) struct Lab {
    pub(super) store: Store,
    pub(super) now: Timestamp,
}

fn platform(text: &str) -> Platform {
    let (os, architecture) = text.split_once('/').expect("os/architecture");
    Platform {
        os: os.into(),
        architecture: architecture.into(),
    }
}

fn generic(kind: &str, value: GenericValue) -> GenericResource {
    GenericResource {
        kind: kind.into(),
        value,
    }
}

/// `n1 cpu=4 mem=100 gpu=a,b fpga=2 disk=ssd engine.x=y drain down`: `gpu` has names, `fpga` a number, and other
/// names with a value are labels.
pub(super) fn node(line: &str) -> Node {
    let mut words = line.split_whitespace();
    let mut node = Node {
        id: words.next().expect("an id").into(),
        meta: Meta::default(),
        spec: NodeSpec::default(),
        role: Role::Worker,
        description: None,
        status: NodeStatus {
            state: NodeState::Ready,
            ..Default::default()
        },
        manager: None,
    };
    let mut description = NodeDescription {
        platform: platform("linux/x86_64"),
        ..Default::default()
    };
    let mut labels = Labels::new();
    for word in words {
        match word.split_once('=') {
            Some(("cpu", n)) => description.resources.nano_cpus = n.parse().expect("cpu"),
            Some(("mem", n)) => description.resources.memory_bytes = n.parse().expect("mem"),
            Some(("platform", text)) => description.platform = platform(text),
            Some(("host", name)) => description.hostname = name.into(),
            Some(("fpga", n)) => {
                let number = GenericValue::Discrete(n.parse().expect("fpga"));
                description.generic.push(generic("fpga", number));
            }
            Some(("gpu", names)) => {
                let names = names.split(',').map(|n| GenericValue::Named(n.into()));
                let gpus = names.map(|name| generic("gpu", name));
                description.generic.extend(gpus);
            }
            Some((label, value)) if label.starts_with("engine.") => {
                let label = label.trim_start_matches("engine.");
                let labels = &mut description.engine_labels;
                labels.insert(label.into(), value.into());
            }
            Some((label, value)) => {
                labels.insert(label.into(), value.into());
            }
            None if word == "drain" => node.spec.availability = Availability::Drain,
            None if word == "manager" => node.role = Role::Manager,
            None if word == "trusting" => description.allows_privileged = true,
            None if word == "pause" => node.spec.availability = Availability::Pause,
            None if word == "down" => node.status.state = NodeState::Down,
            None if word == "unknown" => node.status.state = NodeState::Unknown,
            None => panic!("{word}?"),
        }
    }
    node.spec.labels = labels;
    node.description = Some(description);
    node
}

/// `mem=50 gpu=1 constraint=node.labels.disk==ssd prefer=node.labels.zone max=1 platform=linux/amd64 privileged=1`.
fn task_spec(text: &str) -> TaskSpec {
    let mut spec = TaskSpec::default();
    let mut asked = Resources::default();
    let mut placement = Placement::default();
    let mut asked_generic = Vec::new();
    for word in text.split_whitespace() {
        match word.split_once('=').expect("name=value") {
            ("cpu", n) => asked.nano_cpus = n.parse().expect("cpu"),
            ("mem", n) => asked.memory_bytes = n.parse().expect("mem"),
            ("constraint", text) => placement.constraints.push(text.into()),
            ("max", n) => placement.max_replicas = n.parse().expect("max"),
            ("prefer", text) => placement.preferences.push(text.into()),
            ("privileged", _) => spec.container.privileged = true,
            (kind @ ("gpu" | "fpga"), n) => {
                let number = GenericValue::Discrete(n.parse().expect(kind));
                asked_generic.push(generic(kind, number));
            }
            ("platform", text) => placement.platforms.push(platform(text)),
            _ => panic!("{word}?"),
        }
    }
    spec.placement = Some(placement);
    spec.resources = Some(ResourceRequirements {
        limits: None,
        reservations: Some(asked),
        generic: asked_generic,
    });
    spec
}

impl Lab {
    pub(super) fn new(nodes: &str) -> Lab {
        let mut lab = Lab {
            store: Store::new(),
            now: Timestamp(1_000_000_000_000),
        };
        let nodes = nodes.lines().map(str::trim).filter(|l| !l.is_empty());
        lab.apply(
            nodes
                .map(|line| Change::CreateNode(Box::new(node(line))))
                .collect(),
        );
        lab
    }

    #[track_caller]
    pub(super) fn apply(&mut self, changes: Vec<Change>) {
        let index = self.store.index() + 1;
        let proposal = Proposal {
            request: None,
            at: self.now,
            changes,
        };
        let applied = self.store.apply(index, &[proposal]);
        assert_eq!(applied.outcomes, [Ok(())]);
    }

    /// A service whose tasks wait for nodes; its tasks are called `<name><slot>`.
    pub(super) fn service(&mut self, name: &str, spec: &str, slots: std::ops::RangeInclusive<u64>) {
        let spec = ServiceSpec {
            name: name.into(),
            task: Arc::new(task_spec(spec)),
            ..Default::default()
        };
        self.apply(vec![Change::CreateService {
            id: name.into(),
            spec: Arc::new(spec),
        }]);
        self.tasks(name, slots);
    }

    /// A service with one task for each node; its tasks are called `<name>-<node>`.
    pub(super) fn global(&mut self, name: &str, spec: &str) {
        let spec = ServiceSpec {
            name: name.into(),
            task: Arc::new(task_spec(spec)),
            mode: Mode::Global,
            ..Default::default()
        };
        self.apply(vec![Change::CreateService {
            id: name.into(),
            spec: Arc::new(spec),
        }]);
        let version = self.store.index();
        let nodes: Vec<_> = self.store.nodes().map(|n| n.id.clone()).collect();
        let tasks = nodes.into_iter().flat_map(|node| {
            let id = format!("{name}-{node}");
            let pending = self.state(&id, TaskState::Pending);
            let create = Change::CreateTask(NewTask {
                id: id.into(),
                service: name.into(),
                spec_version: version,
                slot: 0,
                node: Some(node),
                desired: DesiredState::Running,
                start_after: None,
                restarts: vec![],
            });
            [create, pending]
        });
        self.apply(tasks.collect());
    }

    /// More tasks of a service.
    pub(super) fn tasks(&mut self, name: &str, slots: std::ops::RangeInclusive<u64>) {
        let service = self.store.service(&name.into()).expect("service").clone();
        let mut changes = Vec::new();
        for slot in slots {
            let id = format!("{name}{slot}");
            changes.push(Change::CreateTask(NewTask {
                id: id.as_str().into(),
                service: service.id.clone(),
                spec_version: service.spec_version,
                slot,
                node: None,
                desired: DesiredState::Running,
                start_after: None,
                restarts: vec![],
            }));
            changes.push(self.state(&id, TaskState::Pending));
        }
        self.apply(changes);
    }

    pub(super) fn state(&self, task: &str, state: TaskState) -> Change {
        Change::SetTaskStatus {
            id: task.into(),
            status: TaskStatus::new(state, self.now, state.name()),
        }
    }

    pub(super) fn set_node(&mut self, line: &str) {
        let node = node(line);
        let if_version = self.store.node(&node.id).expect("node").meta.version;
        self.apply(vec![
            Change::UpdateNodeSpec {
                id: node.id.clone(),
                if_version,
                spec: node.spec,
            },
            Change::SetNodeDescription {
                id: node.id.clone(),
                description: Box::new(node.description.expect("a description")),
            },
            Change::SetNodeRole {
                id: node.id.clone(),
                role: node.role,
            },
            Change::SetNodeStatus {
                id: node.id,
                status: node.status,
            },
        ]);
    }

    pub(super) fn decide(&self, dirty: &Dirty, limits: Limits) -> Decision {
        let mut ctx = Context {
            now: self.now,
            limits: &limits,
        };
        reconcile(&mut ctx, &self.store, dirty)
    }

    /// What a scheduler decides that has seen what was before.
    pub(super) fn decide_with(&self, scheduler: &mut Scheduler) -> Vec<Change> {
        let limits = Limits::default();
        let mut ctx = Context {
            now: self.now,
            limits: &limits,
        };
        let decision = scheduler.reconcile(&mut ctx, &self.store, &Dirty::everything());
        decision.changes
    }

    /// Schedules all that waits, and applies it: no decision may be refused.
    #[track_caller]
    pub(super) fn schedule(&mut self) -> usize {
        let decision = self.decide(&Dirty::everything(), Limits::default());
        let count = decision.changes.len();
        self.apply(decision.changes);
        count
    }

    /// Where each task of a service is, or why nowhere: one line per task.
    pub(super) fn show(&self, service: &str) -> String {
        let lines = self.store.tasks_of_service(&service.into()).map(|task| {
            let place = task
                .placed_on()
                .map_or(task.status.error.as_str(), |n| n.as_str());
            let given = task.generic.iter().map(|g| match &g.value {
                GenericValue::Named(name) => format!(" {name}"),
                GenericValue::Discrete(n) => format!(" {n}"),
            });
            let given: String = given.collect();
            format!("{}: {place}{given}", task.slot_key())
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Schedules all that waits; then the tasks of `service` are where `expected` says.
    #[track_caller]
    pub(super) fn check(&mut self, service: &str, expected: &str) {
        self.schedule();
        let lines = expected.lines().map(str::trim).filter(|l| !l.is_empty());
        assert_eq!(self.show(service), lines.collect::<Vec<_>>().join("\n"));
    }
}
