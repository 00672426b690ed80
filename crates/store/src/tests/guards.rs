//! One test per guard: each fails when its guard is taken out.

use crate::testing::*;
use crate::{MAX_REQUESTS, Store};
use model::cluster::JoinSecret;
use model::control::Written;
use model::node::{Availability, ManagerStatus, NodeState};
use model::service::{RevisionCause, UpdateState, UpdateStatus};
use model::{
    Change, ClusterSpec, DesiredState, NewTask, NodeSpec, Proposal, Refusal, TaskState, Timestamp,
};
use std::sync::Arc;

fn update(version: u64, name: &str) -> Change {
    Change::UpdateService {
        id: "s".into(),
        if_version: version,
        spec: spec(name),
        cause: RevisionCause::Update,
        status: None,
    }
}

#[test]
fn a_cluster_is_created_once_and_updated_from_its_version() {
    let mut lab = Lab::new();
    let update = |version| Change::UpdateCluster {
        if_version: version,
        spec: ClusterSpec::default(),
        worker_token: Some(JoinSecret("new".into())),
        manager_token: None,
    };
    lab.refused([update(1)], "cluster default not found");
    lab.must([cluster()]);
    lab.refused([cluster()], "cluster c exists already");
    let version = lab.store.cluster().unwrap().meta.version;
    lab.refused([update(version - 1)], "update out of sequence");
    lab.must([update(version)]);
    let cluster = lab.store.cluster().unwrap();
    assert_eq!(cluster.worker_token.0, "new");
    assert_eq!(cluster.manager_token.0, "m");
    assert!(cluster.meta.version > version);
}

#[test]
fn service_names_are_unique_without_case() {
    let mut lab = Lab::new();
    let create = |id: &str, name: &str| Change::CreateService {
        id: id.into(),
        spec: spec(name),
    };
    lab.refused(
        [create("s2", "WEB")],
        "name conflicts with an existing object: service WEB already exists",
    );
    lab.refused([create("s", "other")], "service s exists already");
    lab.refused([create("a", "same"), create("b", "Same")], "already exists");
    lab.must([Change::RemoveService { id: "s".into() }]);
    lab.must([create("s2", "WEB")]);
    assert_eq!(lab.store.service_by_name("web").unwrap().id.as_str(), "s2");
}

#[test]
fn a_service_is_updated_from_its_version_only() {
    let mut lab = Lab::new();
    lab.refused([update(0, "web")], "update out of sequence");
    lab.refused([update(1, "WEB")], "renaming services is not supported");
    lab.must([update(1, "web")]);
    let service = lab.store.service(&"s".into()).unwrap().clone();
    assert_eq!(service.meta.version, lab.store.index());
    assert_eq!(service.spec_version, lab.store.index());
    assert!(service.previous_spec.is_some());
    lab.refused([update(1, "web")], "update out of sequence");
}

#[test]
fn progress_of_an_update_is_void_when_another_one_came() {
    let mut lab = Lab::new();
    let progress = |version| Change::SetUpdateStatus {
        id: "s".into(),
        if_spec_version: version,
        status: Some(UpdateStatus {
            state: UpdateState::Updating,
            started_at: None,
            completed_at: None,
            message: String::new(),
            total_slots: 1,
            failures: 0,
            replaced_at: None,
            progressed_at: None,
        }),
    };
    lab.must([progress(1)]);
    let service = lab.store.service(&"s".into()).unwrap().clone();
    assert_eq!(
        service.meta.version, 1,
        "a status does not touch the version"
    );
    lab.must([update(1, "web")]);
    let service = lab.store.service(&"s".into()).unwrap().clone();
    assert_eq!(service.update_status, None, "an update resets the progress");
    lab.refused([progress(1)], "another one has replaced");
}

#[test]
fn tasks_are_created_for_the_present_spec_only() {
    let mut lab = Lab::new();
    lab.must([update(1, "web")]);
    let new = |change: &dyn Fn(&mut NewTask)| {
        let mut task = new_task("t", "s", 3);
        change(&mut task);
        [Change::CreateTask(task)]
    };
    lab.refused(new(&|t| t.spec_version = 1), "no longer has");
    lab.refused(new(&|t| t.service = "x".into()), "service x not found");
    lab.refused(new(&|t| t.slot = 0), "counted from 1");
    lab.refused(new(&|t| t.desired = DesiredState::Shutdown), "nobody wants");
    lab.must(new(&|_| {}));
    lab.refused(new(&|_| {}), "task t exists already");
}

#[test]
fn a_slot_has_one_task_and_its_replacement_at_most() {
    let mut lab = Lab::new();
    let create = |id: &str| Change::CreateTask(new_task(id, "s", 1));
    lab.must([create("a"), create("b")]);
    lab.refused([create("c")], "more tasks than one and its replacement");
    lab.must([create("c"), set_desired("a", DesiredState::Shutdown)]);
}

#[test]
fn observed_and_desired_states_only_climb() {
    let mut lab = Lab::new();
    lab.running("t", "n1");
    lab.refused([set_state("t", TaskState::Starting)], "never goes back");
    lab.must([set_state("t", TaskState::Failed)]);
    lab.refused([set_state("t", TaskState::Complete)], "never goes back");
    lab.must([set_desired("t", DesiredState::Shutdown)]);
    lab.refused([set_desired("t", DesiredState::Running)], "never goes back");
    lab.refused([set_state("x", TaskState::Failed)], "task x not found");
    lab.refused([set_desired("x", DesiredState::Remove)], "task x not found");
}

#[test]
fn a_task_without_a_node_does_not_run() {
    let mut lab = Lab::new();
    lab.pending("t");
    lab.refused([set_state("t", TaskState::Running)], "without a node");
    lab.refused([set_state("t", TaskState::Assigned)], "without a node");
    lab.must([set_state("t", TaskState::Shutdown)]);
}

#[test]
fn only_pending_wanted_tasks_are_assigned() {
    let mut lab = Lab::new();
    lab.must([Change::CreateTask(new_task("t", "s", 1))]);
    lab.refused([assign("t", "n1")], "only a pending task");
    lab.must([set_state("t", TaskState::Pending)]);
    lab.refused([assign("t", "x")], "node x not found");
    let mut wrong = assign("t", "n1");
    if let Change::AssignTask { status, .. } = &mut wrong {
        status.state = TaskState::Running;
    }
    lab.refused([wrong], "has the state assigned");
    lab.must([assign("t", "n1")]);
    lab.refused([assign("t", "n2")], "only a pending task");
    lab.pending("u");
    lab.must([set_desired("u", DesiredState::Shutdown)]);
    lab.refused([assign("u", "n1")], "not wanted any more");
}

#[test]
fn a_node_that_is_not_ready_or_not_active_gets_no_task() {
    let mut lab = Lab::new();
    lab.pending("t");
    for state in [NodeState::Down, NodeState::Unknown, NodeState::Disconnected] {
        lab.change_node("n1", Availability::Active, state);
        lab.refused([assign("t", "n1")], "is not ready");
    }
    for availability in [Availability::Drain, Availability::Pause] {
        lab.change_node("n1", availability, NodeState::Ready);
        lab.refused([assign("t", "n1")], "takes no new tasks");
    }
    lab.change_node("n1", Availability::Active, NodeState::Ready);
    lab.must([assign("t", "n1")]);
}

#[test]
fn a_node_is_never_above_its_reservations() {
    let mut lab = Lab::with(heavy("web", 600));
    lab.running("a", "n1");
    lab.pending("b");
    lab.refused([assign("b", "n1")], "not enough resources");
    lab.must([set_state("a", TaskState::Failed)]);
    lab.must([assign("b", "n1")]);
    assert_eq!(
        lab.store.node_usage(&"n1".into()).reserved.memory_bytes,
        600
    );
}

#[test]
fn a_task_that_may_run_is_not_forgotten() {
    let mut lab = Lab::new();
    let remove = |id: &str| [Change::RemoveTask { id: id.into() }];
    lab.running("t", "n1");
    lab.refused(remove("t"), "cannot be forgotten");
    lab.must([set_state("t", TaskState::Shutdown)]);
    lab.must(remove("t"));
    lab.refused(remove("t"), "task t not found");
    lab.pending("u");
    lab.must(remove("u"));
    lab.running("v", "n1");
    lab.change_node("n1", Availability::Active, NodeState::Disconnected);
    lab.refused(remove("v"), "cannot be forgotten");
    lab.change_node("n1", Availability::Active, NodeState::Down);
    lab.must(remove("v"));
}

#[test]
fn nodes_are_created_once_and_updated_from_their_version() {
    let mut lab = Lab::new();
    lab.refused(
        [Change::CreateNode(Box::new(node("n1")))],
        "node n1 exists already",
    );
    let update = |version| Change::UpdateNodeSpec {
        id: "n1".into(),
        if_version: version,
        spec: NodeSpec::default(),
    };
    lab.refused([update(1)], "update out of sequence");
    lab.change_node("n1", Availability::Drain, NodeState::Ready);
    let version = lab.store.node(&"n1".into()).unwrap().meta.version;
    assert_eq!(version, lab.store.index());
    lab.must([update(version)]);
}

#[test]
fn a_node_is_removed_only_without_live_tasks_and_membership() {
    let mut lab = Lab::new();
    let remove = Change::RemoveNode { id: "n1".into() };
    lab.running("t", "n1");
    lab.refused([remove.clone()], "tasks that are not over");
    let member = |manager| Change::SetNodeManager {
        id: "n1".into(),
        manager,
    };
    lab.must([member(Some(ManagerStatus::default()))]);
    let orphaned = set_state("t", TaskState::Orphaned);
    lab.refused([orphaned.clone(), remove.clone()], "Raft group");
    lab.must([member(None)]);
    lab.must([orphaned, remove]);
    assert!(lab.store.node(&"n1".into()).is_none());
    assert_eq!(lab.store.tasks_on_node(&"n1".into()).count(), 1);
    lab.must([Change::RemoveTask { id: "t".into() }]);
    assert_eq!(lab.store.tasks_on_node(&"n1".into()).count(), 0);
}

#[test]
fn a_repeated_request_is_applied_once_and_known() {
    let mut lab = Lab::new();
    let create = |id: &str, name: &str| {
        [Change::CreateService {
            id: id.into(),
            spec: spec(name),
        }]
    };
    assert_eq!(lab.propose(Some(7), create("a", "x")), Ok(()));
    assert_eq!(lab.propose(Some(7), create("b", "x")), Ok(()));
    assert_eq!(lab.last.events, []);
    assert!(lab.store.service(&"b".into()).is_none());
    let restored = Store::restore(lab.store.snapshot());
    for store in [&lab.store, &restored] {
        let known = store.applied_request(model::change::RequestId(7)).unwrap();
        assert_eq!(known.written, Written::Service("a".into()));
    }
    let taken = lab.propose(Some(8), create("c", "x"));
    assert!(matches!(taken, Err(Refusal::NameTaken { .. })));
    assert_eq!(
        lab.propose(Some(8), create("c", "y")),
        Ok(()),
        "a refused one may be tried again"
    );
}

#[test]
fn the_memory_of_requests_is_bounded() {
    let mut store = Store::new();
    let proposals: Vec<_> = (0..=MAX_REQUESTS as u128)
        .map(|id| Proposal {
            request: Some(model::change::RequestId(id)),
            at: Timestamp(0),
            changes: vec![],
        })
        .collect();
    store.apply(1, &proposals);
    assert_eq!(store.snapshot().requests.len(), MAX_REQUESTS);
    assert!(store.applied_request(model::change::RequestId(0)).is_none());
    assert!(store.applied_request(model::change::RequestId(1)).is_some());
}

#[test]
fn proposals_of_one_entry_are_refused_one_by_one() {
    let mut lab = Lab::new();
    let proposal = |changes: Vec<Change>| Proposal {
        request: None,
        at: Timestamp(5),
        changes,
    };
    let entry = [
        proposal(vec![update(1, "web")]),
        proposal(vec![update(1, "web")]),
        proposal(vec![
            Change::RemoveService { id: "s".into() },
            update(1, "web"),
        ]),
        proposal(vec![Change::CreateNode(Box::new(node("n3")))]),
    ];
    let applied = lab.store.apply(9, &entry);
    let ok: Vec<bool> = applied.outcomes.iter().map(Result::is_ok).collect();
    assert_eq!(ok, [true, false, false, true]);
    assert_eq!(applied.events.len(), 2);
    let web = lab.store.service_by_name("web").map(Arc::as_ref);
    assert_eq!(web.unwrap().spec_version, 9);
}
