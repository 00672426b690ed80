//! When to stand for election. openraft's own timer is off: it runs in the loop that waits for the disk, so a slow
//! sync would look like a dead leader, and it has no pre-vote.
//!
//! A voter that has not heard of a leader for a random time between the election time-outs asks the others whether
//! they miss it too, and becomes a candidate when a majority does. When the leader's process is known to be gone, the
//! wait is cut to the lease, which no voter breaks, plus a step by rank, so that candidates do not collide.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use wire::raft as pb;

use crate::codec;
use crate::inner::Inner;
use crate::quorum;
use crate::transport::peer::Lane;
use crate::types::{Metrics, members_of};

/// Added to the lease before a candidacy after a crash: clocks and scheduling differ a little between voters.
const LEASE_MARGIN: Duration = Duration::from_millis(20);
/// Candidates after a crash follow one another by this, which is longer than an election among healthy members.
const RANK_STEP: Duration = Duration::from_millis(60);
/// Pause between two rounds of questions that found no majority.
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// How long a member that cannot stand for election sleeps before it looks again.
const IDLE: Duration = Duration::from_millis(50);
/// How long a leader's port may take to answer when the connection to it broke. Only a refusal proves anything.
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);
/// Pause between attempts to watch a leader that is there.
const WATCH_AGAIN: Duration = Duration::from_millis(100);

/// Stands for election whenever the leader is missed. Ends with the node.
pub(crate) async fn campaign(inner: Arc<Inner>) {
    let mut timeout = inner.draw_election_timeout();
    let mut last: Option<Instant> = None;
    loop {
        let metrics = inner.metrics();
        if !may_stand(&inner, &metrics) {
            tokio::time::sleep(IDLE).await;
            continue;
        }
        let alone = metrics.membership_config.voter_ids().count() == 1;
        let due = if alone {
            Instant::now()
        } else {
            deadline(&inner, &metrics, timeout)
        };
        // Each candidacy gets its time, however slow the disk: no storms.
        let deadline = last.map_or(due, |last| due.max(last + timeout));
        if Instant::now() < deadline {
            tokio::select! {
                () = tokio::time::sleep_until(deadline.into()) => {}
                () = inner.contact.changed() => {}
            }
            continue;
        }
        if !alone && !is_missed_by_quorum(&inner, &metrics).await {
            tokio::time::sleep(ASK_AGAIN + jitter(ASK_AGAIN)).await;
            continue;
        }
        // Time has passed: a leader may have come up, or another candidate have asked for our vote.
        if inner.metrics().current_term != metrics.current_term {
            continue;
        }
        tracing::info!(term = metrics.current_term, "standing for election");
        inner.contact.note_election();
        timeout = inner.draw_election_timeout();
        last = Some(Instant::now());
        if inner.raft.trigger().elect().await.is_err() {
            return;
        }
    }
}

fn may_stand(inner: &Inner, metrics: &Metrics) -> bool {
    let voter = metrics
        .membership_config
        .voter_ids()
        .any(|id| id == inner.me());
    voter && metrics.state != openraft::ServerState::Leader && inner.halted().is_none()
}

/// When this member stands for election, if it hears nothing until then.
fn deadline(inner: &Inner, metrics: &Metrics, timeout: Duration) -> Instant {
    let usual = inner.contact.quiet_since() + timeout;
    let Some(heard) = inner.contact.vacant_since(metrics.current_term) else {
        return usual;
    };
    let gone = metrics.current_leader;
    let others = metrics
        .membership_config
        .voter_ids()
        .filter(|id| Some(*id) != gone);
    let rank = others.filter(|id| *id < inner.me()).count();
    let step = RANK_STEP * u32::try_from(rank).unwrap_or(0);
    usual.min(heard + inner.lease() + LEASE_MARGIN + step)
}

/// Asks the other voters whether they miss the leader as well.
async fn is_missed_by_quorum(inner: &Arc<Inner>, metrics: &Metrics) -> bool {
    let membership = metrics.membership_config.membership();
    let last_log = inner.wal.ends().1.as_ref().map(codec::log_id);
    let voters = members_of(membership)
        .into_iter()
        .filter(|member| member.voter && member.raft_id != inner.me());
    let mut questions: FuturesUnordered<_> = voters
        .map(|member| {
            let peer = inner.peers.get(&member);
            async move {
                let request = pb::PreVoteRequest {
                    to: member.raft_id,
                    from: inner.me(),
                    last_log,
                };
                let mut client = peer.client(Lane::Control).await.ok()?;
                match client.pre_vote(request).await {
                    Ok(reply) => Some((member.raft_id, reply.into_inner())),
                    Err(_) => {
                        peer.disconnect(Lane::Control).await;
                        None
                    }
                }
            }
        })
        .collect();
    let mut agreed = vec![inner.me()];
    let answers = async {
        while let Some(answer) = questions.next().await {
            let Some((id, reply)) = answer else { continue };
            if let Some(membership) = reply.removed {
                inner.note_removed(membership);
                return false;
            }
            if reply.granted {
                agreed.push(id);
            }
            if quorum::is_quorum(membership, |id| agreed.contains(&id)) {
                return true;
            }
        }
        false
    };
    tokio::time::timeout(inner.config.election_min, answers)
        .await
        .unwrap_or(false)
}

/// Watches the process of whoever leads, and notes when it is gone. Ends with the node.
pub(crate) async fn watch_leader(inner: Arc<Inner>) {
    loop {
        let metrics = inner.metrics();
        let leader = metrics
            .current_leader
            .filter(|leader| *leader != inner.me());
        let member = leader.and_then(|leader| {
            members_of(metrics.membership_config.membership())
                .into_iter()
                .find(|member| member.raft_id == leader)
        });
        let Some(member) = member.filter(|_| !inner.contact.is_gone(metrics.current_term)) else {
            tokio::time::sleep(IDLE).await;
            continue;
        };
        let watched = tokio::select! {
            end = watch(&inner, &member) => end,
            () = until_other_term(&inner, metrics.current_term) => continue,
        };
        if watched == End::Announced || is_refused(&member.addr).await {
            tracing::info!(
                leader = member.node_id,
                term = metrics.current_term,
                "the leader is gone"
            );
            inner.contact.note_gone(metrics.current_term);
        } else {
            tokio::time::sleep(WATCH_AGAIN).await;
        }
    }
}

/// How watching a leader ended.
#[derive(PartialEq)]
enum End {
    /// It said that it goes away.
    Announced,
    /// The connection broke, or there was none.
    Broken,
}

async fn watch(inner: &Inner, member: &crate::Member) -> End {
    let peer = inner.peers.get(member);
    let Ok(mut client) = peer.client(Lane::Control).await else {
        return End::Broken;
    };
    let request = pb::WatchRequest { to: member.raft_id };
    let end = match client.watch(request).await {
        Ok(stream) => stream.into_inner().message().await,
        Err(status) => Err(status),
    };
    match end {
        Ok(Some(pb::WatchReply { closing: true })) => End::Announced,
        Ok(_) => End::Broken,
        Err(_) => {
            peer.disconnect(Lane::Control).await;
            End::Broken
        }
    }
}

async fn until_other_term(inner: &Inner, term: u64) {
    let mut metrics = inner.raft.metrics();
    // An error means that the node ends.
    let _ = metrics
        .wait_for(|metrics| metrics.current_term != term || metrics.running_state.is_err())
        .await;
}

/// Whether the host of `addr` is up and nobody listens there: the process is gone, not the network.
async fn is_refused(addr: &str) -> bool {
    let connect = tokio::net::TcpStream::connect(addr);
    match tokio::time::timeout(PROBE_TIMEOUT, connect).await {
        Ok(Err(error)) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        Ok(Ok(_)) | Err(_) => false,
    }
}

/// A random time below `limit`.
pub(crate) fn jitter(limit: Duration) -> Duration {
    // Each RandomState has keys of its own, from the kernel at first.
    let random = std::hash::RandomState::new().build_hasher().finish();
    limit.mul_f64((random >> 11) as f64 / (1_u64 << 53) as f64)
}
