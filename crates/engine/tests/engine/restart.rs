//! What is found again after the daemon, the supervisor or the host died.

use crate::support::{Host, eventually, in_time};
use engine::{EXIT_UNKNOWN, Phase};
use images::Table;
use std::time::Duration;

async fn started(host: &Host, name: &str, script: &str) -> String {
    let id = host
        .engine()
        .create(host.shell(name, script))
        .await
        .unwrap();
    host.engine().start(&id).await.unwrap();
    id
}

#[tokio::test]
async fn containers_outlive_the_daemon() {
    let mut host = Host::new().await;
    let runs = started(&host, "runs", "echo before; sleep 1000").await;
    let ends = started(&host, "ends", "sleep 0.3; echo last words; exit 7").await;
    let made = host
        .engine()
        .create(host.shell("made", "true"))
        .await
        .unwrap();
    let pid = host.engine().inspect(&runs).unwrap().state.pid;
    host.close();
    tokio::time::sleep(Duration::from_millis(600)).await;
    host.open().await;
    let state = host.engine().inspect(&runs).unwrap().state;
    assert_eq!((state.phase, state.pid), (Phase::Running, pid));
    let state = host.engine().inspect(&ends).unwrap().state;
    assert_eq!((state.phase, state.exit_code), (Phase::Exited, 7));
    assert_eq!(host.output(&ends).await, "last words\n");
    let state = host.engine().inspect(&made).unwrap().state;
    assert_eq!(state.phase, Phase::Created);
    // They are led on as if nothing had been.
    host.engine().start(&made).await.unwrap();
    in_time("the stop", host.engine().stop(&runs, Some(Duration::ZERO)))
        .await
        .unwrap();
    assert_eq!(host.output(&runs).await, "before\n");
}

#[tokio::test]
async fn an_end_is_written_down_before_it_is_forgotten() {
    let mut host = Host::new().await;
    let id = started(&host, "a", "exit 5").await;
    in_time("its end", host.engine().wait(&id)).await.unwrap();
    let table = host.table.clone();
    eventually("the record", || {
        let row = table.get(id.as_bytes()).unwrap().unwrap();
        String::from_utf8_lossy(&row).contains("\"Exited\"")
    })
    .await;
    host.close();
    host.open().await;
    let state = host.engine().inspect(&id).unwrap().state;
    assert_eq!((state.phase, state.exit_code), (Phase::Exited, 5));
}

#[tokio::test]
async fn a_dead_supervisor_takes_its_containers_along_and_is_replaced() {
    let host = Host::new().await;
    let id = started(&host, "a", "sleep 1000").await;
    host.kill_supervisor();
    let state = in_time("its end", host.engine().wait(&id)).await.unwrap();
    assert_ne!(state.exit_code, 0, "{state:?}");
    assert!(!state.error.is_empty(), "{state:?}");
    // The new supervisor takes new ones, once it is there.
    let next = host
        .engine()
        .create(host.shell("b", "exit 4"))
        .await
        .unwrap();
    in_time("a start", async {
        while host.engine().start(&next).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let state = in_time("its end", host.engine().wait(&next)).await.unwrap();
    assert_eq!(state.exit_code, 4);
}

#[tokio::test]
async fn after_a_restart_of_the_host_nothing_runs() {
    let mut host = Host::new().await;
    let id = started(&host, "a", "sleep 1000").await;
    let table = host.table.clone();
    eventually("the record", || {
        let row = table.get(id.as_bytes()).unwrap().unwrap();
        String::from_utf8_lossy(&row).contains("\"Running\"")
    })
    .await;
    host.power_loss().await;
    host.open().await;
    let state = host.engine().inspect(&id).unwrap().state;
    assert_eq!(
        (state.phase, state.exit_code),
        (Phase::Exited, EXIT_UNKNOWN)
    );
    host.engine().remove(&id, false).await.unwrap();
}

#[tokio::test]
async fn containers_without_a_record_are_ended_and_their_files_deleted() {
    let mut host = Host::new().await;
    let id = started(&host, "a", "sleep 1000").await;
    host.close();
    host.table.delete(id.as_bytes()).unwrap();
    host.table.put(b"damaged", b"{\"format\":").unwrap();
    host.open().await;
    assert!(host.engine().list().is_empty());
    assert_eq!(host.table.get(b"damaged").unwrap(), None);
    assert!(host.names_in("containers").is_empty());
    // Its name and everything else of it is free.
    let again = started(&host, "a", "exit 0").await;
    in_time("its end", host.engine().wait(&again))
        .await
        .unwrap();
}
