//! Starting, stopping, ending, removing.

use crate::support::{Host, in_time};
use engine::{ContainerAction, ContainerConfig, Phase, ResourceConfig, StopError};
use std::time::{Duration, Instant};

async fn started(host: &Host, config: ContainerConfig) -> String {
    let id = host.engine().create(config).await.unwrap();
    host.engine().start(&id).await.unwrap();
    id
}

#[tokio::test]
async fn a_life_is_told_in_events() {
    let host = Host::new().await;
    let engine = host.engine();
    let mut events = engine.events();
    let id = started(&host, host.shell("a", "exit 3")).await;
    let state = in_time("its end", engine.wait(&id)).await.unwrap();
    assert_eq!(state.exit_code, 3);
    engine.remove(&id, false).await.unwrap();
    let expected = [
        ContainerAction::Create,
        ContainerAction::Start,
        ContainerAction::Die { exit_code: 3 },
        ContainerAction::Destroy,
    ];
    for action in expected {
        let event = in_time("an event", events.recv()).await.unwrap();
        assert_eq!(
            (event.action, event.container.id.as_str()),
            (action, id.as_str())
        );
    }
    assert!(engine.inspect(&id).is_err());
    assert!(host.names_in("containers").is_empty());
}

#[tokio::test]
async fn a_stop_asks_first() {
    let host = Host::new().await;
    let engine = host.engine();
    let config = ContainerConfig {
        stop_signal: "INT".into(),
        ..host.shell(
            "a",
            "trap 'echo asked; exit 0' INT; echo up; while :; do sleep 0.05; done",
        )
    };
    let id = started(&host, config).await;
    while host.output(&id).await != "up\n" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    in_time("the stop", engine.stop(&id, None)).await.unwrap();
    let state = engine.inspect(&id).unwrap().state;
    assert_eq!((state.phase, state.exit_code), (Phase::Exited, 0));
    assert_eq!(host.output(&id).await, "up\nasked\n");
    engine
        .stop(&id, None)
        .await
        .expect("stopping twice is no error");
    let error = engine.kill(&id, 15).await.unwrap_err();
    assert!(matches!(error, StopError::NotRunning(_)), "{error}");
}

#[tokio::test]
async fn a_stop_kills_what_does_not_listen_with_all_its_children() {
    let host = Host::new().await;
    let engine = host.engine();
    let script = "trap '' TERM; sleep 1001 & sleep 1001 & echo up; while :; do sleep 0.1; done";
    let config = ContainerConfig {
        stop_timeout: Some(Duration::from_millis(300)),
        ..host.shell("a", script)
    };
    let id = started(&host, config).await;
    while host.output(&id).await != "up\n" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let asked = Instant::now();
    in_time("the stop", engine.stop(&id, None)).await.unwrap();
    assert!(asked.elapsed() >= Duration::from_millis(300));
    let state = engine.inspect(&id).unwrap().state;
    assert_eq!((state.phase, state.exit_code), (Phase::Exited, 137));
}

#[tokio::test]
async fn running_containers_are_removed_by_force_only() {
    let host = Host::new().await;
    let engine = host.engine();
    let id = started(&host, host.shell("a", "sleep 1000")).await;
    let error = engine.remove(&id, false).await.unwrap_err();
    assert!(
        error.to_string().contains("container is running"),
        "{error}"
    );
    let waits = tokio::spawn({
        let (engine, id) = (engine.clone(), id.clone());
        async move { engine.wait(&id).await }
    });
    in_time("the removal", engine.remove("a", true))
        .await
        .unwrap();
    let state = in_time("the wait", waits).await.unwrap().unwrap();
    assert_eq!(state.exit_code, 137);
    assert!(engine.list().is_empty());
    assert!(engine.remove("a", true).await.is_err());
}

#[tokio::test]
async fn a_program_that_is_not_there_does_not_start() {
    let host = Host::new().await;
    let engine = host.engine();
    let config = ContainerConfig {
        entrypoint: vec!["/bin/nope".into()],
        ..host.shell("a", "")
    };
    let id = engine.create(config).await.unwrap();
    let error = engine.start(&id).await.unwrap_err();
    assert!(error.to_string().contains("/bin/nope"), "{error}");
    let state = engine.inspect(&id).unwrap().state;
    assert_eq!((state.phase, state.exit_code), (Phase::Created, 127));
    assert_eq!(state.error, error.to_string());
    engine.remove(&id, false).await.unwrap();
}

#[tokio::test]
async fn too_much_memory_is_seen() {
    let host = Host::new().await;
    let mut events = host.engine().events();
    let config = ContainerConfig {
        resources: ResourceConfig {
            memory_bytes: 16 << 20,
            ..ResourceConfig::default()
        },
        ..host.shell("a", "tail /dev/zero")
    };
    let (state, _) = host.run(config).await;
    assert!(state.oom_killed, "{state:?}");
    assert_eq!(state.exit_code, 137);
    loop {
        let event = in_time("an event", events.recv()).await.unwrap();
        if event.action == ContainerAction::Oom {
            break;
        }
    }
}

#[tokio::test]
async fn many_containers_start_and_go_beside_one_another() {
    const COUNT: usize = 40;
    let host = Host::new().await;
    let engine = host.engine();
    let begun = Instant::now();
    let starts = (0..COUNT).map(|n| {
        let config = host.shell(&format!("c{n}"), "sleep 1000");
        let engine = engine.clone();
        tokio::spawn(async move {
            let id = engine.create(config).await.unwrap();
            engine.start(&id).await.unwrap();
        })
    });
    for start in starts.collect::<Vec<_>>() {
        in_time("a start", start).await.unwrap();
    }
    println!("{COUNT} containers: {:?}", begun.elapsed());
    let running = engine
        .list()
        .iter()
        .filter(|c| c.state.phase == Phase::Running)
        .count();
    assert_eq!(running, COUNT);
    let removals = (0..COUNT).map(|n| {
        let engine = engine.clone();
        tokio::spawn(async move { engine.remove(&format!("c{n}"), true).await.unwrap() })
    });
    for removal in removals.collect::<Vec<_>>() {
        in_time("a removal", removal).await.unwrap();
    }
    assert!(engine.list().is_empty());
    assert!(host.names_in("rootfs").is_empty());
    crate::support::eventually("an empty trash", || host.names_in("trash").is_empty()).await;
}
