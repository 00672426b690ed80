//! Logs for managers that do not lead.

use super::{LogBroker, LogStream};
use crate::auth::Gate;
use crate::control::forward;
use consensus::Raft;
use futures_util::stream::BoxStream;
use model::logs::{LogMessage, LogOptions, LogSelector};
use std::sync::Arc;
use tokio_stream::StreamExt;
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
            Ok(match line {
                Ok(line) => pb::Batch {
                    messages: vec![line.into()],
                    notice: String::new(),
                },
                Err(notice) => pb::Batch {
                    messages: Vec::new(),
                    notice,
                },
            })
        });
        Ok(Response::new(Box::pin(batches)))
    }
}

/// The logs from the leader at the other end of `channel`.
pub(crate) async fn from_leader(
    channel: Channel,
    selector: &LogSelector,
    options: &LogOptions,
) -> Result<LogStream, Status> {
    let request = wire::logs::read_request(selector, options);
    let stream = forward::logs(channel).read(request).await?.into_inner();
    let lines = stream.map(|batch| match batch {
        Ok(batch) => lines(batch),
        Err(status) => vec![Err(format!("the leader broke off: {}", status.message()))],
    });
    Ok(Box::pin(futures_util::StreamExt::flat_map(
        lines,
        futures_util::stream::iter,
    )))
}

fn lines(batch: pb::Batch) -> Vec<Result<LogMessage, String>> {
    let messages = batch.messages.into_iter();
    let lines = messages.map(|line| LogMessage::try_from(line).map_err(|e| e.to_string()));
    let notice = (!batch.notice.is_empty()).then_some(Err(batch.notice));
    lines.chain(notice).collect()
}
