//! Logs that survive a change of leader: the new one is asked for what comes after the last line of each task.

use super::progress::Progress;
use super::service::from_leader;
use super::{FromLeader, LogBroker, LogStream, Missed};
use crate::control::{LEADER_WAIT, LeaderChannel, Route, forward};
use consensus::Raft;
use futures_util::StreamExt;
use model::control::ControlError;
use model::logs::{LogMessage, LogOptions, LogSelector};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Lines that wait for the client.
const LINES: usize = 256;

/// Where logs come from on any manager.
#[derive(Clone)]
pub(crate) struct LogSource {
    pub(crate) leader: Arc<LeaderChannel>,
    pub(crate) broker: Arc<LogBroker>,
    pub(crate) raft: Raft,
}

/// How a stream of one leader ended.
enum End {
    /// There is nothing more.
    Complete,
    /// The leader is one no more, or cannot be reached.
    BrokeOff,
    /// Nobody reads any more.
    Gone,
}

impl LogSource {
    /// The logs, from whoever leads.
    ///
    /// # Errors
    /// When there is no leader.
    pub(crate) async fn read(
        self,
        selector: LogSelector,
        options: LogOptions,
    ) -> Result<LogStream, ControlError> {
        let first = self.open(&selector, &options).await?;
        let (lines, receiver) = mpsc::channel(LINES);
        tokio::spawn(self.pump(first, selector, options, lines));
        Ok(Box::pin(ReceiverStream::new(receiver)))
    }

    async fn open(
        &self,
        selector: &LogSelector,
        options: &LogOptions,
    ) -> Result<FromLeader, ControlError> {
        let attempt = |route| async move {
            match route {
                Route::Here => {
                    let lines = self.broker.read(selector.clone(), options.clone());
                    let lines = lines.map(|line| line.map_err(Missed::Notice));
                    Ok(Box::pin(lines) as FromLeader)
                }
                Route::There(channel) => from_leader(channel, selector, options)
                    .await
                    .map_err(|status| forward::failed(&status)),
            }
        };
        self.leader.ask(LEADER_WAIT, attempt).await
    }

    async fn pump(
        self,
        first: FromLeader,
        selector: LogSelector,
        options: LogOptions,
        lines: mpsc::Sender<Result<LogMessage, String>>,
    ) {
        let mut stream = first;
        let mut progress = Progress::default();
        loop {
            match self.forward(&mut stream, &mut progress, &lines).await {
                End::Complete | End::Gone => return,
                End::BrokeOff => {}
            }
            let rest = progress.resume_all(&options);
            stream = match self.open(&selector, &rest).await {
                Ok(stream) => stream,
                Err(error) => {
                    let notice = format!("warning: incomplete log stream: {error}");
                    // The client may be gone.
                    let _ = lines.send(Err(notice)).await;
                    return;
                }
            };
        }
    }

    /// Hands lines on until the stream ends or its leader is lost.
    async fn forward(
        &self,
        stream: &mut FromLeader,
        progress: &mut Progress,
        lines: &mpsc::Sender<Result<LogMessage, String>>,
    ) -> End {
        let mut leadership = self.raft.leadership();
        let here = leadership.borrow_and_update().i_lead;
        let deposed = async {
            if !here || leadership.wait_for(|state| !state.i_lead).await.is_err() {
                // Another manager's stream says itself when it breaks off.
                std::future::pending::<()>().await;
            }
        };
        tokio::pin!(deposed);
        loop {
            let next = tokio::select! {
                next = stream.next() => next,
                () = &mut deposed => return End::BrokeOff,
                () = lines.closed() => return End::Gone,
            };
            let sent = match next {
                None => return End::Complete,
                Some(Err(Missed::BrokeOff(reason))) => {
                    tracing::debug!(%reason, "the leader broke off the logs");
                    return End::BrokeOff;
                }
                Some(Err(Missed::Notice(notice))) => lines.send(Err(notice)).await,
                Some(Ok(line)) if progress.is_new(&line) => lines.send(Ok(line)).await,
                Some(Ok(_)) => Ok(()),
            };
            if sent.is_err() {
                return End::Gone;
            }
        }
    }
}
