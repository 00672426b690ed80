//! Logs on their way to the leader.

use super::dispatcher::{Answer, Manager, Session, in_time};
use super::fakes::Node;
use tonic::Streaming;
use wire::pb::dispatcher::to_agent::Message as ToAgent;
use wire::pb::dispatcher::{LogFrame, LogFrames, LogsStart, LogsStop};

async fn start(session: &Session, tasks: &[&str], follow: bool) {
    let options = wire::pb::objects::LogOptions {
        stdout: true,
        stderr: true,
        follow,
        ..Default::default()
    };
    let start = LogsStart {
        subscription: 7,
        tasks: tasks.iter().map(|task| (*task).to_owned()).collect(),
        options: Some(options),
    };
    session.send(ToAgent::LogsStart(start)).await;
}

async fn published(manager: &Manager) -> Streaming<LogFrames> {
    let mut logs = manager.logs.lock().await;
    let mut call = in_time("a call", logs.recv()).await.expect("a server");
    let first = in_time("the first message", call.message())
        .await
        .unwrap()
        .unwrap();
    assert_eq!((first.subscription, first.frames.len()), (7, 0));
    call
}

async fn frames(call: &mut Streaming<LogFrames>, count: usize) -> Vec<LogFrame> {
    let mut frames = vec![];
    while frames.len() < count {
        let message = in_time("frames", call.message()).await.unwrap();
        frames.extend(message.expect("more frames").frames);
    }
    frames
}

#[tokio::test]
async fn logs_are_sent_to_their_end() {
    let manager = Manager::start(Answer::Lead).await;
    let node = Node::default();
    let _agent = node.start(&[&manager.addr]).await;
    let (session, _) = manager.session().await;
    start(&session, &["a", "nobody"], false).await;
    let mut call = published(&manager).await;
    let frames = frames(&mut call, 4).await;
    let of_a = frames.iter().filter(|frame| frame.task == "a");
    let lines: Vec<_> = of_a
        .map(|frame| String::from_utf8_lossy(&frame.data).into_owned())
        .collect();
    assert_eq!(lines, ["a 0\n", "a 1\n", "a 2\n"]);
    let missing = frames.iter().find(|frame| frame.task == "nobody").unwrap();
    assert_eq!(missing.error, "No such container: nobody");
    let end = in_time("the end", call.message()).await.unwrap();
    assert!(end.is_none(), "{end:?}");
}

#[tokio::test]
async fn a_follower_gets_further_tasks_until_it_is_stopped() {
    let manager = Manager::start(Answer::Lead).await;
    let node = Node::default();
    let _agent = node.start(&[&manager.addr]).await;
    let (session, _) = manager.session().await;
    start(&session, &["a"], true).await;
    let mut call = published(&manager).await;
    frames(&mut call, 3).await;
    start(&session, &["b"], true).await;
    let more = frames(&mut call, 3).await;
    assert!(more.iter().all(|frame| frame.task == "b"), "{more:?}");
    session
        .send(ToAgent::LogsStop(LogsStop { subscription: 7 }))
        .await;
    let end = in_time("the end", call.message()).await;
    assert!(!matches!(end, Ok(Some(_))), "{end:?}");
}
