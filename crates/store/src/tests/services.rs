//! Modes, revisions, runs of jobs, slots that are nodes, generic resources, and marks.

use crate::testing::*;
use model::cluster::{JoinSecret, LabelledToken, MAX_LABELLED_TOKENS};
use model::service::{JobStatus, MAX_REVISIONS, Mode, RevisionCause, UpdateState, UpdateStatus};
use model::task::{GenericResource, GenericValue, ReplaceReason, ResourceRequirements};
use model::{
    Change, DesiredState, Labels, NewTask, NodeDescription, Role, Service, ServiceSpec, SlotKey,
    TaskSpec, TaskState,
};
use std::sync::Arc;

fn with_mode(mode: Mode) -> Arc<ServiceSpec> {
    Arc::new(ServiceSpec {
        mode,
        ..ServiceSpec::clone(&spec("web"))
    })
}

fn service(lab: &Lab) -> &Arc<Service> {
    lab.store.service(&"s".into()).expect("service")
}

fn update(lab: &Lab, spec: ServiceSpec, cause: RevisionCause) -> Change {
    Change::UpdateService {
        id: "s".into(),
        if_version: service(lab).meta.version,
        spec: Arc::new(spec),
        cause,
        status: None,
    }
}

fn forced(lab: &Lab, force_update: u64) -> ServiceSpec {
    let old = &service(lab).spec;
    ServiceSpec {
        task: Arc::new(TaskSpec {
            force_update,
            ..TaskSpec::clone(&old.task)
        }),
        ..ServiceSpec::clone(old)
    }
}

#[test]
fn revisions_begin_with_what_tasks_depend_on() {
    let mut lab = Lab::new();
    let numbers = |lab: &Lab| -> Vec<(u64, RevisionCause)> {
        let history = service(lab).history.iter();
        history.map(|r| (r.number, r.cause)).collect()
    };
    assert_eq!(numbers(&lab), [(1, RevisionCause::Create)]);
    let scaled = ServiceSpec {
        mode: Mode::Replicated { replicas: Some(9) },
        ..ServiceSpec::clone(&service(&lab).spec)
    };
    lab.must([update(&lab, scaled, RevisionCause::Update)]);
    assert_eq!(numbers(&lab), [(1, RevisionCause::Create)]);
    assert!(Arc::ptr_eq(
        &service(&lab).history[0].spec,
        &service(&lab).spec
    ));
    assert_eq!(service(&lab).spec_version, lab.store.index());

    let before = service(&lab).spec.clone();
    let next = forced(&lab, 1);
    lab.must([update(&lab, next, RevisionCause::FailedUpdate)]);
    assert_eq!(numbers(&lab)[1..], [(2, RevisionCause::FailedUpdate)]);
    assert_eq!(service(&lab).previous_spec, Some(before));
    assert_eq!(
        service(&lab).history[1].created_at,
        seconds(lab.store.index())
    );
    for n in 2..15 {
        let next = forced(&lab, n);
        lab.must([update(&lab, next, RevisionCause::Update)]);
    }
    assert_eq!(numbers(&lab).len(), MAX_REVISIONS);
    assert_eq!(numbers(&lab)[0].0, 6);
    assert_eq!(numbers(&lab)[MAX_REVISIONS - 1].0, 15);
}

#[test]
fn an_update_comes_with_its_status_and_keeps_the_modes_kind() {
    let mut lab = Lab::new();
    let status = UpdateStatus {
        state: UpdateState::RollbackStarted,
        started_at: None,
        completed_at: None,
        message: "manually requested rollback".into(),
        total_slots: 0,
        failures: 0,
        replaced_at: None,
        progressed_at: None,
    };
    lab.must([Change::UpdateService {
        id: "s".into(),
        if_version: 1,
        spec: spec("web"),
        cause: RevisionCause::Rollback(0),
        status: Some(status.clone()),
    }]);
    assert_eq!(service(&lab).update_status, Some(status));
    let global = ServiceSpec::clone(&with_mode(Mode::Global));
    lab.refused(
        [update(&lab, global, RevisionCause::Update)],
        "service mode change is not allowed",
    );
}

#[test]
fn each_update_of_a_job_is_another_run() {
    let mut lab = Lab::with(with_mode(Mode::ReplicatedJob {
        max_concurrent: None,
        total_completions: None,
    }));
    let run = |at: u64| {
        Some(JobStatus {
            iteration: at,
            last_execution: seconds(at),
        })
    };
    assert_eq!(service(&lab).job, run(1));
    let create = |id: &str, version| {
        Change::CreateTask(NewTask {
            desired: DesiredState::Complete,
            ..new_task(id, "s", version)
        })
    };
    lab.must([create("a", 1)]);
    assert_eq!(lab.task("a").job_iteration, Some(1));
    assert!(lab.task("a").is_wanted());
    let next = forced(&lab, 1);
    lab.must([update(&lab, next, RevisionCause::Update)]);
    let version = lab.store.index();
    assert_eq!(service(&lab).job, run(version));
    lab.must([create("b", version)]);
    assert_eq!(lab.task("b").job_iteration, Some(version));
    let mut plain = Lab::new();
    assert_eq!(service(&plain).job, None);
    plain.refused([create("a", 1)], "only a task of a job");
}

fn on_node(id: &str, node: &str) -> NewTask {
    NewTask {
        slot: 0,
        node: Some(node.into()),
        ..new_task(id, "s", 1)
    }
}

#[test]
fn tasks_of_a_global_service_have_nodes_for_slots() {
    let mut lab = Lab::with(with_mode(Mode::Global));
    let create = |task| [Change::CreateTask(task)];
    lab.refused(create(new_task("a", "s", 1)), "a node for its slot");
    let nowhere = NewTask {
        node: None,
        ..on_node("a", "n1")
    };
    lab.refused(create(nowhere), "needs a node");
    lab.refused(create(on_node("a", "n9")), "node n9 not found");
    lab.must([on_node("a", "n1"), on_node("b", "n2")].map(Change::CreateTask));
    lab.must([
        set_state("a", TaskState::Pending),
        set_state("b", TaskState::Pending),
    ]);
    assert!(lab.store.global_services().any(|s| s.id.as_str() == "s"));
    let slots: Vec<_> = lab
        .store
        .slots_of_service(&"s".into())
        .map(|(key, tasks)| (key, tasks.len()))
        .collect();
    let key = |node: &str| SlotKey::Node(node.into());
    assert_eq!(slots, [(key("n1"), 1), (key("n2"), 1)]);
    assert_eq!(
        lab.store.tasks_in_slot(&"s".into(), &key("n2"))[0]
            .id
            .as_str(),
        "b"
    );
    assert_eq!(lab.store.tasks_on_node(&"n1".into()).count(), 1);
    assert_eq!(
        lab.store.node_usage(&"n1".into()).active,
        0,
        "it is not there yet"
    );

    lab.refused([assign("a", "n2")], "not assigned to another one");
    lab.refused([set_state("a", TaskState::Running)], "without a node");
    lab.must([assign("a", "n1")]);
    assert_eq!(lab.store.active_on(&"s".into(), &"n1".into()), 1);
    lab.must([Change::RemoveTask { id: "b".into() }]);
    assert_eq!(lab.store.tasks_on_node(&"n2".into()).count(), 0);
    lab.must([
        set_state("a", TaskState::Failed),
        set_desired("a", DesiredState::Shutdown),
    ]);
    assert!(
        lab.store
            .failures_on(&"s".into(), 1, &"n1".into())
            .is_empty()
    );
    lab.must(create(on_node("c", "n1")));
    lab.must(create(on_node("d", "n1")));
    lab.refused(create(on_node("e", "n1")), "one and its replacement");
    let mut plain = Lab::new();
    let elsewhere = NewTask {
        slot: 1,
        ..on_node("a", "n1")
    };
    plain.refused(create(elsewhere), "only a task of a global service");
}

fn named(name: &str) -> GenericResource {
    GenericResource {
        kind: "gpu".into(),
        value: GenericValue::Named(name.into()),
    }
}

fn number(kind: &str, count: i64) -> GenericResource {
    GenericResource {
        kind: kind.into(),
        value: GenericValue::Discrete(count),
    }
}

/// A service whose tasks ask for `asked`, and a node `n1` with two named and three numbered things.
fn generic_lab(asked: Vec<GenericResource>) -> Lab {
    let mut lab = Lab::with(Arc::new(ServiceSpec {
        task: Arc::new(TaskSpec {
            resources: Some(ResourceRequirements {
                generic: asked,
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..ServiceSpec::clone(&spec("web"))
    }));
    let old = lab
        .store
        .node(&"n1".into())
        .expect("node")
        .description
        .clone();
    lab.must([Change::SetNodeDescription {
        id: "n1".into(),
        description: Box::new(NodeDescription {
            generic: vec![named("g1"), named("g2"), number("disk", 3)],
            ..old.expect("description")
        }),
    }]);
    lab
}

fn assign_with(id: &str, node: &str, given: Vec<GenericResource>) -> [Change; 1] {
    let Change::AssignTask {
        id, node, status, ..
    } = assign(id, node)
    else {
        unreachable!("assign makes an assignment")
    };
    [Change::AssignTask {
        id,
        node,
        generic: given,
        status,
    }]
}

#[test]
fn a_generic_resource_is_given_once() {
    let mut lab = generic_lab(vec![number("gpu", 1), number("disk", 2)]);
    lab.pending("a");
    lab.refused(
        assign_with("a", "n1", vec![]),
        "not those that the task asks for",
    );
    lab.refused(
        assign_with("a", "n1", vec![named("g1"), named("g2"), number("disk", 2)]),
        "not those that the task asks for",
    );
    let one = vec![named("g1"), number("disk", 2)];
    lab.refused(assign_with("a", "n2", one.clone()), "are not there");
    lab.refused(
        assign_with("a", "n1", vec![named("g3"), number("disk", 2)]),
        "are not there",
    );
    lab.refused(
        assign_with("a", "n1", vec![number("gpu", 1), number("disk", 2)]),
        "are not there",
    );
    lab.must(assign_with("a", "n1", one.clone()));
    assert_eq!(lab.task("a").generic, one);
    lab.must([set_desired("a", DesiredState::Shutdown)]);
    lab.pending("b");
    lab.refused(assign_with("b", "n1", one.clone()), "another task has them");
    lab.refused(
        assign_with("b", "n1", vec![named("g2"), number("disk", 2)]),
        "another task has them",
    );
    assert!(lab.store.generic_use(&"n1".into()).is_some());
    lab.must([set_state("a", TaskState::Shutdown)]);
    assert!(lab.store.generic_use(&"n1".into()).is_none());
    lab.must(assign_with("b", "n1", one));
}

#[test]
fn a_claim_takes_the_first_free_names_or_a_number() {
    let mut lab = generic_lab(vec![number("gpu", 1)]);
    lab.pending("a");
    lab.must(assign_with("a", "n1", vec![named("g1")]));
    let node = lab.store.node(&"n1".into()).expect("node");
    let used = lab.store.generic_use(&"n1".into()).expect("use");
    let claim = |asked: &[GenericResource]| used.claim(node, asked);
    assert_eq!(claim(&[number("gpu", 1)]), Some(vec![named("g2")]));
    assert_eq!(claim(&[number("gpu", 2)]), None);
    assert_eq!(claim(&[number("disk", 3)]), Some(vec![number("disk", 3)]));
    assert_eq!(claim(&[number("disk", 2), number("disk", 2)]), None);
    assert_eq!(claim(&[number("fan", 1)]), None);
    assert_eq!(claim(&[number("fan", 0)]), Some(vec![]));
    assert_eq!(claim(&[]), Some(vec![]));
}

#[test]
fn only_what_is_wanted_is_marked_to_be_replaced() {
    let mut lab = Lab::new();
    lab.running("t", "n1");
    let mark = |reason| {
        [Change::SetReplace {
            id: "t".into(),
            reason,
        }]
    };
    lab.must(mark(Some(ReplaceReason::Restart)));
    assert_eq!(lab.task("t").replace, Some(ReplaceReason::Restart));
    lab.must(mark(Some(ReplaceReason::Restart)));
    assert_eq!(lab.last.events, []);
    lab.must(mark(None));
    assert_eq!(lab.task("t").replace, None);
    lab.must([set_desired("t", DesiredState::Shutdown)]);
    lab.refused(mark(Some(ReplaceReason::Rebalance)), "not wanted any more");
}

#[test]
fn a_nodes_role_is_written_by_itself() {
    let mut lab = Lab::new();
    let role = [Change::SetNodeRole {
        id: "n1".into(),
        role: Role::Manager,
    }];
    lab.must(role.clone());
    let node = lab.store.node(&"n1".into()).expect("node");
    assert_eq!((node.role, node.spec.role), (Role::Manager, Role::Worker));
    lab.must(role);
    assert_eq!(lab.last.events, []);
}

#[test]
fn tokens_with_labels_have_names_of_their_own() {
    let mut lab = Lab::new();
    let token = |name: &str| LabelledToken {
        name: name.into(),
        role: Role::Worker,
        labels: Labels::new(),
        secret: JoinSecret("x".into()),
    };
    let set = |if_version, tokens| [Change::SetTokens { if_version, tokens }];
    lab.refused(set(1, vec![]), "cluster default not found");
    lab.must([cluster()]);
    let version = lab.store.index();
    lab.refused(set(version - 1, vec![]), "update out of sequence");
    lab.refused(set(version, vec![token("a"), token("a")]), "the same name");
    let many = (0..=MAX_LABELLED_TOKENS).map(|n| token(&n.to_string()));
    lab.refused(set(version, many.collect()), "too many join tokens");
    lab.must(set(version, vec![token("a"), token("b")]));
    let cluster = lab.store.cluster().expect("cluster");
    assert_eq!(cluster.tokens.len(), 2);
    assert!(cluster.meta.version > version);
}
