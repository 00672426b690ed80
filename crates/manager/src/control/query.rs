//! Answers to questions about the state.

use model::control::{ControlError, Found, FoundNode, FoundTask, Query, Selector, TaskSelector};
use model::payload::PayloadData;
use model::{
    Node, NodeId, Payload, PayloadId, PayloadKind, PayloadSpec, Service, ServiceId, Task, Timestamp,
};
use std::sync::Arc;
use store::{FindError, Store};

/// What only the leader knows of managers.
pub(crate) struct Managers {
    /// The node that leads.
    pub(crate) leader: Option<NodeId>,
    /// Raft ids that the leader hears of.
    pub(crate) reachable: Vec<u64>,
}

/// Answers from `view` as of `now`. Objects are shared, not copied. Plans are not made here.
pub(crate) fn answer(
    view: &Store,
    managers: &Managers,
    now: Timestamp,
    query: &Query,
) -> Result<Found, ControlError> {
    let mut found = Found::default();
    match query {
        Query::Cluster => found.cluster = view.cluster().cloned(),
        Query::Nodes(selector) => {
            let nodes = select_nodes(view, selector)?;
            let nodes = nodes.into_iter().map(|node| found_node(node, managers));
            found.nodes = nodes.collect();
        }
        Query::Services(selector) => found.services = select_services(view, selector)?,
        Query::Tasks(selector) => {
            let tasks = select_tasks(view, selector)?;
            found.tasks = tasks
                .into_iter()
                .map(|task| found_task(view, task, now))
                .collect();
        }
        Query::Payloads(kind, selector) => {
            let payloads = select_payloads(view, *kind, selector)?;
            found.payloads = payloads.into_iter().map(without_secret).collect();
        }
        Query::Plan(_) => {
            let text = "a plan is made by the leader";
            return Err(ControlError::FailedPrecondition(text.into()));
        }
    }
    Ok(found)
}

fn found_node(node: Arc<Node>, managers: &Managers) -> FoundNode {
    let raft_id = node.manager.as_ref().map(|manager| manager.raft_id);
    FoundNode {
        leader: managers.leader.as_ref() == Some(&node.id),
        reachable: raft_id.is_some_and(|id| managers.reachable.contains(&id)),
        node,
    }
}

/// A task that waits for its turn says why: the reason follows from the state and is not kept.
fn found_task(view: &Store, task: Arc<Task>, now: Timestamp) -> FoundTask {
    let service = view.service(&task.service);
    let node = task.node.as_ref().and_then(|id| view.node(id));
    let up_to_date = service.is_some_and(|service| {
        !orchestrator::dirty::is_dirty(service, &task, node.map(Arc::as_ref))
    });
    let waits = Some(&task).filter(|task| task.status.error.is_empty());
    let waits = waits.and_then(|task| orchestrator::waiting_reason(task, now));
    let task = match waits {
        Some(reason) => {
            let mut waiting = Task::clone(&task);
            waiting.status.error = reason;
            Arc::new(waiting)
        }
        None => task,
    };
    FoundTask { task, up_to_date }
}

/// The content of a secret is never given back: it leaves the managers only for the nodes that need it.
fn without_secret(payload: Arc<Payload>) -> Arc<Payload> {
    if payload.kind != PayloadKind::Secret {
        return payload;
    }
    let spec = PayloadSpec {
        data: PayloadData::default(),
        ..PayloadSpec::clone(&payload.spec)
    };
    Arc::new(Payload {
        spec: Arc::new(spec),
        ..Payload::clone(&payload)
    })
}

fn not_found(error: FindError) -> ControlError {
    match error {
        FindError::NotFound { .. } => ControlError::NotFound(error.to_string()),
        FindError::Ambiguous { .. } => ControlError::InvalidArgument(error.to_string()),
    }
}

fn select_nodes(view: &Store, selector: &Selector<NodeId>) -> Result<Vec<Arc<Node>>, ControlError> {
    match selector {
        Selector::All => Ok(view.nodes().cloned().collect()),
        Selector::Id(id) => Ok(view.node(id).cloned().into_iter().collect()),
        Selector::Reference(text) => {
            let node = view.find_node(text).map_err(not_found)?;
            Ok(vec![Arc::clone(node)])
        }
    }
}

fn select_services(
    view: &Store,
    selector: &Selector<ServiceId>,
) -> Result<Vec<Arc<Service>>, ControlError> {
    match selector {
        Selector::All => Ok(view.services().cloned().collect()),
        Selector::Id(id) => Ok(view.service(id).cloned().into_iter().collect()),
        Selector::Reference(text) => {
            let service = view.find_service(text).map_err(not_found)?;
            Ok(vec![Arc::clone(service)])
        }
    }
}

fn select_payloads(
    view: &Store,
    kind: PayloadKind,
    selector: &Selector<PayloadId>,
) -> Result<Vec<Arc<Payload>>, ControlError> {
    match selector {
        Selector::All => Ok(view.payloads(kind).cloned().collect()),
        Selector::Id(id) => {
            let payload = view.payload(id).filter(|p| p.kind == kind);
            Ok(payload.cloned().into_iter().collect())
        }
        Selector::Reference(text) => {
            let payload = view.find_payload(kind, text).map_err(not_found)?;
            Ok(vec![Arc::clone(payload)])
        }
    }
}

fn select_tasks(view: &Store, selector: &TaskSelector) -> Result<Vec<Arc<Task>>, ControlError> {
    let mut tasks: Vec<Arc<Task>> = match selector {
        TaskSelector::All => return Ok(view.tasks().cloned().collect()),
        TaskSelector::Id(id) => view.task(id).cloned().into_iter().collect(),
        TaskSelector::Reference(text) => {
            let task = view.find_task(text).map_err(not_found)?;
            vec![Arc::clone(task)]
        }
        TaskSelector::Services(ids) => {
            let tasks = ids.iter().flat_map(|id| view.tasks_of_service(id));
            tasks.cloned().collect()
        }
        TaskSelector::Nodes(ids) => {
            let tasks = ids.iter().flat_map(|id| view.tasks_on_node(id));
            tasks.cloned().collect()
        }
    };
    tasks.sort_by(|a, b| a.id.cmp(&b.id));
    tasks.dedup_by(|a, b| a.id == b.id);
    Ok(tasks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Change, DesiredState, NewTask, Proposal, ServiceSpec, TaskState, TaskStatus};
    use std::time::Duration;

    fn apply(store: &mut Store, changes: Vec<Change>) {
        let proposal = Proposal {
            request: None,
            at: Timestamp(0),
            changes,
        };
        let applied = store.apply(store.index() + 1, &[proposal]);
        assert_eq!(applied.outcomes, [Ok(())]);
    }

    #[test]
    fn a_task_that_waits_says_why_and_the_state_does_not_keep_it() {
        let mut store = Store::new();
        let spec = Arc::new(ServiceSpec {
            name: "web".into(),
            ..ServiceSpec::default()
        });
        let (id, service) = (model::TaskId::from("t"), ServiceId::from("s"));
        let create = Change::CreateService {
            id: service.clone(),
            spec,
        };
        apply(&mut store, vec![create]);
        let task = NewTask {
            id: id.clone(),
            service,
            spec_version: 1,
            slot: 1,
            node: None,
            desired: DesiredState::Ready,
            start_after: Some(Timestamp(0) + Duration::from_secs(40)),
            restarts: vec![Timestamp(0); 6],
        };
        let pending = TaskStatus::new(TaskState::Pending, Timestamp(0), "pending task scheduling");
        let status = Change::SetTaskStatus {
            id: id.clone(),
            status: pending,
        };
        apply(&mut store, vec![Change::CreateTask(task), status]);
        let managers = Managers {
            leader: None,
            reachable: vec![],
        };
        let query = Query::Tasks(TaskSelector::Id(id.clone()));
        let error = |seconds| {
            let now = Timestamp(0) + Duration::from_secs(seconds);
            let found = answer(&store, &managers, now, &query).unwrap();
            found.tasks[0].task.status.error.clone()
        };
        assert!(error(10).contains("waits 30s"), "{}", error(10));
        assert_eq!(error(50), "", "its time has come");
        assert_eq!(store.task(&id).unwrap().status.error, "");
    }
}
