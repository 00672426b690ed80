//! Values of every type of the model, for the round-trip tests. Lists are short: what matters is each field and
//! each variant.
#![allow(missing_docs, unreachable_pub)]

mod container;

pub use container::container_spec;

use model::change::RequestId;
use model::cluster::{JoinSecret, LabelledToken, RootCa};
use model::node::{DrainConfig, ManagerStatus};
use model::payload::PayloadData;
use model::service::{
    EndpointMode, EndpointSpec, FailureAction, JobStatus, Mode, RegistryAuth, Revision,
    RevisionCause, UpdateConfig, UpdateOrder, UpdateState,
};
use model::task::{
    ContainerStatus, GenericResource, GenericValue, Limits, NetworkAttachment, Placement, Platform,
    ReplaceReason, ResourceRequirements, Resources, RestartCondition, RestartPolicy,
};
use model::*;
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

pub fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-z0-9é=:/. -]{1,8}"]
}
pub fn texts() -> impl Strategy<Value = Vec<String>> {
    vec(text(), 0..3)
}
pub fn labels() -> impl Strategy<Value = Labels> {
    btree_map(text(), text(), 0..3)
}
pub fn id<T: From<String> + std::fmt::Debug>() -> impl Strategy<Value = T> {
    "[a-z0-9]{1,25}".prop_map(T::from)
}
pub fn time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![Just(0), any::<i64>()].prop_map(Timestamp)
}
pub fn duration() -> impl Strategy<Value = Duration> {
    (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(s, n)| Duration::new(s, n))
}
pub fn request_id() -> impl Strategy<Value = RequestId> {
    any::<u128>().prop_map(RequestId)
}
pub fn meta() -> impl Strategy<Value = Meta> {
    (any::<u64>(), any::<u64>(), time(), time()).prop_map(
        |(version, changed, created_at, updated_at)| Meta {
            version,
            changed,
            created_at,
            updated_at,
        },
    )
}

pub fn driver() -> impl Strategy<Value = Driver> {
    (text(), labels()).prop_map(|(name, options)| Driver { name, options })
}
pub fn generic() -> impl Strategy<Value = Vec<GenericResource>> {
    let value = prop_oneof![
        any::<i64>().prop_map(GenericValue::Discrete),
        text().prop_map(GenericValue::Named)
    ];
    vec(
        (text(), value).prop_map(|(kind, value)| GenericResource { kind, value }),
        0..3,
    )
}
pub fn resources() -> impl Strategy<Value = Resources> {
    (any::<i64>(), any::<i64>()).prop_map(|(nano_cpus, memory_bytes)| Resources {
        nano_cpus,
        memory_bytes,
    })
}
fn platform() -> impl Strategy<Value = Platform> {
    (text(), text()).prop_map(|(architecture, os)| Platform { architecture, os })
}

pub fn task_spec() -> BoxedStrategy<TaskSpec> {
    let limits =
        (any::<i64>(), any::<i64>(), any::<i64>()).prop_map(|(nano_cpus, memory_bytes, pids)| {
            Limits {
                nano_cpus,
                memory_bytes,
                pids,
            }
        });
    let requirements =
        (of(limits), of(resources()), generic()).prop_map(|(limits, reservations, generic)| {
            ResourceRequirements {
                limits,
                reservations,
                generic,
            }
        });
    let condition = prop_oneof![
        Just(RestartCondition::None),
        Just(RestartCondition::OnFailure),
        Just(RestartCondition::Any)
    ];
    let restart = (condition, of(duration()), any::<u64>(), duration()).prop_map(
        |(condition, delay, max_attempts, window)| RestartPolicy {
            condition,
            delay,
            max_attempts,
            window,
        },
    );
    let placement = (texts(), texts(), any::<u64>(), vec(platform(), 0..3)).prop_map(
        |(constraints, preferences, max_replicas, platforms)| Placement {
            constraints,
            preferences,
            max_replicas,
            platforms,
        },
    );
    let network =
        (text(), texts()).prop_map(|(target, aliases)| NetworkAttachment { target, aliases });
    (
        container_spec(),
        of(requirements),
        of(restart),
        of(placement),
        vec(network, 0..3),
        of(driver()),
        any::<u64>(),
        text(),
    )
        .prop_map(
            |(
                container,
                resources,
                restart,
                placement,
                networks,
                log_driver,
                force_update,
                runtime,
            )| {
                TaskSpec {
                    container,
                    resources,
                    restart,
                    placement,
                    networks,
                    log_driver,
                    force_update,
                    runtime,
                }
            },
        )
        .boxed()
}

fn update_config() -> BoxedStrategy<UpdateConfig> {
    let action = prop_oneof![
        Just(FailureAction::Pause),
        Just(FailureAction::Continue),
        Just(FailureAction::Rollback)
    ];
    (
        any::<u64>(),
        duration(),
        action,
        of(duration()),
        0.0..1.0_f32,
        order(),
    )
        .prop_map(
            |(parallelism, delay, failure_action, monitor, max_failure_ratio, order)| {
                UpdateConfig {
                    parallelism,
                    delay,
                    failure_action,
                    monitor,
                    max_failure_ratio,
                    order,
                }
            },
        )
        .boxed()
}
pub fn order() -> impl Strategy<Value = UpdateOrder> {
    prop_oneof![Just(UpdateOrder::StopFirst), Just(UpdateOrder::StartFirst)]
}
fn endpoint() -> impl Strategy<Value = EndpointSpec> {
    let mode = prop_oneof![Just(EndpointMode::Vip), Just(EndpointMode::DnsRr)];
    of(mode).prop_map(|mode| EndpointSpec { mode })
}

pub fn mode() -> impl Strategy<Value = Mode> {
    let number = || of(any::<u64>());
    prop_oneof![
        number().prop_map(|replicas| Mode::Replicated { replicas }),
        Just(Mode::Global),
        (number(), number()).prop_map(|(max_concurrent, total_completions)| {
            Mode::ReplicatedJob {
                max_concurrent,
                total_completions,
            }
        }),
        Just(Mode::GlobalJob),
    ]
}
pub fn registry_auth() -> impl Strategy<Value = RegistryAuth> {
    text().prop_map(RegistryAuth)
}

pub fn service_spec() -> BoxedStrategy<ServiceSpec> {
    let first = (
        text(),
        labels(),
        task_spec(),
        mode(),
        of(update_config()),
        of(update_config()),
        of(endpoint()),
    );
    let second = (
        of(registry_auth()),
        of(duration()),
        of(any::<u64>()),
        any::<bool>(),
    );
    (first, second)
        .prop_map(|(a, b)| ServiceSpec {
            name: a.0,
            labels: a.1,
            task: Arc::new(a.2),
            mode: a.3,
            update: a.4,
            rollback: a.5,
            endpoint: a.6,
            registry_auth: b.0,
            progress_deadline: b.1,
            stopped: b.2,
            auto_rebalance: b.3,
        })
        .boxed()
}

pub fn update_status() -> BoxedStrategy<UpdateStatus> {
    let state = prop_oneof![
        Just(UpdateState::Updating),
        Just(UpdateState::Paused),
        Just(UpdateState::Completed),
        Just(UpdateState::RollbackStarted),
        Just(UpdateState::RollbackPaused),
        Just(UpdateState::RollbackCompleted)
    ];
    (
        state,
        of(time()),
        of(time()),
        text(),
        any::<u64>(),
        any::<u64>(),
        of(time()),
        of(time()),
    )
        .prop_map(|s| UpdateStatus {
            state: s.0,
            started_at: s.1,
            completed_at: s.2,
            message: s.3,
            total_slots: s.4,
            failures: s.5,
            replaced_at: s.6,
            progressed_at: s.7,
        })
        .boxed()
}

pub fn cause() -> impl Strategy<Value = RevisionCause> {
    prop_oneof![
        Just(RevisionCause::Create),
        Just(RevisionCause::Update),
        any::<u64>().prop_map(RevisionCause::Rollback),
        Just(RevisionCause::FailedUpdate)
    ]
}

/// Histories with specs of their own, and with those of the service.
pub fn service() -> BoxedStrategy<Service> {
    let revision = (any::<u64>(), service_spec(), time(), cause()).prop_map(
        |(number, spec, created_at, cause)| Revision {
            number,
            spec: Arc::new(spec),
            created_at,
            cause,
        },
    );
    let job = (any::<u64>(), time()).prop_map(|(iteration, last_execution)| JobStatus {
        iteration,
        last_execution,
    });
    let rest = (vec((revision, 0..3_u8), 0..3), of(job));
    (
        id(),
        meta(),
        service_spec(),
        of(service_spec()),
        any::<u64>(),
        of(update_status()),
        rest,
    )
        .prop_map(
            |(id, meta, spec, previous, spec_version, update_status, (history, job))| {
                let spec = Arc::new(spec);
                let previous_spec = previous.map(Arc::new);
                let share = |(mut revision, share): (Revision, u8)| {
                    match (share, &previous_spec) {
                        (1, _) => revision.spec = Arc::clone(&spec),
                        (2, Some(previous)) => revision.spec = Arc::clone(previous),
                        _ => {}
                    }
                    revision
                };
                Service {
                    id,
                    meta,
                    history: history.into_iter().map(share).collect(),
                    spec,
                    previous_spec,
                    spec_version,
                    update_status,
                    job,
                }
            },
        )
        .boxed()
}

pub fn desired() -> impl Strategy<Value = DesiredState> {
    prop_oneof![
        Just(DesiredState::Ready),
        Just(DesiredState::Running),
        Just(DesiredState::Complete),
        Just(DesiredState::Shutdown),
        Just(DesiredState::Remove)
    ]
}
pub fn task_status() -> BoxedStrategy<TaskStatus> {
    let container = (text(), any::<i64>(), any::<i64>())
        .prop_map(|(id, pid, exit_code)| ContainerStatus { id, pid, exit_code });
    (
        proptest::sample::select(&TaskState::ALL),
        time(),
        time(),
        text(),
        text(),
        of(container),
    )
        .prop_map(
            |(state, timestamp, applied_at, message, error, container)| TaskStatus {
                state,
                timestamp,
                applied_at,
                message,
                error,
                container,
            },
        )
        .boxed()
}
pub fn replace_reason() -> impl Strategy<Value = ReplaceReason> {
    prop_oneof![Just(ReplaceReason::Restart), Just(ReplaceReason::Rebalance)]
}
pub fn task() -> BoxedStrategy<Task> {
    let first = (
        id(),
        meta(),
        id(),
        any::<u64>(),
        task_spec(),
        any::<u64>(),
        text(),
        labels(),
    );
    let second = (
        of(endpoint()),
        of(id()),
        desired(),
        of(time()),
        vec(time(), 0..3),
        task_status(),
        of(time()),
        any::<bool>(),
    );
    let third = (generic(), of(any::<u64>()), of(replace_reason()));
    (first, second, third)
        .prop_map(|(a, b, c)| Task {
            id: a.0,
            meta: a.1,
            service: a.2,
            slot: a.3,
            spec: Arc::new(a.4),
            spec_version: a.5,
            service_name: a.6.into(),
            service_labels: Arc::new(a.7),
            endpoint: b.0,
            node: b.1,
            desired: b.2,
            start_after: b.3,
            restarts: b.4,
            status: b.5,
            running_at: b.6,
            failure_counted: b.7,
            generic: c.0,
            job_iteration: c.1,
            replace: c.2,
        })
        .boxed()
}

pub fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Worker), Just(Role::Manager)]
}
pub fn node_spec() -> BoxedStrategy<NodeSpec> {
    let drain =
        (any::<u64>(), order()).prop_map(|(parallelism, order)| DrainConfig { parallelism, order });
    (text(), labels(), role(), availability(), of(drain))
        .prop_map(|(name, labels, role, availability, drain)| NodeSpec {
            name,
            labels,
            role,
            availability,
            drain,
        })
        .boxed()
}
pub fn availability() -> impl Strategy<Value = Availability> {
    prop_oneof![
        Just(Availability::Active),
        Just(Availability::Pause),
        Just(Availability::Drain)
    ]
}
pub fn description() -> BoxedStrategy<NodeDescription> {
    (
        text(),
        platform(),
        resources(),
        text(),
        labels(),
        generic(),
        any::<bool>(),
    )
        .prop_map(|d| NodeDescription {
            hostname: d.0,
            platform: d.1,
            resources: d.2,
            engine_version: d.3,
            engine_labels: d.4,
            generic: d.5,
            allows_privileged: d.6,
        })
        .boxed()
}
pub fn node_status() -> BoxedStrategy<NodeStatus> {
    let state = prop_oneof![
        Just(NodeState::Unknown),
        Just(NodeState::Down),
        Just(NodeState::Ready),
        Just(NodeState::Disconnected)
    ];
    (state, text(), text(), time())
        .prop_map(|(state, message, addr, since)| NodeStatus {
            state,
            message,
            addr,
            since,
        })
        .boxed()
}
pub fn manager_status() -> impl Strategy<Value = ManagerStatus> {
    (any::<u64>(), text()).prop_map(|(raft_id, addr)| ManagerStatus { raft_id, addr })
}
pub fn node() -> BoxedStrategy<Node> {
    (
        id(),
        meta(),
        node_spec(),
        role(),
        of(description()),
        node_status(),
        of(manager_status()),
    )
        .prop_map(
            |(id, meta, spec, role, description, status, manager)| Node {
                id,
                meta,
                spec,
                role,
                description,
                status,
                manager,
            },
        )
        .boxed()
}

pub fn cluster_spec() -> BoxedStrategy<ClusterSpec> {
    let numbers = any::<[u64; 5]>();
    (
        text(),
        labels(),
        any::<i64>(),
        numbers,
        of(driver()),
        duration(),
        duration(),
    )
        .prop_map(
            |(name, labels, history, numbers, log_driver, heartbeat_period, node_cert_expiry)| {
                ClusterSpec {
                    name,
                    labels,
                    task_history_limit: history,
                    snapshot_interval: numbers[0],
                    keep_old_snapshots: numbers[1],
                    log_entries_for_slow_followers: numbers[2],
                    election_tick: numbers[3],
                    heartbeat_tick: numbers[4],
                    log_driver,
                    heartbeat_period,
                    node_cert_expiry,
                }
            },
        )
        .boxed()
}
pub fn cluster() -> BoxedStrategy<Cluster> {
    (
        id(),
        meta(),
        cluster_spec(),
        any_ca(),
        text(),
        text(),
        tokens(),
    )
        .prop_map(
            |(id, meta, spec, (cert_pem, key_pem), worker, manager, tokens)| Cluster {
                id,
                meta,
                spec,
                ca: RootCa { cert_pem, key_pem },
                worker_token: JoinSecret(worker),
                manager_token: JoinSecret(manager),
                tokens,
            },
        )
        .boxed()
}
fn any_ca() -> impl Strategy<Value = (String, String)> {
    (text(), text())
}
pub fn tokens() -> impl Strategy<Value = Vec<LabelledToken>> {
    let token =
        (text(), role(), labels(), text()).prop_map(|(name, role, labels, secret)| LabelledToken {
            name,
            role,
            labels,
            secret: JoinSecret(secret),
        });
    vec(token, 0..3)
}

pub fn payload_kind() -> impl Strategy<Value = PayloadKind> {
    prop_oneof![Just(PayloadKind::Secret), Just(PayloadKind::Config)]
}
pub fn payload_spec() -> BoxedStrategy<PayloadSpec> {
    (
        text(),
        labels(),
        vec(any::<u8>(), 0..9),
        of(driver()),
        of(driver()),
    )
        .prop_map(|(name, labels, data, driver, templating)| PayloadSpec {
            name,
            labels,
            data: PayloadData(data.into()),
            driver,
            templating,
        })
        .boxed()
}
pub fn payload() -> BoxedStrategy<Payload> {
    (id(), payload_kind(), meta(), payload_spec())
        .prop_map(|(id, kind, meta, spec)| Payload {
            id,
            kind,
            meta,
            spec: Arc::new(spec),
        })
        .boxed()
}
