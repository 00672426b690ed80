//! Clients' requests: checked against the view, proposed, answered when they are committed or refused.

mod cluster;
mod nodes;
mod payloads;
mod services;
mod tasks;
mod tokens;

use super::io::{Output, ProposalToken, RequestToken};
use super::{Leader, Step};
use model::change::RequestId;
use model::control::{ControlError, Write, WriteRequest, Written};
use model::{Change, IdSource, Proposal, Refusal, Timestamp, validate};
use std::collections::BTreeMap;
use store::Store;

/// How often a request that names no version is decided again when something else was faster. Whoever is faster gets
/// something done, so this many in a row mean that the cluster is busier than it can be.
const MAX_DECISIONS: u32 = 8;

/// A request whose proposal is under way.
struct Waiting {
    token: RequestToken,
    request: RequestId,
    written: Written,
    /// The request itself, when it does not say what it was decided on: it is decided again.
    again: Option<Write>,
    /// How often it was decided.
    decisions: u32,
}

/// Requests whose proposal is under way.
#[derive(Default)]
pub(super) struct Pending {
    waiting: BTreeMap<ProposalToken, Waiting>,
}

impl Pending {
    pub(super) fn abandon(&mut self, out: &mut Vec<Output>) {
        for waiting in std::mem::take(&mut self.waiting).into_values() {
            let text = "node lost leader status: the request may have been carried out or not";
            out.push(Output::Reply {
                token: waiting.token,
                result: Err(ControlError::Unavailable(text.into())),
            });
        }
    }
}

/// What a request that was carried out before is answered with.
fn carried_out(view: &Store, request: RequestId) -> Option<Written> {
    let applied = view.applied_request(request)?;
    Some(applied.written.clone())
}

fn refused(refusal: Refusal) -> ControlError {
    let text = refusal.to_string();
    match refusal {
        Refusal::OutOfSequence => ControlError::OutOfSequence,
        Refusal::NameTaken { .. } | Refusal::Exists { .. } => ControlError::AlreadyExists(text),
        Refusal::NotFound { .. } => ControlError::NotFound(text),
        Refusal::Invariant(_) => ControlError::FailedPrecondition(text),
    }
}

/// Why a request is not even proposed.
#[derive(Debug)]
pub(crate) struct Rejected(pub(crate) ControlError);

impl From<validate::Invalid> for Rejected {
    fn from(invalid: validate::Invalid) -> Self {
        Rejected(ControlError::InvalidArgument(invalid.0))
    }
}

/// The changes of a request, and its answer when they are committed.
pub(crate) type Planned = Result<(Vec<Change>, Written), Rejected>;

fn precondition<T>(text: impl Into<String>) -> Result<T, Rejected> {
    Err(Rejected(ControlError::FailedPrecondition(text.into())))
}

fn invalid<T>(text: impl Into<String>) -> Result<T, Rejected> {
    Err(Rejected(ControlError::InvalidArgument(text.into())))
}

fn not_found<T>(kind: &str, id: &str) -> Result<T, Rejected> {
    Err(Rejected(ControlError::NotFound(format!(
        "{kind} {id} not found"
    ))))
}

fn in_sequence(is: u64, read: u64) -> Result<(), Rejected> {
    if is == read {
        Ok(())
    } else {
        Err(Rejected(ControlError::OutOfSequence))
    }
}

/// What requests are decided with.
pub(crate) struct Desk<'a> {
    pub(crate) now: Timestamp,
    pub(crate) view: &'a Store,
    pub(crate) ids: &'a mut dyn IdSource,
}

impl Leader {
    pub(super) fn request(
        &mut self,
        step: &mut Step<'_>,
        token: RequestToken,
        request: WriteRequest,
    ) {
        if !self.leading {
            let text = ControlError::NO_LEADER.to_owned();
            reply(step, token, Err(ControlError::Unavailable(text)));
            return;
        }
        self.decide_request(step, token, request.id, request.write, 1);
    }

    fn decide_request(
        &mut self,
        step: &mut Step<'_>,
        token: RequestToken,
        request: RequestId,
        write: Write,
        decisions: u32,
    ) {
        // A retry of what was carried out already is answered as the first time was.
        if let Some(written) = carried_out(step.view, request) {
            reply(step, token, Ok(written));
            return;
        }
        let mut desk = Desk {
            now: step.now,
            view: step.view,
            ids: step.ids,
        };
        let again = names_no_version(&write).then(|| write.clone());
        match decide(&mut desk, write) {
            Err(Rejected(error)) => reply(step, token, Err(error)),
            Ok((changes, written)) => {
                let proposal = Proposal {
                    request: Some(request),
                    at: step.now,
                    changes,
                };
                let proposed = self.propose(step, proposal);
                let waiting = Waiting {
                    token,
                    request,
                    written,
                    again,
                    decisions,
                };
                self.requests.waiting.insert(proposed, waiting);
            }
        }
    }

    pub(super) fn settle_request(
        &mut self,
        step: &mut Step<'_>,
        token: ProposalToken,
        outcome: Result<(), Refusal>,
    ) {
        let Some(waiting) = self.requests.waiting.remove(&token) else {
            return;
        };
        match (outcome, waiting.again) {
            (Err(_), Some(write)) if waiting.decisions < MAX_DECISIONS => {
                let decisions = waiting.decisions + 1;
                self.decide_request(step, waiting.token, waiting.request, write, decisions);
            }
            (outcome, _) => {
                // The same request may have been under way twice: then what it made is the first one's.
                let made = || carried_out(step.view, waiting.request).unwrap_or(waiting.written);
                let result = outcome.map(|()| made()).map_err(refused);
                reply(step, waiting.token, result);
            }
        }
    }
}

fn reply(step: &mut Step<'_>, token: RequestToken, result: Result<Written, ControlError>) {
    step.out.push(Output::Reply { token, result });
}

/// The client did not say what it had read, so another change is no reason to refuse it.
fn names_no_version(write: &Write) -> bool {
    matches!(
        write,
        Write::CreateToken { .. }
            | Write::RemoveToken { .. }
            | Write::RestartTasks(_)
            | Write::Rebalance(_)
    )
}

/// What a request changes, or why it is refused. Nothing is changed here.
pub(crate) fn decide(desk: &mut Desk<'_>, write: Write) -> Planned {
    match write {
        Write::CreateService(spec) => services::create(desk, spec),
        Write::UpdateService { id, version, spec } => services::update(desk, id, version, spec),
        Write::RollbackService { id, version, to } => services::rollback(desk, id, version, to),
        Write::RemoveService(id) => services::remove(desk, id),
        Write::RestartTasks(tasks) => tasks::restart(desk, tasks),
        Write::Rebalance(services) => tasks::rebalance(desk, services),
        Write::CreatePayload { kind, spec } => payloads::create(desk, kind, spec),
        Write::UpdatePayload {
            id,
            kind,
            version,
            spec,
        } => payloads::update(desk, id, kind, version, &spec),
        Write::RemovePayload { id, kind } => payloads::remove(desk, id, kind),
        Write::UpdateNode { id, version, spec } => nodes::update(desk, id, version, spec),
        Write::RemoveNode { id, force } => nodes::remove(desk, id, force),
        Write::UpdateCluster {
            version,
            spec,
            rotate_worker_token,
            rotate_manager_token,
        } => cluster::update(
            desk,
            version,
            spec,
            rotate_worker_token,
            rotate_manager_token,
        ),
        Write::CreateToken { name, role, labels } => tokens::create(desk, name, role, labels),
        Write::RemoveToken { name } => tokens::remove(desk, &name),
    }
}
