//! Reads, indexes, events and snapshots.

use crate::testing::*;
use crate::{Dirty, Event, FindError, Kind, MAX_FAILURES_PER_NODE, Store};
use model::node::{Availability, NodeState};
use model::service::RevisionCause;
use model::{Change, DesiredState, NewTask, SlotKey, TaskState};
use std::sync::Arc;

#[test]
fn the_leaders_clock_is_written_with_the_state() {
    let mut lab = Lab::new();
    lab.running("t", "n1");
    let started = seconds(lab.store.index());
    assert_eq!(lab.task("t").running_at, Some(started));
    assert_eq!(lab.task("t").status.applied_at, started);
    let mut again = status(TaskState::Running);
    again.message = "still".into();
    lab.must([Change::SetTaskStatus {
        id: "t".into(),
        status: again,
    }]);
    assert_eq!(lab.task("t").status.message, "still");
    assert_eq!(
        lab.task("t").status.applied_at,
        started,
        "it belongs to the state"
    );
    lab.must([set_state("t", TaskState::Complete)]);
    assert_eq!(lab.task("t").running_at, Some(started));
    assert!(lab.task("t").status.applied_at > started);
}

#[test]
fn what_changes_nothing_makes_no_event() {
    let mut lab = Lab::new();
    lab.running("t", "n1");
    let same = lab.task("t").status.clone();
    lab.must([
        set_desired("t", DesiredState::Running),
        Change::SetTaskStatus {
            id: "t".into(),
            status: same,
        },
    ]);
    assert_eq!(lab.last.events, []);
}

#[test]
fn tasks_of_one_spec_version_share_name_labels_and_spec() {
    let mut lab = Lab::new();
    let create = |id: &str, slot| {
        Change::CreateTask(NewTask {
            slot,
            ..new_task(id, "s", 1)
        })
    };
    lab.must([create("a", 1), create("b", 2)]);
    let (a, b) = (lab.task("a"), lab.task("b"));
    assert!(Arc::ptr_eq(&a.spec, &b.spec));
    assert!(Arc::ptr_eq(&a.service_labels, &b.service_labels));
    assert!(Arc::ptr_eq(&a.service_name, &b.service_name));
    assert_eq!(a.name(), "web.1.a");
}

#[test]
fn slots_hold_their_tasks_oldest_first() {
    let mut lab = Lab::new();
    let create = |id: &str, slot| {
        Change::CreateTask(NewTask {
            slot,
            ..new_task(id, "s", 1)
        })
    };
    lab.must([create("z", 1)]);
    lab.must([create("y", 2)]);
    lab.must([create("a", 1)]);
    let ids = |tasks: &[Arc<model::Task>]| -> Vec<String> {
        tasks.iter().map(|t| t.id.to_string()).collect()
    };
    let slots: Vec<_> = lab
        .store
        .slots_of_service(&"s".into())
        .map(|(n, t)| (n, ids(t)))
        .collect();
    assert_eq!(
        slots,
        [
            (SlotKey::Replica(1), vec!["z".into(), "a".into()]),
            (SlotKey::Replica(2), vec!["y".into()])
        ]
    );
    assert_eq!(
        ids(lab.store.tasks_in_slot(&"s".into(), &SlotKey::Replica(1))),
        ["z", "a"]
    );
    assert_eq!(lab.store.tasks_of_service(&"s".into()).count(), 3);
    lab.must([Change::RemoveService { id: "s".into() }]);
    assert_eq!(lab.store.services_with_tasks().count(), 1);
    lab.must(["a", "y", "z"].map(|id| Change::RemoveTask { id: id.into() }));
    assert_eq!(lab.store.services_with_tasks().count(), 0);
}

#[test]
fn a_task_leaves_the_queue_that_it_is_done_with() {
    let mut lab = Lab::new();
    let queues = |lab: &Lab| {
        (
            lab.store.new_tasks().len(),
            lab.store.pending_tasks().count(),
        )
    };
    lab.must([Change::CreateTask(new_task("t", "s", 1))]);
    assert_eq!(queues(&lab), (1, 0));
    lab.must([set_state("t", TaskState::Pending)]);
    assert_eq!(queues(&lab), (0, 1));
    lab.must([assign("t", "n1")]);
    assert_eq!(queues(&lab), (0, 0));
    lab.pending("u");
    lab.must([set_desired("u", DesiredState::Remove)]);
    assert_eq!(queues(&lab), (0, 0));
}

#[test]
fn a_node_counts_what_is_placed_there() {
    let mut lab = Lab::with(heavy("web", 100));
    lab.running("t", "n1");
    let counts = |lab: &Lab| {
        let usage = lab.store.node_usage(&"n1".into());
        let of_service = lab.store.active_on(&"s".into(), &"n1".into());
        (usage.reserved.memory_bytes, usage.active, of_service)
    };
    assert_eq!(counts(&lab), (100, 1, 1));
    lab.must([set_desired("t", DesiredState::Shutdown)]);
    assert_eq!(
        counts(&lab),
        (100, 0, 0),
        "it holds its memory until it is over"
    );
    lab.must([set_state("t", TaskState::Shutdown)]);
    assert_eq!(counts(&lab), (0, 0, 0));
}

#[test]
fn failures_are_remembered_per_node_and_spec_version() {
    let mut lab = Lab::new();
    let on = |lab: &Lab, version, node: &str| {
        lab.store
            .failures_on(&"s".into(), version, &node.into())
            .len()
    };
    for round in 0..MAX_FAILURES_PER_NODE + 2 {
        let id = format!("t{round}");
        lab.running(&id, "n1");
        lab.must([
            set_state(&id, TaskState::Failed),
            set_desired(&id, DesiredState::Shutdown),
        ]);
        lab.must([Change::RemoveTask {
            id: id.as_str().into(),
        }]);
    }
    assert_eq!(on(&lab, 1, "n1"), MAX_FAILURES_PER_NODE);
    assert_eq!(on(&lab, 1, "n2"), 0);
    let last = lab
        .store
        .failures_on(&"s".into(), 1, &"n1".into())
        .last()
        .copied();
    assert_eq!(last, Some(seconds(lab.store.index() - 1)));
    lab.running("ok", "n2");
    lab.must([set_state("ok", TaskState::Complete)]);
    assert_eq!(on(&lab, 1, "n2"), 0, "an end with code 0 is no failure");
    let restored = Store::restore(lab.store.snapshot());
    assert_eq!(
        restored.failures_on(&"s".into(), 1, &"n1".into()).len(),
        MAX_FAILURES_PER_NODE
    );

    lab.must([Change::UpdateService {
        id: "s".into(),
        if_version: 1,
        spec: spec("web"),
        cause: RevisionCause::Update,
        status: None,
    }]);
    let version = lab.store.index();
    lab.must([set_desired("ok", DesiredState::Shutdown)]);
    lab.running("new", "n2");
    lab.must([set_state("new", TaskState::Rejected)]);
    assert_eq!((on(&lab, 1, "n1"), on(&lab, version, "n2")), (0, 1));
    lab.must([Change::RemoveService { id: "s".into() }]);
    assert_eq!(on(&lab, version, "n2"), 0);
}

#[test]
fn what_is_remembered_of_failures_is_all_in_the_snapshot() {
    let mut lab = Lab::new();
    lab.running("old", "n1");
    lab.must([set_desired("old", DesiredState::Shutdown)]);
    lab.must([Change::UpdateService {
        id: "s".into(),
        if_version: 1,
        spec: spec("web"),
        cause: RevisionCause::Update,
        status: None,
    }]);
    lab.running("new", "n2");
    lab.must([set_state("new", TaskState::Failed)]);
    lab.must([Change::RemoveNode { id: "n2".into() }]);
    let mut restored = Lab {
        store: Store::restore(lab.store.snapshot()),
        last: lab.last.clone(),
    };
    for lab in [&mut lab, &mut restored] {
        lab.must([set_state("old", TaskState::Failed)]);
    }
    assert_eq!(lab.store.snapshot(), restored.store.snapshot());
}

#[test]
fn nodes_are_touched_by_what_placement_depends_on() {
    let mut lab = Lab::new();
    let begin = lab.store.index();
    let touched = |lab: &Lab, index| -> Option<Vec<String>> {
        let nodes = lab.store.nodes_touched_since(index)?;
        Some(
            nodes
                .map(|(node, itself)| format!("{node} {itself}"))
                .collect(),
        )
    };
    lab.pending("t");
    assert_eq!(touched(&lab, begin), Some(vec![]));
    lab.must([assign("t", "n1")]);
    let assigned = lab.store.index();
    lab.must([set_state("t", TaskState::Running)]);
    assert_eq!(touched(&lab, begin), Some(vec!["n1 false".into()]));
    assert_eq!(touched(&lab, assigned), Some(vec![]));
    lab.must([set_desired("t", DesiredState::Shutdown)]);
    lab.must([set_state("t", TaskState::Shutdown)]);
    lab.change_node("n2", Availability::Drain, NodeState::Ready);
    let all = ["n1 false", "n1 false", "n2 true"];
    let all = Some(all.map(String::from).into());
    assert_eq!(touched(&lab, assigned), all);
    assert_eq!(touched(&lab, lab.store.index() + 1), None, "not known yet");
    let restored = Store::restore(lab.store.snapshot());
    assert!(restored.nodes_touched_since(restored.index()).is_some());
    assert!(restored.nodes_touched_since(begin).is_none());
    for round in 0..=crate::MAX_TOUCHED {
        let state = [NodeState::Down, NodeState::Ready][round % 2];
        lab.change_node("n1", Availability::Active, state);
    }
    assert_eq!(touched(&lab, assigned), None, "not known any more");
    let last = Some(vec!["n1 true".into(), "n1 true".into()]);
    assert_eq!(touched(&lab, lab.store.index() - 1), last);
}

#[track_caller]
fn check_find(lab: &Lab, reference: &str, expected: Result<&str, &str>) {
    let found = lab.store.find_service(reference).map(|s| s.id.to_string());
    match (found, expected) {
        (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{reference}"),
        (Err(error), Err(text)) => assert_eq!(error.to_string(), text),
        (found, expected) => panic!("{reference}: {found:?} instead of {expected:?}"),
    }
}

#[test]
fn references_are_ids_then_names_then_prefixes() {
    let mut lab = Lab::new();
    for (id, name) in [("abc1", "one"), ("abc2", "abc1x"), ("abd", "abc")] {
        lab.must([Change::CreateService {
            id: id.into(),
            spec: spec(name),
        }]);
    }
    check_find(&lab, "abc1", Ok("abc1"));
    check_find(&lab, "abc1x", Ok("abc2"));
    check_find(&lab, "abc", Ok("abd"));
    check_find(&lab, "ONE", Ok("abc1"));
    check_find(&lab, "abd", Ok("abd"));
    check_find(&lab, "ab", Err("service ab is ambiguous (3 matches found)"));
    check_find(&lab, "zz", Err("service zz not found"));
    check_find(&lab, "", Err("service  not found"));

    lab.pending("task1");
    for reference in ["task1", "ta", "web.1.task1"] {
        assert_eq!(lab.store.find_task(reference).unwrap().id.as_str(), "task1");
    }
    assert!(matches!(
        lab.store.find_task("web.2.task1"),
        Err(FindError::NotFound { .. })
    ));
    for reference in ["n1", "host-n1", "HOST-N1"] {
        assert_eq!(lab.store.find_node(reference).unwrap().id.as_str(), "n1");
    }
    let text = lab.store.find_node("n").unwrap_err().to_string();
    assert_eq!(text, "node n is ambiguous (2 matches found)");
}

#[test]
fn events_show_before_and_after_and_mark_what_is_dirty() {
    let mut lab = Lab::new();
    lab.running("t", "n1");
    let Event::Task {
        kind,
        old: Some(old),
        new: Some(new),
        ..
    } = &lab.last.events[0]
    else {
        panic!("{:?}", lab.last.events)
    };
    assert_eq!(*kind, Kind::Updated { spec: false });
    assert_eq!(
        (old.status.state, new.status.state),
        (TaskState::Assigned, TaskState::Running)
    );

    let noted = |lab: &Lab| {
        let mut dirty = Dirty::default();
        lab.last.events.iter().for_each(|event| dirty.note(event));
        dirty
    };
    let dirty = noted(&lab);
    assert_eq!(dirty.services.len(), 1);
    assert_eq!(dirty.tasks.len(), 1);
    assert_eq!(dirty.nodes.len(), 0);
    assert!(!dirty.room);
    lab.must([set_desired("t", DesiredState::Shutdown)]);
    assert!(noted(&lab).room);
    lab.must([set_state("t", TaskState::Shutdown)]);
    assert!(noted(&lab).room);
    lab.change_node("n1", Availability::Drain, NodeState::Ready);
    assert_eq!(noted(&lab).nodes.len(), 1);
    assert_eq!(lab.last.events[0].kind(), Kind::Updated { spec: true });
    lab.must([Change::RemoveService { id: "s".into() }]);
    assert_eq!(lab.last.events[0].kind(), Kind::Removed);
    let mut all = noted(&lab);
    all.merge(Dirty::everything());
    assert!(all.take().everything);
    assert!(all.is_empty());
}
