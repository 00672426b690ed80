//! Clients' requests: checked against the view, proposed, answered when they are committed or refused.

use super::io::{Output, ProposalToken, RequestToken};
use super::{Leader, Step};
use model::change::RequestId;
use model::cluster::JoinSecret;
use model::control::{ControlError, Write, WriteRequest, Written};
use model::service::Mode;
use model::{
    Change, ClusterSpec, NodeId, NodeSpec, NodeState, Proposal, Refusal, ServiceId, ServiceSpec,
    TaskState, id, validate,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::Store;

/// Requests whose proposal is under way.
#[derive(Default)]
pub(super) struct Pending {
    waiting: BTreeMap<ProposalToken, (RequestToken, RequestId, Written)>,
}

impl Pending {
    pub(super) fn settle(
        &mut self,
        token: ProposalToken,
        outcome: Result<(), Refusal>,
        view: &Store,
        out: &mut Vec<Output>,
    ) {
        if let Some((token, request, written)) = self.waiting.remove(&token) {
            // The same request may have been under way twice: then what it made is the first one's.
            let result = outcome.map(|()| carried_out(view, request).unwrap_or(written));
            out.push(Output::Reply {
                token,
                result: result.map_err(refused),
            });
        }
    }

    pub(super) fn abandon(&mut self, out: &mut Vec<Output>) {
        for (token, ..) in std::mem::take(&mut self.waiting).into_values() {
            let text = "node lost leader status: the request may have been carried out or not";
            out.push(Output::Reply {
                token,
                result: Err(ControlError::Unavailable(text.into())),
            });
        }
    }
}

/// What a request that was carried out before is answered with.
fn carried_out(view: &Store, request: RequestId) -> Option<Written> {
    let applied = view.applied_request(request)?;
    let created = applied.created.clone();
    Some(created.map_or(Written::Done, Written::Service))
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

impl From<validate::Invalid> for Rejected {
    fn from(invalid: validate::Invalid) -> Self {
        Rejected(ControlError::InvalidArgument(invalid.0))
    }
}

struct Rejected(ControlError);

type Planned = Result<(Vec<Change>, Written), Rejected>;

fn precondition<T>(text: impl Into<String>) -> Result<T, Rejected> {
    Err(Rejected(ControlError::FailedPrecondition(text.into())))
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
            step.out.push(Output::Reply {
                token,
                result: Err(ControlError::Unavailable(text)),
            });
            return;
        }
        // A retry of what was carried out already is answered as the first time was.
        if let Some(written) = carried_out(step.view, request.id) {
            step.out.push(Output::Reply {
                token,
                result: Ok(written),
            });
            return;
        }
        match plan(step, request.write) {
            Err(Rejected(error)) => step.out.push(Output::Reply {
                token,
                result: Err(error),
            }),
            Ok((changes, written)) => {
                let proposal = Proposal {
                    request: Some(request.id),
                    at: step.now,
                    changes,
                };
                let proposed = self.propose(step, proposal);
                self.requests
                    .waiting
                    .insert(proposed, (token, request.id, written));
            }
        }
    }
}

fn plan(step: &mut Step<'_>, write: Write) -> Planned {
    match write {
        Write::CreateService(spec) => create_service(step, spec),
        Write::UpdateService { id, version, spec } => update_service(step.view, id, version, spec),
        Write::RemoveService(id) => remove_service(step.view, id),
        Write::UpdateNode { id, version, spec } => update_node(step.view, id, version, spec),
        Write::RemoveNode { id, force } => remove_node(step, id, force),
        Write::UpdateCluster {
            version,
            spec,
            rotate_worker_token,
            rotate_manager_token,
        } => update_cluster(
            step,
            version,
            spec,
            rotate_worker_token,
            rotate_manager_token,
        ),
    }
}

fn create_service(step: &mut Step<'_>, spec: Arc<ServiceSpec>) -> Planned {
    validate::service(&spec)?;
    if step.view.service_by_name(&spec.name).is_some() {
        let taken = Refusal::NameTaken {
            kind: "service",
            name: spec.name.clone(),
        };
        return Err(Rejected(ControlError::AlreadyExists(taken.to_string())));
    }
    let id = ServiceId::generate(step.ids);
    Ok((
        vec![Change::CreateService {
            id: id.clone(),
            spec,
        }],
        Written::Service(id),
    ))
}

fn update_service(view: &Store, id: ServiceId, version: u64, spec: Arc<ServiceSpec>) -> Planned {
    let Some(service) = view.service(&id) else {
        return not_found("service", id.as_str());
    };
    validate::service(&spec)?;
    if service.meta.version != version {
        return Err(Rejected(ControlError::OutOfSequence));
    }
    if service.spec.name != spec.name {
        return Err(Rejected(ControlError::Unimplemented(
            "renaming services is not supported".into(),
        )));
    }
    match (&service.spec.mode, &spec.mode) {
        (Mode::Replicated { .. }, Mode::Replicated { .. }) => {}
    }
    Ok((
        vec![Change::UpdateService {
            id,
            if_version: version,
            spec,
        }],
        Written::Done,
    ))
}

fn remove_service(view: &Store, id: ServiceId) -> Planned {
    if view.service(&id).is_none() {
        return not_found("service", id.as_str());
    }
    Ok((vec![Change::RemoveService { id }], Written::Done))
}

fn update_node(view: &Store, id: NodeId, version: u64, spec: NodeSpec) -> Planned {
    let Some(node) = view.node(&id) else {
        return not_found("node", id.as_str());
    };
    if node.meta.version != version {
        return Err(Rejected(ControlError::OutOfSequence));
    }
    if node.spec.role != spec.role {
        let text = "changing the role of a node is not built yet: leave the swarm and join again with the other token";
        return Err(Rejected(ControlError::Unimplemented(text.into())));
    }
    Ok((
        vec![Change::UpdateNodeSpec {
            id,
            if_version: version,
            spec,
        }],
        Written::Done,
    ))
}

fn remove_node(step: &Step<'_>, id: NodeId, force: bool) -> Planned {
    let Some(node) = step.view.node(&id) else {
        return not_found("node", id.as_str());
    };
    if node.manager.is_some() {
        return precondition(format!(
            "node {id} is a cluster manager and is a member of the raft cluster. It must be demoted to worker before removal"
        ));
    }
    if !force && node.status.state == NodeState::Ready {
        return precondition(format!("node {id} is not down and can't be removed"));
    }
    let mut changes = Vec::new();
    for task in step
        .view
        .tasks_on_node(&id)
        .filter(|t| !t.status.state.is_terminal())
    {
        let mut status = model::TaskStatus::new(TaskState::Orphaned, step.now, "node was removed");
        status.container.clone_from(&task.status.container);
        changes.push(Change::SetTaskStatus {
            id: task.id.clone(),
            status,
        });
    }
    changes.push(Change::RemoveNode { id });
    Ok((changes, Written::Done))
}

fn update_cluster(
    step: &mut Step<'_>,
    version: u64,
    spec: ClusterSpec,
    rotate_worker: bool,
    rotate_manager: bool,
) -> Planned {
    let Some(cluster) = step.view.cluster() else {
        return not_found("cluster", "default");
    };
    validate::cluster(&spec)?;
    if cluster.meta.version != version {
        return Err(Rejected(ControlError::OutOfSequence));
    }
    let mut secret = |wanted: bool| wanted.then(|| JoinSecret(id::encode(step.ids.next_id())));
    let change = Change::UpdateCluster {
        if_version: version,
        spec,
        worker_token: secret(rotate_worker),
        manager_token: secret(rotate_manager),
    };
    Ok((vec![change], Written::Done))
}

fn not_found(kind: &'static str, id: &str) -> Planned {
    Err(Rejected(ControlError::NotFound(format!(
        "{kind} {id} not found"
    ))))
}
