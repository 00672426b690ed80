//! Changes of the members, one at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use openraft::ChangeMembers;
use openraft::error::{ChangeMembershipError, ClientWriteError, RaftError};
use tokio::sync::MutexGuard;
use wire::raft as pb;

use crate::barrier::not_serving;
use crate::codec;
use crate::inner::Inner;
use crate::quorum::majority;
use crate::transport::peer::Lane;
use crate::types::MemberNode;
use crate::{Member, MembershipError, ProposeError};

/// How long a change waits for the one before it.
const TURN_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause before openraft is asked again, while it still commits the change before, and before it is looked again who answers.
const ASK_AGAIN: Duration = Duration::from_millis(20);
/// A learner this many entries behind becomes a voter: it gets them within a message.
const CAUGHT_UP: u64 = 100;
/// How often a removed member is told, if it does not answer.
const FAREWELLS: u32 = 5;
/// Pause between them.
const FAREWELL_PAUSE: Duration = Duration::from_millis(500);

type Change = ChangeMembers<u64, MemberNode>;

/// Adds `member` as a learner, then as a voter.
pub(crate) async fn add(inner: Arc<Inner>, member: Member) -> Result<(), MembershipError> {
    let _turn = take_turn(&inner).await?;
    finish(&inner).await?;
    let id = member.raft_id;
    let members = inner.members();
    let known = members.iter().find(|known| known.raft_id == id);
    let same_node = members
        .iter()
        .find(|known| known.node_id == member.node_id && known.raft_id != id);
    if let Some(other) = same_node {
        return Err(MembershipError::NodeExists {
            node_id: other.node_id.clone(),
            raft_id: other.raft_id,
        });
    }
    if let Some(known) = known {
        if known.node_id != member.node_id {
            return Err(MembershipError::IdTaken {
                raft_id: id,
                node_id: known.node_id.clone(),
            });
        }
        if known.addr != member.addr {
            change(&inner, set_node(&member)).await?;
        }
        if known.voter {
            return Ok(());
        }
    } else {
        let nodes = BTreeMap::from([(id, node(&member))]);
        change(&inner, Change::AddNodes(nodes)).await?;
    }
    if let Err(error) = catch_up(&inner, &member).await {
        if matches!(error, MembershipError::NotCaughtUp { .. }) {
            change(&inner, Change::RemoveNodes(BTreeSet::from([id]))).await?;
        }
        return Err(error);
    }
    change(&inner, Change::AddVoterIds(BTreeSet::from([id]))).await
}

/// Removes a member, if those who remain and are reachable are a quorum.
pub(crate) async fn remove(inner: Arc<Inner>, id: u64) -> Result<(), MembershipError> {
    let _turn = take_turn(&inner).await?;
    finish(&inner).await?;
    let members = inner.members();
    let leaving = members
        .iter()
        .find(|member| member.raft_id == id)
        .ok_or(MembershipError::NotFound(id))?;
    let what = if leaving.voter {
        wait_for_quorum_without(&inner, &members, id).await?;
        Change::RemoveVoters(BTreeSet::from([id]))
    } else {
        Change::RemoveNodes(BTreeSet::from([id]))
    };
    let result = change(&inner, what).await;
    // A leader that removes itself loses its leadership by that.
    let metrics = inner.metrics();
    let stored = &metrics.membership_config;
    let gone =
        stored.nodes().all(|(member, _)| *member != id) && *stored.log_id() <= metrics.last_applied;
    match result {
        Err(MembershipError::Unknown) if gone => {}
        other => other?,
    }
    if id != inner.me() {
        tokio::spawn(say_farewell(Arc::clone(&inner), leaving.clone()));
    }
    Ok(())
}

/// Whether a removal would be refused for want of a quorum.
pub(crate) async fn may_remove(inner: &Inner, id: u64) -> Result<(), MembershipError> {
    check_serving(inner)?;
    let members = inner.members();
    let leaving = members.iter().find(|member| member.raft_id == id);
    match leaving {
        None => Err(MembershipError::NotFound(id)),
        Some(member) if !member.voter => Ok(()),
        Some(_) => wait_for_quorum_without(inner, &members, id).await,
    }
}

/// Changes the address of a member.
pub(crate) async fn update_address(
    inner: Arc<Inner>,
    id: u64,
    addr: String,
) -> Result<(), MembershipError> {
    let _turn = take_turn(&inner).await?;
    finish(&inner).await?;
    let members = inner.members();
    let member = members
        .into_iter()
        .find(|member| member.raft_id == id)
        .ok_or(MembershipError::NotFound(id))?;
    if member.addr == addr {
        return Ok(());
    }
    change(&inner, set_node(&Member { addr, ..member })).await
}

/// Completes a change that an earlier leader left in its middle.
pub(crate) async fn finish_left_over(inner: Arc<Inner>) {
    let turn = take_turn(&inner).await;
    if let Err(error) = match turn {
        Ok(_) => finish(&inner).await,
        Err(error) => Err(error),
    } {
        tracing::warn!(%error, "a change of the managers that an earlier leader began is not finished yet");
    }
}

async fn finish(inner: &Inner) -> Result<(), MembershipError> {
    let joint = inner
        .metrics()
        .membership_config
        .membership()
        .get_joint_config()
        .len()
        > 1;
    if joint {
        change(inner, Change::AddVoterIds(BTreeSet::new())).await
    } else {
        Ok(())
    }
}

fn node(member: &Member) -> MemberNode {
    MemberNode {
        node_id: member.node_id.clone(),
        addr: member.addr.clone(),
    }
}

fn set_node(member: &Member) -> Change {
    Change::SetNodes(BTreeMap::from([(member.raft_id, node(member))]))
}

async fn take_turn(inner: &Inner) -> Result<MutexGuard<'_, ()>, MembershipError> {
    check_serving(inner)?;
    let turn = tokio::time::timeout(TURN_TIMEOUT, inner.changing.lock()).await;
    let turn = turn.map_err(|_| MembershipError::InProgress)?;
    check_serving(inner)?;
    Ok(turn)
}

fn check_serving(inner: &Inner) -> Result<(), MembershipError> {
    if inner.leadership.borrow().i_lead {
        return Ok(());
    }
    Err(match not_serving(inner) {
        ProposeError::Stopped { reason } => MembershipError::Stopped(reason),
        ProposeError::NotLeader { leader } => MembershipError::NotLeader { leader },
        ProposeError::Unknown | ProposeError::TooLarge { .. } => {
            MembershipError::NotLeader { leader: None }
        }
    })
}

/// A leader that was just elected has not heard of everybody yet: for as long as it takes to hear of who is there, a
/// missing quorum is no reason to refuse.
async fn wait_for_quorum_without(
    inner: &Inner,
    members: &[Member],
    id: u64,
) -> Result<(), MembershipError> {
    let deadline = Instant::now() + inner.config.election_max;
    loop {
        match check_quorum_without(inner, members, id) {
            Err(MembershipError::WouldLoseQuorum { .. }) if Instant::now() < deadline => {
                tokio::time::sleep(ASK_AGAIN).await;
            }
            other => return other,
        }
    }
}

fn check_quorum_without(inner: &Inner, members: &[Member], id: u64) -> Result<(), MembershipError> {
    let rest: Vec<u64> = members
        .iter()
        .filter(|m| m.voter && m.raft_id != id)
        .map(|m| m.raft_id)
        .collect();
    if rest.is_empty() {
        return Err(MembershipError::LastMember);
    }
    let reach = reachability(inner);
    let reachable = rest
        .iter()
        .filter(|id| reach.contains(&(**id, true)))
        .count();
    let quorum = majority(rest.len());
    if reachable < quorum {
        return Err(MembershipError::WouldLoseQuorum {
            reachable,
            voters: rest.len(),
            quorum,
        });
    }
    Ok(())
}

/// Who answered this leader within the longest election time-out.
pub(crate) fn reachability(inner: &Inner) -> Vec<(u64, bool)> {
    let leadership = inner.leadership.borrow().clone();
    if !leadership.i_lead {
        return Vec::new();
    }
    let reached = |id| {
        let acked = inner.peers.acked(id, leadership.term);
        id == inner.me() || acked.is_some_and(|at| at.elapsed() < inner.config.election_max)
    };
    inner
        .members()
        .iter()
        .map(|member| (member.raft_id, reached(member.raft_id)))
        .collect()
}

/// Makes one change and waits until it is applied. openraft takes two steps for a change of voters.
async fn change(inner: &Inner, what: Change) -> Result<(), MembershipError> {
    let deadline = Instant::now() + TURN_TIMEOUT;
    loop {
        let result = tokio::select! {
            biased;
            // `false`: who is no voter any more does not stay as a learner either.
            result = inner.raft.change_membership(what.clone(), false) => result,
            () = until_lost(inner) => return Err(MembershipError::Unknown),
        };
        let error = match result {
            Ok(_) => return Ok(()),
            Err(RaftError::Fatal(_)) => return Err(MembershipError::Stopped(inner.stop_reason())),
            Err(RaftError::APIError(error)) => error,
        };
        match error {
            ClientWriteError::ForwardToLeader(_) => return Err(MembershipError::Unknown),
            ClientWriteError::ChangeMembershipError(ChangeMembershipError::LearnerNotFound(
                missing,
            )) => {
                return Err(MembershipError::NotFound(missing.node_id));
            }
            ClientWriteError::ChangeMembershipError(ChangeMembershipError::EmptyMembership(_)) => {
                return Err(MembershipError::LastMember);
            }
            ClientWriteError::ChangeMembershipError(ChangeMembershipError::InProgress(_)) => {
                if Instant::now() >= deadline {
                    return Err(MembershipError::InProgress);
                }
                tokio::time::sleep(ASK_AGAIN).await;
            }
        }
    }
}

async fn until_lost(inner: &Inner) {
    let term = inner.leadership.borrow().term;
    let mut leadership = inner.leadership.subscribe();
    // The sender lives in `inner`.
    let _ = leadership
        .wait_for(|now| !now.i_lead || now.term != term)
        .await;
}

/// Waits until the learner has nearly all of the log; gives up when it makes no progress.
async fn catch_up(inner: &Inner, member: &Member) -> Result<(), MembershipError> {
    let limit = inner.config.join_timeout;
    let mut metrics = inner.raft.metrics();
    let (mut best, mut progress) = (None, Instant::now());
    loop {
        check_serving(inner).map_err(|_| MembershipError::Unknown)?;
        {
            let now = metrics.borrow_and_update();
            let matched = now
                .replication
                .as_ref()
                .and_then(|all| all.get(&member.raft_id))
                .copied()
                .flatten();
            if matched > best {
                (best, progress) = (matched, Instant::now());
            }
            if matched.is_some_and(|id| id.index + CAUGHT_UP >= now.last_log_index.unwrap_or(0)) {
                return Ok(());
            }
        }
        if progress.elapsed() >= limit {
            return Err(MembershipError::NotCaughtUp {
                addr: member.addr.clone(),
                waited: limit,
            });
        }
        let _ = tokio::time::timeout(ASK_AGAIN, metrics.changed()).await;
    }
}

/// Tells a member that it was removed: it gets no more of the log, so it would not know.
async fn say_farewell(inner: Arc<Inner>, member: Member) {
    let peer = inner.peers.get(&member);
    for _ in 0..FAREWELLS {
        let membership = codec::stored_membership(&inner.metrics().membership_config);
        let request = pb::RemovedRequest {
            to: member.raft_id,
            membership: Some(membership),
        };
        if let Ok(mut client) = peer.client(Lane::Control).await
            && let Ok(Ok(_)) = tokio::time::timeout(FAREWELL_PAUSE, client.removed(request)).await
        {
            return;
        }
        peer.disconnect(Lane::Control).await;
        tokio::time::sleep(FAREWELL_PAUSE).await;
    }
}
