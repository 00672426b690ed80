//! Sends the output of tasks to the leader when somebody there reads it.

use crate::executor::{Executor, LogFrame};
use crate::session::client;
use futures_util::stream::{BoxStream, SelectAll};
use futures_util::{FutureExt, StreamExt};
use model::TaskId;
use model::logs::LogOptions;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use wire::pb::dispatcher::{self as pb, LogsStart};

/// Lines in one message; at 16 KiB a line it is 1 MiB.
const FRAMES_PER_MESSAGE: usize = 64;
/// Messages of a subscription that wait for the network; a slow reader makes the reading of the files wait.
const MESSAGE_QUEUE: usize = 4;
/// Tasks that may be added to a subscription before it has taken them in.
const ADD_QUEUE: usize = 1024;

/// The subscriptions of one session. They end with it.
pub(crate) struct Subscriptions {
    channel: Channel,
    executor: Arc<dyn Executor>,
    running: BTreeMap<u64, Subscription>,
}

struct Subscription {
    add: mpsc::Sender<TaskId>,
    work: JoinHandle<()>,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.work.abort();
    }
}

impl Subscriptions {
    pub(crate) fn new(channel: Channel, executor: Arc<dyn Executor>) -> Subscriptions {
        Subscriptions {
            channel,
            executor,
            running: BTreeMap::new(),
        }
    }

    /// Begins a subscription, or adds tasks to one that follows.
    pub(crate) fn start(&mut self, start: LogsStart) {
        self.running.retain(|_, known| !known.work.is_finished());
        let tasks = start.tasks.into_iter().map(TaskId::from);
        if let Some(known) = self.running.get(&start.subscription) {
            for task in tasks {
                if let Err(error) = known.add.try_send(task) {
                    tracing::warn!(%error, "the logs of a task are left out");
                }
            }
            return;
        }
        let options: LogOptions = start.options.unwrap_or_default().into();
        let (add, added) = mpsc::channel(ADD_QUEUE);
        let work = publish(
            self.channel.clone(),
            Arc::clone(&self.executor),
            start.subscription,
            tasks.collect(),
            options,
            added,
        );
        let work = tokio::spawn(work);
        self.running
            .insert(start.subscription, Subscription { add, work });
    }

    pub(crate) fn stop(&mut self, subscription: u64) {
        self.running.remove(&subscription);
    }
}

async fn publish(
    channel: Channel,
    executor: Arc<dyn Executor>,
    subscription: u64,
    tasks: Vec<TaskId>,
    options: LogOptions,
    added: mpsc::Receiver<TaskId>,
) {
    let (messages, outbound) = mpsc::channel(MESSAGE_QUEUE);
    let read = async move {
        let first = pb::LogFrames {
            subscription,
            frames: vec![],
        };
        // The call has ended when this fails: nobody reads any more.
        if messages.send(first).await.is_ok() {
            read(executor, subscription, tasks, options, added, messages).await;
        }
    };
    let mut client = client(channel);
    let call = client.publish_logs(ReceiverStream::new(outbound));
    // When the manager ends the call, the queue is dropped with it, and the reading notices.
    let (result, ()) = tokio::join!(call, read);
    if let Err(status) = result {
        tracing::debug!(subscription, error = status.message(), "log stream ended");
    }
}

type Frames = BoxStream<'static, pb::LogFrame>;

async fn read(
    executor: Arc<dyn Executor>,
    subscription: u64,
    tasks: Vec<TaskId>,
    options: LogOptions,
    mut added: mpsc::Receiver<TaskId>,
    messages: mpsc::Sender<pb::LogFrames>,
) {
    let mut streams: SelectAll<Frames> = SelectAll::new();
    for task in tasks {
        streams.push(frames(Arc::clone(&executor), task, options.clone()));
    }
    while options.follow || !streams.is_empty() {
        let first = tokio::select! {
            frame = streams.next(), if !streams.is_empty() => frame,
            task = added.recv(), if options.follow => match task {
                Some(task) => {
                    streams.push(frames(Arc::clone(&executor), task, options.clone()));
                    continue;
                }
                None => return,
            },
            () = messages.closed() => return,
        };
        // All that were there have ended; more may come when it follows.
        let Some(first) = first else { continue };
        let mut frames = vec![first];
        while frames.len() < FRAMES_PER_MESSAGE {
            match streams.next().now_or_never() {
                Some(Some(frame)) => frames.push(frame),
                _ => break,
            }
        }
        let message = pb::LogFrames {
            subscription,
            frames,
        };
        if messages.send(message).await.is_err() {
            return;
        }
    }
}

/// The lines of a task, or why they cannot be had.
fn frames(executor: Arc<dyn Executor>, task: TaskId, options: LogOptions) -> Frames {
    let lines = async move {
        match executor.logs(&task, &options).await {
            Ok(lines) => lines.map(move |line| frame(&task, line)).boxed(),
            Err(error) => {
                let frame = wire::logs::frame_error(&task, &error.message);
                futures_util::stream::iter([frame]).boxed()
            }
        }
    };
    lines.flatten_stream().boxed()
}

fn frame(task: &TaskId, line: LogFrame) -> pb::LogFrame {
    wire::logs::frame(task, line.stream, line.time, line.data)
}
