use super::*;
use crate::container::{
    BindOptions, ContainerSpec, Device, DnsConfig, Healthcheck, Mount, MountKind, Privileges,
    SeccompOption, TmpfsOptions, Ulimit, VolumeOptions,
};
use crate::payload::{
    ConfigRef, FileTarget, PayloadData, PayloadKind, PayloadSpec, SecretEnv, SecretRef,
};
use crate::service::{Mode, ServiceSpec, UpdateConfig};
use crate::task::{
    GenericResource, GenericValue, Limits, NetworkAttachment, Placement, ResourceRequirements,
    Resources, TaskSpec,
};
use crate::{ClusterSpec, Driver, Labels, NodeSpec, PayloadId};
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
        check("update-maxfailureratio", |spec| {
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
            pids: -1,
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
    check_task("not there", |t| t.log_driver = driver("syslog", &[]));
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
fn texts_of_a_container() {
    check_container("image reference must be provided", |c| c.image.clear());
    for bad in ["", "=a", "a\0=b"] {
        check_container("invalid environment variable", |c| c.env = words(&[bad]));
    }
    check_container("", |c| c.env = words(&["A=1", "B", "C="]));
    check_container("absolute path", |c| c.dir = "here".into());
    check_container("zero byte", |c| c.args = words(&["a\0b"]));
    check_container("zero byte", |c| c.user = "a\0b".into());
    check_container("is not a group", |c| c.groups = words(&["a:b"]));
    check_container("", |c| c.groups = words(&["7", "wheel"]));
    for bad in ["a b", "a/b", &"x".repeat(65)] {
        check_container("invalid hostname format", |c| c.hostname = bad.into());
    }
    for good in ["", "SIGTERM", "term", "9", "SIGRTMIN+3", "RTMAX-2", "RTMIN"] {
        check_container("", |c| c.stop_signal = good.into());
    }
    for bad in ["SIGNOPE", "0", "65", "RTMIN+99", "RTMIN3", "-1", "é"] {
        check_container("invalid signal", |c| c.stop_signal = bad.into());
    }
    for bad in ["h", "1.2.3.4", "host 1.2.3.4", "1.2.3.4 a\n5.6.7.8 b"] {
        check_container("invalid extra host", |c| c.hosts = words(&[bad]));
    }
    check_container("", |c| c.hosts = words(&["1.2.3.4 a b", "::1 c"]));
    let dns = |servers: &[&str], search: &[&str], options: &[&str]| {
        Some(DnsConfig {
            nameservers: words(servers),
            search: words(search),
            options: words(options),
        })
    };
    check_container("", |c| {
        c.dns = dns(&["1.1.1.1", "::1"], &["example.com"], &["ndots:2"])
    });
    check_container("not an ip address", |c| c.dns = dns(&["one"], &[], &[]));
    check_container("DNS search domain", |c| c.dns = dns(&[], &["a b"], &[]));
    check_container("DNS option", |c| c.dns = dns(&[], &[], &[""]));
    for bad in [-1001, 1001] {
        check_container("range for oom score adj is [-1000, 1000]", |c| {
            c.oom_score_adj = bad
        });
    }
    check_container("has no key", |c| {
        c.labels = Labels::from([(String::new(), "x".into())])
    });
    check_container("custom takes a profile", |c| {
        c.privileges = Some(Privileges {
            seccomp: Some(SeccompOption::Custom(Vec::new())),
            ..Default::default()
        });
    });
}

#[test]
fn names_of_the_kernel() {
    check_container("", |c| {
        c.cap_add = words(&["CAP_NET_ADMIN", "net_raw", "ALL"])
    });
    for bad in ["CAP_NOPE", "", "CAP_", "CAP_ALL"] {
        check_container("invalid capability", |c| c.cap_drop = words(&[bad]));
    }
    let limit = |name: &str, soft, hard| {
        vec![Ulimit {
            name: name.into(),
            soft,
            hard,
        }]
    };
    check_container("", |c| c.ulimits = limit("nofile", 10, 20));
    check_container("", |c| c.ulimits = limit("memlock", -1, -1));
    check_container("", |c| c.ulimits = limit("core", 5, -1));
    check_container("invalid ulimit type: files", |c| {
        c.ulimits = limit("files", 1, 1)
    });
    check_container("less than or equal to hard limit: 20 > 10", |c| {
        c.ulimits = limit("nofile", 20, 10)
    });
    check_container("less than or equal to hard limit", |c| {
        c.ulimits = limit("nofile", -1, 10)
    });
    check_container("-1 for unlimited", |c| c.ulimits = limit("nofile", -2, 10));
    check_container("twice", |c| {
        c.ulimits = [limit("cpu", 1, 1), limit("cpu", 2, 2)].concat()
    });
    let sysctl = |name: &str| Labels::from([(name.to_owned(), "1".to_owned())]);
    for good in ["net.ipv4.ip_forward", "kernel.shmmax", "fs.mqueue.msg_max"] {
        check_container("", |c| c.sysctls = sysctl(good));
    }
    for bad in [
        "kernel.panic",
        "vm.swappiness",
        "net..x",
        "net.ipv4/ip_forward",
        "",
        "net.é x",
    ] {
        check_container("is not allowed", |c| c.sysctls = sysctl(bad));
    }
    check_task("not allowed in host network namespace", |t| {
        t.networks = vec![NetworkAttachment {
            target: crate::task::HOST_NETWORK.into(),
            aliases: Vec::new(),
        }];
        t.container.sysctls = sysctl("net.ipv4.ip_forward");
    });
}

#[test]
fn health_checks() {
    let health = |test: &[&str], interval: u64| {
        Some(Healthcheck {
            test: words(test),
            interval: Duration::from_nanos(interval),
            ..Default::default()
        })
    };
    for good in [
        &[][..],
        &["NONE"],
        &["CMD-SHELL", "true"],
        &["CMD", "a", "b"],
    ] {
        check_container("", |c| c.healthcheck = health(good, 1_000_000));
    }
    check_container("", |c| c.healthcheck = health(&["CMD", "a"], 0));
    check_container(
        "ContainerSpec: Interval in HealthConfig cannot be less than 1ms",
        |c| {
            c.healthcheck = health(&["CMD", "a"], 999_999);
        },
    );
    check_container(
        "ContainerSpec: StartInterval in HealthConfig cannot be less than 1ms",
        |c| {
            c.healthcheck = Some(Healthcheck {
                start_interval: Duration::from_nanos(1),
                ..Default::default()
            });
        },
    );
    check_container("Retries in HealthConfig cannot be negative", |c| {
        c.healthcheck = Some(Healthcheck {
            retries: u64::MAX,
            ..Default::default()
        });
    });
    for bad in [
        &["NONE", "x"][..],
        &["CMD"],
        &["CMD-SHELL"],
        &["CMD-SHELL", "a", "b"],
        &["curl"],
    ] {
        check_container("ealthcheck", |c| c.healthcheck = health(bad, 0));
    }
}

fn mount(kind: MountKind, source: &str, target: &str) -> Mount {
    Mount {
        kind,
        source: source.into(),
        target: target.into(),
        read_only: false,
        consistency: String::new(),
    }
}

#[test]
fn mounts_of_a_container() {
    let one = |kind, source: &'static str, target: &'static str| {
        move |c: &mut ContainerSpec| c.mounts = vec![mount(kind, source, target)]
    };
    check_container("", one(MountKind::Bind(None), "/a", "/b"));
    check_container("", one(MountKind::Volume(None), "data", "/b"));
    check_container("", one(MountKind::Volume(None), "", "/b"));
    check_container(
        "",
        one(
            MountKind::Volume(None),
            "{{.Service.Name}}-data",
            "/b/{{.Task.Slot}}",
        ),
    );
    check_container(
        "must be an absolute path: b",
        one(MountKind::Tmpfs(None), "", "b"),
    );
    check_container(
        "destination can't be '/'",
        one(MountKind::Tmpfs(None), "", "/"),
    );
    check_container("tmpfs", one(MountKind::Tmpfs(None), "x", "/b"));
    check_container(
        "invalid bind mount source",
        one(MountKind::Bind(None), "a", "/b"),
    );
    check_container(
        "must not be an absolute path",
        one(MountKind::Volume(None), "/a", "/b"),
    );
    check_container(
        "local volume name",
        one(MountKind::Volume(None), "a b", "/b"),
    );
    check_container(
        "expanding mounts failed",
        one(MountKind::Volume(None), "{{.Nope}}", "/b"),
    );
    check_container("ContainerSpec: duplicate mount point: /b", |c| {
        c.mounts = vec![
            mount(MountKind::Tmpfs(None), "", "/b"),
            mount(MountKind::Volume(None), "v1", "/b/"),
        ];
    });
    let bind = |options: BindOptions| MountKind::Bind(Some(options));
    let options = BindOptions::default;
    check_container(
        "propagation",
        one(
            bind(BindOptions {
                propagation: "odd".into(),
                ..options()
            }),
            "/a",
            "/b",
        ),
    );
    check_container(
        "need ReadOnly",
        one(
            bind(BindOptions {
                read_only_non_recursive: true,
                ..options()
            }),
            "/a",
            "/b",
        ),
    );
    for (first, second, third) in [
        (true, true, false),
        (false, true, true),
        (false, true, false),
    ] {
        let options = BindOptions {
            read_only_non_recursive: first,
            read_only_force_recursive: second,
            non_recursive: third,
            ..Default::default()
        };
        check_container("mount options conflict", |c| {
            let mut mount = mount(bind(options), "/a", "/b");
            mount.read_only = true;
            c.mounts = vec![mount];
        });
    }
    let volume = |subpath: &str, label: &str| {
        MountKind::Volume(Some(VolumeOptions {
            subpath: subpath.into(),
            labels: Labels::from([("a".into(), label.into())]),
            ..Default::default()
        }))
    };
    check_container("", one(volume("a/b", "{{.Node.ID}}"), "vol", "/b"));
    check_container(
        "relative path within the volume",
        one(volume("../b", ""), "vol", "/b"),
    );
    check_container("anonymous", one(volume("b", ""), "", "/b"));
    check_container(
        "expanding mounts failed",
        one(volume("", "{{"), "vol", "/b"),
    );
    let tmpfs = |options: TmpfsOptions| MountKind::Tmpfs(Some(options));
    check_container(
        "negative",
        one(
            tmpfs(TmpfsOptions {
                size_bytes: -1,
                ..Default::default()
            }),
            "",
            "/b",
        ),
    );
    check_container(
        "mode",
        one(
            tmpfs(TmpfsOptions {
                mode: 0o17777,
                ..Default::default()
            }),
            "",
            "/b",
        ),
    );
    for bad in [vec![], vec!["a".to_owned(); 3], vec!["a,b".to_owned()]] {
        let options = TmpfsOptions {
            options: vec![bad],
            ..Default::default()
        };
        check_container("tmpfs option", one(tmpfs(options), "", "/b"));
    }
}

#[test]
fn templates_are_those_that_nodes_know() {
    for good in [
        "plain{x}",
        "{{.Service.Name}}-{{ .Task.Slot }}",
        "{{index .Service.Labels \"a }} tier\"}}",
        "{{.Service.Labels.tier}}",
        "A={{- .Node.Platform.Architecture -}}",
        "{{if eq .Task.Slot 1}}first{{else if (gt .Task.Slot 7)}}last{{else}}{{printf `%03d` .Task.Slot | print}}{{end}}",
        "{{with .Service}}{{.Name}}{{end}}{{/* why }} */}}",
        "{{$n := .Node.Hostname}}{{range $k, $v := .Service.Labels}}{{$k}}{{.x}}{{end}}{{$n}}",
    ] {
        check_container("", |c| c.env = words(&[good]));
        check_container("", |c| c.hostname = good.into());
    }
    for bad in [
        "{{.Nope}}",
        "{{.Task.ID",
        "{{}}",
        "{{.Service.Labels.}}",
        "{{.Task.Slo}}",
        "{{index .Service.Labels tier}}",
        "{{env \"X\"}}",
        "{{\"open}}",
        "{{if .Task.ID}}",
        "{{end}}",
        "{{else}}",
        "{{.Task.ID ; }}",
        "{{é}}",
    ] {
        check_container("expanding env failed", |c| {
            c.env = words(&[&format!("A={bad}")]);
        });
        check_container("expanding hostname failed", |c| c.hostname = bad.into());
    }
}

fn file(name: &str) -> FileTarget {
    FileTarget {
        name: name.into(),
        uid: "0".into(),
        gid: "0".into(),
        mode: 0o444,
    }
}

#[test]
fn references_to_secrets_and_configs() {
    let secret = |id: &str, name: &str, file: FileTarget| SecretRef {
        id: PayloadId::from(id),
        name: name.into(),
        file,
    };
    let config = |id: &str, name: &str, file| ConfigRef {
        id: PayloadId::from(id),
        name: name.into(),
        file,
    };
    check_container("", |c| {
        c.secrets = vec![secret("i", "a", file("x")), secret("i", "a", file("y/z"))];
        c.configs = vec![config("j", "b", Some(file("x"))), config("k", "c", None)];
    });
    check_container("malformed secret reference", |c| {
        c.secrets = vec![secret("", "a", file("x"))]
    });
    check_container("malformed config reference", |c| {
        c.configs = vec![config("i", "", None)]
    });
    check_container(
        "malformed file secret reference, invalid target file name provided",
        |c| {
            c.secrets = vec![secret("i", "a", file(""))];
        },
    );
    check_container(
        "secret references 'a' and 'b' have a conflicting target: 'x'",
        |c| {
            c.secrets = vec![secret("i", "a", file("x")), secret("j", "b", file("x"))];
        },
    );
    check_container(
        "config references 'a' and 'b' have a conflicting target: '/x'",
        |c| {
            c.configs = vec![
                config("i", "a", Some(file("x"))),
                config("j", "b", Some(file("/x"))),
            ];
        },
    );
    for bad in ["../x", "a/", "/a/../b", "."] {
        check_container("is not the path of a file", |c| {
            c.secrets = vec![secret("i", "a", file(bad))]
        });
    }
    check_container("UID \"root\" is not a number", |c| {
        let file = FileTarget {
            uid: "root".into(),
            ..file("x")
        };
        c.secrets = vec![secret("i", "a", file)];
    });
    check_container("more than permission bits", |c| {
        let file = FileTarget {
            mode: 0o10000,
            ..file("x")
        };
        c.configs = vec![config("i", "a", Some(file))];
    });
    let variable = |secret: &str, name: &str| SecretEnv {
        id: PayloadId::from("i"),
        name: secret.into(),
        variable: name.into(),
    };
    check_container("", |c| c.secret_env = vec![variable("a", "_X1")]);
    check_container("malformed secret reference", |c| {
        c.secret_env = vec![variable("", "X")]
    });
    for bad in ["", "1X", "A-B", "A=B"] {
        check_container("not a name of a variable", |c| {
            c.secret_env = vec![variable("a", bad)]
        });
    }
    check_container("conflicting target", |c| {
        c.secret_env = vec![variable("a", "X"), variable("b", "X")]
    });
    check_container("is set in Env, too", |c| {
        c.env = words(&["X=1"]);
        c.secret_env = vec![variable("a", "X")];
    });
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
