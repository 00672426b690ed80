//! Keeps one session with the leader, whoever that is.

use crate::driver::Event;
use crate::executor::Executor;
use crate::logs::Subscriptions;
use crate::session::{self, Connector, Session, SessionError, message};
use crate::status::AgentStatus;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use wire::pb::dispatcher as pb;
use wire::pb::dispatcher::to_agent::Message as ToAgent;
use wire::pb::dispatcher::to_manager::Message as ToManager;

/// First pause after no manager could be had.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
/// Longest pause: how late a node notices that a leader is back.
const BACKOFF_MAX: Duration = Duration::from_millis(500);
/// Heartbeats when the leader does not say: a quarter of the 2 s after which a node counts as silent.
const HEARTBEAT_PERIOD: Duration = Duration::from_millis(500);
/// Heartbeats are not sent more often than this, whatever the leader says.
const HEARTBEAT_FLOOR: Duration = Duration::from_millis(20);
/// Managers must refuse this node for so long before it counts as removed: a leader that has just been elected may not
/// know yet of a node that has just joined, and being removed has no way back.
const REFUSAL_PERIOD: Duration = Duration::from_secs(2);
/// Most managers that are tried at once; a cluster has seldom more than seven.
const MAX_ATTEMPTS: usize = 16;

pub(crate) struct Link {
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) executor: Arc<dyn Executor>,
    /// Index of the newest assignments that the worker took.
    pub(crate) last_index: Arc<AtomicU64>,
    pub(crate) status: watch::Sender<AgentStatus>,
    pub(crate) events: mpsc::Sender<Event>,
}

/// A manager's word that it is not the leader, with the address of the one that is, maybe.
type Hint = Option<String>;

impl Link {
    /// Runs until it is dropped, or until nobody listens any more.
    pub(crate) async fn run(self) {
        let mut pause = BACKOFF_MIN;
        let mut hint: Hint = None;
        let mut refused_since = None;
        while !self.events.is_closed() {
            match self.find_leader(hint.take(), &mut refused_since).await {
                Some(session) => {
                    refused_since = None;
                    pause = BACKOFF_MIN;
                    hint = self.keep(session).await;
                }
                None => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(BACKOFF_MAX);
                }
            }
        }
    }

    /// Asks all known managers at once: one of them leads, and hosts that are off cost no time.
    async fn find_leader(
        &self,
        hint: Hint,
        refused_since: &mut Option<Instant>,
    ) -> Option<Session> {
        let mut asked = BTreeSet::new();
        let mut attempts = FuturesUnordered::new();
        let known = self.status.borrow().managers.clone();
        for addr in hint.into_iter().chain(known) {
            self.ask(&mut asked, &mut attempts, addr);
        }
        let mut why = String::from("no manager is known");
        let mut refused = None;
        while let Some(result) = attempts.next().await {
            let error = match result {
                Ok(session) => return Some(session),
                Err(error) => error,
            };
            tracing::debug!(%error, "no session");
            match &error {
                SessionError::NotLeader { leader, .. } => {
                    refused = Some(false);
                    if !leader.is_empty() {
                        self.ask(&mut asked, &mut attempts, leader.clone());
                    }
                }
                SessionError::Refused { .. } => refused = refused.or(Some(true)),
                _ => {}
            }
            why = error.to_string();
        }
        match refused {
            Some(true) => *refused_since = refused_since.or(Some(Instant::now())),
            Some(false) => *refused_since = None,
            None => {}
        }
        let refused = refused_since.is_some_and(|since| since.elapsed() >= REFUSAL_PERIOD);
        self.status.send_if_modified(|status| {
            let news = status.error != why || status.refused != refused;
            status.error = why;
            status.refused = refused;
            news
        });
        None
    }

    fn ask<'a>(
        &'a self,
        asked: &mut BTreeSet<String>,
        attempts: &mut FuturesUnordered<BoxFuture<'a, Result<Session, SessionError>>>,
        addr: String,
    ) {
        if asked.len() >= MAX_ATTEMPTS || !asked.insert(addr.clone()) {
            return;
        }
        let index = self.last_index.load(Ordering::Relaxed);
        let attempt = session::open(&*self.connector, &*self.executor, index, addr);
        attempts.push(Box::pin(attempt));
    }

    /// Runs a session to its end.
    async fn keep(&self, session: Session) -> Hint {
        let Session {
            addr,
            welcome,
            channel,
            outbound,
            mut inbound,
        } = session;
        tracing::info!(leader = %addr, "session with the leader");
        self.status.send_modify(|status| {
            status.leader = Some(addr);
            status.error.clear();
            status.refused = false;
        });
        self.learn(welcome.managers);
        self.learn_role(welcome.role);
        let up = Event::Up {
            node: welcome.node.into(),
            outbound: outbound.clone(),
        };
        let mut logs = Subscriptions::new(channel, Arc::clone(&self.executor));
        let beats = heartbeats(outbound, period(welcome.heartbeat_period));
        let listen = async {
            if self.events.send(up).await.is_err() {
                return (None, String::from("the agent ends"));
            }
            loop {
                match inbound.message().await {
                    Ok(Some(message)) => {
                        if let Some(leader) = self.take(message, &mut logs).await {
                            return (Some(leader), "the manager does not lead any more".into());
                        }
                    }
                    Ok(None) => return (None, "the leader closed the session".into()),
                    Err(status) => return (None, status.message().to_owned()),
                }
            }
        };
        let (hint, why) = tokio::select! {
            end = listen => end,
            () = beats => (None, "the leader does not read".into()),
        };
        tracing::info!(%why, "the session is over");
        self.status.send_modify(|status| {
            status.leader = None;
            status.error = why;
        });
        // Nobody listens only when the agent ends.
        let _ = self.events.send(Event::Down).await;
        hint.filter(|leader| !leader.is_empty())
    }

    /// Takes a message; returns the new leader's address (or an empty one) when this manager does not lead any more.
    async fn take(&self, message: pb::ToAgent, logs: &mut Subscriptions) -> Option<String> {
        let event = match message.message? {
            ToAgent::NotLeader(pb::NotLeader { leader }) => return Some(leader),
            ToAgent::Managers(pb::Managers { addrs }) => {
                self.learn(addrs);
                return None;
            }
            ToAgent::RoleChanged(pb::RoleChanged { role }) => {
                self.learn_role(role);
                return None;
            }
            ToAgent::LogsStart(start) => {
                logs.start(start);
                return None;
            }
            ToAgent::LogsStop(stop) => {
                logs.stop(stop.subscription);
                return None;
            }
            ToAgent::Assignments(assignments) => Event::Assignments(assignments),
            ToAgent::Reported(reported) => Event::Reported(reported.sequence),
            ToAgent::Welcome(_) => return None,
        };
        // Nobody listens only when the agent ends.
        let _ = self.events.send(event).await;
        None
    }

    /// A role that is not known is a newer manager's; this node stays what it is.
    fn learn_role(&self, role: i32) {
        match wire::dispatcher::read_role(role) {
            Ok(role) => {
                self.status.send_if_modified(|status| {
                    let news = status.role != Some(role);
                    status.role = Some(role);
                    news
                });
            }
            Err(error) => tracing::debug!(%error, "the manager does not say this node's role"),
        }
    }

    fn learn(&self, managers: Vec<String>) {
        if !managers.is_empty() {
            self.status.send_if_modified(|status| {
                let news = status.managers != managers;
                status.managers = managers;
                news
            });
        }
    }
}

fn period(asked: Option<wire::pb::objects::Duration>) -> Duration {
    let asked = asked.map(|asked| Duration::new(asked.seconds, asked.nanos.min(999_999_999)));
    let asked = asked.filter(|period| !period.is_zero());
    asked.unwrap_or(HEARTBEAT_PERIOD).max(HEARTBEAT_FLOOR)
}

/// Returns when the queue is full or closed: the leader does not read any more.
async fn heartbeats(outbound: mpsc::Sender<pb::ToManager>, period: Duration) {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let beat = message(ToManager::Heartbeat(pb::Heartbeat {}));
        if outbound.try_send(beat).is_err() {
            return;
        }
    }
}
