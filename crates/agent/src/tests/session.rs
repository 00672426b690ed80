//! Finding the leader and keeping the session.

use super::dispatcher::{Answer, Manager, in_time};
use super::fakes::Node;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use wire::pb::dispatcher::to_agent::Message as ToAgent;
use wire::pb::dispatcher::to_manager::Message as ToManager;
use wire::pb::dispatcher::{Managers, NotLeader, RoleChanged};

#[tokio::test]
async fn a_session_begins_with_a_description_and_goes_on_with_heartbeats() {
    let manager = Manager::start(Answer::Lead).await;
    let node = Node::default();
    let agent = node.start(&[&manager.addr]).await;
    let (mut session, hello) = manager.session().await;
    assert_eq!(hello.description.unwrap().hostname, "box");
    assert_eq!(hello.last_index, 0);
    let asked = Instant::now();
    for _ in 0..5 {
        session.heartbeat().await;
    }
    assert!(asked.elapsed() >= Duration::from_millis(100));
    let mut status = agent.status();
    let up = in_time("status", status.wait_for(|status| status.leader.is_some())).await;
    assert_eq!(up.unwrap().leader, Some(manager.addr.clone()));
}

#[tokio::test]
async fn a_follower_sends_the_agent_on() {
    let leader = Manager::start(Answer::Lead).await;
    let follower = Manager::start(Answer::Refer(leader.addr.clone())).await;
    let node = Node::default();
    let agent = node.start(&[&follower.addr]).await;
    leader.session().await;
    let mut status = agent.status();
    let knows = in_time(
        "managers",
        status.wait_for(|s| s.managers == [leader.addr.clone()]),
    );
    knows.await.unwrap();
}

#[tokio::test]
async fn a_manager_that_is_off_delays_nothing() {
    // Accepts and says nothing, as a host does that was cut off.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_addr = silent.local_addr().unwrap().to_string();
    let leader = Manager::start(Answer::Lead).await;
    let node = Node::default();
    let asked = Instant::now();
    let _agent = node
        .start(&[&silent_addr, "127.0.0.1:1", &leader.addr])
        .await;
    leader.session().await;
    assert!(
        asked.elapsed() < Duration::from_secs(2),
        "{:?}",
        asked.elapsed()
    );
}

#[tokio::test]
async fn a_lost_session_is_opened_again_and_a_deposed_leader_names_its_successor() {
    let first = Manager::start(Answer::Lead).await;
    let second = Manager::start(Answer::Lead).await;
    let node = Node::default();
    let _agent = node.start(&[&first.addr]).await;
    let (session, _) = first.session().await;
    drop(session);
    let (session, _) = first.session().await;
    let leader = second.addr.clone();
    session.send(ToAgent::NotLeader(NotLeader { leader })).await;
    second.session().await;
}

#[tokio::test]
async fn the_agent_learns_of_managers() {
    let first = Manager::start(Answer::Lead).await;
    let second = Manager::start(Answer::Lead).await;
    let node = Node::default();
    let agent = node.start(&[&first.addr]).await;
    let (session, _) = first.session().await;
    let addrs = vec![second.addr.clone()];
    session.send(ToAgent::Managers(Managers { addrs })).await;
    let mut status = agent.status();
    let learned = status.wait_for(|status| status.managers == [second.addr.clone()]);
    in_time("managers", learned).await.unwrap();
    drop(first);
    drop(session);
    second.session().await;
}

#[tokio::test]
async fn a_node_that_is_no_member_hears_it() {
    let manager = Manager::start(Answer::Refuse).await;
    let node = Node::default();
    let agent = node.start(&[&manager.addr]).await;
    let asked = Instant::now();
    let mut status = agent.status();
    let refused = in_time("refusal", status.wait_for(|status| status.refused)).await;
    let error = refused.unwrap().error.clone();
    assert!(error.contains("node1 is not a member"), "{error}");
    // Once is not enough: being removed has no way back.
    assert!(
        asked.elapsed() >= Duration::from_secs(1),
        "{:?}",
        asked.elapsed()
    );
    agent.shutdown().await;
}

#[tokio::test]
async fn a_wrong_digest_asks_for_everything() {
    let manager = Manager::start(Answer::Lead).await;
    let node = Node::default();
    let _agent = node.start(&[&manager.addr]).await;
    let (mut session, _) = manager.session().await;
    session.assign(3, true, &[]).await;
    let wrong = model::assignment::Assignments {
        index: 4,
        complete: false,
        changes: vec![],
        digest: 99,
    };
    session.send(ToAgent::Assignments((&wrong).into())).await;
    let said = session.said().await;
    assert!(matches!(said, ToManager::NeedComplete(_)), "{said:?}");
}

#[tokio::test]
async fn the_role_that_the_managers_want_is_known() {
    let manager = Manager::start(Answer::Lead).await;
    let node = Node::default();
    let agent = node.start(&[&manager.addr]).await;
    let mut status = agent.status();
    assert_eq!(status.borrow().role, None);
    let (session, _) = manager.session().await;
    for role in [model::Role::Worker, model::Role::Manager] {
        let knows = status.wait_for(|status| status.role == Some(role));
        in_time("its role", knows).await.unwrap();
        let role = wire::dispatcher::role(model::Role::Manager);
        session
            .send(ToAgent::RoleChanged(RoleChanged { role }))
            .await;
    }
}
