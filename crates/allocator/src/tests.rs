use super::*;
use model::service::Mode;
use model::{DesiredState, Meta, NewTask, Node, Proposal, Role, ServiceId, ServiceSpec, TaskId};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;

const NOW: Timestamp = Timestamp(7);

#[track_caller]
fn apply(store: &mut Store, changes: Vec<Change>) {
    let index = store.index() + 1;
    let proposal = Proposal {
        request: None,
        at: NOW,
        changes,
    };
    let applied = store.apply(index, &[proposal]);
    assert_eq!(applied.outcomes, [Ok(())]);
}

fn service(id: &str, mode: Mode) -> Change {
    let spec = ServiceSpec {
        name: id.into(),
        mode,
        ..ServiceSpec::default()
    };
    Change::CreateService {
        id: id.into(),
        spec: Arc::new(spec),
    }
}

fn node(id: &str) -> Change {
    Change::CreateNode(Box::new(Node {
        id: id.into(),
        meta: Meta::default(),
        spec: Default::default(),
        role: Role::Worker,
        description: None,
        status: Default::default(),
        manager: None,
    }))
}

fn task(id: &str, service: &str, slot: u64) -> Change {
    Change::CreateTask(NewTask {
        id: id.into(),
        service: ServiceId::from(service),
        spec_version: 1,
        slot,
        node: (slot == 0).then(|| "n".into()),
        desired: DesiredState::Running,
        start_after: None,
        restarts: vec![],
    })
}

fn decide(store: &Store, changes_per_decision: usize) -> Vec<Change> {
    let limits = Limits {
        changes_per_decision,
    };
    let mut ctx = Context {
        now: NOW,
        limits: &limits,
    };
    reconcile(&mut ctx, store, &Dirty::default()).changes
}

#[test]
fn new_tasks_become_pending_as_many_as_a_decision_takes() {
    let mut store = Store::new();
    let mut changes = vec![service("s", Mode::default())];
    changes.extend((1..=5).map(|slot| task(&format!("t{slot}"), "s", slot)));
    changes.push(Change::SetDesired {
        id: "t5".into(),
        desired: DesiredState::Remove,
    });
    apply(&mut store, changes);
    for (decided, left) in [(3, 1), (1, 0), (0, 0)] {
        let changes = decide(&store, 3);
        assert_eq!(changes.len(), decided);
        apply(&mut store, changes);
        assert_eq!(store.new_tasks().len(), left);
    }
    let pending: Vec<_> = store.pending_tasks().map(|t| t.id.as_str()).collect();
    assert_eq!(pending, ["t1", "t2", "t3", "t4"], "what nobody wants stays");
    let status = &store.task(&"t1".into()).expect("task").status;
    assert_eq!(status.message, "pending task scheduling");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn whatever_is_new_and_wanted_goes_on_and_nothing_else(
        slots in prop::collection::vec((any::<bool>(), 0..TaskState::ALL.len(), 0..4u8), 1..20),
        most in 1..6usize,
    ) {
        let mut store = Store::new();
        let mut changes = vec![service("s", Mode::default()), service("g", Mode::Global), node("n")];
        let mut expected = BTreeSet::new();
        for (number, (is_global, state, desired)) in slots.iter().enumerate() {
            let id = format!("t{number}");
            let slot = if *is_global && number < 2 { 0 } else { number as u64 + 1 };
            changes.push(task(&id, if slot == 0 { "g" } else { "s" }, slot));
            let state = TaskState::ALL[*state];
            // A task that was never placed is waiting or over.
            let may_be = state < TaskState::Assigned || state.is_terminal();
            if may_be && state != TaskState::New {
                changes.push(Change::SetTaskStatus {
                    id: id.as_str().into(),
                    status: TaskStatus::new(state, NOW, state.name()),
                });
            }
            let desired = [DesiredState::Running, DesiredState::Running, DesiredState::Shutdown, DesiredState::Remove][*desired as usize];
            changes.push(Change::SetDesired { id: id.as_str().into(), desired });
            let is_new = !may_be || state == TaskState::New;
            if is_new && desired == DesiredState::Running {
                expected.insert(TaskId::from(id));
            }
        }
        apply(&mut store, changes);
        let mut moved = BTreeSet::new();
        loop {
            let changes = decide(&store, most);
            prop_assert!(changes.len() <= most);
            if changes.is_empty() {
                break;
            }
            for change in &changes {
                let Change::SetTaskStatus { id, status } = change else {
                    panic!("{change:?}")
                };
                prop_assert_eq!(status.state, TaskState::Pending);
                prop_assert!(moved.insert(id.clone()), "{} goes on twice", id);
            }
            // It fails when a guard of the store refuses anything.
            apply(&mut store, changes);
        }
        prop_assert_eq!(moved, expected);
    }
}
