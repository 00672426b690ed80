//! Init, join, leave, restart.

use super::*;
use crate::ca::JoinToken;
use crate::swarm::{LocalState, SwarmError};
use model::cluster::JoinSecret;
use model::control::ControlError;

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_finds_its_state_again_after_a_restart() {
    let node = TestNode::founder().await;
    let id = node.swarm.info().node.unwrap();
    node.create("web").await;
    assert_eq!(node.swarm.info().state, LocalState::Active);
    assert_eq!(node.swarm.info().nodes, 1);
    let node = node.restarted().await;
    assert_eq!(node.names().await, ["web"]);
    assert_eq!(node.swarm.info().node.unwrap(), id);
    assert_eq!(node.swarm.info().addr, "127.0.0.1");
    node.swarm.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_in_one_swarm_at_a_time_and_leaves_nothing_behind() {
    let node = TestNode::founder().await;
    let error = node.swarm.init(loopback()).await.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("This node is already part of a swarm."),
        "{error}"
    );
    let error = node
        .swarm
        .join(node.invitation(Role::Worker))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("This node is already part of a swarm."),
        "{error}"
    );

    let error = node.swarm.leave(false).await.unwrap_err().to_string();
    assert!(
        error.contains("participating as a manager. Removing the last manager erases all"),
        "{error}"
    );
    assert_eq!(node.swarm.info().state, LocalState::Active);
    node.swarm.leave(true).await.unwrap();
    assert_eq!(node.swarm.info().state, LocalState::Inactive);
    assert!(!node.dir.path().join("swarm").exists());
    let error = node.swarm.query(Query::Cluster).await.unwrap_err();
    assert!(error.to_string().contains("docker swarm init"), "{error}");
    let error = node.swarm.leave(true).await.unwrap_err();
    assert_eq!(error.to_string(), "This node is not part of a swarm");
    node.swarm.init(loopback()).await.unwrap();
    assert!(node.names().await.is_empty());
    node.swarm.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_tokens_are_refused_and_change_nothing() {
    let founder = TestNode::founder().await;
    let other = TestNode::founder().await;
    let joiner = TestNode::new().await;
    let good = founder.invitation(Role::Worker);
    let try_join = async |token: String| {
        let join = Join {
            token,
            ..good.clone()
        };
        joiner.swarm.join(join).await.unwrap_err()
    };

    let error = try_join("SWMTKN-1-nonsense".into()).await;
    assert_eq!(error, SwarmError::Invalid("invalid join token".into()));

    let root = founder.swarm.info().cluster.unwrap().ca.cert_pem.clone();
    let wrong = JoinToken::new(&root, &JoinSecret("0".repeat(25)));
    let error = try_join(wrong.to_string()).await;
    let expected = "rpc error: code = InvalidArgument desc = A valid join token is necessary to join this cluster";
    assert_eq!(error.to_string(), expected);
    let error = ControlError::from(error);
    assert!(matches!(error, ControlError::InvalidArgument(text) if expected.ends_with(&text)));

    let error = try_join(other.invitation(Role::Worker).token)
        .await
        .to_string();
    assert!(
        error.starts_with("remote CA does not match fingerprint. Expected: "),
        "{error}"
    );

    let join = Join {
        remote_addrs: Vec::new(),
        ..good.clone()
    };
    let error = joiner.swarm.join(join).await.unwrap_err().to_string();
    assert_eq!(error, "at least 1 RemoteAddr is required to join");

    let join = Join {
        remote_addrs: vec!["127.0.0.1:1".into()],
        ..good.clone()
    };
    let error = joiner.swarm.join(join).await.unwrap_err().to_string();
    assert!(error.contains("cannot connect to 127.0.0.1:1"), "{error}");

    assert_eq!(joiner.swarm.info().state, LocalState::Inactive);
    assert_eq!(founder.swarm.info().nodes, 1);
    joiner.swarm.join(good).await.unwrap();
    assert_eq!(founder.swarm.info().nodes, 2);
    for node in [founder, other, joiner] {
        node.swarm.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rotated_tokens_open_nothing_any_more() {
    let founder = TestNode::founder().await;
    let old = founder.invitation(Role::Worker);
    let manager_token = founder.invitation(Role::Manager).token;
    let cluster = founder.swarm.info().cluster.unwrap();
    let write = Write::UpdateCluster {
        version: cluster.meta.version,
        spec: cluster.spec.clone(),
        rotate_worker_token: true,
        rotate_manager_token: false,
    };
    founder.swarm.write(write).await.unwrap();
    let joiner = TestNode::new().await;
    let error = joiner.swarm.join(old).await.unwrap_err().to_string();
    assert!(error.contains("A valid join token is necessary"), "{error}");
    assert_eq!(founder.invitation(Role::Manager).token, manager_token);
    joiner
        .swarm
        .join(founder.invitation(Role::Worker))
        .await
        .unwrap();
    for node in [founder, joiner] {
        node.swarm.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_a_clear_error_and_changes_nothing() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap();
    let node = TestNode::new().await;
    let init = Init {
        listen,
        ..loopback()
    };
    let error = node.swarm.init(init).await.unwrap_err().to_string();
    assert!(
        error.contains(&format!("cannot listen on {listen}")),
        "{error}"
    );
    let founder = TestNode::founder().await;
    let join = Join {
        listen,
        ..founder.invitation(Role::Manager)
    };
    let error = node.swarm.join(join).await.unwrap_err().to_string();
    assert!(error.contains("cannot listen on"), "{error}");
    assert_eq!(founder.swarm.info().nodes, 1);
    assert_eq!(node.swarm.info().state, LocalState::Inactive);
    node.swarm.init(loopback()).await.unwrap();
    for node in [founder, node] {
        node.swarm.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_comes_back_and_leaves_without_force() {
    let founder = TestNode::founder().await;
    let worker = TestNode::joined(&founder, Role::Worker).await;
    let id = worker.swarm.info().node.unwrap();
    assert!(worker.swarm.manager().is_none());
    let error = worker
        .swarm
        .query(Query::Cluster)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("Worker nodes can't be used"), "{error}");
    worker.swarm.note_managers(vec!["127.0.0.1:7".into()]);
    let worker = worker.restarted().await;
    let membership = worker.swarm.membership().borrow().clone().unwrap();
    assert_eq!((membership.node, membership.role), (id, Role::Worker));
    assert_eq!(membership.managers, ["127.0.0.1:7"]);
    worker.swarm.note_removed("node was removed");
    let info = worker.swarm.info();
    assert_eq!(
        (info.state, info.error.as_str()),
        (LocalState::Error, "node was removed")
    );
    assert!(worker.swarm.membership().borrow().is_none());
    worker.swarm.leave(false).await.unwrap();
    assert_eq!(worker.swarm.info().state, LocalState::Inactive);
    founder.swarm.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_unfinished_join_left_is_cleared_away() {
    let node = TestNode::new().await;
    let dir = node.dir.path().join("swarm");
    std::fs::create_dir_all(dir.join("raft")).unwrap();
    std::fs::write(dir.join("raft/segment"), "half").unwrap();
    let node = node.restarted().await;
    assert_eq!(node.swarm.info().state, LocalState::Inactive);
    assert!(!dir.exists());
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("state.json"), "{ broken").unwrap();
    let node = node.restarted().await;
    let info = node.swarm.info();
    assert_eq!(info.state, LocalState::Error);
    assert!(info.error.contains("state.json"), "{}", info.error);
    assert!(dir.join("state.json").exists());
    node.swarm.leave(true).await.unwrap();
    assert_eq!(node.swarm.info().state, LocalState::Inactive);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_whose_port_is_taken_comes_back_when_it_is_free() {
    let node = TestNode::founder().await;
    node.create("web").await;
    let addr = node.addr();
    node.swarm.shutdown().await;
    let taken = std::net::TcpListener::bind(&addr).unwrap();
    let node = node.restarted().await;
    let info = node.swarm.info();
    assert_eq!(info.state, LocalState::Error);
    assert!(info.error.contains("cannot listen on"), "{}", info.error);
    // Its agent can look for other managers meanwhile.
    assert!(node.swarm.membership().borrow().is_some());
    drop(taken);
    let active = || async { (node.swarm.info().state == LocalState::Active).then_some(()) };
    eventually("the manager is back", active).await;
    assert_eq!(node.names().await, ["web"]);
    node.swarm.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_renewed_on_managers_and_workers() {
    let founder = TestNode::founder().await;
    let worker = TestNode::joined(&founder, Role::Worker).await;
    for node in [&founder, &worker] {
        let file = node.dir.path().join("swarm/certificates/swarm-node.crt");
        let before = std::fs::read_to_string(&file).unwrap();
        let connector = node.swarm.membership().borrow().clone().unwrap().connector;
        node.swarm.renew_now().await.unwrap();
        assert_ne!(std::fs::read_to_string(&file).unwrap(), before);
        // What was handed out before uses the new one.
        connector.channel(&founder.addr()).await.unwrap();
    }
    let founder = founder.restarted().await;
    assert_eq!(founder.swarm.info().state, LocalState::Active);
    for node in [worker, founder] {
        node.swarm.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_leaves_nothing_half_made() {
    let node = TestNode::new().await;
    // Given up before it can have done anything that takes time.
    let init = tokio::time::timeout(Duration::ZERO, node.swarm.init(loopback())).await;
    assert!(init.is_err());
    let active = || async { (node.swarm.info().state == LocalState::Active).then_some(()) };
    eventually("the swarm is made nevertheless", active).await;
    node.swarm.shutdown().await;
}
