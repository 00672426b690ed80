//! The other members: connections to them, and when they last acknowledged us.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tonic::transport::Channel;
use wire::raft::raft_client::RaftClient;

use crate::{Connector, Member};

/// How long the [`Connector`] may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Silence after which the connections to a member are made anew: a cut network leaves TCP in long retransmission
/// pauses, in which a healed one would go unnoticed.
const RECONNECT_AFTER: Duration = Duration::from_secs(1);
/// Most bytes of one message besides its largest entry.
const MESSAGE_OVERHEAD: usize = 4 << 20;

/// Messages wait only behind their like: a heartbeat never behind a large append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Heartbeats, votes, the watch.
    Control,
    /// Entries and snapshots.
    Bulk,
}

/// All peers, by Raft id. A member whose address changes becomes a new peer.
pub(crate) struct Peers {
    connector: Arc<dyn Connector>,
    max_message: usize,
    known: Mutex<HashMap<u64, Arc<Peer>>>,
}

impl Peers {
    pub(crate) fn new(connector: Arc<dyn Connector>, max_entry_bytes: usize) -> Self {
        Self {
            connector,
            max_message: max_entry_bytes + MESSAGE_OVERHEAD,
            known: Mutex::default(),
        }
    }

    /// Most bytes of one message in either direction.
    pub(crate) fn max_message(&self) -> usize {
        self.max_message
    }

    /// The peer for `member`, made when it is new or has moved.
    pub(crate) fn get(&self, member: &Member) -> Arc<Peer> {
        let mut known = self.known.lock().expect("no panic while it is locked");
        if let Some(peer) = known.get(&member.raft_id)
            && peer.member.addr == member.addr
            && peer.member.node_id == member.node_id
        {
            return Arc::clone(peer);
        }
        let peer = Arc::new(Peer {
            member: member.clone(),
            connector: Arc::clone(&self.connector),
            max_message: self.max_message,
            control: Slot::default(),
            bulk: Slot::default(),
            acked: Mutex::default(),
            silent_since: Mutex::default(),
            beating: AtomicBool::default(),
            missed: AtomicBool::default(),
        });
        known.insert(member.raft_id, Arc::clone(&peer));
        peer
    }

    /// Forgets who is no member.
    pub(crate) fn retain(&self, members: &[Member]) {
        let mut known = self.known.lock().expect("no panic while it is locked");
        known.retain(|id, _| members.iter().any(|member| member.raft_id == *id));
    }

    /// When `raft_id` last received a message of `term` that it acknowledged.
    pub(crate) fn acked(&self, raft_id: u64, term: u64) -> Option<Instant> {
        self.known
            .lock()
            .expect("no panic while it is locked")
            .get(&raft_id)?
            .acked(term)
    }
}

type Slot = tokio::sync::Mutex<Option<RaftClient<Channel>>>;

/// One other member.
pub(crate) struct Peer {
    pub(crate) member: Member,
    connector: Arc<dyn Connector>,
    max_message: usize,
    control: Slot,
    bulk: Slot,
    /// The newest acknowledged message: its term and when it was sent.
    acked: Mutex<Option<(u64, Instant)>>,
    /// Since when no heartbeat was answered.
    silent_since: Mutex<Option<Instant>>,
    /// A heartbeat is under way.
    beating: AtomicBool,
    /// It was said in the log that this member does not answer.
    missed: AtomicBool,
}

impl Peer {
    /// A client on the lane's own connection.
    pub(crate) async fn client(&self, lane: Lane) -> io::Result<RaftClient<Channel>> {
        let mut slot = self.slot(lane).lock().await;
        if let Some(client) = slot.as_ref() {
            return Ok(client.clone());
        }
        let channel = tokio::time::timeout(CONNECT_TIMEOUT, self.connector.channel(&self.member))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let client = RaftClient::new(channel)
            .max_decoding_message_size(self.max_message)
            .max_encoding_message_size(self.max_message);
        *slot = Some(client.clone());
        Ok(client)
    }

    /// Closes the lane's connection; the next message opens another.
    pub(crate) async fn disconnect(&self, lane: Lane) {
        *self.slot(lane).lock().await = None;
    }

    /// Notes that a message of `term`, sent at `sent`, was acknowledged.
    pub(crate) fn note_ack(&self, term: u64, sent: Instant) {
        let mut acked = self.acked.lock().expect("no panic while it is locked");
        *acked = (*acked).max(Some((term, sent)));
        *self
            .silent_since
            .lock()
            .expect("no panic while it is locked") = None;
        if self.missed.swap(false, Ordering::AcqRel) {
            tracing::info!(node = self.member.node_id, "a manager answers again");
        }
    }

    /// Notes that a heartbeat was not answered. Returns whether it is time to connect anew.
    pub(crate) fn note_silence(&self) -> bool {
        let mut since = self
            .silent_since
            .lock()
            .expect("no panic while it is locked");
        let now = Instant::now();
        let expired = since.get_or_insert(now).elapsed() >= RECONNECT_AFTER;
        if expired {
            *since = Some(now);
            if !self.missed.swap(true, Ordering::AcqRel) {
                tracing::warn!(
                    node = self.member.node_id,
                    addr = self.member.addr,
                    "a manager does not answer"
                );
            }
        }
        expired
    }

    /// Marks that a heartbeat starts; `None` while one is under way.
    pub(crate) fn begin_beat(self: &Arc<Self>) -> Option<Beat> {
        let busy = self.beating.swap(true, Ordering::AcqRel);
        (!busy).then(|| Beat(Arc::clone(self)))
    }

    fn acked(&self, term: u64) -> Option<Instant> {
        let acked = self.acked.lock().expect("no panic while it is locked");
        acked
            .filter(|(acked_term, _)| *acked_term == term)
            .map(|(_, sent)| sent)
    }

    fn slot(&self, lane: Lane) -> &Slot {
        match lane {
            Lane::Control => &self.control,
            Lane::Bulk => &self.bulk,
        }
    }
}

/// The heartbeat that is under way.
pub(crate) struct Beat(pub(crate) Arc<Peer>);

impl Drop for Beat {
    fn drop(&mut self) {
        self.0.beating.store(false, Ordering::Release);
    }
}
