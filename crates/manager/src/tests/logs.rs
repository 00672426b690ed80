//! Logs from a node through the leader to a manager that does not lead.

use super::agent::FakeAgent;
use super::*;
use futures_util::StreamExt;
use model::logs::{LogOptions, LogSelector, LogStream};
use model::{TaskId, Timestamp};
use wire::pb::dispatcher::dispatcher_client::DispatcherClient;
use wire::pb::dispatcher::{LogFrames, to_agent};

fn options(follow: bool) -> LogOptions {
    LogOptions {
        stdout: true,
        stderr: true,
        follow,
        tail: Some(7),
        ..LogOptions::default()
    }
}

/// The agent answers one question for logs: a line for each task.
async fn answer(agent: &mut FakeAgent) {
    loop {
        if let to_agent::Message::LogsStart(start) = agent.next().await {
            assert_eq!(start.options.unwrap().tail, Some(7));
            let frame = |task: &String| {
                let task = TaskId::from(task.as_str());
                wire::logs::frame(&task, LogStream::Stderr, Timestamp(9), b"hello\n".to_vec())
            };
            let frames = LogFrames {
                subscription: start.subscription,
                frames: start.tasks.iter().map(frame).collect(),
            };
            let mut client = DispatcherClient::new(agent.channel.clone());
            client
                .publish_logs(tokio_stream::iter([frames]))
                .await
                .unwrap();
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_come_from_all_tasks_and_what_is_missing_is_said() {
    let leader = TestNode::founder().await;
    let follower = TestNode::joined(&leader, Role::Manager).await;
    let membership = follower.swarm.membership().borrow().clone().unwrap();
    let mut agent = FakeAgent::open(&membership.connector, &leader.addr()).await;
    let service = leader.create("web").await;
    while agent.tasks.len() < 2 {
        agent.next().await;
    }
    let sequence = agent.report_all().await;
    while agent.reported < sequence {
        agent.next().await;
    }
    let selector = LogSelector {
        services: vec![service.clone()],
        tasks: vec![TaskId::from("none")],
    };
    let read = follower
        .swarm
        .logs(selector.clone(), options(false))
        .await
        .unwrap();
    let (lines, ()) = tokio::join!(read.collect::<Vec<_>>(), answer(&mut agent));
    let (notice, lines) = lines.split_last().unwrap();
    assert_eq!(lines.len(), 2);
    for line in lines {
        let line = line.as_ref().unwrap();
        assert!(agent.tasks.contains_key(&line.task));
        assert_eq!((&line.service, &line.node), (&service, &membership.node));
        assert_eq!(
            (line.stream, line.time, &line.data[..]),
            (LogStream::Stderr, Timestamp(9), &b"hello\n"[..])
        );
    }
    let notice = notice.as_ref().unwrap_err();
    assert_eq!(
        notice,
        "warning: incomplete log stream. some logs could not be retrieved for the following reasons: task none not found"
    );

    // The node goes: whoever reads is told, and not kept waiting.
    drop(agent);
    let sessions_end = || async {
        let read = follower
            .swarm
            .logs(selector.clone(), options(false))
            .await
            .unwrap();
        let lines = tokio::time::timeout(PATIENCE, read.collect::<Vec<_>>())
            .await
            .unwrap();
        let notice = lines.last().unwrap().as_ref().unwrap_err().clone();
        let expected = format!("node {} is not available", membership.node);
        notice.contains(&expected).then_some(())
    };
    eventually("the node is missing", sessions_end).await;
    for node in [follower, leader] {
        node.swarm.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn following_takes_new_tasks_in_and_ends_with_its_reader() {
    let leader = TestNode::founder().await;
    let membership = leader.swarm.membership().borrow().clone().unwrap();
    let mut agent = FakeAgent::open(&membership.connector, &leader.addr()).await;
    let service = leader.create("web").await;
    let selector = LogSelector {
        services: vec![service],
        tasks: Vec::new(),
    };
    let mut read = leader.swarm.logs(selector, options(true)).await.unwrap();
    while agent.tasks.len() < 2 {
        agent.next().await;
    }
    agent.report_all().await;
    let next = async {
        for _ in 0..2 {
            let line = tokio::time::timeout(PATIENCE, read.next()).await.unwrap();
            line.unwrap().unwrap();
        }
    };
    tokio::join!(next, answer(&mut agent));
    drop(read);
    leader.swarm.shutdown().await;
}
