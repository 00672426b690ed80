//! Services, clusters, nodes, payloads: what is refused, with which text.

mod container;

use super::*;
use crate::container::{ContainerSpec, Device};
use crate::payload::{PayloadData, PayloadKind, PayloadSpec};
use crate::service::{Mode, ServiceSpec, UpdateConfig};
use crate::task::{
    GenericResource, GenericValue, Limits, Placement, ResourceRequirements, Resources, TaskSpec,
};
use crate::{ClusterSpec, Driver, Labels, NodeSpec};
use std::sync::Arc;
use std::time::Duration;

fn good() -> ServiceSpec {
    let container = ContainerSpec {
        image: "busybox:1".into(),
        ..Default::default()
    };
    ServiceSpec {
        name: "web".into(),
        task: Arc::new(TaskSpec {
            container,
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// `change` makes a good spec one that is refused with a text that contains `text`, or a good one where that is empty.
#[track_caller]
fn check(text: &str, change: impl FnOnce(&mut ServiceSpec)) {
    let mut spec = good();
    change(&mut spec);
    match service(&spec) {
        Ok(()) => assert!(text.is_empty(), "accepted instead of {text:?}"),
        Err(Invalid(actual)) => assert!(
            !text.is_empty() && actual.contains(text),
            "{actual:?} instead of {text:?}"
        ),
    }
}

#[track_caller]
fn check_task(text: &str, change: impl FnOnce(&mut TaskSpec)) {
    check(text, |spec| change(Arc::make_mut(&mut spec.task)));
}

#[track_caller]
fn check_container(text: &str, change: impl FnOnce(&mut ContainerSpec)) {
    check_task(text, |task| change(&mut task.container));
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|w| (*w).to_owned()).collect()
}

#[test]
fn names_are_dns_labels() {
    for good in ["a", "web", "a-b", "a__b", "0x"] {
        assert_eq!(service_name(good), Ok(()), "{good}");
    }
    for bad in ["", "-a", "a-", "a.b", "a b", "é", &"x".repeat(64)] {
        assert!(service_name(bad).is_err(), "{bad}");
    }
    for good in ["a", "a.b", "st_s1", "a-_.b", &"x".repeat(64)] {
        assert_eq!(payload_name(good), Ok(()), "{good}");
    }
    for bad in ["", ".a", "a.", "a/b", "é", &"x".repeat(65)] {
        assert!(payload_name(bad).is_err(), "{bad}");
    }
}

#[test]
fn modes() {
    let job = |concurrent, total| Mode::ReplicatedJob {
        max_concurrent: concurrent,
        total_completions: total,
    };
    let set = |mode: Mode| move |spec: &mut ServiceSpec| spec.mode = mode;
    check("", set(Mode::Global));
    check("", set(job(None, None)));
    check("", set(job(Some(2), Some(7))));
    check("", set(Mode::Replicated { replicas: Some(0) }));
    let most = Some(u64::MAX);
    check(
        "Number of replicas must be non-negative",
        set(Mode::Replicated { replicas: most }),
    );
    check(
        "replicas must be at most",
        set(Mode::Replicated {
            replicas: Some(1_000_001),
        }),
    );
    check(
        "Maximum concurrent jobs must not be negative",
        set(job(most, None)),
    );
    check(
        "Total completed jobs must not be negative",
        set(job(None, most)),
    );
    check("at least 1", set(job(Some(0), Some(1))));
    check("at most", set(job(Some(1), Some(1 << 40))));
    check("Jobs may not have an update config", |spec| {
        spec.mode = Mode::GlobalJob;
        spec.update = Some(UpdateConfig::default());
    });
    check("Jobs may not have a rollback config", |spec| {
        spec.mode = job(None, None);
        spec.rollback = Some(UpdateConfig::default());
    });
    check(
        "replicas-max-per-node can only be used with replicated",
        |spec| {
            spec.mode = Mode::Global;
            Arc::make_mut(&mut spec.task).placement = Some(Placement {
                max_replicas: 1,
                ..Default::default()
            });
        },
    );
    for ratio in [-0.1, 1.1, f32::NAN] {
        let config = UpdateConfig {
            max_failure_ratio: ratio,
            ..Default::default()
        };
        check("update-maxfailureratio", |spec| {
            spec.update = Some(config.clone())
        });
        check("rollback-maxfailureratio", |spec| {
            spec.rollback = Some(config)
        });
    }
}

#[test]
fn additions_of_ours() {
    check("", |spec| {
        spec.progress_deadline = Some(Duration::from_secs(120))
    });
    check("at least 1s", |spec| {
        spec.progress_deadline = Some(Duration::from_nanos(120))
    });
    check("jobs are not updated", |spec| {
        spec.mode = Mode::GlobalJob;
        spec.progress_deadline = Some(Duration::from_secs(5));
    });
    check("only be used with replicated", |spec| {
        spec.mode = Mode::Global;
        spec.auto_rebalance = true;
    });
    check("a stopped service has 0 replicas", |spec| {
        spec.stopped = Some(3)
    });
    check("", |spec| {
        spec.mode = Mode::Replicated { replicas: Some(0) };
        spec.stopped = Some(3);
    });
    let device = |host: &str, inside: &str, permissions: &str| Device {
        host_path: host.into(),
        container_path: inside.into(),
        permissions: permissions.into(),
    };
    check_container("", |c| c.devices = vec![device("/dev/a", "/dev/b", "rw")]);
    check_container("not an absolute path", |c| {
        c.devices = vec![device("dev/a", "/dev/b", "r")]
    });
    check_container("not an absolute path", |c| {
        c.devices = vec![device("/dev/a", "/../b", "r")]
    });
    for bad in ["", "x", "rr"] {
        check_container("device permissions", |c| {
            c.devices = vec![device("/dev/a", "/dev/b", bad)]
        });
    }
    check_container("twice", |c| {
        c.devices = vec![
            device("/dev/a", "/dev/b", "r"),
            device("/dev/c", "/dev/b", "r"),
        ];
    });
}

#[test]
fn resources_and_placement() {
    let limits = |limits: Limits| ResourceRequirements {
        limits: Some(limits),
        ..Default::default()
    };
    let cpus = |nano_cpus| Limits {
        nano_cpus,
        ..Default::default()
    };
    for bad in [1, 999_999, -1] {
        check_task("Must be at least 0.001", |t| {
            t.resources = Some(limits(cpus(bad)))
        });
    }
    check_task("invalid memory value 4194303: Must be at least 4MiB", |t| {
        t.resources = Some(ResourceRequirements {
            reservations: Some(Resources {
                memory_bytes: (4 << 20) - 1,
                ..Default::default()
            }),
            ..Default::default()
        });
    });
    check_task("pids", |t| {
        t.resources = Some(limits(Limits {
            pids: -2,
            ..Default::default()
        }))
    });
    let generic = |values: Vec<(&str, GenericValue)>| {
        let generic = values.into_iter().map(|(kind, value)| GenericResource {
            kind: kind.into(),
            value,
        });
        Some(ResourceRequirements {
            generic: generic.collect(),
            ..Default::default()
        })
    };
    check_task("", |t| {
        t.resources = generic(vec![("gpu", GenericValue::Discrete(2))])
    });
    check_task("invalid argument for resource gpu", |t| {
        t.resources = generic(vec![("gpu", GenericValue::Named("a".into()))]);
    });
    check_task("at least 1", |t| {
        t.resources = generic(vec![("gpu", GenericValue::Discrete(0))])
    });
    check_task("Kind", |t| {
        t.resources = generic(vec![("", GenericValue::Discrete(1))])
    });
    check_task("twice", |t| {
        t.resources = generic(vec![
            ("gpu", GenericValue::Discrete(1)),
            ("gpu", GenericValue::Discrete(2)),
        ]);
    });
    let placement = |constraints: &[&str], preferences: &[&str]| {
        Some(Placement {
            constraints: words(constraints),
            preferences: words(preferences),
            ..Default::default()
        })
    };
    check_task("", |t| {
        t.placement = placement(
            &["node.role==manager"],
            &["node.labels.rack", "engine.labels.x"],
        )
    });
    check_task("operator", |t| t.placement = placement(&["node.role"], &[]));
    for bad in ["node.hostname", "node.labels.", ""] {
        check_task("placement preference", |t| {
            t.placement = placement(&[], &[bad])
        });
    }
    let driver = |name: &str, options: &[(&str, &str)]| {
        let options = options.iter().map(|(k, v)| ((*k).into(), (*v).into()));
        Some(Driver {
            name: name.into(),
            options: options.collect(),
        })
    };
    check_task("", |t| {
        t.log_driver = driver("json-file", &[("max-size", "10m"), ("max-file", "3")])
    });
    check_task("no log driver named", |t| {
        t.log_driver = driver("syslog", &[])
    });
    check_task("unknown log opt", |t| {
        t.log_driver = driver("", &[("colour", "red")])
    });
    for (option, bad) in [
        ("max-size", "ten"),
        ("max-size", "-5m"),
        ("max-file", "0"),
        ("max-size", "5x"),
    ] {
        check_task("invalid value", |t| {
            t.log_driver = driver("json-file", &[(option, bad)])
        });
    }
}

#[test]
fn payloads() {
    let spec = |bytes: usize| PayloadSpec {
        name: "a".into(),
        data: PayloadData(vec![0; bytes].into()),
        ..Default::default()
    };
    let text = |kind, spec: &PayloadSpec| payload(kind, spec).map_err(|e| e.0);
    assert_eq!(text(PayloadKind::Secret, &spec(1)), Ok(()));
    assert_eq!(text(PayloadKind::Config, &spec(600 * 1024)), Ok(()));
    let wrong = Err("secret data must be larger than 0 and less than 512000 bytes".to_owned());
    assert_eq!(text(PayloadKind::Secret, &spec(0)), wrong);
    assert_eq!(text(PayloadKind::Secret, &spec(512_000)), wrong);
    let other = Driver {
        name: "jinja".into(),
        ..Default::default()
    };
    let templating = PayloadSpec {
        templating: Some(other.clone()),
        ..spec(1)
    };
    assert!(payload(PayloadKind::Config, &templating).is_err());
    let driver = PayloadSpec {
        driver: Some(other),
        ..spec(1)
    };
    assert!(payload(PayloadKind::Secret, &driver).is_err());
}

#[test]
fn clusters_nodes_and_tokens() {
    let text = |change: fn(&mut ClusterSpec)| {
        let mut spec = ClusterSpec::default();
        change(&mut spec);
        cluster(&spec).map_err(|e| e.0).unwrap_err()
    };
    assert_eq!(cluster(&ClusterSpec::default()), Ok(()));
    assert_eq!(
        text(|s| s.name = "x".into()),
        r#"swarm spec must be named "default""#
    );
    assert_eq!(
        text(|s| s.node_cert_expiry = Duration::from_secs(3599)),
        "minimum certificate expiry time is: 1h0m0s"
    );
    assert!(text(|s| s.heartbeat_period = Duration::ZERO).contains("heartbeat"));
    assert!(text(|s| s.snapshot_interval = 0).contains("snapshot"));
    assert!(text(|s| s.election_tick = 1).contains("election tick"));
    assert!(
        text(|s| s.log_driver = Some(Driver {
            name: "gelf".into(),
            ..Default::default()
        }))
        .contains("gelf")
    );
    assert!(text(|s| s.labels = Labels::from([(String::new(), String::new())])).contains("no key"));
    let spec = NodeSpec {
        labels: Labels::from([(String::new(), "x".into())]),
        ..Default::default()
    };
    assert!(node(&spec).is_err() && node(&NodeSpec::default()).is_ok());
    assert!(token("rack1", &Labels::new()).is_ok() && token("a b", &Labels::new()).is_err());
}
