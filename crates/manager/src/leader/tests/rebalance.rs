//! Moves to nodes that joined.

use super::*;
use crate::leader::{LOOK_AGAIN, MOVES_AT_ONCE};

fn crowded(services: usize, auto_rebalance: bool) -> (Lab, Vec<ServiceId>) {
    let mut lab = Lab::new(&["a"]);
    let create = |at: usize| ServiceSpec {
        auto_rebalance,
        ..replicated(&format!("s{at}"), 4)
    };
    let services: Vec<_> = (0..services).map(|at| lab.create(create(at))).collect();
    lab.settle();
    lab.write(vec![Change::CreateNode(Box::new(node("b")))]);
    lab.connect(&"b".into());
    lab.settle();
    (lab, services)
}

fn even() -> BTreeMap<String, usize> {
    BTreeMap::from([("a".into(), 2), ("b".into(), 2)])
}

#[test]
fn a_rebalance_moves_what_is_needed_under_the_update_configuration() {
    let (mut lab, services) = crowded(1, false);
    let [web] = services.as_slice() else {
        unreachable!()
    };
    lab.pass(Duration::from_secs(90));
    assert_eq!(lab.spread(web), BTreeMap::from([("a".into(), 4)]));
    let before = lab.running(web);
    lab.ask(Write::Rebalance(vec![])).unwrap();
    lab.settle();
    lab.pass(Duration::from_secs(20));
    assert_eq!(lab.spread(web), even());
    assert_eq!(lab.running(web).intersection(&before).count(), 2);
    let status = &lab.service(web).update_status;
    assert!(status.is_none(), "a move is no update: {status:?}");
}

#[test]
fn the_automatic_one_waits_for_quiet_and_moves_one_task_of_a_service_at_a_time() {
    let (mut lab, services) = crowded(MOVES_AT_ONCE + 2, true);
    let quiet = Limits::default().rebalance_quiet;
    let on_b = |lab: &Lab| {
        services
            .iter()
            .map(|s| lab.spread(s).get("b").copied().unwrap_or(0))
            .collect::<Vec<_>>()
    };
    lab.pass(quiet - Duration::from_secs(2));
    assert_eq!(on_b(&lab).iter().sum::<usize>(), 0);
    lab.pass(Duration::from_secs(4));
    assert!(
        on_b(&lab).iter().all(|count| *count <= 1),
        "{:?}",
        on_b(&lab)
    );
    assert_eq!(on_b(&lab).iter().sum::<usize>(), MOVES_AT_ONCE);
    lab.pass(LOOK_AGAIN);
    assert!(on_b(&lab).iter().sum::<usize>() <= 2 * MOVES_AT_ONCE);
    lab.pass(LOOK_AGAIN * 6);
    for service in &services {
        assert_eq!(lab.spread(service), even());
    }
}

#[test]
fn a_new_leader_goes_on_with_the_automatic_one() {
    let (mut lab, services) = crowded(1, true);
    let [web] = services.as_slice() else {
        unreachable!()
    };
    let quiet = Limits::default().rebalance_quiet;
    lab.pass(quiet + Duration::from_secs(1));
    assert_eq!(lab.spread(web).get("b"), Some(&1));
    lab.step(Input::LostLeadership);
    lab.queue.clear();
    lab.leader = Leader::new(Limits::default());
    lab.step(Input::BecameLeader);
    for id in ["a", "b"] {
        lab.connect(&id.into());
    }
    lab.settle();
    lab.pass(quiet * 2);
    assert_eq!(lab.spread(web), even());
}

#[test]
fn a_cluster_that_is_not_quiet_moves_nothing() {
    let (mut lab, services) = crowded(1, true);
    for _ in 0..5 {
        lab.pass(Duration::from_secs(20));
        let version = lab.store.node(&"b".into()).unwrap().meta.version;
        let spec = NodeSpec {
            labels: [("at".to_owned(), version.to_string())].into(),
            ..NodeSpec::default()
        };
        let id = NodeId::from("b");
        lab.ask(Write::UpdateNode { id, version, spec }).unwrap();
    }
    assert_eq!(lab.spread(&services[0]), BTreeMap::from([("a".into(), 4)]));
}
