//! The leader's duties that openraft 0.9 lacks: it stops serving when it has lost its quorum, and its heartbeats wait
//! neither for its own disk nor behind large messages.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use openraft::ServerState;
use openraft::raft::AppendEntriesRequest;
use tokio::time::MissedTickBehavior;
use wire::raft as pb;

use crate::inner::Inner;
use crate::quorum;
use crate::transport::network;
use crate::transport::peer::{Beat, Lane};
use crate::types::{LogId, Metrics, Vote, members_of};
use crate::{Halt, Leadership};

/// Beats of an idle leader between two of openraft's: a member that missed the last commit index hears of it within a
/// second.
const IDLE_BEATS: u32 = 10;

/// Publishes who leads. Ends with the node.
pub(crate) async fn observe(inner: Arc<Inner>) {
    let mut metrics = inner.raft.metrics();
    let mut member_at: Option<LogId> = None;
    loop {
        let now = metrics.borrow_and_update().clone();
        inner
            .peers
            .retain(&members_of(now.membership_config.membership()));
        if let Err(fatal) = &now.running_state {
            inner.halt(Halt::Failed(
                inner.wal.failure().unwrap_or_else(|| fatal.to_string()),
            ));
            return;
        }
        if is_removed(&inner, &now, &mut member_at) {
            inner.halt(Halt::Removed);
        }
        let next = leadership(&inner, &now);
        let joint = now.membership_config.membership().get_joint_config().len() > 1;
        let gained = next.i_lead && !inner.leadership.borrow().i_lead;
        inner.leadership.send_if_modified(|current| {
            let changed = current.halted.is_none() && *current != next;
            if changed {
                announce(current, &next);
                *current = next;
            }
            changed
        });
        if gained && joint {
            tokio::spawn(crate::membership::finish_left_over(Arc::clone(&inner)));
        }
        tokio::select! {
            changed = metrics.changed() => match changed {
                Ok(()) => *inner.alive.lock().expect("no panic while it is locked") = Instant::now(),
                Err(_) => return,
            },
            () = tokio::time::sleep(inner.config.heartbeat / 2) => {}
        }
    }
}

/// Says in the log what an operator wants to know.
fn announce(old: &Leadership, new: &Leadership) {
    if old.i_lead != new.i_lead {
        let text = if new.i_lead {
            "this manager leads"
        } else {
            "this manager leads no longer"
        };
        tracing::info!(term = new.term, "{text}");
    } else if old.leader != new.leader && !new.i_lead {
        match &new.leader {
            Some(leader) => tracing::info!(
                term = new.term,
                leader = leader.node_id,
                "this manager follows"
            ),
            None => tracing::info!(term = new.term, "no leader is known"),
        }
    }
}

/// Whether an applied configuration lacks this member, which an earlier one had.
fn is_removed(inner: &Inner, metrics: &Metrics, member_at: &mut Option<LogId>) -> bool {
    let stored = &metrics.membership_config;
    if stored.nodes().any(|(id, _)| *id == inner.me()) {
        *member_at = *stored.log_id();
        return false;
    }
    member_at.is_some() && *stored.log_id() > *member_at && *stored.log_id() <= metrics.last_applied
}

fn leadership(inner: &Inner, metrics: &Metrics) -> Leadership {
    let term = metrics.current_term;
    let was = inner.leadership.borrow().clone();
    let served = was.i_lead && was.term == term;
    let i_lead = is_leader(inner, metrics)
        && !inner.stepping_down.load(Ordering::Acquire)
        && has_quorum(inner, metrics)
        && (served || has_applied_all(metrics));
    let members = members_of(metrics.membership_config.membership());
    let leader = metrics.current_leader.filter(|leader| {
        if *leader == inner.me() {
            i_lead
        } else {
            !inner.contact.is_gone(term) && inner.contact.silence() < inner.config.election_max
        }
    });
    Leadership {
        term,
        leader: leader
            .and_then(|leader| members.into_iter().find(|member| member.raft_id == leader)),
        i_lead,
        halted: None,
    }
}

fn is_leader(inner: &Inner, metrics: &Metrics) -> bool {
    metrics.state == ServerState::Leader && metrics.current_leader == Some(inner.me())
}

/// Whether a quorum acknowledged this leader within the longest election time-out.
pub(crate) fn has_quorum(inner: &Inner, metrics: &Metrics) -> bool {
    let now = Instant::now();
    let heard = quorum::heard_since(metrics.membership_config.membership(), |id| {
        if id == inner.me() {
            Some(now)
        } else {
            inner.peers.acked(id, metrics.current_term)
        }
    });
    heard.is_some_and(|heard| now.duration_since(heard) < inner.config.election_max)
}

/// Whether everything in the log is applied, including an entry of the leader's own term. While this member does not
/// serve, nothing is added to its log, so this becomes true.
fn has_applied_all(metrics: &Metrics) -> bool {
    let applied = metrics.last_applied;
    applied.is_some_and(|id| {
        id.leader_id.term == metrics.current_term && Some(id.index) >= metrics.last_log_index
    })
}

/// Sends heartbeats while this member leads. Ends with the node.
///
/// openraft's own heartbeats carry the commit index and start replication again that failed. While a member lags they
/// go out with ours; with nothing to say, only now and then: both messages at each beat would be twice the work of an
/// idle cluster.
pub(crate) async fn beat(inner: Arc<Inner>) {
    let mut ticks = tokio::time::interval(inner.config.heartbeat);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut idle = 0;
    loop {
        ticks.tick().await;
        let now = inner.metrics();
        if is_leader(&inner, &now)
            && !inner.is_stalled()
            && !inner.stepping_down.load(Ordering::Acquire)
            && inner.halted().is_none()
        {
            beat_all(&inner, &now);
            idle += 1;
            if idle >= IDLE_BEATS || lags(&now) {
                idle = 0;
                if inner.raft.trigger().heartbeat().await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Whether a member has not acknowledged all of the log, as far as this leader knows.
fn lags(metrics: &Metrics) -> bool {
    let matched = metrics.replication.iter().flatten();
    matched
        .into_iter()
        .any(|(_, matched)| matched.map(|id| id.index) < metrics.last_log_index)
}

fn beat_all(inner: &Arc<Inner>, metrics: &Metrics) {
    let timeout = inner.config.election_max;
    for member in members_of(metrics.membership_config.membership()) {
        if member.raft_id == inner.me() {
            continue;
        }
        if let Some(beat) = inner.peers.get(&member).begin_beat() {
            tokio::spawn(beat_one(beat, metrics.vote, timeout));
        }
    }
}

/// A heartbeat claims nothing about the log: entries and the commit index are openraft's to send.
async fn beat_one(beat: Beat, vote: Vote, timeout: Duration) {
    let rpc = AppendEntriesRequest {
        vote,
        prev_log_id: None,
        entries: Vec::new(),
        leader_commit: None,
    };
    let sent = tokio::time::timeout(timeout, network::append(&beat.0, Lane::Control, rpc)).await;
    if !matches!(sent, Ok(Ok(_))) && beat.0.note_silence() {
        beat.0.disconnect(Lane::Control).await;
        beat.0.disconnect(Lane::Bulk).await;
    }
}

/// Hands leadership over: this member falls silent and asks the voter with the longest log to stand for election.
pub(crate) async fn step_down(inner: &Arc<Inner>) {
    let metrics = inner.metrics();
    let Some(heir) = heir(inner, &metrics).filter(|_| is_leader(inner, &metrics)) else {
        return;
    };
    inner.stepping_down.store(true, Ordering::Release);
    let term = metrics.current_term;
    // What is in flight is unknown to its callers by now; nothing more is added.
    inner
        .leadership
        .send_if_modified(|now| std::mem::replace(&mut now.i_lead, false));
    let request = pb::CampaignRequest {
        to: heir.raft_id,
        term,
    };
    let call = async {
        inner
            .peers
            .get(&heir)
            .client(Lane::Control)
            .await
            .ok()?
            .campaign(request)
            .await
            .ok()
    };
    let asked = tokio::time::timeout(inner.config.election_min, call).await;
    if let Ok(Some(_)) = asked {
        let mut metrics = inner.raft.metrics();
        let gone = metrics.wait_for(|now| now.current_term > term || now.running_state.is_err());
        // When nobody takes over, this member goes on.
        let _ = tokio::time::timeout(inner.config.election_max * 2, gone).await;
    }
    inner.stepping_down.store(false, Ordering::Release);
}

/// The reachable voter that has most of the log.
fn heir(inner: &Inner, metrics: &Metrics) -> Option<crate::Member> {
    let matched = |id: u64| {
        metrics
            .replication
            .as_ref()
            .and_then(|all| all.get(&id))
            .copied()
            .flatten()
    };
    let reach = crate::membership::reachability(inner);
    members_of(metrics.membership_config.membership())
        .into_iter()
        .filter(|member| {
            member.voter && member.raft_id != inner.me() && reach.contains(&(member.raft_id, true))
        })
        .max_by_key(|member| matched(member.raft_id))
}
