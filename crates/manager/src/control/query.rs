//! Answers to questions about the state.

use model::control::{ControlError, Found, FoundNode, FoundTask, Query, Selector, TaskSelector};
use model::{Node, NodeId, Service, ServiceId, Task};
use std::sync::Arc;
use store::{FindError, Store};

/// What only the leader knows of managers.
pub(crate) struct Managers {
    /// The node that leads.
    pub(crate) leader: Option<NodeId>,
    /// Raft ids that the leader hears of.
    pub(crate) reachable: Vec<u64>,
}

/// Answers from `view`. Objects are shared, not copied.
pub(crate) fn answer(
    view: &Store,
    managers: &Managers,
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
                .map(|task| found_task(view, task))
                .collect();
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

fn found_task(view: &Store, task: Arc<Task>) -> FoundTask {
    let service = view.service(&task.service);
    let node = task.node.as_ref().and_then(|id| view.node(id));
    let up_to_date = service.is_some_and(|service| {
        !orchestrator::dirty::is_dirty(service, &task, node.map(Arc::as_ref))
    });
    FoundTask { task, up_to_date }
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
