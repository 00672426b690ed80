//! Containers: texts, names of the kernel, health, mounts, templates, references.

use super::{check_container, check_task, words};
use crate::container::{
    BindOptions, ContainerSpec, DnsConfig, Healthcheck, Mount, MountKind, Privileges,
    SeccompOption, TmpfsOptions, Ulimit, VolumeOptions,
};
use crate::payload::{ConfigRef, FileTarget, SecretEnv, SecretRef};
use crate::task::NetworkAttachment;
use crate::{Labels, PayloadId};
use std::time::Duration;

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
        "MountPropagation",
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
