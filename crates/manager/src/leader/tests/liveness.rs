//! Nodes that fall silent, alone and together.

use super::*;

const NODES: [&str; 5] = ["a", "b", "c", "d", "e"];

fn silence(lab: &mut Lab, nodes: &[&str]) {
    for id in nodes {
        lab.agents.get_mut(*id).expect("there").silent = true;
    }
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn a_node_that_falls_silent_alone_is_down_and_its_tasks_move() {
    let mut lab = Lab::new(&NODES);
    let web = lab.create(replicated("web", 10));
    lab.settle();
    silence(&mut lab, &["a", "b"]);
    lab.pass(seconds(3));
    assert_eq!(lab.state("a"), NodeState::Down);
    assert_eq!(lab.state("b"), NodeState::Down);
    lab.pass(seconds(3));
    let spread = lab.spread(&web);
    assert_eq!(spread.values().sum::<usize>(), 10 + 4 - 4, "{spread:?}");
    assert!(!spread.contains_key("a") && !spread.contains_key("b"));
}

#[test]
fn most_nodes_silent_at_once_are_not_evicted_before_the_delay() {
    let mut lab = Lab::new(&NODES);
    let web = lab.create(replicated("web", 10));
    lab.settle();
    let before = lab.running(&web);
    silence(&mut lab, &["a", "b", "c"]);
    lab.pass(seconds(10));
    for id in ["a", "b", "c"] {
        assert_eq!(lab.state(id), NodeState::Disconnected, "{id}");
    }
    assert_eq!(lab.running(&web), before, "nothing moves");
    lab.pass(seconds(25));
    for id in ["a", "b", "c"] {
        assert_eq!(lab.state(id), NodeState::Down, "{id}");
    }
    let spread = lab.spread(&web);
    assert_eq!(spread.keys().collect::<Vec<_>>(), ["d", "e"]);
}

#[test]
fn nodes_that_come_back_within_the_delay_keep_their_tasks() {
    let mut lab = Lab::new(&NODES);
    let web = lab.create(replicated("web", 10));
    lab.settle();
    let before = lab.running(&web);
    silence(&mut lab, &["a", "b", "c", "d"]);
    lab.pass(seconds(20));
    for id in ["a", "b", "c", "d"] {
        lab.agents.get_mut(id).expect("there").silent = false;
        lab.connect(&id.into());
    }
    lab.settle();
    lab.pass(seconds(40));
    for id in NODES {
        assert_eq!(lab.state(id), NodeState::Ready, "{id}");
    }
    assert_eq!(lab.running(&web), before);
}

#[test]
fn messages_that_were_due_at_slightly_different_times_are_one_loss() {
    let mut lab = Lab::new(&NODES);
    lab.pass(seconds(5));
    // The cable is cut while two have just spoken and two have not: their deadlines are half a second apart.
    silence(&mut lab, &["a", "b"]);
    lab.pass(Duration::from_millis(500));
    silence(&mut lab, &["c"]);
    lab.pass(seconds(10));
    for id in ["a", "b", "c"] {
        assert_eq!(lab.state(id), NodeState::Disconnected, "{id}");
    }
}

#[test]
fn two_of_three_nodes_are_no_mass() {
    let mut lab = Lab::new(&["a", "b", "c"]);
    silence(&mut lab, &["a", "b"]);
    lab.pass(seconds(4));
    assert_eq!(lab.state("a"), NodeState::Down);
    assert_eq!(lab.state("b"), NodeState::Down);
}

#[test]
fn nodes_that_do_not_find_a_new_leader_are_held_when_they_are_most() {
    let mut lab = Lab::new(&NODES);
    let web = lab.create(replicated("web", 10));
    lab.settle();
    let before = lab.running(&web);
    lab.step(Input::LostLeadership);
    lab.leader = Leader::new(Limits::default());
    lab.step(Input::BecameLeader);
    for id in ["a", "b"] {
        lab.connect(&id.into());
    }
    silence(&mut lab, &["c", "d", "e"]);
    lab.pass(seconds(10));
    assert_eq!(lab.state("c"), NodeState::Disconnected);
    assert_eq!(lab.running(&web), before);
    lab.pass(seconds(30));
    assert_eq!(lab.state("c"), NodeState::Down);
}

#[test]
fn a_task_that_left_its_node_says_why() {
    let mut lab = Lab::new(&["a", "b"]);
    let on_a = changed(&replicated("web", 2), |task| {
        let placement = task.placement.get_or_insert_default();
        placement.constraints = vec!["node.labels.disk != full".into()];
    });
    let web = lab.create(on_a);
    lab.settle();
    assert_eq!(lab.spread(&web).len(), 2);
    let node = lab.store.node(&"a".into()).unwrap().clone();
    lab.ask(Write::UpdateNode {
        id: "a".into(),
        version: node.meta.version,
        spec: NodeSpec {
            labels: [("disk".into(), "full".into())].into(),
            ..node.spec.clone()
        },
    })
    .unwrap();
    lab.settle();
    assert_eq!(lab.spread(&web), BTreeMap::from([("b".into(), 2)]));
    let left: Vec<_> = lab
        .store
        .tasks_on_node(&"a".into())
        .map(|task| (task.status.state, task.status.error.clone()))
        .collect();
    let why = "assigned node no longer meets constraints".to_owned();
    assert_eq!(left, [(TaskState::Shutdown, why)]);
}
