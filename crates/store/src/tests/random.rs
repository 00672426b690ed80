//! Random entries: whatever is proposed, the indexes and a restored snapshot say what the objects say.

use crate::Store;
use crate::testing::*;
use crate::usage::Usage;
use model::node::{Availability, NodeState, NodeStatus};
use model::{Change, DesiredState, NewTask, NodeSpec, Proposal, TaskState};
use proptest::prelude::*;

fn desired() -> impl Strategy<Value = DesiredState> {
    use DesiredState::*;
    prop_oneof![Just(Ready), Just(Running), Just(Shutdown), Just(Remove)]
}

fn change() -> impl Strategy<Value = Change> {
    let task = (0..8u8).prop_map(|n| format!("t{n}"));
    let node_id = (0..3u8).prop_map(|n| format!("n{n}"));
    let service = (0..2u8).prop_map(|n| format!("s{n}"));
    let state = (0..TaskState::ALL.len()).prop_map(|n| TaskState::ALL[n]);
    let availability = prop_oneof![
        4 => Just(Availability::Active),
        1 => Just(Availability::Drain)
    ];
    let node_state = prop_oneof![4 => Just(NodeState::Ready), 1 => Just(NodeState::Down)];
    prop_oneof![
        4 => (task.clone(), service.clone(), 1..4u64, 1..5u64, desired()).prop_map(
            |(id, service, slot, spec_version, desired)| {
                let base = new_task(&id, &service, spec_version);
                Change::CreateTask(NewTask { slot, desired, ..base })
            }
        ),
        6 => (task.clone(), state).prop_map(|(id, state)| set_state(&id, state)),
        4 => task.clone().prop_map(|id| set_state(&id, TaskState::Pending)),
        4 => (task.clone(), node_id.clone()).prop_map(|(id, node)| assign(&id, &node)),
        2 => (task.clone(), desired()).prop_map(|(id, desired)| set_desired(&id, desired)),
        2 => task.prop_map(|id| Change::RemoveTask { id: id.as_str().into() }),
        1 => service.clone().prop_map(|id| Change::CreateService {
            id: id.as_str().into(),
            spec: heavy(&id, 300),
        }),
        1 => (service.clone(), 1..6u64).prop_map(|(id, if_version)| Change::UpdateService {
            spec: heavy(&id, 400),
            id: id.as_str().into(),
            if_version,
            cause: model::service::RevisionCause::Update,
            status: None,
        }),
        1 => service.prop_map(|id| Change::RemoveService { id: id.as_str().into() }),
        1 => node_id.clone().prop_map(|id| Change::CreateNode(Box::new(node(&id)))),
        1 => (node_id.clone(), availability, 1..6u64).prop_map(|(id, availability, if_version)| {
            Change::UpdateNodeSpec {
                id: id.as_str().into(),
                if_version,
                spec: NodeSpec { availability, ..Default::default() },
            }
        }),
        1 => (node_id.clone(), node_state).prop_map(|(id, state)| Change::SetNodeStatus {
            id: id.as_str().into(),
            status: NodeStatus { state, ..Default::default() },
        }),
        1 => node_id.prop_map(|id| Change::RemoveNode { id: id.as_str().into() }),
    ]
}

fn check(store: &Store) {
    let restored = Store::restore(store.snapshot());
    assert_eq!(restored.tables, store.tables);
    assert_eq!(restored.snapshot(), store.snapshot());
    for node in store.nodes() {
        let mut usage = Usage::default();
        for task in store.tasks().filter(|t| t.node.as_ref() == Some(&node.id)) {
            if task.holds_resources() {
                usage.add(task);
            }
        }
        assert_eq!(store.node_usage(&node.id), usage);
        assert!(usage.reserved.memory_bytes <= 1000);
        for service in store.services() {
            let on = |t: &&std::sync::Arc<model::Task>| {
                t.node.as_ref() == Some(&node.id) && t.holds_resources() && t.is_wanted()
            };
            let active = store.tasks_of_service(&service.id).filter(on).count();
            assert_eq!(store.active_on(&service.id, &node.id), active as u64);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn indexes_follow_from_the_objects(
        entries in prop::collection::vec(prop::collection::vec(prop::collection::vec(change(), 1..4), 1..4), 1..40)
    ) {
        let mut store = Store::new();
        store.apply(1, &[Proposal { request: None, at: seconds(1), changes: vec![
            Change::CreateService { id: "s0".into(), spec: heavy("s0", 300) },
            Change::CreateNode(Box::new(node("n0"))),
            Change::CreateNode(Box::new(node("n1"))),
        ]}]);
        for (entry, index) in entries.into_iter().zip(2..) {
            let proposals: Vec<_> = entry.into_iter().map(|changes| Proposal {
                request: None,
                at: seconds(index),
                changes,
            }).collect();
            store.apply(index, &proposals);
        }
        check(&store);
    }
}
