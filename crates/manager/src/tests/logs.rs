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

/// Answers a question of somebody who follows with a line at `time`, and goes on publishing; what was asked.
async fn follow(agent: &mut FakeAgent, time: i64) -> LogOptions {
    loop {
        let to_agent::Message::LogsStart(start) = agent.next().await else {
            continue;
        };
        let line = |task: &String| {
            let task = TaskId::from(task.as_str());
            wire::logs::frame(
                &task,
                LogStream::Stdout,
                Timestamp(time),
                b"line\n".to_vec(),
            )
        };
        let frames = LogFrames {
            subscription: start.subscription,
            frames: start.tasks.iter().map(line).collect(),
        };
        let mut client = DispatcherClient::new(agent.channel.clone());
        let endless = futures_util::stream::iter([frames]).chain(futures_util::stream::pending());
        tokio::spawn(async move { client.publish_logs(endless).await });
        return start.options.unwrap().into();
    }
}

async fn next_line(read: &mut crate::LogStream) -> (i64, String) {
    let line = tokio::time::timeout(PATIENCE, read.next()).await.unwrap();
    let line = line.unwrap().unwrap();
    (line.time.0, String::from_utf8(line.data).unwrap())
}

/// A service of one task that runs on the agent.
async fn one_task(node: &TestNode, agent: &mut FakeAgent) -> LogSelector {
    let write = Write::CreateService(Arc::new(service("one", 1)));
    let Written::Service(id) = node.swarm.write(write).await.unwrap() else {
        panic!("no id")
    };
    while agent.tasks.is_empty() {
        agent.next().await;
    }
    let sequence = agent.report_all().await;
    while agent.reported < sequence {
        agent.next().await;
    }
    LogSelector {
        services: vec![id],
        tasks: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_follows_is_told_of_a_node_that_is_away_and_goes_on_when_it_is_back() {
    let leader = TestNode::founder().await;
    let membership = leader.swarm.membership().borrow().clone().unwrap();
    let mut agent = FakeAgent::open(&membership.connector, &leader.addr()).await;
    let selector = one_task(&leader, &mut agent).await;
    let mut read = leader.swarm.logs(selector, options(true)).await.unwrap();
    let asked = follow(&mut agent, 100).await;
    assert_eq!((asked.tail, asked.since), (Some(7), None));
    assert_eq!(next_line(&mut read).await, (100, "line\n".into()));
    drop(agent);
    let (_, notice) = next_line(&mut read).await;
    let expected = format!("[starling] node {} is not available", membership.node);
    assert!(notice.starts_with(&expected), "{notice}");
    let mut agent = FakeAgent::open(&membership.connector, &leader.addr()).await;
    let asked = follow(&mut agent, 200).await;
    assert_eq!((asked.tail, asked.since), (None, Some(Timestamp(101))));
    assert_eq!(next_line(&mut read).await, (200, "line\n".into()));
    drop(read);
    leader.swarm.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_daemon_restarts_is_waited_for() {
    let leader = TestNode::founder().await;
    let membership = leader.swarm.membership().borrow().clone().unwrap();
    let mut agent = FakeAgent::open(&membership.connector, &leader.addr()).await;
    let selector = one_task(&leader, &mut agent).await;
    drop(agent);
    let manager = leader.swarm.manager().unwrap();
    let state = || manager.local(|view| view.nodes().next().unwrap().status.state);
    let away = || async { (state() == model::NodeState::Disconnected).then_some(()) };
    eventually("disconnected", away).await;
    let read = leader.swarm.logs(selector, options(false)).await.unwrap();
    let back = async {
        let mut agent = FakeAgent::open(&membership.connector, &leader.addr()).await;
        answer(&mut agent).await;
    };
    let (lines, ()) = tokio::join!(read.collect::<Vec<_>>(), back);
    assert_eq!(lines.len(), 1, "one line and no notice: {lines:?}");
    assert!(lines[0].is_ok(), "{lines:?}");
    leader.swarm.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_go_on_when_the_leader_changes() {
    let mut nodes = vec![TestNode::founder().await];
    for _ in 0..2 {
        let next = TestNode::joined(&nodes[0], Role::Manager).await;
        nodes.push(next);
    }
    let worker = TestNode::joined(&nodes[0], Role::Worker).await;
    let membership = worker.swarm.membership().borrow().clone().unwrap();
    let mut agent = FakeAgent::open(&membership.connector, &nodes[0].addr()).await;
    let selector = one_task(&nodes[0], &mut agent).await;
    let at = eventually("a leader", async || nodes.iter().position(TestNode::leads)).await;
    let dead = nodes.remove(at);
    let mut read = nodes[0].swarm.logs(selector, options(true)).await.unwrap();
    follow(&mut agent, 100).await;
    assert_eq!(next_line(&mut read).await.0, 100);
    dead.swarm.shutdown().await;
    drop(agent);
    let mut agent = FakeAgent::open(&membership.connector, &nodes[1].addr()).await;
    let asked = follow(&mut agent, 200).await;
    assert_eq!((asked.tail, asked.since), (None, Some(Timestamp(101))));
    let resumed = async {
        loop {
            let (time, text) = next_line(&mut read).await;
            if !text.starts_with("[starling]") {
                return time;
            }
        }
    };
    assert_eq!(resumed.await, 200);
    drop(read);
    for node in nodes {
        node.swarm.shutdown().await;
    }
    worker.swarm.shutdown().await;
}
