//! Health checks in real containers.

use crate::support::{Host, eventually, in_time};
use engine::{ContainerAction, ContainerConfig, HealthConfig, HealthStatus, Phase};
use std::time::Duration;

/// Short enough for a test, long enough for a busy machine to run a shell.
const INTERVAL: Duration = Duration::from_millis(100);

fn checked(host: &Host, name: &str, check: &str, script: &str) -> ContainerConfig {
    ContainerConfig {
        healthcheck: Some(HealthConfig {
            test: vec!["CMD-SHELL".into(), check.into()],
            interval: INTERVAL,
            retries: 2,
            ..HealthConfig::default()
        }),
        ..host.shell(name, script)
    }
}

async fn started(host: &Host, config: ContainerConfig) -> String {
    let id = host.engine().create(config).await.unwrap();
    host.engine().start(&id).await.unwrap();
    id
}

fn status(host: &Host, id: &str) -> Option<HealthStatus> {
    let view = host.engine().inspect(id).unwrap();
    view.state.health.map(|health| health.status)
}

#[tokio::test]
async fn a_check_says_how_it_is_and_how_it_gets() {
    let host = Host::new().await;
    let mut events = host.engine().events();
    let check = "test $MINE = 1 && cat /state";
    let mut config = checked(&host, "a", check, "exec sleep 1000");
    config.env = vec!["MINE=1".into()];
    let state = host.path("state");
    std::fs::create_dir(&state).unwrap();
    config.mounts = vec![engine::MountConfig {
        target: "/mnt".into(),
        read_only: true,
        kind: engine::MountKind::Bind {
            source: state.clone(),
            propagation: String::new(),
            recursive: true,
            create_source: false,
            recursion: engine::ReadOnlyRecursion::IfPossible,
        },
    }];
    config.healthcheck.as_mut().unwrap().test[1] = "test $MINE = 1 && cat /mnt/ok".into();
    std::fs::write(state.join("ok"), "fine\n").unwrap();
    let id = started(&host, config).await;
    assert_eq!(status(&host, &id), Some(HealthStatus::Starting));
    eventually("healthy", || {
        status(&host, &id) == Some(HealthStatus::Healthy)
    })
    .await;
    let health = host.engine().inspect(&id).unwrap().state.health.unwrap();
    let last = health.log.back().unwrap();
    assert_eq!((last.exit_code, last.output.as_str()), (0, "fine\n"));
    assert!(last.end >= last.start);
    std::fs::remove_file(state.join("ok")).unwrap();
    eventually("unhealthy", || {
        status(&host, &id) == Some(HealthStatus::Unhealthy)
    })
    .await;
    let health = host.engine().inspect(&id).unwrap().state.health.unwrap();
    assert!(health.failing_streak >= 2 && health.log.len() <= 5);
    let last = health.log.back().unwrap();
    assert!(last.output.contains("No such file"), "{last:?}");
    let expected = [
        ContainerAction::Create,
        ContainerAction::Start,
        ContainerAction::Health { healthy: true },
        ContainerAction::Health { healthy: false },
    ];
    for action in expected {
        let event = in_time("an event", events.recv()).await.unwrap();
        assert_eq!(event.action, action);
    }
}

#[tokio::test]
async fn a_check_that_takes_too_long_or_cannot_run_has_failed() {
    let host = Host::new().await;
    let mut slow = checked(&host, "slow", "echo begun; sleep 1000", "exec sleep 1000");
    slow.healthcheck.as_mut().unwrap().timeout = INTERVAL;
    let slow = started(&host, slow).await;
    let mut missing = checked(&host, "missing", "", "exec sleep 1000");
    missing.healthcheck.as_mut().unwrap().test = vec!["CMD".into(), "/nothing".into()];
    let missing = started(&host, missing).await;
    for (id, text) in [(&slow, "exceeded timeout (100ms)"), (&missing, "/nothing")] {
        eventually("unhealthy", || {
            status(&host, id) == Some(HealthStatus::Unhealthy)
        })
        .await;
        let health = host.engine().inspect(id).unwrap().state.health.unwrap();
        let last = health.log.back().unwrap();
        assert!(last.output.contains(text), "{last:?}");
        assert_ne!(last.exit_code, 0);
    }
}

#[tokio::test]
async fn the_check_goes_on_after_a_restart_of_the_daemon() {
    let mut host = Host::new().await;
    let check = "echo x >> /count; test $(wc -l < /count) -lt 1000000";
    let id = started(&host, checked(&host, "a", check, "exec sleep 1000")).await;
    eventually("healthy", || {
        status(&host, &id) == Some(HealthStatus::Healthy)
    })
    .await;
    host.close();
    host.open().await;
    assert_eq!(status(&host, &id), Some(HealthStatus::Healthy));
    let log = |host: &Host| {
        let health = host.engine().inspect(&id).unwrap().state.health.unwrap();
        health.log.back().map(|last| last.start)
    };
    let before = log(&host);
    eventually("another probe", || log(&host) > before).await;
    in_time("the stop", host.engine().stop(&id, Some(Duration::ZERO)))
        .await
        .unwrap();
    let state = host.engine().inspect(&id).unwrap().state;
    assert_eq!(state.phase, Phase::Exited);
    assert_eq!(state.health.unwrap().status, HealthStatus::Healthy);
}

#[tokio::test]
async fn the_images_check_is_inherited_or_switched_off() {
    let host = Host::new().await;
    let check = "HEALTHCHECK --interval=100ms CMD test -e /etc/passwd";
    host.import("with-check:1", &[check]).await;
    let mut config = host.shell("a", "exec sleep 1000");
    config.image = "with-check:1".into();
    let inherits = started(&host, config.clone()).await;
    config.name = "b".into();
    config.healthcheck = Some(HealthConfig {
        test: vec!["NONE".into()],
        ..HealthConfig::default()
    });
    let none = started(&host, config).await;
    eventually("healthy", || {
        status(&host, &inherits) == Some(HealthStatus::Healthy)
    })
    .await;
    assert_eq!(status(&host, &none), None);
}
