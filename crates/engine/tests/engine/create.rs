//! Making containers, and refusing to.

use crate::support::Host;
use engine::{
    ContainerConfig, DnsConfig, MountConfig, MountKind, Phase, ReadOnlyRecursion, ResourceConfig,
    UlimitConfig,
};
use std::path::Path;

fn bind(source: &Path, target: &str, create_source: bool) -> MountConfig {
    MountConfig {
        target: target.into(),
        read_only: true,
        kind: MountKind::Bind {
            source: source.into(),
            propagation: String::new(),
            recursive: true,
            create_source,
            recursion: ReadOnlyRecursion::IfPossible,
        },
    }
}

#[tokio::test]
async fn a_container_is_what_was_asked_for() {
    let host = Host::new().await;
    std::fs::write(host.path("shared"), "from the host\n").unwrap();
    let script = "hostname; pwd; id -u; echo $FROM $MINE; cat /shared /etc/hostname; \
        grep extra /etc/hosts; grep nameserver /etc/resolv.conf; \
        echo no > /shared || echo read-only; grep -c . /proc/net/dev; echo err >&2";
    let config = ContainerConfig {
        env: vec!["MINE=asked".into()],
        working_dir: "/srv/new".into(),
        user: "7:8".into(),
        hostname: "inside".into(),
        mounts: vec![bind(&host.path("shared"), "/shared", false)],
        extra_hosts: vec!["10.9.9.9 extra".into()],
        dns: DnsConfig {
            nameservers: vec!["10.9.9.53".into()],
            ..DnsConfig::default()
        },
        resources: ResourceConfig {
            memory_bytes: 64 << 20,
            ..ResourceConfig::default()
        },
        ..host.shell("all", script)
    };
    let (state, output) = host.run(config).await;
    assert_eq!(
        (state.phase, state.exit_code),
        (Phase::Exited, 0),
        "{output}"
    );
    let lines: Vec<&str> = output
        .lines()
        .filter(|l| !l.contains("can't create") && *l != "err")
        .collect();
    // The two streams have no order between them.
    assert!(output.lines().any(|line| line == "err"), "{output}");
    let expected = [
        "inside",
        "/srv/new",
        "7",
        "image asked",
        "from the host",
        "inside",
        "10.9.9.9\textra",
        "nameserver 10.9.9.53",
        "read-only",
        "3",
    ];
    assert_eq!(lines, expected);
    let view = host.engine().inspect("all").unwrap();
    assert_eq!(view.record.process.labels["of"], "image");
    assert!(view.state.started_at > 0 && view.state.finished_at >= view.state.started_at);
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_leaves_nothing() {
    let host = Host::new().await;
    let engine = host.engine();
    let missing = host.path("missing");
    let ulimit = UlimitConfig {
        name: "nofile".into(),
        soft: 2_000_000_000,
        hard: 2_000_000_000,
    };
    let base = || host.shell("x", "true");
    let cases = [
        (
            ContainerConfig { image: "nothere:1".into(), ..base() },
            "No such image: nothere:1".to_owned(),
        ),
        (
            ContainerConfig { mounts: vec![bind(&missing, "/x", false)], ..base() },
            format!(
                "invalid mount config for type \"bind\": bind source path does not exist: {}",
                missing.display()
            ),
        ),
        (
            ContainerConfig { mounts: vec![bind(&missing, "x", false)], ..base() },
            "invalid mount config for type \"bind\": invalid mount path: 'x' must be absolute and not '/'".into(),
        ),
        (
            ContainerConfig { stop_signal: "NOPE".into(), ..base() },
            "invalid signal: NOPE".into(),
        ),
        (
            ContainerConfig { ulimits: vec![ulimit], ..base() },
            "hard limit".into(),
        ),
        (
            ContainerConfig {
                mounts: vec![bind(Path::new("/bin"), "/a/../x", false), bind(Path::new("/bin"), "/x/", false)],
                ..base()
            },
            "Duplicate mount point: /x".into(),
        ),
        (
            ContainerConfig { mounts: vec![bind(Path::new("/bin"), "/x/..", false)], ..base() },
            "invalid mount path: '/' must be absolute and not '/'".into(),
        ),
        (
            ContainerConfig { cap_drop: vec!["ALL".into(), "CAP_FLY".into()], ..base() },
            "unknown capability: \"CAP_FLY\"".into(),
        ),
        (
            ContainerConfig { sysctls: [("kernel.panic".into(), "1".into())].into(), ..base() },
            "sysctl \"kernel.panic\" is not in a separate kernel namespace".into(),
        ),
        (
            ContainerConfig { working_dir: "srv".into(), ..base() },
            "the working directory 'srv' is invalid, it needs to be an absolute path".into(),
        ),
        (
            ContainerConfig { hostname: "x".repeat(65), ..base() },
            "invalid hostname".into(),
        ),
    ];
    let may_raise = std::fs::read_to_string("/proc/self/status")
        .unwrap()
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:\t"))
        .is_some_and(|caps| u64::from_str_radix(caps, 16).unwrap() & (1 << 24) != 0);
    for (config, expected) in cases {
        if may_raise && !config.ulimits.is_empty() {
            continue;
        }
        let error = engine.create(config).await.unwrap_err();
        assert!(error.to_string().contains(&expected), "{error}");
        assert!(error.is_permanent());
    }
    assert!(engine.list().is_empty());
    assert!(host.names_in("containers").is_empty());
    assert!(host.names_in("rootfs").is_empty());
    // The name is free again, and a source is made when that is asked for.
    let config = ContainerConfig {
        mounts: vec![bind(&missing, "/x", true)],
        ..base()
    };
    engine.create(config).await.unwrap();
    assert!(missing.is_dir());
}

#[tokio::test]
async fn names_are_unique_and_containers_are_found_by_them() {
    let host = Host::new().await;
    let engine = host.engine();
    let id = engine.create(host.shell("web", "true")).await.unwrap();
    let error = engine.create(host.shell("web", "true")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "Conflict. The container name \"/web\" is already in use by container \"{id}\". You have to remove \
             (or rename) that container to be able to reuse that name."
        )
    );
    for reference in ["web", "/web", &id, &id[..12]] {
        assert_eq!(
            engine.inspect(reference).unwrap().record.id,
            id,
            "{reference}"
        );
    }
    let error = engine.inspect("nope").unwrap_err();
    assert_eq!(error.to_string(), "No such container: nope");
    let image = engine.images().inspect(crate::support::IMAGE).unwrap();
    let users = engine.users_of(&image.id);
    assert_eq!((users.len(), users[0].running), (1, false));
}
