//! Logs for managers that do not lead.

use super::{FromLeader, LogBroker, Missed};
use crate::auth::Gate;
use crate::control::forward;
use consensus::Raft;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use model::logs::{LogMessage, LogOptions, LogSelector};
use std::sync::Arc;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};
use wire::pb::logs as pb;
use wire::pb::logs::logs_server::Logs;

/// Serves the logs on the leader.
#[derive(Clone)]
pub(crate) struct LogsService {
    pub(crate) gate: Gate,
    pub(crate) raft: Raft,
    pub(crate) broker: Arc<LogBroker>,
}

impl LogsService {
    /// Ends when this manager leads no more: its nodes have other sessions then.
    async fn deposed(self) -> Option<Result<pb::Batch, Status>> {
        let mut leadership = self.raft.leadership();
        // An error means that Raft has ended, and this manager with it.
        let _ = leadership.wait_for(|state| !state.i_lead).await;
        Some(Err(Status::unavailable("this manager leads no more")))
    }
}

#[tonic::async_trait]
impl Logs for LogsService {
    type ReadStream = BoxStream<'static, Result<pb::Batch, Status>>;

    async fn read(
        &self,
        request: Request<pb::ReadRequest>,
    ) -> Result<Response<Self::ReadStream>, Status> {
        self.gate.manager(&request)?;
        if !self.raft.leadership().borrow().i_lead {
            return Err(Status::unavailable("this manager does not lead"));
        }
        let (selector, options) = wire::logs::read_request_parts(request.into_inner())
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let batches = self.broker.read(selector, options).map(|line| {
            Some(Ok(match line {
                Ok(line) => pb::Batch {
                    messages: vec![line.into()],
                    notice: String::new(),
                },
                Err(notice) => pb::Batch {
                    messages: Vec::new(),
                    notice,
                },
            }))
        });
        // None is the end of the lines, before which nobody waits for the end of the leadership.
        let lines = batches.chain(stream::once(std::future::ready(None)));
        let deposed = stream::once(self.clone().deposed());
        let both = stream::select(lines, deposed);
        let ends_with_error =
            |item: &Option<Result<pb::Batch, Status>>| matches!(item, Some(Err(_)));
        let until_either = both
            .take_while(|item| std::future::ready(item.is_some()))
            .scan(false, move |ended, item| {
                let item = (!*ended).then_some(item);
                *ended = item.as_ref().is_some_and(ends_with_error);
                std::future::ready(item)
            })
            .filter_map(std::future::ready);
        Ok(Response::new(Box::pin(until_either)))
    }
}

/// The logs from the leader at the other end of `channel`.
pub(super) async fn from_leader(
    channel: Channel,
    selector: &LogSelector,
    options: &LogOptions,
) -> Result<FromLeader, Status> {
    let request = wire::logs::read_request(selector, options);
    let stream = forward::logs(channel).read(request).await?.into_inner();
    let lines = stream.map(|batch| match batch {
        Ok(batch) => lines(batch),
        Err(status) => vec![Err(Missed::BrokeOff(status.message().into()))],
    });
    Ok(Box::pin(lines.flat_map(stream::iter)))
}

fn lines(batch: pb::Batch) -> Vec<Result<LogMessage, Missed>> {
    let messages = batch.messages.into_iter();
    let line = |line: pb::Message| {
        LogMessage::try_from(line).map_err(|e: wire::DecodeError| Missed::Notice(e.to_string()))
    };
    let notice = (!batch.notice.is_empty()).then_some(Err(Missed::Notice(batch.notice)));
    messages.map(line).chain(notice).collect()
}
