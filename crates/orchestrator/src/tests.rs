//! Scenarios: a small cluster whose agents do at once what they are told, and whose clock the test moves.

use crate::{Context, Limits, reconcile};
use model::change::Proposal;
use model::node::{Availability, NodeSpec, NodeStatus};
use model::service::{FailureAction, Mode, UpdateConfig, UpdateOrder, UpdateState};
use model::task::{Placement, RestartCondition, RestartPolicy};
use model::{
    Change, Cluster, ClusterId, ClusterSpec, DesiredState, IdSource, Meta, Node, NodeId, NodeState,
    Service, ServiceId, ServiceSpec, Task, TaskId, TaskSpec, TaskState, TaskStatus, Timestamp,
    cluster,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use store::{Dirty, Store};

struct Ids(u64);
impl IdSource for Ids {
    fn next_id(&mut self) -> [u8; model::id::ID_BYTES] {
        self.0 += 1;
        let mut bytes = [0; model::id::ID_BYTES];
        bytes[9..].copy_from_slice(&self.0.to_be_bytes());
        bytes
    }
}

struct World {
    store: Store,
    now: Timestamp,
    ids: Ids,
    dirty: Dirty,
    wake: Option<Timestamp>,
    /// Agents of these nodes say nothing.
    silent: Vec<NodeId>,
    /// Tasks of specs with this image fail as soon as they should run.
    broken_image: Option<&'static str>,
    /// Fewest running tasks of wanted slots seen after any commit, once armed.
    fewest_running: Option<usize>,
}

impl World {
    fn new() -> World {
        let mut world = World {
            store: Store::new(),
            now: Timestamp(1_000_000_000),
            ids: Ids(0),
            dirty: Dirty::everything(),
            wake: None,
            silent: Vec::new(),
            broken_image: None,
            fewest_running: None,
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
        };
        world.commit(vec![Change::CreateCluster(Box::new(cluster))]);
        for name in ["n1", "n2", "n3"] {
            let status = NodeStatus {
                state: NodeState::Ready,
                ..Default::default()
            };
            let node = Node {
                id: NodeId::from(name),
                meta: Meta::default(),
                spec: NodeSpec::default(),
                description: Some(model::NodeDescription {
                    resources: model::task::Resources {
                        nano_cpus: 1 << 50,
                        memory_bytes: 1 << 50,
                    },
                    ..Default::default()
                }),
                status,
                manager: None,
            };
            world.commit(vec![Change::CreateNode(Box::new(node))]);
        }
        world
    }

    #[track_caller]
    fn commit(&mut self, changes: Vec<Change>) {
        let index = self.store.index() + 1;
        let proposal = Proposal {
            request: None,
            at: self.now,
            changes,
        };
        let applied = self.store.apply(index, std::slice::from_ref(&proposal));
        assert_eq!(applied.outcomes, [Ok(())], "{proposal:#?}");
        applied.events.iter().for_each(|e| self.dirty.note(e));
        if let Some(fewest) = self.fewest_running {
            self.fewest_running = Some(fewest.min(self.running()));
        }
    }

    /// One decision; false when nothing had to change.
    #[track_caller]
    fn decide(&mut self) -> bool {
        let dirty = std::mem::take(&mut self.dirty);
        let limits = Limits::default();
        let mut ctx = Context {
            now: self.now,
            ids: &mut self.ids,
            limits: &limits,
        };
        let decision = reconcile(&mut ctx, &self.store, &dirty);
        if let Some(at) = decision.wake_at {
            assert!(at > self.now, "asks to be woken in the past");
            self.wake = Some(self.wake.map_or(at, |w| w.min(at)));
        }
        if decision.changes.is_empty() {
            return false;
        }
        self.commit(decision.into_parts().concat());
        true
    }

    /// Allocator, scheduler and agents at once: places tasks and brings them where they should be.
    fn obey(&mut self) -> bool {
        let mut changes = Vec::new();
        let status = |state, now| TaskStatus::new(state, now, "");
        let mut load: BTreeMap<NodeId, usize> = BTreeMap::new();
        for node in self.store.nodes() {
            if node.status.state == NodeState::Ready
                && node.spec.availability == Availability::Active
            {
                load.insert(
                    node.id.clone(),
                    self.store
                        .tasks_on_node(&node.id)
                        .filter(|t| t.is_wanted())
                        .count(),
                );
            }
        }
        for task in self.store.tasks() {
            let id = task.id.clone();
            match (&task.node, task.status.state) {
                (None, TaskState::New | TaskState::Pending) if task.is_wanted() => {
                    let Some((node, count)) = load.iter_mut().min_by_key(|(_, count)| **count)
                    else {
                        continue;
                    };
                    *count += 1;
                    if task.status.state == TaskState::New {
                        changes.push(Change::SetTaskStatus {
                            id: id.clone(),
                            status: status(TaskState::Pending, self.now),
                        });
                    }
                    let status = status(TaskState::Assigned, self.now);
                    changes.push(Change::AssignTask {
                        id,
                        node: node.clone(),
                        status,
                    });
                }
                (Some(node), state) if !state.is_terminal() && !self.silent.contains(node) => {
                    let broken = self.broken_image == Some(task.spec.container.image.as_str());
                    let next = match task.desired {
                        DesiredState::Ready => TaskState::Ready,
                        DesiredState::Running if broken => TaskState::Failed,
                        DesiredState::Running => TaskState::Running,
                        DesiredState::Shutdown | DesiredState::Remove => TaskState::Shutdown,
                    };
                    if next > state {
                        changes.push(Change::SetTaskStatus {
                            id,
                            status: status(next, self.now),
                        });
                    }
                }
                _ => {}
            }
        }
        let any = !changes.is_empty();
        if any {
            self.commit(changes);
        }
        any
    }

    /// Goes on until nothing changes at this point in time.
    #[track_caller]
    fn settle(&mut self) {
        for _ in 0..200 {
            let decided = self.decide();
            let obeyed = self.obey();
            if !decided && !obeyed {
                return;
            }
        }
        panic!("does not settle: {}", self.show());
    }

    /// Lets time pass up to `duration`, waking the orchestrator when it asked for it.
    #[track_caller]
    fn pass(&mut self, duration: Duration) {
        let until = self.now + duration;
        while let Some(at) = self.wake.filter(|at| *at <= until) {
            self.wake = None;
            self.now = at;
            self.dirty = Dirty::everything();
            self.settle();
        }
        self.now = until;
    }

    #[track_caller]
    fn create(&mut self, replicas: u64, edit: impl FnOnce(&mut ServiceSpec)) {
        let mut spec = ServiceSpec {
            name: "web".into(),
            mode: Mode::Replicated {
                replicas: Some(replicas),
            },
            ..Default::default()
        };
        let mut task = TaskSpec::default();
        task.container.image = "good".into();
        spec.task = Arc::new(task);
        edit(&mut spec);
        self.commit(vec![Change::CreateService {
            id: ServiceId::from("s"),
            spec: Arc::new(spec),
        }]);
        self.settle();
    }

    #[track_caller]
    fn update(&mut self, edit: impl FnOnce(&mut ServiceSpec)) {
        let service = self.service().clone();
        let mut spec = ServiceSpec::clone(&service.spec);
        edit(&mut spec);
        self.commit(vec![Change::UpdateService {
            id: service.id.clone(),
            if_version: service.meta.version,
            spec: Arc::new(spec),
        }]);
        self.settle();
    }

    #[track_caller]
    fn node(&mut self, name: &str, state: NodeState, availability: Availability) {
        let node = self.store.node(&NodeId::from(name)).expect("node").clone();
        let status = NodeStatus {
            state,
            since: self.now,
            ..node.status.clone()
        };
        let spec = NodeSpec {
            availability,
            ..node.spec.clone()
        };
        self.commit(vec![
            Change::SetNodeStatus {
                id: node.id.clone(),
                status,
            },
            Change::UpdateNodeSpec {
                id: node.id.clone(),
                if_version: node.meta.version,
                spec,
            },
        ]);
        self.settle();
    }

    #[track_caller]
    fn end(&mut self, slot: u64, state: TaskState) {
        let id = self.live(slot).id.clone();
        self.commit(vec![Change::SetTaskStatus {
            id,
            status: TaskStatus::new(state, self.now, ""),
        }]);
        self.settle();
    }

    #[track_caller]
    fn live(&self, slot: u64) -> &Arc<Task> {
        let tasks = self.store.tasks_in_slot(&ServiceId::from("s"), slot);
        tasks.iter().find(|t| t.is_wanted()).expect("a wanted task")
    }

    fn service(&self) -> &Arc<Service> {
        self.store.service(&ServiceId::from("s")).expect("service")
    }
    fn update_state(&self) -> Option<UpdateState> {
        self.service().update_status.as_ref().map(|s| s.state)
    }
    fn running(&self) -> usize {
        self.store
            .tasks()
            .filter(|t| t.status.state == TaskState::Running)
            .count()
    }
    fn ids(&self) -> Vec<TaskId> {
        self.store
            .tasks()
            .filter(|t| t.is_wanted())
            .map(|t| t.id.clone())
            .collect()
    }

    /// `slot:state(desired)` of every task, oldest first; the desired state only where it differs.
    fn show(&self) -> String {
        let mut lines = Vec::new();
        for (slot, tasks) in self.store.slots_of_service(&ServiceId::from("s")) {
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
    fn check(&self, expected: &str) {
        assert_eq!(self.show(), expected);
    }
}

fn config(edit: impl FnOnce(&mut UpdateConfig)) -> Option<UpdateConfig> {
    let mut config = UpdateConfig::default();
    edit(&mut config);
    Some(config)
}
fn restart(spec: &mut ServiceSpec, condition: RestartCondition, max_attempts: u64) {
    let task = Arc::make_mut(&mut spec.task);
    task.restart = Some(RestartPolicy {
        condition,
        max_attempts,
        ..Default::default()
    });
}
fn force(spec: &mut ServiceSpec) {
    Arc::make_mut(&mut spec.task).force_update += 1;
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn creates_replicas_and_then_rests() {
    let mut world = World::new();
    world.create(3, |_| {});
    world.check("1:running 2:running 3:running");
    world.dirty = Dirty::everything();
    assert!(!world.decide(), "nothing is to be done twice");
    assert_eq!(world.update_state(), None);
}

#[test]
fn scales_up_into_the_lowest_free_slots_and_down_keeping_balance() {
    let mut world = World::new();
    world.create(6, |_| {});
    world.update(|s| s.mode = Mode::Replicated { replicas: Some(3) });
    let mut nodes: Vec<_> = world.store.tasks().filter_map(|t| t.node.clone()).collect();
    nodes.sort();
    nodes.dedup();
    assert_eq!(
        nodes.len(),
        3,
        "one copy is left on each node: {}",
        world.show()
    );
    world.update(|s| s.mode = Mode::Replicated { replicas: Some(4) });
    assert_eq!(world.running(), 4);
    world.update(|s| s.mode = Mode::Replicated { replicas: Some(0) });
    world.check("");
    assert_eq!(world.update_state(), None, "scaling is no update");
}

#[test]
fn a_failed_task_is_replaced_after_the_delay() {
    let mut world = World::new();
    world.create(1, |_| {});
    world.end(1, TaskState::Failed);
    world.check("1:failed(shutdown),ready");
    world.pass(4 * SECOND);
    world.check("1:failed(shutdown),ready");
    world.pass(SECOND);
    world.check("1:failed(shutdown),running");
    assert_eq!(world.live(1).restarts.len(), 1);
}

#[test]
fn a_new_leader_keeps_the_restart_delay() {
    let mut world = World::new();
    world.create(1, |_| {});
    world.end(1, TaskState::Failed);
    world.wake = None;
    world.pass(2 * SECOND);
    world.dirty = Dirty::everything();
    world.settle();
    world.check("1:failed(shutdown),ready");
    world.pass(3 * SECOND);
    world.check("1:failed(shutdown),running");
}

#[test]
fn conditions_and_attempts_of_the_restart_policy() {
    for (condition, end, restarted) in [
        (RestartCondition::None, TaskState::Failed, false),
        (RestartCondition::OnFailure, TaskState::Complete, false),
        (RestartCondition::OnFailure, TaskState::Failed, true),
        (RestartCondition::Any, TaskState::Complete, true),
        (RestartCondition::Any, TaskState::Rejected, true),
    ] {
        let mut world = World::new();
        world.create(1, |s| restart(s, condition, 0));
        world.end(1, end);
        world.pass(6 * SECOND);
        assert_eq!(
            world.running() == 1,
            restarted,
            "{condition:?} {end:?}: {}",
            world.show()
        );
    }
    let mut world = World::new();
    world.create(1, |s| restart(s, RestartCondition::Any, 2));
    for _ in 0..2 {
        world.end(1, TaskState::Failed);
        world.pass(6 * SECOND);
        assert_eq!(world.running(), 1);
    }
    world.end(1, TaskState::Failed);
    world.pass(60 * SECOND);
    assert_eq!(world.running(), 0, "two restarts are used up");
    world.update(force);
    assert_eq!(world.running(), 1, "a new spec begins anew");
}

#[test]
fn tasks_of_a_lost_node_move_at_once_and_stop_when_it_returns() {
    let mut world = World::new();
    world.create(3, |_| {});
    let lost = world.live(1).node.clone().expect("placed");
    world.silent = vec![lost.clone()];
    world.node(lost.as_str(), NodeState::Down, Availability::Active);
    world.check("1:running(shutdown),running 2:running 3:running");
    world.silent.clear();
    world.node(lost.as_str(), NodeState::Ready, Availability::Active);
    world.check("1:shutdown,running 2:running 3:running");
}

#[test]
fn a_disconnected_or_unknown_node_keeps_its_tasks() {
    for state in [NodeState::Disconnected, NodeState::Unknown] {
        let mut world = World::new();
        world.create(3, |_| {});
        world.node("n1", state, Availability::Active);
        world.check("1:running 2:running 3:running");
    }
}

#[test]
fn a_drained_node_loses_its_tasks_and_a_paused_one_keeps_them() {
    let mut world = World::new();
    world.create(3, |_| {});
    world.node("n2", NodeState::Ready, Availability::Pause);
    world.check("1:running 2:running 3:running");
    world.node("n2", NodeState::Ready, Availability::Drain);
    assert_eq!(world.running(), 3);
    assert_eq!(
        world
            .store
            .tasks_on_node(&NodeId::from("n2"))
            .filter(|t| t.may_run())
            .count(),
        0
    );
    assert!(
        world.store.tasks().all(|t| t.restarts.is_empty()),
        "a move is no restart"
    );
}

#[test]
fn force_replaces_every_task_and_nothing_else_does() {
    let mut world = World::new();
    world.create(3, |_| {});
    let before = world.ids();
    world.update(|s| {
        s.labels.insert("a".into(), "b".into());
    });
    world.update(|s| s.update = config(|c| c.parallelism = 2));
    world.update(|_| {});
    assert_eq!(world.ids(), before);
    assert_eq!(world.update_state(), None);
    world.update(force);
    assert!(world.ids().iter().all(|id| !before.contains(id)));
    assert_eq!(
        world.update_state(),
        Some(UpdateState::Updating),
        "it is still being watched"
    );
    world.pass(5 * SECOND);
    assert_eq!(world.update_state(), Some(UpdateState::Completed));
}

#[test]
fn stop_first_takes_parallelism_slots_out_and_start_first_none() {
    for (parallelism, order, fewest) in [
        (1, UpdateOrder::StopFirst, 5),
        (2, UpdateOrder::StopFirst, 4),
        (0, UpdateOrder::StopFirst, 0),
        (1, UpdateOrder::StartFirst, 6),
        (0, UpdateOrder::StartFirst, 6),
    ] {
        let mut world = World::new();
        world.create(6, |s| {
            s.update = config(|c| {
                c.parallelism = parallelism;
                c.order = order;
            });
        });
        world.fewest_running = Some(usize::MAX);
        let before = world.ids();
        world.update(force);
        assert_eq!(
            world.fewest_running,
            Some(fewest),
            "{parallelism} {order:?}"
        );
        assert!(
            world.ids().iter().all(|id| !before.contains(id)),
            "{}",
            world.show()
        );
        world.pass(6 * SECOND);
        assert_eq!(
            (world.update_state(), world.running()),
            (Some(UpdateState::Completed), 6)
        );
    }
}

#[test]
fn the_delay_lies_between_slots_and_outlives_a_leader() {
    let mut world = World::new();
    world.create(3, |s| s.update = config(|c| c.delay = 10 * SECOND));
    let before = world.ids();
    let replaced = |world: &World| world.ids().iter().filter(|id| !before.contains(id)).count();
    world.update(force);
    assert_eq!(replaced(&world), 1);
    world.pass(9 * SECOND);
    world.dirty = Dirty::everything();
    world.settle();
    assert_eq!(replaced(&world), 1);
    world.pass(SECOND);
    assert_eq!(replaced(&world), 2);
    world.pass(10 * SECOND);
    assert_eq!(replaced(&world), 3);
    assert_eq!(world.update_state(), Some(UpdateState::Updating));
    world.pass(25 * SECOND);
    assert_eq!(world.update_state(), Some(UpdateState::Completed));
}

#[test]
fn a_bad_update_pauses_and_the_next_one_goes_on() {
    let mut world = World::new();
    world.create(4, |_| {});
    world.broken_image = Some("bad");
    world.update(|s| Arc::make_mut(&mut s.task).container.image = "bad".into());
    let status = world.service().update_status.clone().expect("status");
    assert_eq!(status.state, UpdateState::Paused);
    assert!(
        status
            .message
            .starts_with("update paused due to failure or early termination of task "),
        "{}",
        status.message
    );
    assert_eq!(world.running(), 3, "only one slot was tried");
    world.pass(60 * SECOND);
    assert_eq!(
        world.running(),
        3,
        "the others are left alone: {}",
        world.show()
    );
    world.update(|s| Arc::make_mut(&mut s.task).container.image = "good".into());
    world.pass(60 * SECOND);
    assert_eq!(
        (world.update_state(), world.running()),
        (Some(UpdateState::Completed), 4)
    );
}

#[test]
fn a_bad_start_first_update_keeps_all_old_tasks() {
    let mut world = World::new();
    world.create(3, |s| {
        s.update = config(|c| c.order = UpdateOrder::StartFirst)
    });
    world.broken_image = Some("bad");
    world.fewest_running = Some(usize::MAX);
    world.update(|s| Arc::make_mut(&mut s.task).container.image = "bad".into());
    world.pass(60 * SECOND);
    assert_eq!(world.fewest_running, Some(3));
    assert_eq!(world.update_state(), Some(UpdateState::Paused));
}

#[test]
fn the_failure_ratio_and_continue() {
    let mut world = World::new();
    world.create(4, |s| {
        s.update = config(|c| {
            c.max_failure_ratio = 0.5;
            c.parallelism = 1;
        });
    });
    world.broken_image = Some("bad");
    world.update(|s| Arc::make_mut(&mut s.task).container.image = "bad".into());
    world.pass(30 * SECOND);
    let status = world.service().update_status.clone().expect("status");
    assert_eq!(
        (status.state, status.failures),
        (UpdateState::Paused, 3),
        "3 of 4 are more than half"
    );

    let mut world = World::new();
    world.create(2, |s| {
        s.update = config(|c| c.failure_action = FailureAction::Continue)
    });
    world.broken_image = Some("bad");
    world.update(|s| Arc::make_mut(&mut s.task).container.image = "bad".into());
    world.pass(30 * SECOND);
    assert_eq!(world.update_state(), Some(UpdateState::Updating));
    world.broken_image = None;
    world.pass(30 * SECOND);
    assert_eq!(
        (world.update_state(), world.running()),
        (Some(UpdateState::Completed), 2)
    );
}

#[test]
fn an_update_in_the_middle_of_another_takes_over() {
    let mut world = World::new();
    world.create(3, |s| s.update = config(|c| c.delay = 60 * SECOND));
    world.update(force);
    world.update(|s| {
        force(s);
        s.update = config(|c| c.parallelism = 0);
    });
    world.pass(6 * SECOND);
    assert!(
        world
            .store
            .tasks()
            .filter(|t| t.is_wanted())
            .all(|t| t.spec.force_update == 2)
    );
    assert_eq!(
        (world.update_state(), world.running()),
        (Some(UpdateState::Completed), 3)
    );
}

#[test]
fn a_placement_change_moves_only_what_no_longer_fits() {
    let mut world = World::new();
    world.create(3, |_| {});
    let before = world.ids();
    world.update(|s| {
        Arc::make_mut(&mut s.task).placement = Some(Placement {
            max_replicas: 5,
            ..Default::default()
        });
    });
    assert_eq!(world.ids(), before);
    world.update(|s| {
        let constraints = vec!["node.id!=n1".to_owned()];
        Arc::make_mut(&mut s.task).placement = Some(Placement {
            constraints,
            ..Default::default()
        });
    });
    let kept = world.ids().iter().filter(|id| before.contains(id)).count();
    assert_eq!(kept, 2);
}

#[test]
fn history_is_kept_to_the_limit() {
    let mut world = World::new();
    world.create(1, |_| {});
    for _ in 0..8 {
        world.update(force);
        world.pass(10 * SECOND);
    }
    assert_eq!(
        world.store.tasks().count(),
        5,
        "the live one and four of history"
    );
    let cluster = world.store.cluster().expect("cluster").clone();
    let spec = ClusterSpec {
        task_history_limit: 1,
        ..cluster.spec.clone()
    };
    world.commit(vec![Change::UpdateCluster {
        if_version: cluster.meta.version,
        spec,
        worker_token: None,
        manager_token: None,
    }]);
    world.settle();
    world.check("1:running");
}

#[test]
fn a_removed_service_leaves_nothing() {
    let mut world = World::new();
    world.create(3, |_| {});
    world.silent = vec![NodeId::from("n1")];
    world.commit(vec![Change::RemoveService {
        id: ServiceId::from("s"),
    }]);
    world.settle();
    assert_eq!(
        world.store.tasks().count(),
        1,
        "what may still run is not forgotten"
    );
    world.node("n1", NodeState::Down, Availability::Active);
    assert_eq!(
        world.store.tasks().count(),
        0,
        "a node that is down learns of it when it returns"
    );
}

#[test]
fn tasks_of_a_node_that_stays_away_are_orphaned() {
    let mut world = World::new();
    world.create(3, |_| {});
    world.silent = vec![NodeId::from("n1")];
    world.node("n1", NodeState::Down, Availability::Active);
    world.pass(23 * 3600 * SECOND);
    assert!(
        world
            .store
            .tasks()
            .all(|t| t.status.state != TaskState::Orphaned)
    );
    world.pass(2 * 3600 * SECOND);
    assert_eq!(
        world
            .store
            .tasks()
            .filter(|t| t.status.state == TaskState::Orphaned)
            .count(),
        1
    );
}

#[test]
fn tasks_that_cannot_be_prepared_are_tried_once_a_delay() {
    let mut world = World::new();
    world.create(1, |_| {});
    world.end(1, TaskState::Rejected);
    for _ in 0..4 {
        // The replacement is prepared while it waits, and rejected at once.
        world.end(1, TaskState::Rejected);
        let tasks = world.store.tasks().count();
        world.pass(4 * SECOND);
        assert_eq!(world.store.tasks().count(), tasks, "{}", world.show());
        world.pass(SECOND);
        assert!(world.live(1).start_after.is_some(), "{}", world.show());
    }
    assert_eq!(world.store.tasks().count(), 5, "{}", world.show());
}
