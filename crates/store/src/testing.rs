//! A store with short words for what tests do to it.

use crate::{Applied, Store};
use model::cluster::{JoinSecret, RootCa};
use model::node::{Availability, NodeDescription, NodeSpec, NodeState, NodeStatus};
use model::service::{Mode, ServiceSpec};
use model::task::{ResourceRequirements, Resources, TaskSpec};
use model::{
    Change, Cluster, ClusterSpec, DesiredState, Meta, NewTask, Node, Proposal, Refusal, Role, Task,
    TaskState, TaskStatus, Timestamp,
};
use std::sync::Arc;

pub(crate) struct Lab {
    pub(crate) store: Store,
    pub(crate) last: Applied,
}

pub(crate) fn spec(name: &str) -> Arc<ServiceSpec> {
    Arc::new(ServiceSpec {
        name: name.into(),
        task: Arc::new(TaskSpec::default()),
        mode: Mode::Replicated { replicas: Some(3) },
        ..Default::default()
    })
}

/// A service whose tasks reserve `memory` bytes.
pub(crate) fn heavy(name: &str, memory: i64) -> Arc<ServiceSpec> {
    let reservations = Some(Resources {
        nano_cpus: 0,
        memory_bytes: memory,
    });
    let resources = Some(ResourceRequirements {
        reservations,
        ..Default::default()
    });
    Arc::new(ServiceSpec {
        task: Arc::new(TaskSpec {
            resources,
            ..Default::default()
        }),
        ..ServiceSpec::clone(&spec(name))
    })
}

pub(crate) fn node(id: &str) -> Node {
    Node {
        id: id.into(),
        meta: Meta::default(),
        spec: NodeSpec::default(),
        role: Role::Worker,
        description: Some(NodeDescription {
            hostname: format!("host-{id}"),
            resources: Resources {
                nano_cpus: 4_000_000_000,
                memory_bytes: 1000,
            },
            ..Default::default()
        }),
        status: NodeStatus {
            state: NodeState::Ready,
            ..Default::default()
        },
        manager: None,
    }
}

pub(crate) fn status(state: TaskState) -> TaskStatus {
    TaskStatus::new(state, Timestamp(1), state.name())
}

pub(crate) fn new_task(id: &str, service: &str, spec_version: u64) -> NewTask {
    NewTask {
        id: id.into(),
        service: service.into(),
        spec_version,
        slot: 1,
        node: None,
        desired: DesiredState::Running,
        start_after: None,
        restarts: vec![],
    }
}

pub(crate) fn assign(id: &str, node: &str) -> Change {
    Change::AssignTask {
        id: id.into(),
        node: node.into(),
        generic: vec![],
        status: status(TaskState::Assigned),
    }
}

pub(crate) fn set_state(id: &str, state: TaskState) -> Change {
    Change::SetTaskStatus {
        id: id.into(),
        status: status(state),
    }
}

pub(crate) fn set_desired(id: &str, desired: DesiredState) -> Change {
    Change::SetDesired {
        id: id.into(),
        desired,
    }
}

impl Lab {
    /// Service `s` (spec version 1), nodes `n1` and `n2`.
    pub(crate) fn new() -> Lab {
        Lab::with(spec("web"))
    }

    pub(crate) fn with(spec: Arc<ServiceSpec>) -> Lab {
        let mut lab = Lab {
            store: Store::new(),
            last: Applied::default(),
        };
        lab.must([Change::CreateService {
            id: "s".into(),
            spec,
        }]);
        lab.must([
            Change::CreateNode(Box::new(node("n1"))),
            Change::CreateNode(Box::new(node("n2"))),
        ]);
        lab
    }

    /// Applies one entry with one proposal. Its index is also its time in seconds.
    pub(crate) fn apply(&mut self, changes: impl Into<Vec<Change>>) -> Result<(), Refusal> {
        self.propose(None, changes)
    }

    pub(crate) fn propose(
        &mut self,
        request: Option<u128>,
        changes: impl Into<Vec<Change>>,
    ) -> Result<(), Refusal> {
        let index = self.store.index() + 1;
        let proposal = Proposal {
            request: request.map(model::change::RequestId),
            at: seconds(index),
            changes: changes.into(),
        };
        self.last = self.store.apply(index, &[proposal]);
        self.last.outcomes[0].clone()
    }

    #[track_caller]
    pub(crate) fn must(&mut self, changes: impl Into<Vec<Change>>) {
        assert_eq!(self.apply(changes), Ok(()));
    }

    /// It is refused with a text that contains `text`, and nothing is changed.
    #[track_caller]
    pub(crate) fn refused(&mut self, changes: impl Into<Vec<Change>>, text: &str) {
        let before = self.store.clone();
        let refusal = self.apply(changes).expect_err(text).to_string();
        assert!(refusal.contains(text), "{refusal:?} instead of {text:?}");
        assert_eq!(self.last.events, []);
        assert_eq!(self.store.tables, before.tables);
        self.store.index = before.index;
        assert_eq!(self.store.snapshot(), before.snapshot());
    }

    pub(crate) fn task(&self, id: &str) -> &Arc<Task> {
        self.store.task(&id.into()).expect("the task is there")
    }

    /// A task in slot 1 of `s` that waits for a node.
    #[track_caller]
    pub(crate) fn pending(&mut self, id: &str) {
        let version = self
            .store
            .service(&"s".into())
            .expect("service")
            .spec_version;
        self.must([
            Change::CreateTask(new_task(id, "s", version)),
            set_state(id, TaskState::Pending),
        ]);
    }

    /// A task that runs on `node`.
    #[track_caller]
    pub(crate) fn running(&mut self, id: &str, node: &str) {
        self.pending(id);
        self.must([assign(id, node)]);
        self.must([set_state(id, TaskState::Running)]);
    }

    #[track_caller]
    pub(crate) fn change_node(&mut self, id: &str, availability: Availability, state: NodeState) {
        let node = self.store.node(&id.into()).expect("node").clone();
        self.must([
            Change::UpdateNodeSpec {
                id: id.into(),
                if_version: node.meta.version,
                spec: NodeSpec {
                    availability,
                    ..node.spec.clone()
                },
            },
            Change::SetNodeStatus {
                id: id.into(),
                status: NodeStatus {
                    state,
                    ..node.status.clone()
                },
            },
        ]);
    }
}

/// The first change of a cluster's life.
pub(crate) fn cluster() -> Change {
    Change::CreateCluster(Box::new(Cluster {
        id: "c".into(),
        meta: Meta::default(),
        spec: ClusterSpec::default(),
        ca: RootCa {
            cert_pem: String::new(),
            key_pem: String::new(),
        },
        worker_token: JoinSecret("w".into()),
        manager_token: JoinSecret("m".into()),
        tokens: vec![],
    }))
}

pub(crate) fn seconds(seconds: u64) -> Timestamp {
    Timestamp(i64::try_from(seconds).expect("small") * 1_000_000_000)
}
