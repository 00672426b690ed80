//! Random entries: whatever is proposed, the indexes and a restored snapshot say what the objects say, and what
//! was refused has left no trace.

use crate::testing::*;
use crate::usage::Usage;
use crate::{GenericUse, Store};
use model::node::{Availability, NodeState, NodeStatus};
use model::payload::SecretEnv;
use model::service::{Mode, RevisionCause};
use model::task::{GenericResource, GenericValue, ReplaceReason};
use model::{
    Change, DesiredState, Labels, Meta, NewTask, Node, NodeSpec, Payload, PayloadKind, PayloadSpec,
    Proposal, ServiceSpec, TaskState,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

fn desired() -> impl Strategy<Value = DesiredState> {
    use DesiredState::*;
    prop_oneof![
        Just(Ready),
        Just(Running),
        Just(Complete),
        Just(Shutdown),
        Just(Remove)
    ]
}

fn gpu(value: GenericValue) -> GenericResource {
    GenericResource {
        kind: "gpu".into(),
        value,
    }
}

/// A node with two named things.
fn rich_node(id: &str) -> Node {
    let mut node = node(id);
    if let Some(description) = &mut node.description {
        description.generic = ["a", "b"]
            .map(|n| gpu(GenericValue::Named(n.into())))
            .into();
    }
    node
}

/// `s0` and `s1` are replicated, `s2` global, `s3` a job. Tasks of `s1` ask for a named thing; odd `version`s use
/// the secret `p0`.
fn service_spec(id: &str, version: u64) -> Arc<ServiceSpec> {
    let mut spec = ServiceSpec::clone(&heavy(id, 300));
    spec.mode = match id {
        "s2" => Mode::Global,
        "s3" => Mode::ReplicatedJob {
            max_concurrent: Some(2),
            total_completions: Some(4),
        },
        _ => Mode::Replicated { replicas: Some(3) },
    };
    let task = Arc::make_mut(&mut spec.task);
    task.force_update = version;
    if version % 2 == 1 {
        task.container.secret_env = vec![SecretEnv {
            id: "p0".into(),
            name: "p0".into(),
            variable: "KEY".into(),
        }];
    }
    if let Some(resources) = task.resources.as_mut().filter(|_| id == "s1") {
        resources.generic = vec![gpu(GenericValue::Discrete(1))];
    }
    Arc::new(spec)
}

fn text(prefix: &'static str, below: u8) -> impl Strategy<Value = String> {
    (0..below).prop_map(move |n| format!("{prefix}{n}"))
}

fn of_task() -> impl Strategy<Value = Change> {
    let task = || text("t", 8);
    let state = (0..TaskState::ALL.len()).prop_map(|n| TaskState::ALL[n]);
    let create = (
        task(),
        text("s", 4),
        1..4u64,
        1..5u64,
        desired(),
        text("n", 3),
    );
    let given = prop_oneof![
        3 => Just(vec![]),
        2 => prop_oneof![Just("a"), Just("b")]
            .prop_map(|n| vec![gpu(GenericValue::Named(n.into()))]),
    ];
    prop_oneof![
        5 => create.prop_map(|(id, service, slot, spec_version, desired, node)| {
            let is_global = service == "s2";
            Change::CreateTask(NewTask {
                slot: if is_global { 0 } else { slot },
                node: is_global.then(|| node.as_str().into()),
                desired,
                ..new_task(&id, &service, spec_version)
            })
        }),
        6 => (task(), state).prop_map(|(id, state)| set_state(&id, state)),
        4 => task().prop_map(|id| set_state(&id, TaskState::Pending)),
        6 => (task(), text("n", 3), given).prop_map(|(id, node, given)| {
            let mut change = assign(&id, &node);
            if let Change::AssignTask { generic, .. } = &mut change {
                *generic = given;
            }
            change
        }),
        2 => (task(), desired()).prop_map(|(id, desired)| set_desired(&id, desired)),
        1 => task().prop_map(|id| Change::SetReplace {
            id: id.as_str().into(),
            reason: Some(ReplaceReason::Restart),
        }),
        2 => task().prop_map(|id| Change::RemoveTask { id: id.as_str().into() }),
    ]
}

fn of_service() -> impl Strategy<Value = Change> {
    let service = || text("s", 4);
    prop_oneof![
        service().prop_map(|id| Change::CreateService {
            id: id.as_str().into(),
            spec: service_spec(&id, 0),
        }),
        (service(), 1..6u64, 0..4u64).prop_map(|(id, if_version, version)| {
            Change::UpdateService {
                spec: service_spec(&id, version),
                id: id.as_str().into(),
                if_version,
                cause: RevisionCause::Update,
                status: None,
            }
        }),
        service().prop_map(|id| Change::RemoveService {
            id: id.as_str().into()
        }),
    ]
}

fn of_node() -> impl Strategy<Value = Change> {
    let node = || text("n", 3);
    let availability = prop_oneof![
        4 => Just(Availability::Active),
        1 => Just(Availability::Drain)
    ];
    let state = prop_oneof![4 => Just(NodeState::Ready), 1 => Just(NodeState::Down)];
    prop_oneof![
        node().prop_map(|id| Change::CreateNode(Box::new(rich_node(&id)))),
        (node(), availability, 1..6u64).prop_map(|(id, availability, if_version)| {
            Change::UpdateNodeSpec {
                id: id.as_str().into(),
                if_version,
                spec: NodeSpec {
                    availability,
                    ..Default::default()
                },
            }
        }),
        (node(), state).prop_map(|(id, state)| Change::SetNodeStatus {
            id: id.as_str().into(),
            status: NodeStatus {
                state,
                ..Default::default()
            },
        }),
        node().prop_map(|id| Change::RemoveNode {
            id: id.as_str().into()
        }),
    ]
}

fn of_payload() -> impl Strategy<Value = Change> {
    let payload = || text("p", 3);
    prop_oneof![
        (payload(), text("key", 2), any::<bool>()).prop_map(|(id, name, secret)| {
            Change::CreatePayload(Box::new(Payload {
                id: id.as_str().into(),
                kind: if secret {
                    PayloadKind::Secret
                } else {
                    PayloadKind::Config
                },
                meta: Meta::default(),
                spec: Arc::new(PayloadSpec {
                    name,
                    ..Default::default()
                }),
            }))
        }),
        (payload(), 1..6u64).prop_map(|(id, if_version)| Change::UpdatePayload {
            id: id.as_str().into(),
            if_version,
            labels: Labels::from([("x".into(), "y".into())]),
        }),
        payload().prop_map(|id| Change::RemovePayload {
            id: id.as_str().into()
        }),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        24 => of_task(),
        4 => of_service(),
        4 => of_node(),
        3 => of_payload(),
    ]
}

fn check(store: &Store) {
    let restored = Store::restore(store.snapshot());
    assert_eq!(restored.tables, store.tables);
    assert_eq!(restored.snapshot(), store.snapshot());
    for node in store.nodes() {
        let mut usage = Usage::default();
        let mut generic = GenericUse::default();
        let mut names = BTreeSet::new();
        for task in store.tasks().filter(|t| t.node.as_ref() == Some(&node.id)) {
            if task.holds_resources() {
                usage.add(task);
                generic.add(&task.generic);
                for given in &task.generic {
                    let GenericValue::Named(name) = &given.value else {
                        panic!("{given:?}")
                    };
                    assert!(names.insert(name), "{name} is given twice");
                }
            }
        }
        assert_eq!(store.node_usage(&node.id), usage);
        let in_use = store.generic_use(&node.id).cloned();
        assert_eq!(in_use.unwrap_or_default(), generic);
        assert!(usage.reserved.memory_bytes <= 1000);
        for service in store.services() {
            let on = |t: &&Arc<model::Task>| {
                t.node.as_ref() == Some(&node.id) && t.holds_resources() && t.is_wanted()
            };
            let active = store.tasks_of_service(&service.id).filter(on).count();
            assert_eq!(store.active_on(&service.id, &node.id), active as u64);
        }
    }
    check_slots_and_users(store);
}

fn check_slots_and_users(store: &Store) {
    let mut slots: BTreeMap<_, usize> = BTreeMap::new();
    for task in store.tasks() {
        let key = (task.service.clone(), task.slot_key());
        *slots.entry(key).or_default() += 1;
    }
    let indexed = store.services_with_tasks().flat_map(|service| {
        let slots = store.slots_of_service(service);
        slots.map(|(key, tasks)| ((service.clone(), key), tasks.len()))
    });
    assert_eq!(indexed.collect::<BTreeMap<_, _>>(), slots);
    for id in ["p0", "p1", "p2"].map(model::PayloadId::from) {
        let uses = |s: &&Arc<model::Service>| {
            model::payload::used_by(&s.spec.task.container).contains(&id)
        };
        let users: Vec<_> = store.services().filter(uses).collect();
        assert_eq!(store.services_using(&id).collect::<Vec<_>>(), users);
    }
    for service in store.services() {
        let current = service.history.last().expect("a revision");
        assert_eq!(current.spec, service.spec);
    }
}

/// Services, nodes and a secret to begin with.
fn beginning() -> Store {
    let mut store = Store::new();
    let secret = Payload {
        id: "p0".into(),
        kind: PayloadKind::Secret,
        meta: Meta::default(),
        spec: Arc::default(),
    };
    let services = ["s0", "s1", "s2"].map(|id| Change::CreateService {
        id: id.into(),
        spec: service_spec(id, 1),
    });
    let nodes = ["n0", "n1"].map(|id| Change::CreateNode(Box::new(rich_node(id))));
    let mut changes = vec![Change::CreatePayload(Box::new(secret))];
    changes.extend(services.into_iter().chain(nodes));
    let applied = store.apply(
        1,
        &[Proposal {
            request: None,
            at: seconds(1),
            changes,
        }],
    );
    assert_eq!(applied.outcomes, [Ok(())]);
    store
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn indexes_follow_from_the_objects(
        entries in prop::collection::vec(prop::collection::vec(prop::collection::vec(change(), 1..4), 1..4), 1..40)
    ) {
        let mut store = beginning();
        for (entry, index) in entries.into_iter().zip(2..) {
            let proposals: Vec<_> = entry.into_iter().map(|changes| Proposal {
                request: None,
                at: seconds(index),
                changes,
            }).collect();
            let before = store.tables.clone();
            let applied = store.apply(index, &proposals);
            if applied.outcomes.iter().all(Result::is_err) {
                prop_assert_eq!(&store.tables, &before, "what is refused leaves no trace");
                prop_assert!(applied.events.is_empty());
            }
        }
        check(&store);
    }
}
