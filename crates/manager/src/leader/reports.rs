//! Agents' reports: gathered while one batch is being committed, acknowledged when they are.

use super::io::{Output, ProposalToken, SessionId};
use super::{Leader, Step};
use model::{Change, NodeId, Proposal, TaskId, TaskStatus};
use std::collections::BTreeMap;

/// Most statuses in one proposal: an entry stays well below the largest message between managers.
const MAX_BATCH: usize = 4_000;

/// Reports that wait, and those under way.
#[derive(Default)]
pub(super) struct Reports {
    waiting: BTreeMap<TaskId, TaskStatus>,
    /// Last report of each session that waits.
    waiting_acks: BTreeMap<NodeId, (SessionId, u64)>,
    under_way: Option<ProposalToken>,
    acks_under_way: BTreeMap<NodeId, (SessionId, u64)>,
}

impl Reports {
    pub(super) fn is_under_way(&self, token: ProposalToken) -> bool {
        self.under_way == Some(token)
    }

    /// A batch that was refused is not acknowledged: the agents send it again.
    pub(super) fn settle(&mut self, applied: bool, out: &mut Vec<Output>) {
        self.under_way = None;
        for (node, (session, sequence)) in std::mem::take(&mut self.acks_under_way) {
            out.push(if applied {
                Output::Reported {
                    node,
                    session,
                    sequence,
                }
            } else {
                Output::CloseSession { node, session }
            });
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
            let Some((id, status)) = self.reports.waiting.pop_first() else {
                break;
            };
            // The view has moved on since the report came in: what it says may be old or nobody's by now.
            if step
                .view
                .task(&id)
                .is_some_and(|task| is_news(&task.status, &status))
            {
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
        self.reports.acks_under_way = acks;
        let proposal = Proposal {
            request: None,
            at: step.now,
            changes,
        };
        self.reports.under_way = Some(self.propose(step, proposal));
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
