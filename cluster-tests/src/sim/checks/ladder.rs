//! What may happen to single objects.

use super::{Rule, Step};
use model::{Change, Task, TaskState};
use store::Event;

pub(super) fn check(step: &Step<'_>) -> Rule {
    for event in step.events {
        match event {
            Event::Task {
                old: Some(old),
                new: Some(new),
                ..
            } => climbs(old, new)?,
            Event::Task {
                old: None,
                new: Some(new),
                ..
            } => is_of_present_spec(step, new)?,
            Event::Task {
                old: Some(old),
                new: None,
                ..
            } => is_over(step, old)?,
            Event::Service {
                old: None,
                new: Some(new),
                ..
            } => {
                let name = new.spec.name.to_ascii_lowercase();
                let same =
                    |s: &&std::sync::Arc<model::Service>| s.spec.name.to_ascii_lowercase() == name;
                if step.view.services().filter(same).count() != 1 {
                    return Err(format!("two services are called {name}"));
                }
            }
            _ => {}
        }
    }
    step.changes
        .iter()
        .try_for_each(|change| versions(step, change))
}

/// States only climb, and what is written once is written once.
fn climbs(old: &Task, new: &Task) -> Rule {
    let id = &new.id;
    if new.status.state < old.status.state {
        return Err(format!(
            "task {id} fell from {} to {}",
            old.status.state, new.status.state
        ));
    }
    if new.desired < old.desired {
        return Err(format!(
            "task {id} is wanted {:?} after {:?}",
            new.desired, old.desired
        ));
    }
    if old.node.is_some() && new.node != old.node {
        return Err(format!(
            "task {id} moved from {:?} to {:?}",
            old.node, new.node
        ));
    }
    if old.spec != new.spec || old.slot != new.slot || old.spec_version != new.spec_version {
        return Err(format!("task {id} became another task"));
    }
    Ok(())
}

fn is_of_present_spec(step: &Step<'_>, task: &Task) -> Rule {
    match step.view.service(&task.service) {
        Some(service)
            if service.spec_version == task.spec_version && service.spec.task == task.spec =>
        {
            Ok(())
        }
        _ => Err(format!(
            "task {} was created for a spec that its service does not have",
            task.id
        )),
    }
}

/// Nothing is forgotten that may run on a node that is there.
fn is_over(step: &Step<'_>, task: &Task) -> Rule {
    let down = |node: &model::NodeId| {
        step.view
            .node(node)
            .is_none_or(|n| n.status.state == model::NodeState::Down)
    };
    let over = task.status.state > TaskState::Running;
    if over || task.placed_on().is_none_or(down) {
        return Ok(());
    }
    Err(format!(
        "task {} was forgotten while it may run on {:?}",
        task.id, task.node
    ))
}

/// Nobody overwrites what he has not read.
fn versions(step: &Step<'_>, change: &Change) -> Rule {
    let wrong = |what: &str| {
        Err(format!(
            "{what} was overwritten from another version: {change:?}"
        ))
    };
    match change {
        Change::UpdateService { id, if_version, .. } => {
            let read = step.events.iter().find_map(|e| match e {
                Event::Service {
                    id: other,
                    old: Some(old),
                    ..
                } if other == id => Some(old.meta.version),
                _ => None,
            });
            if read == Some(*if_version) {
                Ok(())
            } else {
                wrong("a service")
            }
        }
        Change::UpdateNodeSpec { id, if_version, .. } => {
            let read = step.events.iter().find_map(|e| match e {
                Event::Node {
                    id: other,
                    old: Some(old),
                    ..
                } if other == id => Some(old.meta.version),
                _ => None,
            });
            if read == Some(*if_version) {
                Ok(())
            } else {
                wrong("a node")
            }
        }
        Change::SetUpdateStatus {
            id,
            if_spec_version,
            ..
        } => {
            let present = step.view.service(id).map(|s| s.spec_version);
            if present == Some(*if_spec_version) {
                Ok(())
            } else {
                wrong("an update's progress")
            }
        }
        _ => Ok(()),
    }
}
