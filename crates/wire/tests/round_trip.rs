//! Every type survives the wire, and what is not understood is refused.
#![allow(missing_docs)]

mod any;

use any::*;
use model::assignment::{AssignedTask, AssignmentChange, Assignments};
use model::cluster::JoinSecret;
use model::control::{
    ControlError, Found, FoundNode, FoundTask, Query, Selector, TaskSelector, Write, WriteRequest,
    Written,
};
use model::logs::{LogMessage, LogOptions, LogSelector, LogStream};
use model::plan::{Plan, PlannedReplacement, PlannedTask, Unplaced};
use model::snapshot::{AppliedRequest, NodeFailures, Snapshot};
use model::{Change, NewTask, Proposal, SlotKey};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use prost::Message;
use std::sync::Arc;
use wire::log::{decode_entry, decode_snapshot, encode_entry, encode_snapshot};
use wire::{DecodeError, pb};

fn change() -> BoxedStrategy<Change> {
    let secret = || of(text().prop_map(JoinSecret));
    let new_task = (
        id(),
        id(),
        any::<u64>(),
        any::<u64>(),
        of(id()),
        desired(),
        of(time()),
        vec(time(), 0..3),
    );
    let update_service = (
        id(),
        any::<u64>(),
        service_spec(),
        cause(),
        of(update_status()),
    );
    let objects = prop_oneof![
        (any::<u64>(), tokens())
            .prop_map(|(if_version, tokens)| Change::SetTokens { if_version, tokens }),
        (id(), of(replace_reason())).prop_map(|(id, reason)| Change::SetReplace { id, reason }),
        (id(), role()).prop_map(|(id, role)| Change::SetNodeRole { id, role }),
        payload().prop_map(|p| Change::CreatePayload(Box::new(p))),
        (id(), any::<u64>(), labels()).prop_map(|(id, if_version, labels)| {
            Change::UpdatePayload {
                id,
                if_version,
                labels,
            }
        }),
        id().prop_map(|id| Change::RemovePayload { id }),
    ];
    prop_oneof![
        6 => objects,
        18 => prop_oneof![
        cluster().prop_map(|c| Change::CreateCluster(Box::new(c))),
        (any::<u64>(), cluster_spec(), secret(), secret()).prop_map(
            |(if_version, spec, worker_token, manager_token)| Change::UpdateCluster {
                if_version,
                spec,
                worker_token,
                manager_token
            }
        ),
        (id(), service_spec()).prop_map(|(id, spec)| Change::CreateService {
            id,
            spec: Arc::new(spec)
        }),
        update_service.prop_map(|(id, if_version, spec, cause, status)| {
            Change::UpdateService {
                id,
                if_version,
                spec: Arc::new(spec),
                cause,
                status,
            }
        }),
        (id(), any::<u64>(), of(update_status())).prop_map(|(id, if_spec_version, status)| {
            Change::SetUpdateStatus {
                id,
                if_spec_version,
                status,
            }
        }),
        id().prop_map(|id| Change::RemoveService { id }),
        new_task.prop_map(
            |(id, service, spec_version, slot, node, desired, start_after, restarts)| {
                Change::CreateTask(NewTask {
                    id,
                    service,
                    spec_version,
                    slot,
                    node,
                    desired,
                    start_after,
                    restarts,
                })
            }
        ),
        (id(), desired()).prop_map(|(id, desired)| Change::SetDesired { id, desired }),
        (id(), id(), generic(), task_status()).prop_map(|(id, node, generic, status)| {
            Change::AssignTask {
                id,
                node,
                generic,
                status,
            }
        }),
        (id(), task_status()).prop_map(|(id, status)| Change::SetTaskStatus { id, status }),
        id().prop_map(|id| Change::SetFailureCounted { id }),
        id().prop_map(|id| Change::RemoveTask { id }),
        node().prop_map(|n| Change::CreateNode(Box::new(n))),
        (id(), any::<u64>(), node_spec()).prop_map(|(id, if_version, spec)| {
            Change::UpdateNodeSpec {
                id,
                if_version,
                spec,
            }
        }),
        (id(), description()).prop_map(|(id, description)| Change::SetNodeDescription {
            id,
            description: Box::new(description)
        }),
        (id(), node_status()).prop_map(|(id, status)| Change::SetNodeStatus { id, status }),
        (id(), of(manager_status()))
            .prop_map(|(id, manager)| Change::SetNodeManager { id, manager }),
        id().prop_map(|id| Change::RemoveNode { id }),
        ],
    ]
    .boxed()
}

fn proposal() -> BoxedStrategy<Proposal> {
    (of(request_id()), time(), vec(change(), 0..4))
        .prop_map(|(request, at, changes)| Proposal {
            request,
            at,
            changes,
        })
        .boxed()
}

fn snapshot() -> BoxedStrategy<Snapshot> {
    let request =
        (request_id(), written()).prop_map(|(id, written)| AppliedRequest { id, written });
    let failures = (id(), any::<u64>(), id(), vec(time(), 0..3)).prop_map(
        |(service, spec_version, node, at)| NodeFailures {
            service,
            spec_version,
            node,
            at,
        },
    );
    (
        any::<u64>(),
        of(cluster().prop_map(Arc::new)),
        vec(service().prop_map(Arc::new), 0..3),
        vec(task().prop_map(Arc::new), 0..3),
        vec(node().prop_map(Arc::new), 0..3),
        vec(payload().prop_map(Arc::new), 0..3),
        vec(request, 0..3),
        vec(failures, 0..3),
    )
        .prop_map(
            |(index, cluster, services, tasks, nodes, payloads, requests, failures)| Snapshot {
                index,
                cluster,
                services,
                tasks,
                nodes,
                payloads,
                requests,
                failures,
            },
        )
        .boxed()
}

fn written() -> impl Strategy<Value = Written> {
    prop_oneof![
        Just(Written::Done),
        id().prop_map(Written::Service),
        id().prop_map(Written::Payload)
    ]
}

fn write() -> BoxedStrategy<Write> {
    prop_oneof![
        (id(), any::<u64>(), of(any::<u64>()))
            .prop_map(|(id, version, to)| { Write::RollbackService { id, version, to } }),
        vec(id(), 0..3).prop_map(Write::RestartTasks),
        vec(id(), 0..3).prop_map(Write::Rebalance),
        (payload_kind(), payload_spec()).prop_map(|(kind, spec)| Write::CreatePayload {
            kind,
            spec: Arc::new(spec)
        }),
        (id(), payload_kind(), any::<u64>(), payload_spec()).prop_map(
            |(id, kind, version, spec)| Write::UpdatePayload {
                id,
                kind,
                version,
                spec: Arc::new(spec)
            }
        ),
        (id(), payload_kind()).prop_map(|(id, kind)| Write::RemovePayload { id, kind }),
        (text(), role(), labels()).prop_map(|(name, role, labels)| Write::CreateToken {
            name,
            role,
            labels
        }),
        text().prop_map(|name| Write::RemoveToken { name }),
        service_spec().prop_map(|s| Write::CreateService(Arc::new(s))),
        (id(), any::<u64>(), service_spec()).prop_map(|(id, version, spec)| {
            Write::UpdateService {
                id,
                version,
                spec: Arc::new(spec),
            }
        }),
        id().prop_map(Write::RemoveService),
        (id(), any::<u64>(), node_spec()).prop_map(|(id, version, spec)| Write::UpdateNode {
            id,
            version,
            spec
        }),
        (id(), any::<bool>()).prop_map(|(id, force)| Write::RemoveNode { id, force }),
        (any::<u64>(), cluster_spec(), any::<bool>(), any::<bool>()).prop_map(
            |(version, spec, rotate_worker_token, rotate_manager_token)| Write::UpdateCluster {
                version,
                spec,
                rotate_worker_token,
                rotate_manager_token
            }
        ),
    ]
    .boxed()
}

fn control_error() -> impl Strategy<Value = ControlError> {
    prop_oneof![
        text().prop_map(ControlError::InvalidArgument),
        text().prop_map(ControlError::NotFound),
        text().prop_map(ControlError::AlreadyExists),
        text().prop_map(ControlError::FailedPrecondition),
        text().prop_map(ControlError::Unimplemented),
        Just(ControlError::OutOfSequence),
        text().prop_map(ControlError::Unavailable),
        text().prop_map(ControlError::NotManager),
    ]
}

fn selector<Id: From<String> + std::fmt::Debug + Clone + 'static>()
-> impl Strategy<Value = Selector<Id>> {
    prop_oneof![
        Just(Selector::All),
        id().prop_map(Selector::Id),
        text().prop_map(Selector::Reference)
    ]
}

fn query() -> BoxedStrategy<Query> {
    let tasks = prop_oneof![
        Just(TaskSelector::All),
        text().prop_map(TaskSelector::Reference),
        id().prop_map(TaskSelector::Id),
        vec(id(), 0..3).prop_map(TaskSelector::Services),
        vec(id(), 0..3).prop_map(TaskSelector::Nodes),
    ];
    prop_oneof![
        Just(Query::Cluster),
        selector().prop_map(Query::Nodes),
        selector().prop_map(Query::Services),
        tasks.prop_map(Query::Tasks),
        (payload_kind(), selector()).prop_map(|(kind, which)| Query::Payloads(kind, which)),
        write().prop_map(|write| Query::Plan(Box::new(write))),
    ]
    .boxed()
}

fn plan() -> BoxedStrategy<Plan> {
    let slot = || {
        prop_oneof![
            any::<u64>().prop_map(SlotKey::Replica),
            id().prop_map(SlotKey::Node)
        ]
    };
    let task = move || {
        (id(), text(), slot(), of(id()), of(id())).prop_map(
            |(service, service_name, slot, task, node)| PlannedTask {
                service,
                service_name,
                slot,
                task,
                node,
            },
        )
    };
    let replacement =
        (task(), of(id())).prop_map(|(old, new_node)| PlannedReplacement { old, new_node });
    let unplaced = (text(), slot(), text()).prop_map(|(service_name, slot, reason)| Unplaced {
        service_name,
        slot,
        reason,
    });
    (
        any::<u64>(),
        vec(task(), 0..3),
        vec(task(), 0..3),
        vec(replacement, 0..3),
        vec(unplaced, 0..3),
        any::<u64>(),
        texts(),
    )
        .prop_map(
            |(version, start, stop, replace, unplaced, unchanged, notes)| Plan {
                version,
                start,
                stop,
                replace,
                unplaced,
                unchanged,
                notes,
            },
        )
        .boxed()
}

fn found() -> BoxedStrategy<Found> {
    let node =
        (node(), any::<bool>(), any::<bool>()).prop_map(|(node, leader, reachable)| FoundNode {
            node: Arc::new(node),
            leader,
            reachable,
        });
    let task = (task(), any::<bool>()).prop_map(|(task, up_to_date)| FoundTask {
        task: Arc::new(task),
        up_to_date,
    });
    (
        of(cluster().prop_map(Arc::new)),
        vec(node, 0..3),
        vec(service().prop_map(Arc::new), 0..3),
        vec(task, 0..3),
        vec(payload().prop_map(Arc::new), 0..3),
        of(plan()),
    )
        .prop_map(|(cluster, nodes, services, tasks, payloads, plan)| Found {
            cluster,
            nodes,
            services,
            tasks,
            payloads,
            plan,
        })
        .boxed()
}

fn assignments() -> BoxedStrategy<Assignments> {
    let put = (task(), of(registry_auth())).prop_map(|(task, registry_auth)| {
        AssignmentChange::Put(AssignedTask {
            id: task.id,
            service: task.service,
            service_name: task.service_name,
            service_labels: task.service_labels,
            slot: task.slot,
            spec: task.spec,
            desired: task.desired,
            generic: task.generic,
            registry_auth,
        })
    });
    let change = prop_oneof![
        put,
        (id(), desired()).prop_map(|(id, desired)| AssignmentChange::SetDesired(id, desired)),
        id().prop_map(AssignmentChange::Remove),
        payload().prop_map(|p| AssignmentChange::PutPayload(Arc::new(p))),
        id().prop_map(AssignmentChange::RemovePayload),
    ];
    (any::<u64>(), any::<bool>(), vec(change, 0..4), any::<u64>())
        .prop_map(|(index, complete, changes, digest)| Assignments {
            index,
            complete,
            changes,
            digest,
        })
        .boxed()
}

/// Through bytes, so that nothing depends on how the generated types hold a value.
fn over_the_wire<M: Message + Default>(message: &M) -> M {
    M::decode(message.encode_to_vec().as_slice()).expect("own bytes decode")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn entries(batch in any::<u64>(), proposals in vec(proposal(), 0..4)) {
        let bytes = encode_entry(batch, &proposals);
        let lengths: usize = proposals.iter().map(wire::log::encoded_len).sum();
        prop_assert!(bytes.len() <= lengths + 32, "{} of {lengths}", bytes.len());
        let entry = decode_entry(&bytes).unwrap();
        prop_assert_eq!(entry.batch, batch);
        prop_assert_eq!(&entry.proposals, &proposals);
        prop_assert_eq!(encode_entry(batch, &entry.proposals), bytes);
    }

    #[test]
    fn snapshots(snapshot in snapshot()) {
        prop_assert_eq!(decode_snapshot(&encode_snapshot(&snapshot)).unwrap(), snapshot);
    }

    #[test]
    fn torn_or_flipped_bytes_never_panic(snapshot in snapshot(), at in any::<prop::sample::Index>(), flip in any::<u8>()) {
        let mut bytes = encode_snapshot(&snapshot);
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let _ = decode_snapshot(&bytes);
        bytes.truncate(at);
        let _ = decode_snapshot(&bytes);
        let _ = decode_entry(&bytes);
    }

    #[test]
    fn write_requests(id in request_id(), write in write()) {
        let request = WriteRequest { id, write };
        let message = over_the_wire(&pb::control::WriteRequest::from(&request));
        prop_assert_eq!(WriteRequest::try_from(message).unwrap(), request);
    }

    #[test]
    fn write_replies(result in prop_oneof![
        written().prop_map(Ok),
        control_error().prop_map(Err),
    ]) {
        let message = over_the_wire(&pb::control::WriteReply::from(&result));
        prop_assert_eq!(<Result<Written, ControlError>>::try_from(message).unwrap(), result);
    }

    #[test]
    fn queries(query in query()) {
        let message = over_the_wire(&pb::control::QueryRequest::from(&query));
        prop_assert_eq!(Query::try_from(message).unwrap(), query);
    }

    #[test]
    fn answers(result in prop_oneof![3 => found().prop_map(Ok), 1 => control_error().prop_map(Err)]) {
        let message = over_the_wire(&pb::control::QueryReply::from(&result));
        prop_assert_eq!(<Result<Found, ControlError>>::try_from(message).unwrap(), result);
    }

    #[test]
    fn assignments_to_agents(assignments in assignments()) {
        let message = over_the_wire(&pb::dispatcher::Assignments::from(&assignments));
        prop_assert_eq!(Assignments::try_from(message).unwrap(), assignments);
    }

    #[test]
    fn reports(sequence in any::<u64>(), updates in vec((id(), task_status()), 0..4)) {
        let message = over_the_wire(&wire::dispatcher::report(sequence, &updates));
        prop_assert_eq!(message.sequence, sequence);
        prop_assert_eq!(wire::dispatcher::reported(message).unwrap(), updates);
    }

    #[test]
    fn log_questions(
        services in vec(id(), 0..3), tasks in vec(id(), 0..3), flags in any::<[bool; 3]>(),
        tail in of(any::<u64>()), since in of(time()), until in of(time()),
    ) {
        let selector = LogSelector { services, tasks };
        let [stdout, stderr, follow] = flags;
        let options = LogOptions { stdout, stderr, follow, tail, since, until };
        let message = over_the_wire(&wire::logs::read_request(&selector, &options));
        prop_assert_eq!(wire::logs::read_request_parts(message).unwrap(), (selector, options));
    }

    #[test]
    fn log_lines(
        task in id(), service in id(), node in id(), time in time(),
        stream in prop_oneof![Just(LogStream::Stdout), Just(LogStream::Stderr)], data in vec(any::<u8>(), 0..9),
    ) {
        let frame = wire::logs::frame(&task, stream, time, data.clone());
        prop_assert_eq!(wire::logs::frame_stream(&over_the_wire(&frame)).unwrap(), stream);
        let line = LogMessage { task, service, node, stream, time, data };
        let message = over_the_wire(&pb::logs::Message::from(line.clone()));
        prop_assert_eq!(LogMessage::try_from(message).unwrap(), line);
    }
}

#[test]
fn tasks_share_their_spec_again_also_with_their_service() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut make = |strategy: proptest::strategy::BoxedStrategy<(model::Service, model::Task)>| {
        strategy.new_tree(&mut runner).unwrap().current()
    };
    use proptest::strategy::ValueTree;
    let (service, task) = make((service(), task()).boxed());
    let (mut one, mut two, mut other) = (task.clone(), task.clone(), task);
    for task in [&mut one, &mut two] {
        task.service = service.id.clone();
        task.spec = service.spec.task.clone();
    }
    other.spec = Arc::new(model::TaskSpec::default());
    let before = Snapshot {
        services: vec![Arc::new(service)],
        tasks: vec![one.into(), two.into(), other.into()],
        ..Snapshot::default()
    };
    let bytes = encode_snapshot(&before);
    assert_eq!(
        pb::log::Snapshot::decode(bytes.as_slice())
            .unwrap()
            .templates
            .len(),
        2
    );
    let after = decode_snapshot(&bytes).unwrap();
    assert_eq!(after, before);
    assert!(Arc::ptr_eq(&after.tasks[0].spec, &after.tasks[1].spec));
    assert!(Arc::ptr_eq(
        &after.tasks[0].spec,
        &after.services[0].spec.task
    ));
    assert!(!Arc::ptr_eq(&after.tasks[0].spec, &after.tasks[2].spec));
}

#[test]
fn revisions_share_their_spec_again_with_the_service() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut make = || service().new_tree(&mut runner).unwrap().current();
    let (mut service, other) = (make(), make());
    let revision = |number, spec: &Arc<model::ServiceSpec>| model::service::Revision {
        number,
        spec: Arc::clone(spec),
        created_at: model::Timestamp(number.cast_signed()),
        cause: model::service::RevisionCause::Update,
    };
    service.previous_spec = Some(Arc::new(make().spec.as_ref().clone()));
    let previous = service.previous_spec.clone().unwrap();
    service.history = vec![
        revision(1, &other.spec),
        revision(2, &previous),
        revision(3, &service.spec),
    ];
    let before = Snapshot {
        services: vec![Arc::new(service)],
        ..Snapshot::default()
    };
    let bytes = encode_snapshot(&before);
    let after = decode_snapshot(&bytes).unwrap();
    assert_eq!(after, before);
    let service = &after.services[0];
    assert!(Arc::ptr_eq(&service.history[2].spec, &service.spec));
    assert!(Arc::ptr_eq(
        &service.history[1].spec,
        service.previous_spec.as_ref().unwrap()
    ));
}

#[test]
fn secrets_are_not_printed() {
    use prost::bytes::Bytes;
    let text = "hunter2-hunter2";
    let secret = || text.to_owned();
    let spec = pb::objects::PayloadSpec {
        data: Bytes::from_static(text.as_bytes()),
        ..Default::default()
    };
    let payload = pb::objects::Payload {
        spec: Some(spec.clone()),
        ..Default::default()
    };
    let token = pb::objects::LabelledToken {
        secret: secret(),
        ..Default::default()
    };
    let ca = pb::objects::RootCa {
        key_pem: secret(),
        ..Default::default()
    };
    let cluster = pb::objects::Cluster {
        worker_token: secret(),
        manager_token: secret(),
        tokens: vec![token.clone()],
        ca: Some(ca.clone()),
        ..Default::default()
    };
    let update = pb::log::UpdateCluster {
        worker_token: Some(secret()),
        manager_token: Some(secret()),
        ..Default::default()
    };
    let auth = pb::objects::RegistryAuth { value: secret() };
    let malformed = model::Payload::try_from(payload.clone()).unwrap_err();
    for shown in [
        format!("{payload:?} {spec:?} {malformed:?} {malformed}"),
        format!("{token:?} {ca:?} {cluster:?} {update:?} {auth:?}"),
    ] {
        assert!(!shown.contains(text), "{shown}");
        assert!(
            !shown.contains(&format!("{:?}", text.as_bytes())),
            "{shown}"
        );
    }
}

#[test]
fn what_is_not_understood_is_refused() {
    let newer = pb::log::Entry {
        format: wire::log::ENTRY_FORMAT + 1,
        ..Default::default()
    };
    let error = decode_entry(&newer.encode_to_vec()).unwrap_err();
    assert!(
        error.to_string().contains("format 3 of the log entry"),
        "{error}"
    );

    let unknown_change = pb::log::Entry {
        format: wire::log::ENTRY_FORMAT,
        proposals: vec![pb::log::Proposal {
            changes: vec![pb::log::Change { change: None }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let error = decode_entry(&unknown_change.encode_to_vec()).unwrap_err();
    assert!(matches!(error, DecodeError::Missing(_)), "{error}");

    for state in [0, 63, 800] {
        let status = pb::objects::TaskStatus {
            state,
            ..Default::default()
        };
        let error = model::TaskStatus::try_from(status).unwrap_err();
        assert!(
            matches!(error, DecodeError::UnknownEnum { value, .. } if value == state),
            "{error}"
        );
    }

    let dangling = pb::log::Snapshot {
        format: wire::log::SNAPSHOT_FORMAT,
        tasks: vec![pb::objects::Task {
            template: 7,
            ..Default::default()
        }],
        ..Default::default()
    };
    let error = decode_snapshot(&dangling.encode_to_vec()).unwrap_err();
    assert!(
        matches!(error, DecodeError::OutOfRange { value: 7, .. }),
        "{error}"
    );

    assert!(matches!(
        decode_entry(b"\xff\xff\xff"),
        Err(DecodeError::Malformed(_))
    ));
}
