//! What a write would lead to, as it is answered to a dry run.

use api_types::starling as json;
use model::SlotKey;
use model::plan::{Plan, PlannedTask};
use serde::Serialize;
use serde_json::Value;

/// A plan with the differences of the specs.
pub(crate) fn plan(plan: &Plan, diff: Vec<json::Difference>) -> json::Plan {
    let replaced = plan.replace.iter().map(|r| json::PlannedReplacement {
        old: task(&r.old),
        new_node_id: r
            .new_node
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
    });
    let unplaced = plan.unplaced.iter().map(|u| json::Unplaced {
        service_name: u.service_name.clone(),
        slot: slot(&u.slot),
        reason: match &u.slot {
            SlotKey::Replica(_) => u.reason.clone(),
            SlotKey::Node(node) => format!("node {node}: {}", u.reason),
        },
    });
    json::Plan {
        version: plan.version,
        diff,
        start: plan.start.iter().map(task).collect(),
        stop: plan.stop.iter().map(task).collect(),
        replace: replaced.collect(),
        unplaced: unplaced.collect(),
        unchanged: plan.unchanged,
        notes: plan.notes.clone(),
    }
}

/// The number, 0 for a node.
fn slot(slot: &SlotKey) -> u64 {
    match slot {
        SlotKey::Replica(number) => *number,
        SlotKey::Node(_) => 0,
    }
}

fn task(task: &PlannedTask) -> json::PlannedTask {
    let node = match (&task.node, &task.slot) {
        (Some(node), _) | (None, SlotKey::Node(node)) => node.to_string(),
        (None, SlotKey::Replica(_)) => String::new(),
    };
    json::PlannedTask {
        service: task.service.to_string(),
        service_name: task.service_name.clone(),
        slot: slot(&task.slot),
        task_id: task
            .task
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        node_id: node,
    }
}

/// The moves in a plan of a rebalance.
pub(crate) fn moves(plan: &Plan) -> Vec<json::Move> {
    let moved = plan.replace.iter().filter_map(|replacement| {
        let old = task(&replacement.old);
        Some(json::Move {
            service_name: old.service_name,
            task_id: old.task_id,
            slot: old.slot,
            from_node_id: old.node_id,
            to_node_id: replacement.new_node.as_ref()?.to_string(),
        })
    });
    moved.collect()
}

/// The fields in which two specs differ, from the outermost key to the value; lists are shown whole.
pub(crate) fn differences<T: Serialize>(old: Option<&T>, new: &T) -> Vec<json::Difference> {
    let value = |spec: &T| serde_json::to_value(spec).expect("types of api-types are JSON");
    let mut found = Vec::new();
    compare("", &old.map_or(Value::Null, value), &value(new), &mut found);
    found
}

fn compare(path: &str, old: &Value, new: &Value, found: &mut Vec<json::Difference>) {
    if old == new {
        return;
    }
    // An object that appears or goes is told by its fields, but for an empty one, which has none to tell.
    let fields = |value: &Value| value.as_object().filter(|map| !map.is_empty()).cloned();
    let (olds, news) = (fields(old), fields(new));
    let is_mixed = (olds.is_none() && !old.is_null() && !old.is_object())
        || (news.is_none() && !new.is_null() && !new.is_object());
    if is_mixed || (olds.is_none() && news.is_none()) {
        found.push(json::Difference {
            path: path.to_owned(),
            old: old.clone(),
            new: new.clone(),
        });
        return;
    }
    let (olds, news) = (olds.unwrap_or_default(), news.unwrap_or_default());
    let added = news.keys().filter(|key| !olds.contains_key(*key));
    for key in olds.keys().chain(added) {
        let path = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        let of = |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or_default();
        compare(&path, &of(&olds), &of(&news), found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn differences_name_the_field() {
        let old = json!({"A": {"B": 1, "C": [1]}, "L": {}, "G": {"x": 1}});
        let new = json!({"A": {"B": 2, "C": [1, 2]}, "L": {"k": "v"}, "N": {}});
        let found = differences(Some(&old), &new);
        let shown: Vec<_> = found
            .iter()
            .map(|d| format!("{}: {} -> {}", d.path, d.old, d.new))
            .collect();
        assert_eq!(
            shown,
            [
                "A.B: 1 -> 2",
                "A.C: [1] -> [1,2]",
                "G.x: 1 -> null",
                "L.k: null -> \"v\"",
                "N: null -> {}",
            ]
        );
        assert!(differences(Some(&old), &old).is_empty());
        assert_eq!(differences(None, &json!({"A": 1}))[0].path, "A");
    }
}
