//! The cluster of the scenarios. Text goes in (`n4 disk=ssd mem:8`) and out (`1:failed(shutdown),running`).

use super::invariants::Invariants;
use crate::suits::Needs;
use crate::{Context, Decision, Limits, reconcile};
use model::change::Proposal;
use model::node::{DrainConfig, NodeDescription, NodeSpec, NodeStatus};
use model::service::{Mode, RevisionCause, UpdateConfig, UpdateOrder, UpdateState, UpdateStatus};
use model::task::{
    GenericResource, GenericValue, Placement, ResourceRequirements, Resources, RestartCondition,
    RestartPolicy,
};
use model::{
    Availability, Change, Cluster, ClusterId, ClusterSpec, DesiredState, IdSource, Meta, Node,
    NodeId, NodeState, Role, Service, ServiceId, ServiceSpec, SlotKey, Task, TaskId, TaskSpec,
    TaskState, TaskStatus, Timestamp, cluster,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use store::{Dirty, Store};

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// Rounds of decisions and obedience at one point in time: far more than any scenario needs.
const ROUNDS: usize = 500;

struct Ids(u64);
impl IdSource for Ids {
    fn next_id(&mut self) -> [u8; model::id::ID_BYTES] {
        self.0 += 1;
        let mut bytes = [0; model::id::ID_BYTES];
        bytes[9..].copy_from_slice(&self.0.to_be_bytes());
        bytes
    }
}

/// What tasks of an image do when they are to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behaviour {
    /// They run until they are stopped.
    Runs,
    /// They fail instead of running.
    Fails,
    /// They cannot be prepared.
    Rejected,
    /// They start and never get healthy.
    Hangs,
    /// They run, and then end well.
    Completes,
}

pub(super) struct World {
    pub(super) store: Store,
    pub(super) now: Timestamp,
    ids: Ids,
    pub(super) dirty: Dirty,
    /// What is due, kept as the leader keeps it.
    pub(super) due: BTreeMap<ServiceId, Timestamp>,
    /// Tasks of jobs complete as soon as they run.
    pub(super) finish_jobs: bool,
    /// Agents of these nodes say nothing.
    pub(super) silent: Vec<NodeId>,
    /// By image; what is not here runs.
    pub(super) behaviours: BTreeMap<&'static str, Behaviour>,
    /// Fewest running tasks seen after any commit, once armed.
    pub(super) fewest_running: Option<usize>,
    /// Most slots with two wanted tasks, or none that runs, seen after any commit, once armed.
    pub(super) most_moving: Option<usize>,
    pub(super) invariants: Invariants,
}

impl World {
    /// Three nodes.
    pub(super) fn new() -> World {
        World::with_nodes(&["n1", "n2", "n3"])
    }

    pub(super) fn with_nodes(nodes: &[&str]) -> World {
        let mut world = World {
            store: Store::new(),
            now: Timestamp(1_000_000_000),
            ids: Ids(0),
            dirty: Dirty::everything(),
            due: BTreeMap::new(),
            finish_jobs: false,
            silent: Vec::new(),
            behaviours: BTreeMap::from([
                ("bad", Behaviour::Fails),
                ("hung", Behaviour::Hangs),
                ("unfit", Behaviour::Rejected),
                ("short", Behaviour::Completes),
            ]),
            fewest_running: None,
            most_moving: None,
            invariants: Invariants::default(),
        };
        let cluster = Cluster {
            id: ClusterId::from("c"),
            meta: Meta::default(),
            spec: ClusterSpec::default(),
            ca: cluster::RootCa {
                cert_pem: String::new(),
                key_pem: String::new(),
            },
            worker_token: cluster::JoinSecret(String::new()),
            manager_token: cluster::JoinSecret(String::new()),
            tokens: Vec::new(),
        };
        world.commit(vec![Change::CreateCluster(Box::new(cluster))]);
        for node in nodes {
            world.join(node);
        }
        world
    }

    #[track_caller]
    pub(super) fn commit(&mut self, changes: Vec<Change>) {
        let index = self.store.index() + 1;
        let proposal = Proposal {
            request: None,
            at: self.now,
            changes,
        };
        let applied = self.store.apply(index, std::slice::from_ref(&proposal));
        assert_eq!(applied.outcomes, [Ok(())], "{proposal:#?}");
        for event in &applied.events {
            self.dirty.note(event);
            self.invariants.note(event);
        }
        self.invariants.check(&self.store);
        if let Some(fewest) = self.fewest_running {
            self.fewest_running = Some(fewest.min(self.running()));
        }
        if let Some(most) = self.most_moving {
            self.most_moving = Some(most.max(self.moving()));
        }
    }

    fn reconcile(&mut self, dirty: &Dirty) -> Decision {
        let limits = Limits::default();
        let mut ctx = Context {
            now: self.now,
            ids: &mut self.ids,
            limits: &limits,
        };
        let decision = reconcile(&mut ctx, &self.store, dirty);
        assert_eq!(decision.wake_at, decision.wake.values().min().copied());
        if let Some(at) = decision.wake_at {
            assert!(at > self.now, "asks to be woken in the past");
        }
        decision
    }

    /// One decision; false when nothing had to change.
    #[track_caller]
    pub(super) fn decide(&mut self) -> bool {
        let dirty = std::mem::take(&mut self.dirty);
        let decision = self.reconcile(&dirty);
        self.due.extend(decision.wake.clone());
        if decision.changes.is_empty() {
            return false;
        }
        let changes = decision.into_parts().concat();
        Invariants::decided(&self.store, &changes);
        let in_turns = self
            .store
            .nodes()
            .any(|node| crate::drain::is_in_turns(node));
        let begins_anew = |change: &Change| match change {
            Change::UpdateService { .. } => true,
            // Who does not move after all gives its turn to leave to another one.
            Change::SetDesired { .. } | Change::RemoveTask { .. } => in_turns,
            _ => false,
        };
        let anew = changes.iter().any(begins_anew);
        self.commit(changes.clone());
        let again = self.reconcile(&Dirty::everything()).changes;
        assert!(
            anew || again.is_empty(),
            "decided {changes:#?}\nand then {again:#?}"
        );
        true
    }

    /// Allocator, scheduler and agents at once: places tasks and brings them where they should be.
    pub(super) fn obey(&mut self) -> bool {
        self.obey_for(|_| true)
    }

    /// As [`World::obey`], for some tasks.
    pub(super) fn obey_for(&mut self, mut chosen: impl FnMut(&Task) -> bool) -> bool {
        let tasks: Vec<Arc<Task>> = self.store.tasks().cloned().collect();
        let mut any = false;
        for task in tasks.into_iter().filter(|task| chosen(task)) {
            let changes = self.step(&task);
            any |= !changes.is_empty();
            if !changes.is_empty() {
                self.commit(changes);
            }
        }
        any
    }

    fn step(&self, task: &Task) -> Vec<Change> {
        let status = |state, error: &str| TaskStatus {
            error: error.into(),
            ..TaskStatus::new(state, self.now, "")
        };
        let to = |state, error: &str| {
            vec![Change::SetTaskStatus {
                id: task.id.clone(),
                status: status(state, error),
            }]
        };
        let state = task.status.state;
        let Some(node) = task.placed_on() else {
            return match state {
                TaskState::New if task.is_wanted() => to(TaskState::Pending, ""),
                TaskState::Pending if task.is_wanted() => self.place(task).into_iter().collect(),
                _ => Vec::new(),
            };
        };
        if state.is_terminal() || self.silent.contains(node) || self.is_down(node) {
            return Vec::new();
        }
        let image = task.spec.container.image.as_str();
        let behaviour = self.behaviours.get(image).copied();
        let behaviour = match behaviour {
            _ if self.finish_jobs && task.job_iteration.is_some() => Behaviour::Completes,
            Some(behaviour) => behaviour,
            None => Behaviour::Runs,
        };
        let (next, error) = match (task.desired, behaviour) {
            (DesiredState::Shutdown | DesiredState::Remove, _) => (TaskState::Shutdown, ""),
            (_, Behaviour::Rejected) => (TaskState::Rejected, "no such image"),
            (DesiredState::Ready, _) => (TaskState::Ready, ""),
            (_, Behaviour::Fails) if state < TaskState::Running => (TaskState::Failed, "exit 1"),
            (_, Behaviour::Hangs) => (TaskState::Starting, "unhealthy"),
            (_, Behaviour::Completes) if state == TaskState::Running => (TaskState::Complete, ""),
            (_, Behaviour::Completes | Behaviour::Fails | Behaviour::Runs) => {
                (TaskState::Running, "")
            }
        };
        if next > state {
            to(next, error)
        } else {
            Vec::new()
        }
    }

    /// The least loaded node that suits.
    fn place(&self, task: &Task) -> Option<Change> {
        let needs = Needs::of(&task.spec);
        let asked = task.spec.reservations();
        let claim = |node: &Node| {
            let free = self
                .store
                .generic_use(&node.id)
                .cloned()
                .unwrap_or_default();
            free.claim(node, task.spec.generic_reservations())
        };
        let load = |node: &Node| {
            let other = self.store.active_on(&task.service, &node.id);
            (other, self.store.node_usage(&node.id).active)
        };
        let node = self
            .store
            .nodes()
            .filter(|node| task.node.as_ref().is_none_or(|own| *own == node.id))
            .filter(|node| node.status.state == NodeState::Ready)
            .filter(|node| node.spec.availability == Availability::Active)
            .filter(|node| needs.suit(node) && claim(node).is_some())
            .filter(|node| store::fits(node, self.store.node_usage(&node.id).reserved, asked))
            .min_by_key(|node| load(node))?;
        Some(Change::AssignTask {
            id: task.id.clone(),
            node: node.id.clone(),
            generic: claim(node).unwrap_or_default(),
            status: TaskStatus::new(TaskState::Assigned, self.now, ""),
        })
    }

    fn is_down(&self, node: &NodeId) -> bool {
        let node = self.store.node(node);
        node.is_none_or(|node| node.status.state == NodeState::Down)
    }

    /// Goes on until nothing changes at this point in time. A look at everything finds nothing more, then.
    #[track_caller]
    pub(super) fn settle(&mut self) {
        for _ in 0..ROUNDS {
            let decided = self.decide();
            let obeyed = self.obey();
            if !decided && !obeyed {
                let more = self.reconcile(&Dirty::everything()).changes;
                assert!(more.is_empty(), "the hints do not cover {more:#?}");
                return;
            }
        }
        panic!("does not settle: {}", self.show());
    }

    /// Another leader: nothing but the state is known.
    #[track_caller]
    pub(super) fn change_leader(&mut self) {
        self.due.clear();
        self.dirty = Dirty::everything();
        self.settle();
    }

    /// Lets time pass up to `duration`, waking the orchestrator for a service when it asked for it.
    #[track_caller]
    pub(super) fn pass(&mut self, duration: Duration) {
        let until = self.now + duration;
        while let Some(at) = self.due.values().min().copied().filter(|at| *at <= until) {
            self.now = at.max(self.now);
            let now = self.now;
            let due = self.due.iter().filter(|(_, at)| **at <= now);
            self.dirty.services.extend(due.map(|(id, _)| id.clone()));
            self.due.retain(|_, at| *at > now);
            self.settle();
        }
        self.now = until;
    }

    /// A node joins: `n4 disk=ssd mem:8 cpus:2 gpu:a,b`. Memory and CPUs are plenty unless said.
    #[track_caller]
    pub(super) fn join(&mut self, text: &str) {
        let mut words = text.split_whitespace();
        let name = words.next().expect("a name");
        let mut node = Node {
            id: NodeId::from(name),
            meta: Meta::default(),
            spec: NodeSpec::default(),
            role: Role::Worker,
            description: None,
            status: NodeStatus {
                state: NodeState::Ready,
                ..NodeStatus::default()
            },
            manager: None,
        };
        let (labels, has): (Vec<&str>, Vec<&str>) = words.partition(|word| word.contains('='));
        let labels = labels.iter().filter_map(|label| label.split_once('='));
        node.spec.labels = labels.map(|(k, v)| (k.into(), v.into())).collect();
        node.description = Some(describe(&has.join(" ")));
        self.commit(vec![Change::CreateNode(Box::new(node))]);
        self.settle();
    }

    /// What a node says of itself: `mem:8`, `cpus:2`, `gpu:a,b`, `disks:3`, and its daemon's labels: `rack=a`.
    #[track_caller]
    pub(super) fn describe(&mut self, name: &str, text: &str) {
        self.write_description(name, text);
        self.settle();
    }

    #[track_caller]
    pub(super) fn write_description(&mut self, name: &str, text: &str) {
        self.commit(vec![Change::SetNodeDescription {
            id: NodeId::from(name),
            description: Box::new(describe(text)),
        }]);
    }

    #[track_caller]
    pub(super) fn remove_node(&mut self, name: &str) {
        let id = NodeId::from(name);
        let running = self.store.tasks_on_node(&id).filter(|t| t.may_run());
        let placed = running.filter(|t| t.placed_on().is_some());
        let mut changes: Vec<Change> = placed
            .map(|t| Change::SetTaskStatus {
                id: t.id.clone(),
                status: TaskStatus::new(TaskState::Orphaned, self.now, "node removed"),
            })
            .collect();
        let unplaced = self.store.tasks_on_node(&id);
        let unplaced = unplaced.filter(|t| t.may_run() && t.placed_on().is_none());
        changes.extend(unplaced.map(|t| Change::SetTaskStatus {
            id: t.id.clone(),
            status: TaskStatus::new(TaskState::Orphaned, self.now, "node removed"),
        }));
        changes.push(Change::RemoveNode { id });
        self.commit(changes);
        self.settle();
    }

    #[track_caller]
    pub(super) fn node_spec(&mut self, name: &str, edit: impl FnOnce(&mut NodeSpec)) {
        self.write_node_spec(name, edit);
        self.settle();
    }

    #[track_caller]
    pub(super) fn write_node_spec(&mut self, name: &str, edit: impl FnOnce(&mut NodeSpec)) {
        let node = self.store.node(&NodeId::from(name)).expect("node");
        let mut spec = node.spec.clone();
        edit(&mut spec);
        self.commit(vec![Change::UpdateNodeSpec {
            id: node.id.clone(),
            if_version: node.meta.version,
            spec,
        }]);
    }

    /// `disk=ssd`; `disk=` takes the label away.
    #[track_caller]
    pub(super) fn label(&mut self, name: &str, label: &str) {
        let (key, value) = label.split_once('=').expect("key=value");
        self.node_spec(name, |spec| {
            spec.labels.remove(key);
            if !value.is_empty() {
                spec.labels.insert(key.into(), value.into());
            }
        });
    }

    /// Drains a node so many tasks at a time.
    #[track_caller]
    pub(super) fn drain(&mut self, name: &str, parallelism: u64, order: UpdateOrder) {
        self.node_spec(name, |spec| {
            spec.availability = Availability::Drain;
            spec.drain = Some(DrainConfig { parallelism, order });
        });
    }

    #[track_caller]
    pub(super) fn node_state(&mut self, name: &str, state: NodeState) {
        self.write_node_state(name, state);
        self.settle();
    }

    #[track_caller]
    pub(super) fn write_node_state(&mut self, name: &str, state: NodeState) {
        let node = self.store.node(&NodeId::from(name)).expect("node");
        let status = NodeStatus {
            state,
            since: self.now,
            ..node.status.clone()
        };
        self.commit(vec![Change::SetNodeStatus {
            id: node.id.clone(),
            status,
        }]);
    }

    #[track_caller]
    pub(super) fn node(&mut self, name: &str, state: NodeState, availability: Availability) {
        self.node_state(name, state);
        self.node_spec(name, |spec| {
            spec.availability = availability;
            spec.drain = None;
        });
    }

    /// A replicated service `s` of the image `good`.
    #[track_caller]
    pub(super) fn create(&mut self, replicas: u64, edit: impl FnOnce(&mut ServiceSpec)) {
        let replicas = Some(replicas);
        self.create_as("s", Mode::Replicated { replicas }, edit);
    }

    #[track_caller]
    pub(super) fn create_as(
        &mut self,
        name: &str,
        mode: Mode,
        edit: impl FnOnce(&mut ServiceSpec),
    ) {
        let mut spec = ServiceSpec {
            name: name.into(),
            mode,
            ..Default::default()
        };
        let mut task = TaskSpec::default();
        task.container.image = "good".into();
        spec.task = Arc::new(task);
        edit(&mut spec);
        self.commit(vec![Change::CreateService {
            id: ServiceId::from(name),
            spec: Arc::new(spec),
        }]);
        self.settle();
    }

    #[track_caller]
    pub(super) fn update(&mut self, edit: impl FnOnce(&mut ServiceSpec)) {
        self.update_as("s", edit);
    }

    #[track_caller]
    pub(super) fn update_as(&mut self, name: &str, edit: impl FnOnce(&mut ServiceSpec)) {
        let service = self.service_as(name).clone();
        let mut spec = ServiceSpec::clone(&service.spec);
        edit(&mut spec);
        self.write(&service, spec);
        self.settle();
    }

    #[track_caller]
    pub(super) fn write(&mut self, service: &Service, spec: ServiceSpec) {
        self.write_spec(service, Arc::new(spec), RevisionCause::Update, None);
    }

    /// What `docker service rollback` leads to.
    #[track_caller]
    pub(super) fn roll_back(&mut self) {
        let service = self.service().clone();
        let previous = service.previous_spec.clone().expect("a previous spec");
        self.go_back(&service, previous);
        self.settle();
    }

    #[track_caller]
    pub(super) fn go_back(&mut self, service: &Service, spec: Arc<ServiceSpec>) {
        let status = UpdateStatus {
            state: UpdateState::RollbackStarted,
            started_at: Some(self.now),
            completed_at: None,
            message: "manually requested rollback".into(),
            total_slots: 0,
            failures: 0,
            replaced_at: None,
            progressed_at: None,
        };
        self.write_spec(service, spec, RevisionCause::Rollback(0), Some(status));
    }

    #[track_caller]
    fn write_spec(
        &mut self,
        service: &Service,
        spec: Arc<ServiceSpec>,
        cause: RevisionCause,
        status: Option<UpdateStatus>,
    ) {
        self.commit(vec![Change::UpdateService {
            id: service.id.clone(),
            if_version: service.meta.version,
            spec,
            cause,
            status,
        }]);
    }

    /// A task ends by itself.
    #[track_caller]
    pub(super) fn end(&mut self, slot: u64, state: TaskState) {
        self.end_at(&SlotKey::Replica(slot), state);
    }

    #[track_caller]
    pub(super) fn end_at(&mut self, slot: &SlotKey, state: TaskState) {
        let id = self.live_at(slot).id.clone();
        self.commit(vec![Change::SetTaskStatus {
            id,
            status: TaskStatus::new(state, self.now, ""),
        }]);
        self.settle();
    }

    #[track_caller]
    pub(super) fn live(&self, slot: u64) -> &Arc<Task> {
        self.live_at(&SlotKey::Replica(slot))
    }

    /// The wanted task of a slot of `s`.
    #[track_caller]
    pub(super) fn live_at(&self, slot: &SlotKey) -> &Arc<Task> {
        let tasks = self.store.tasks_in_slot(&ServiceId::from("s"), slot);
        tasks.iter().find(|t| t.is_wanted()).expect("a wanted task")
    }

    pub(super) fn service(&self) -> &Arc<Service> {
        self.service_as("s")
    }
    pub(super) fn service_as(&self, name: &str) -> &Arc<Service> {
        self.store.service(&ServiceId::from(name)).expect("service")
    }
    pub(super) fn status(&self) -> &UpdateStatus {
        let status = self.service().update_status.as_ref();
        status.expect("an update status")
    }
    pub(super) fn update_state(&self) -> Option<UpdateState> {
        self.service().update_status.as_ref().map(|s| s.state)
    }
    pub(super) fn running(&self) -> usize {
        self.store
            .tasks()
            .filter(|t| t.status.state == TaskState::Running)
            .count()
    }
    pub(super) fn ids(&self) -> Vec<TaskId> {
        self.store
            .tasks()
            .filter(|t| t.is_wanted())
            .map(|t| t.id.clone())
            .collect()
    }
    /// Tasks that run on a node, or may come to run there.
    pub(super) fn on(&self, node: &str) -> usize {
        let tasks = self.store.tasks_on_node(&NodeId::from(node));
        tasks.filter(|t| t.may_run()).count()
    }
    fn moving(&self) -> usize {
        let services = self.store.services();
        let slots = services.flat_map(|s| self.store.slots_of_service(&s.id));
        slots
            .filter(|(_, tasks)| {
                let wanted = || tasks.iter().filter(|t| t.is_wanted());
                wanted().any(|t| t.status.state != TaskState::Running)
            })
            .count()
    }

    /// `slot:state(desired)` of every task of `s`, oldest first; the desired state only where it differs.
    pub(super) fn show(&self) -> String {
        self.show_as("s")
    }

    pub(super) fn show_as(&self, name: &str) -> String {
        let mut lines = Vec::new();
        for (slot, tasks) in self.store.slots_of_service(&ServiceId::from(name)) {
            let tasks: Vec<String> = tasks
                .iter()
                .map(|t| match (t.status.state.name(), t.desired.name()) {
                    (state, desired) if state == desired => state.to_owned(),
                    (state, desired) => format!("{state}({desired})"),
                })
                .collect();
            lines.push(format!("{slot}:{}", tasks.join(",")));
        }
        lines.join(" ")
    }

    #[track_caller]
    pub(super) fn check(&self, expected: &str) {
        assert_eq!(self.show(), expected);
    }
}

fn describe(text: &str) -> NodeDescription {
    let mut description = NodeDescription {
        resources: Resources {
            nano_cpus: 1 << 50,
            memory_bytes: 1 << 50,
        },
        ..Default::default()
    };
    for word in text.split_whitespace() {
        if let Some((key, value)) = word.split_once('=') {
            description.engine_labels.insert(key.into(), value.into());
            continue;
        }
        let (kind, value) = word.split_once(':').expect("kind:value");
        match (kind, value.parse::<i64>()) {
            ("mem", Ok(number)) => description.resources.memory_bytes = number,
            ("cpus", Ok(number)) => description.resources.nano_cpus = number * 1_000_000_000,
            (_, Ok(number)) => description.generic.push(GenericResource {
                kind: kind.into(),
                value: GenericValue::Discrete(number),
            }),
            (_, Err(_)) => {
                let names = value.split(',').map(|name| GenericResource {
                    kind: kind.into(),
                    value: GenericValue::Named(name.into()),
                });
                description.generic.extend(names);
            }
        }
    }
    description
}

pub(super) fn config(edit: impl FnOnce(&mut UpdateConfig)) -> Option<UpdateConfig> {
    let mut config = UpdateConfig::default();
    edit(&mut config);
    Some(config)
}
pub(super) fn restart(spec: &mut ServiceSpec, condition: RestartCondition, max_attempts: u64) {
    let task = Arc::make_mut(&mut spec.task);
    task.restart = Some(RestartPolicy {
        condition,
        max_attempts,
        ..Default::default()
    });
}
pub(super) fn force(spec: &mut ServiceSpec) {
    Arc::make_mut(&mut spec.task).force_update += 1;
}
pub(super) fn image(spec: &mut ServiceSpec, image: &str) {
    Arc::make_mut(&mut spec.task).container.image = image.into();
}
pub(super) fn constraints(spec: &mut ServiceSpec, constraints: &[&str]) {
    let constraints = constraints.iter().map(|c| (*c).to_owned()).collect();
    Arc::make_mut(&mut spec.task).placement = Some(Placement {
        constraints,
        ..Default::default()
    });
}
/// Bytes of memory, and one of each of these kinds.
pub(super) fn reserve(spec: &mut ServiceSpec, memory_bytes: i64, generic: &[&str]) {
    let generic = generic.iter().map(|kind| GenericResource {
        kind: (*kind).into(),
        value: GenericValue::Discrete(1),
    });
    Arc::make_mut(&mut spec.task).resources = Some(ResourceRequirements {
        reservations: Some(Resources {
            nano_cpus: 0,
            memory_bytes,
        }),
        generic: generic.collect(),
        ..Default::default()
    });
}
