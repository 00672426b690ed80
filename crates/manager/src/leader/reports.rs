//! Agents' reports: gathered while one batch is being committed, acknowledged when they are.

use super::io::{Output, ProposalToken, SessionId};
use super::{Leader, Step};
use model::{Change, NodeId, Proposal, Task, TaskId, TaskState, TaskStatus};
use std::collections::BTreeMap;

/// Most statuses in one proposal: an entry stays well below the largest message between managers.
const MAX_BATCH: usize = 4_000;

/// Reports that wait, and those under way.
#[derive(Default)]
pub(super) struct Reports {
    waiting: BTreeMap<TaskId, TaskStatus>,
    /// Last report of each session that waits.
    waiting_acks: BTreeMap<NodeId, (SessionId, u64)>,
    under_way: Option<Batch>,
}

/// A proposal of reports.
struct Batch {
    token: ProposalToken,
    changes: Vec<Change>,
    acks: BTreeMap<NodeId, (SessionId, u64)>,
}

impl Reports {
    pub(super) fn is_under_way(&self, token: ProposalToken) -> bool {
        self.under_way.as_ref().is_some_and(|b| b.token == token)
    }

    /// A batch that was applied is acknowledged. One that was refused (a task of it was forgotten meanwhile) waits
    /// again, and goes without what is no news any more.
    pub(super) fn settle(&mut self, applied: bool, out: &mut Vec<Output>) {
        let Some(batch) = self.under_way.take() else {
            return;
        };
        if applied {
            for (node, (session, sequence)) in batch.acks {
                out.push(Output::Reported {
                    node,
                    session,
                    sequence,
                });
            }
            return;
        }
        for change in batch.changes {
            if let Change::SetTaskStatus { id, status } = change {
                self.waiting.entry(id).or_insert(status);
            }
        }
        for (node, ack) in batch.acks {
            self.waiting_acks.entry(node).or_insert(ack);
        }
    }
}

impl Leader {
    /// Takes a report in: what is not news, or not the node's business, is left out.
    pub(super) fn report(
        &mut self,
        step: &mut Step<'_>,
        node: NodeId,
        session: SessionId,
        sequence: u64,
        updates: Vec<(TaskId, TaskStatus)>,
    ) {
        if self.sessions.get(&node).is_none_or(|s| s.id != session) {
            return;
        }
        for (id, mut status) in updates {
            let Some(task) = step.view.task(&id) else {
                continue;
            };
            let known = self.reports.waiting.get(&id).unwrap_or(&task.status);
            keep_reason(task, known, &mut status);
            if task.node.as_ref() != Some(&node) || !is_news(known, &status) {
                continue;
            }
            status.applied_at = step.now;
            self.reports.waiting.insert(id, status);
        }
        self.reports.waiting_acks.insert(node, (session, sequence));
    }

    pub(super) fn propose_reports(&mut self, step: &mut Step<'_>) {
        if self.reports.under_way.is_some() {
            return;
        }
        let mut changes = Vec::new();
        while changes.len() < MAX_BATCH {
            let Some((id, mut status)) = self.reports.waiting.pop_first() else {
                break;
            };
            // The view has moved on since the report came in: what it says may be old or nobody's by now.
            let Some(task) = step.view.task(&id) else {
                continue;
            };
            keep_reason(task, &task.status, &mut status);
            if is_news(&task.status, &status) {
                changes.push(Change::SetTaskStatus { id, status });
            }
        }
        let acks = if self.reports.waiting.is_empty() {
            std::mem::take(&mut self.reports.waiting_acks)
        } else {
            BTreeMap::new()
        };
        if changes.is_empty() {
            for (node, (session, sequence)) in acks {
                step.out.push(Output::Reported {
                    node,
                    session,
                    sequence,
                });
            }
            return;
        }
        let proposal = Proposal {
            request: None,
            at: step.now,
            changes: changes.clone(),
        };
        let token = self.propose(step, proposal);
        self.reports.under_way = Some(Batch {
            token,
            changes,
            acks,
        });
    }
}

/// An agent that was told to stop a task says that it does so, and nothing of why: that is known here, such as that the
/// node does not suit the task any more.
fn keep_reason(task: &Task, known: &TaskStatus, status: &mut TaskStatus) {
    let is_stopped = !task.is_wanted() && status.state != TaskState::Complete;
    if is_stopped && status.error.is_empty() {
        status.error.clone_from(&known.error);
    }
}

/// Higher on the ladder, or the same state with something else to tell.
fn is_news(known: &TaskStatus, status: &TaskStatus) -> bool {
    status.state > known.state
        || (status.state == known.state
            && (status.message != known.message
                || status.error != known.error
                || status.container != known.container))
}
