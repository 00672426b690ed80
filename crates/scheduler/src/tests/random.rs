//! Whatever waits on whatever nodes: what is decided is never refused, it is spread, and nothing is left waiting without need.

use super::lab::Lab;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn nodes() -> impl Strategy<Value = String> {
    let state =
        prop_oneof![6 => Just(""), 1 => Just("drain"), 1 => Just("down"), 1 => Just("pause")];
    let one = (0..6u32, prop_oneof![Just("ssd"), Just("hdd")], state);
    prop::collection::vec(one, 0..8).prop_map(|nodes| {
        let lines = nodes.iter().enumerate();
        let lines = lines
            .map(|(i, (mem, disk, state))| format!("n{i} mem={} disk={disk} {state}", mem * 40));
        lines.collect::<Vec<_>>().join("\n")
    })
}

fn service() -> impl Strategy<Value = (String, u64)> {
    let constraint = prop_oneof![
        2 => Just(String::new()),
        1 => Just("constraint=node.labels.disk==ssd".to_owned())
    ];
    (0..4u32, constraint, 0..3u32, 1..12u64).prop_map(|(mem, constraint, max, tasks)| {
        (format!("mem={} max={max} {constraint}", mem * 30), tasks)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn placements_hold_fill_and_spread(nodes in nodes(), services in prop::collection::vec(service(), 1..4)) {
        let mut lab = Lab::new(&nodes);
        for (i, (spec, tasks)) in services.iter().enumerate() {
            lab.service(&format!("s{i}"), spec, 1..=*tasks);
        }
        // Applying it fails when a guard of the store refuses anything: not ready, not active, above its reservations.
        lab.schedule();
        let waiting = lab.store.pending_tasks().count();
        // Groups that came first may have been told of room that later ones took.
        lab.schedule();
        prop_assert_eq!(lab.store.pending_tasks().count(), waiting, "a second look places nothing");
        prop_assert_eq!(lab.schedule(), 0, "a third one changes nothing");
        for task in lab.store.pending_tasks() {
            prop_assert!(task.status.error.starts_with("no suitable node"));
        }
        for (i, (spec, _)) in services.iter().enumerate() {
            let id = format!("s{i}").as_str().into();
            let mut per_node: BTreeMap<_, u64> = BTreeMap::new();
            for task in lab.store.tasks_of_service(&id) {
                let Some(node) = &task.node else { continue };
                let node = lab.store.node(node).expect("a node that is there");
                if spec.contains("disk==ssd") {
                    prop_assert_eq!(node.spec.labels["disk"].as_str(), "ssd");
                }
                *per_node.entry(node.id.clone()).or_default() += 1;
            }
            let most = per_node.values().copied().max().unwrap_or(0);
            let bound = [("max=1", 1), ("max=2", 2)].into_iter().find(|(word, _)| spec.contains(word));
            prop_assert!(bound.is_none_or(|(_, bound)| most <= bound));
            // Without reservations nothing but the constraint keeps the tasks from being spread evenly.
            if spec.starts_with("mem=0 max=0") {
                let ssd_only = spec.contains("disk==ssd");
                let open = lab.store.nodes().filter(|n| {
                    n.status.state == model::NodeState::Ready
                        && n.spec.availability == model::Availability::Active
                        && (!ssd_only || n.spec.labels["disk"] == "ssd")
                });
                let least = open.map(|n| per_node.get(&n.id).copied().unwrap_or(0)).min();
                prop_assert!(least.is_none_or(|least| most - least <= 1));
                prop_assert!(least.is_none() || lab.store.tasks_of_service(&id).all(|t| t.node.is_some()));
            }
        }
    }
}
