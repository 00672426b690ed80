//! Which reader gets which node's lines.

use super::LogStream;
use super::reader::Reader;
use crate::dispatcher::Sessions;
use crate::leader::SessionId;
use crate::machine::Machine;
use model::logs::{LogMessage, LogOptions, LogSelector};
use model::{NodeId, ServiceId, TaskId, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use wire::pb::dispatcher::to_agent::Message;
use wire::pb::dispatcher::{LogFrame, LogFrames, LogsStart, LogsStop};

/// Messages of nodes that wait for a reader. Beyond that the nodes wait: their streams have flow control.
const BACKLOG: usize = 16;
/// Lines that wait for the reader's client.
const LINES: usize = 256;

/// What a node sends for one subscription.
pub(super) enum FromNode {
    /// Lines.
    Lines(Vec<LogMessage>),
    /// Why something is missing.
    Notice(String),
    /// There is nothing more, or the stream broke off: then with the reason.
    Ended(u64, Option<String>),
}

/// The subscriptions of this manager.
pub(crate) struct LogBroker {
    pub(super) machine: Arc<Machine>,
    pub(super) sessions: Arc<Sessions>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    last: u64,
    open: BTreeMap<u64, Subscription>,
}

struct Subscription {
    node: NodeId,
    session: SessionId,
    /// The node has opened its stream: from then on it says itself how that ends.
    began: bool,
    services: BTreeMap<TaskId, ServiceId>,
    reader: mpsc::Sender<FromNode>,
}

impl LogBroker {
    pub(crate) fn new(machine: Arc<Machine>, sessions: Arc<Sessions>) -> LogBroker {
        LogBroker {
            machine,
            sessions,
            inner: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The logs of tasks, until all have ended or nobody reads any more.
    pub(crate) fn read(self: &Arc<Self>, selector: LogSelector, options: LogOptions) -> LogStream {
        let (lines, receiver) = mpsc::channel(LINES);
        let (reader, inbox) = mpsc::channel(BACKLOG);
        let reader = Reader::new(Arc::clone(self), selector, options, reader, lines);
        tokio::spawn(reader.run(inbox));
        Box::pin(ReceiverStream::new(receiver))
    }

    /// Asks a node for the logs of some of its tasks; none when it has no session here.
    pub(super) fn subscribe(
        &self,
        node: &NodeId,
        services: BTreeMap<TaskId, ServiceId>,
        options: &LogOptions,
        reader: mpsc::Sender<FromNode>,
    ) -> Option<u64> {
        let session = self.sessions.of_node(node)?;
        let (subscription, tasks) = {
            let mut inner = self.lock();
            inner.last += 1;
            let id = inner.last;
            let tasks = services.keys().map(ToString::to_string).collect();
            inner.open.insert(
                id,
                Subscription {
                    node: node.clone(),
                    session,
                    began: false,
                    services,
                    reader,
                },
            );
            (id, tasks)
        };
        let start = Message::LogsStart(LogsStart {
            subscription,
            tasks,
            options: Some(options.into()),
        });
        if self.sessions.send(session, start) {
            return Some(subscription);
        }
        self.lock().open.remove(&subscription);
        None
    }

    /// Ends a subscription.
    pub(super) fn unsubscribe(&self, subscription: u64) {
        let removed = self.lock().open.remove(&subscription);
        if let Some(removed) = removed {
            let stop = Message::LogsStop(LogsStop { subscription });
            self.sessions.send(removed.session, stop);
        }
    }

    /// A subscription has ended by itself.
    pub(super) fn forget(&self, subscription: u64) {
        self.lock().open.remove(&subscription);
    }

    /// Whether nothing will come any more: the node's session is not the one that was asked (an agent ends its streams
    /// with the session, and a host that is dead ends nothing), or it has not begun to send in time.
    pub(super) fn is_lost(&self, subscription: u64, overdue: bool) -> bool {
        let inner = self.lock();
        let open = inner.open.get(&subscription);
        open.is_none_or(|open| {
            let has_session = self.sessions.of_node(&open.node) == Some(open.session);
            !has_session || (overdue && !open.began)
        })
    }

    /// Takes a node's stream in.
    pub(crate) async fn publish(
        &self,
        node: &NodeId,
        mut frames: Streaming<LogFrames>,
    ) -> Result<(), Status> {
        let Some(first) = frames.message().await? else {
            return Err(Status::invalid_argument(
                "the first message names the subscription",
            ));
        };
        let subscription = first.subscription;
        let (services, reader) = {
            let mut inner = self.lock();
            let open = inner.open.get_mut(&subscription);
            let Some(open) = open.filter(|s| s.node == *node) else {
                // The reader has gone meanwhile.
                return Ok(());
            };
            open.began = true;
            (open.services.clone(), open.reader.clone())
        };
        let gone = |_| Status::cancelled("nobody reads any more");
        let (mut next, mut broken) = (Some(first), None);
        while let Some(batch) = next {
            if !self.lock().open.contains_key(&subscription) {
                // The reader has given this stream up, and may read the same lines from another one.
                return Ok(());
            }
            let (lines, notices) = sort(node, &services, batch.frames);
            if !lines.is_empty() {
                reader.send(FromNode::Lines(lines)).await.map_err(gone)?;
            }
            for notice in notices {
                reader.send(FromNode::Notice(notice)).await.map_err(gone)?;
            }
            next = match frames.message().await {
                Ok(next) => next,
                Err(error) => {
                    broken = Some(error.message().to_owned());
                    None
                }
            };
        }
        let ended = FromNode::Ended(subscription, broken);
        reader.send(ended).await.map_err(gone)
    }
}

/// Lines and errors of a message; what was not asked for is left out.
fn sort(
    node: &NodeId,
    services: &BTreeMap<TaskId, ServiceId>,
    frames: Vec<LogFrame>,
) -> (Vec<LogMessage>, Vec<String>) {
    let (mut lines, mut notices) = (Vec::new(), Vec::new());
    for frame in frames {
        let task = TaskId::from(frame.task.as_str());
        let Some(service) = services.get(&task) else {
            continue;
        };
        if !frame.error.is_empty() {
            notices.push(format!("task {task}: {}", frame.error));
            continue;
        }
        match wire::logs::frame_stream(&frame) {
            Ok(stream) => lines.push(LogMessage {
                service: service.clone(),
                node: node.clone(),
                stream,
                time: Timestamp(frame.time),
                data: frame.data.into(),
                task,
            }),
            Err(error) => notices.push(format!("task {task}: {error}")),
        }
    }
    (lines, notices)
}
