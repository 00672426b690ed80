//! Values of every type of the model, for the round-trip tests. Lists are short: what matters is each field and
//! each variant.
#![allow(missing_docs, unreachable_pub)]

use model::change::RequestId;
use model::cluster::{JoinSecret, RootCa};
use model::container::{
    BindOptions, DnsConfig, Mount, MountKind, Privileges, TmpfsOptions, Ulimit,
};
use model::node::ManagerStatus;
use model::service::{
    EndpointMode, EndpointSpec, FailureAction, Mode, UpdateConfig, UpdateOrder, UpdateState,
};
use model::task::{
    ContainerStatus, Limits, LogDriver, NetworkAttachment, Placement, Platform,
    ResourceRequirements, Resources, RestartCondition, RestartPolicy,
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

fn mount() -> BoxedStrategy<Mount> {
    let bind = of((text(), any::<bool>(), any::<bool>()).prop_map(
        |(propagation, non_recursive, create_mountpoint)| BindOptions {
            propagation,
            non_recursive,
            create_mountpoint,
        },
    ));
    let tmpfs = of((any::<i64>(), any::<u32>())
        .prop_map(|(size_bytes, mode)| TmpfsOptions { size_bytes, mode }));
    let kind = prop_oneof![
        bind.prop_map(MountKind::Bind),
        tmpfs.prop_map(MountKind::Tmpfs)
    ];
    (kind, text(), text(), any::<bool>(), text())
        .prop_map(|(kind, source, target, read_only, consistency)| Mount {
            kind,
            source,
            target,
            read_only,
            consistency,
        })
        .boxed()
}

fn container_spec() -> BoxedStrategy<ContainerSpec> {
    let dns = (texts(), texts(), texts()).prop_map(|(nameservers, search, options)| DnsConfig {
        nameservers,
        search,
        options,
    });
    let ulimit = (text(), any::<i64>(), any::<i64>()).prop_map(|(name, soft, hard)| Ulimit {
        name,
        soft,
        hard,
    });
    let first = (
        text(),
        labels(),
        texts(),
        texts(),
        text(),
        texts(),
        text(),
        text(),
        texts(),
    );
    let second = (
        text(),
        of(duration()),
        any::<bool>(),
        vec(mount(), 0..3),
        of(any::<bool>()),
        texts(),
        of(dns),
        text(),
        labels(),
    );
    let third = (
        texts(),
        texts(),
        vec(ulimit, 0..3),
        any::<i64>(),
        of(any::<bool>().prop_map(|no_new_privileges| Privileges { no_new_privileges })),
    );
    (first, second, third)
        .prop_map(|(a, b, c)| ContainerSpec {
            image: a.0,
            labels: a.1,
            command: a.2,
            args: a.3,
            hostname: a.4,
            env: a.5,
            dir: a.6,
            user: a.7,
            groups: a.8,
            stop_signal: b.0,
            stop_grace_period: b.1,
            read_only: b.2,
            mounts: b.3,
            init: b.4,
            hosts: b.5,
            dns: b.6,
            isolation: b.7,
            sysctls: b.8,
            cap_add: c.0,
            cap_drop: c.1,
            ulimits: c.2,
            oom_score_adj: c.3,
            privileges: c.4,
        })
        .boxed()
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
        (of(limits), of(resources())).prop_map(|(limits, reservations)| ResourceRequirements {
            limits,
            reservations,
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
    let placement = (texts(), any::<u64>(), vec(platform(), 0..3)).prop_map(
        |(constraints, max_replicas, platforms)| Placement {
            constraints,
            max_replicas,
            platforms,
        },
    );
    let network =
        (text(), texts()).prop_map(|(target, aliases)| NetworkAttachment { target, aliases });
    let driver = (text(), labels()).prop_map(|(name, options)| LogDriver { name, options });
    (
        container_spec(),
        of(requirements),
        of(restart),
        of(placement),
        vec(network, 0..3),
        of(driver),
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
    let action = prop_oneof![Just(FailureAction::Pause), Just(FailureAction::Continue)];
    let order = prop_oneof![Just(UpdateOrder::StopFirst), Just(UpdateOrder::StartFirst)];
    (
        any::<u64>(),
        duration(),
        action,
        of(duration()),
        0.0..1.0_f32,
        order,
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
fn endpoint() -> impl Strategy<Value = EndpointSpec> {
    let mode = prop_oneof![Just(EndpointMode::Vip), Just(EndpointMode::DnsRr)];
    of(mode).prop_map(|mode| EndpointSpec { mode })
}

pub fn service_spec() -> BoxedStrategy<ServiceSpec> {
    (
        text(),
        labels(),
        task_spec(),
        of(any::<u64>()),
        of(update_config()),
        of(update_config()),
        of(endpoint()),
    )
        .prop_map(
            |(name, labels, task, replicas, update, rollback, endpoint)| ServiceSpec {
                name,
                labels,
                task: Arc::new(task),
                mode: Mode::Replicated { replicas },
                update,
                rollback,
                endpoint,
            },
        )
        .boxed()
}

pub fn update_status() -> BoxedStrategy<UpdateStatus> {
    let state = prop_oneof![
        Just(UpdateState::Updating),
        Just(UpdateState::Paused),
        Just(UpdateState::Completed)
    ];
    (
        state,
        of(time()),
        of(time()),
        text(),
        any::<u64>(),
        any::<u64>(),
        of(time()),
    )
        .prop_map(
            |(state, started_at, completed_at, message, total_slots, failures, replaced_at)| {
                UpdateStatus {
                    state,
                    started_at,
                    completed_at,
                    message,
                    total_slots,
                    failures,
                    replaced_at,
                }
            },
        )
        .boxed()
}

pub fn service() -> BoxedStrategy<Service> {
    (
        id(),
        meta(),
        service_spec(),
        of(service_spec()),
        any::<u64>(),
        of(update_status()),
    )
        .prop_map(
            |(id, meta, spec, previous, spec_version, update_status)| Service {
                id,
                meta,
                spec: Arc::new(spec),
                previous_spec: previous.map(Arc::new),
                spec_version,
                update_status,
            },
        )
        .boxed()
}

pub fn desired() -> impl Strategy<Value = DesiredState> {
    prop_oneof![
        Just(DesiredState::Ready),
        Just(DesiredState::Running),
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
    (first, second)
        .prop_map(|(a, b)| Task {
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
        })
        .boxed()
}

pub fn node_spec() -> BoxedStrategy<NodeSpec> {
    let role = prop_oneof![Just(Role::Worker), Just(Role::Manager)];
    (text(), labels(), role, availability())
        .prop_map(|(name, labels, role, availability)| NodeSpec {
            name,
            labels,
            role,
            availability,
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
    (text(), platform(), resources(), text(), labels())
        .prop_map(
            |(hostname, platform, resources, engine_version, engine_labels)| NodeDescription {
                hostname,
                platform,
                resources,
                engine_version,
                engine_labels,
            },
        )
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
        of(description()),
        node_status(),
        of(manager_status()),
    )
        .prop_map(|(id, meta, spec, description, status, manager)| Node {
            id,
            meta,
            spec,
            description,
            status,
            manager,
        })
        .boxed()
}

pub fn cluster_spec() -> BoxedStrategy<ClusterSpec> {
    (
        text(),
        labels(),
        any::<i64>(),
        any::<u64>(),
        any::<u64>(),
        duration(),
        duration(),
    )
        .prop_map(
            |(name, labels, history, interval, kept, heartbeat_period, node_cert_expiry)| {
                ClusterSpec {
                    name,
                    labels,
                    task_history_limit: history,
                    snapshot_interval: interval,
                    log_entries_for_slow_followers: kept,
                    heartbeat_period,
                    node_cert_expiry,
                }
            },
        )
        .boxed()
}
pub fn cluster() -> BoxedStrategy<Cluster> {
    (id(), meta(), cluster_spec(), text(), text(), text(), text())
        .prop_map(
            |(id, meta, spec, cert_pem, key_pem, worker, manager)| Cluster {
                id,
                meta,
                spec,
                ca: RootCa { cert_pem, key_pem },
                worker_token: JoinSecret(worker),
                manager_token: JoinSecret(manager),
            },
        )
        .boxed()
}
