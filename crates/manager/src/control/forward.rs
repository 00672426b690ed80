//! The way to the leader: here, or over a channel, as long as it takes to find one.

use crate::connector::{Connector, MAX_MESSAGE_BYTES};
use crate::machine::Machine;
use consensus::{Leadership, Member, Raft};
use model::control::ControlError;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep_until, timeout_at};
use tonic::transport::Channel;
use tonic::{Code, Status};
use wire::pb::ca::ca_client::CaClient;
use wire::pb::control::control_client::ControlClient;
use wire::pb::logs::logs_client::LogsClient;
use wire::pb::membership::membership_client::MembershipClient;

/// How long a request waits for a leader, as in Docker Swarm. An election takes about a second; a request that
/// waits longer than this has lost its client.
pub(crate) const LEADER_WAIT: Duration = Duration::from_secs(20);
/// How long a request waits while nobody leads at all. An election takes about a second, so this many mean that
/// too few managers are there.
const QUORUM_WAIT: Duration = Duration::from_secs(5);
/// Pause before the leader is asked again, unless the leader changes before.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// Where the leader is.
#[derive(Clone)]
pub(crate) enum Route {
    /// This manager leads.
    Here,
    /// Another one does.
    There(Channel),
}

/// Why an attempt failed.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The leader could not be asked, or does not lead any more: ask again.
    Again(String),
    /// This is the answer.
    Final(ControlError),
}

/// Finds the leader for requests.
pub(crate) struct LeaderChannel {
    me: u64,
    raft: Raft,
    machine: Arc<Machine>,
    connector: Connector,
    /// A channel to whoever leads, kept until somebody else does.
    open: Mutex<Option<(Member, Channel)>>,
}

impl LeaderChannel {
    pub(crate) fn new(
        me: u64,
        raft: Raft,
        machine: Arc<Machine>,
        connector: Connector,
    ) -> LeaderChannel {
        LeaderChannel {
            me,
            raft,
            machine,
            connector,
            open: Mutex::new(None),
        }
    }

    /// Makes attempts until one gives an answer, for `wait` at most. An attempt is given up when the leader changes:
    /// it must be harmless to make it twice.
    ///
    /// # Errors
    /// The answer, or [`ControlError::Unavailable`] with [`ControlError::NO_LEADER`].
    pub(crate) async fn ask<T, F>(
        &self,
        wait: Duration,
        attempt: impl Fn(Route) -> F,
    ) -> Result<T, ControlError>
    where
        F: Future<Output = Result<T, Failed>>,
    {
        let deadline = Instant::now() + wait;
        let mut leadership = self.raft.leadership();
        let mut quorum = Quorum::default();
        loop {
            let known = leadership.borrow_and_update().clone();
            if let Some(halted) = &known.halted {
                return Err(ControlError::Unavailable(halted.to_string()));
            }
            let has_leader = known.i_lead || self.other_leader(&known).is_some();
            let outcome = tokio::select! {
                outcome = self.attempt(&known, &attempt) => outcome,
                () = other_leader(&mut leadership, &known) => Err(Failed::Again("the leader changed".into())),
                () = sleep_until(deadline) => Err(Failed::Again("no answer".into())),
            };
            match outcome {
                Ok(answer) => return Ok(answer),
                Err(Failed::Final(error)) => return Err(error),
                Err(Failed::Again(reason)) => {
                    tracing::debug!(%reason, "asking the leader again");
                    quorum.note(has_leader, reason == ControlError::NO_LEADER);
                }
            }
            let until = quorum.until().map_or(deadline, |at| deadline.min(at));
            if Instant::now() >= until {
                return Err(ControlError::Unavailable(ControlError::NO_LEADER.into()));
            }
            let pause = if has_leader {
                until.min(Instant::now() + RETRY_PAUSE)
            } else {
                until
            };
            // Either is a reason to try again.
            let _ = timeout_at(pause, leadership.changed()).await;
        }
    }

    async fn attempt<T, F>(
        &self,
        known: &Leadership,
        attempt: &impl Fn(Route) -> F,
    ) -> Result<T, Failed>
    where
        F: Future<Output = Result<T, Failed>>,
    {
        if known.i_lead {
            return match self.machine.broken() {
                None => attempt(Route::Here).await,
                Some(why) => Err(Failed::Final(ControlError::Unavailable(why.to_string()))),
            };
        }
        let Some(leader) = self.other_leader(known) else {
            return Err(Failed::Again(ControlError::NO_LEADER.into()));
        };
        let channel = self.channel(leader).await;
        let channel = channel.map_err(|error| Failed::Again(error.to_string()))?;
        attempt(Route::There(channel)).await
    }

    /// The leader, when it is another manager.
    fn other_leader<'a>(&self, known: &'a Leadership) -> Option<&'a Member> {
        let leader = known.leader.as_ref();
        leader.filter(|leader| leader.raft_id != self.me)
    }

    async fn channel(&self, leader: &Member) -> io::Result<Channel> {
        let mut open = self.open.lock().await;
        if let Some((member, channel)) = open.as_ref()
            && member == leader
        {
            return Ok(channel.clone());
        }
        let channel = consensus::Connector::channel(&self.connector, leader).await?;
        *open = Some((leader.clone(), channel.clone()));
        Ok(channel)
    }
}

/// Since when there is no leader, as far as a request has found out: nobody is known to lead, or whoever is says that
/// it has lost its quorum, which is no silence and so would be asked again for ever.
#[derive(Default)]
struct Quorum {
    lost_at: Option<Instant>,
}

impl Quorum {
    fn note(&mut self, had_leader: bool, says_nobody: bool) {
        if says_nobody {
            self.lost_at.get_or_insert_with(Instant::now);
        } else if had_leader {
            self.lost_at = None;
        }
    }

    /// When waiting makes no sense any more.
    fn until(&self) -> Option<Instant> {
        self.lost_at.map(|at| at + QUORUM_WAIT)
    }
}

/// Ends when leadership is not as it was known.
async fn other_leader(leadership: &mut watch::Receiver<Leadership>, known: &Leadership) {
    let changed = |now: &Leadership| {
        now.leader != known.leader || now.i_lead != known.i_lead || now.halted != known.halted
    };
    if leadership.wait_for(changed).await.is_err() {
        // Raft has ended; whoever waits here is about to end, too.
        std::future::pending::<()>().await;
    }
}

/// What a refusal of another manager means.
pub(crate) fn failed(status: &Status) -> Failed {
    let text = status.message().to_owned();
    match status.code() {
        Code::InvalidArgument => Failed::Final(ControlError::InvalidArgument(text)),
        Code::NotFound => Failed::Final(ControlError::NotFound(text)),
        Code::AlreadyExists => Failed::Final(ControlError::AlreadyExists(text)),
        Code::Unimplemented => Failed::Final(ControlError::Unimplemented(text)),
        Code::FailedPrecondition
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::OutOfRange => Failed::Final(ControlError::FailedPrecondition(text)),
        _ => Failed::Again(text),
    }
}

/// How an error is told to another node.
pub(crate) fn status(error: &ControlError) -> Status {
    let code = match error {
        ControlError::InvalidArgument(_) => Code::InvalidArgument,
        ControlError::NotFound(_) => Code::NotFound,
        ControlError::AlreadyExists(_) => Code::AlreadyExists,
        ControlError::FailedPrecondition(_) | ControlError::NotManager(_) => {
            Code::FailedPrecondition
        }
        ControlError::Unimplemented(_) => Code::Unimplemented,
        ControlError::OutOfSequence => Code::Aborted,
        ControlError::Unavailable(_) => Code::Unavailable,
    };
    Status::new(code, error.to_string())
}

pub(crate) fn control(channel: Channel) -> ControlClient<Channel> {
    ControlClient::new(channel)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES)
}

pub(crate) fn ca(channel: Channel) -> CaClient<Channel> {
    CaClient::new(channel)
}

pub(crate) fn logs(channel: Channel) -> LogsClient<Channel> {
    LogsClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES)
}

pub(crate) fn membership(channel: Channel) -> MembershipClient<Channel> {
    MembershipClient::new(channel)
}
