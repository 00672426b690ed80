//! The scheduler that remembers, the one that is new, and the plain definition decide the same, whatever happened
//! before; and what they decide keeps its promises.

use super::lab::{Lab, node};
use super::plain;
use crate::{Scheduler, rebalance};
use model::task::{GenericValue, Resources};
use model::{Change, DesiredState, NewTask, NodeId, ServiceId, TaskId, TaskState, TaskStatus};
use proptest::prelude::*;
use proptest::sample::Index as Nth;
use std::collections::BTreeMap;
use std::fmt::Write;

#[derive(Clone, Debug)]
enum Step {
    Service(String, u64),
    Global(String),
    More(Nth, u64),
    End(Nth, TaskState),
    Stop(Nth),
    Node(u8, String),
    RemoveNode(u8),
    Wait,
}

fn node_words() -> impl Strategy<Value = String> {
    let state =
        prop_oneof![8 => Just(""), 1 => Just("drain"), 1 => Just("down"), 1 => Just("pause")];
    let gpu = prop_oneof![4 => Just(""), 1 => Just("gpu=x"), 1 => Just("gpu=x,y fpga=2")];
    let platform = prop_oneof![5 => Just("linux/x86_64"), 1 => Just("linux/aarch64")];
    let zone = prop_oneof![Just(""), Just("zone=a"), Just("zone=b")];
    let rack = prop_oneof![Just(""), Just("engine.rack=1"), Just("engine.rack=2")];
    let disk = prop_oneof![Just("ssd"), Just("SSD"), Just("hdd")];
    let other = prop_oneof![
        Just(""),
        Just("manager"),
        Just("trusting host=Alpha"),
        Just("host=beta")
    ];
    (0..6u32, state, gpu, platform, zone, rack, disk, other).prop_map(
        |(mem, state, gpu, platform, zone, rack, disk, other)| {
            let mem = mem * 40;
            format!("mem={mem} platform={platform} disk={disk} {zone} {rack} {gpu} {other} {state}")
        },
    )
}

fn spec() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("constraint=node.labels.disk==ssd"),
        Just("constraint=node.labels.zone!=a"),
        Just("constraint=node.labels.none==x"),
        Just("constraint=engine.labels.rack==2"),
        Just("constraint=node.role==manager"),
        Just("constraint=node.id==n1"),
        Just("constraint=node.id!=n0"),
        Just("constraint=node.hostname==alpha"),
        Just("constraint=node.hostname!=beta"),
        Just("platform=linux/amd64"),
        Just("prefer=node.labels.zone"),
        Just("prefer=engine.labels.rack"),
        Just("prefer=node.labels.disk"),
        Just("prefer=node.labels.zone"),
        Just("max=1"),
        Just("max=2"),
        Just("gpu=1"),
        Just("fpga=1 gpu=1"),
        Just("privileged=1"),
        Just("mem=30"),
        Just("mem=50"),
        Just("mem=10"),
    ];
    prop::collection::vec(word, 0..4).prop_map(|words| words.join(" "))
}

fn step() -> impl Strategy<Value = Step> {
    let ends = prop_oneof![
        Just(TaskState::Failed),
        Just(TaskState::Failed),
        Just(TaskState::Complete)
    ];
    prop_oneof![
        4 => (spec(), 1..7u64).prop_map(|(spec, tasks)| Step::Service(spec, tasks)),
        1 => spec().prop_map(Step::Global),
        4 => (any::<Nth>(), 1..6u64).prop_map(|(nth, tasks)| Step::More(nth, tasks)),
        4 => (any::<Nth>(), ends).prop_map(|(nth, state)| Step::End(nth, state)),
        2 => any::<Nth>().prop_map(Step::Stop),
        4 => (0..8u8, node_words()).prop_map(|(n, words)| Step::Node(n, words)),
        1 => (0..8u8).prop_map(Step::RemoveNode),
        1 => Just(Step::Wait),
    ]
}

/// The nth task that `which` holds for.
fn task(lab: &Lab, nth: &Nth, which: impl Fn(&model::Task) -> bool) -> Option<String> {
    let ids: Vec<_> = lab.store.tasks().filter(|t| which(t)).collect();
    (!ids.is_empty()).then(|| ids[nth.index(ids.len())].id.to_string())
}

fn take(lab: &mut Lab, step: &Step, number: usize) {
    match step {
        Step::Service(spec, tasks) => lab.service(&format!("s{number:02}x"), spec, 1..=*tasks),
        Step::Global(spec) => lab.global(&format!("g{number:02}x"), spec),
        Step::More(nth, tasks) => {
            let services = lab.store.services().filter(|s| !s.spec.mode.is_global());
            let names: Vec<_> = services.map(|s| s.spec.name.clone()).collect();
            if !names.is_empty() {
                let name = &names[nth.index(names.len())];
                let used = lab.store.tasks_of_service(&name.as_str().into()).count() as u64;
                lab.tasks(name, used + 1..=used + tasks);
            }
        }
        Step::End(nth, state) => {
            if let Some(id) = task(lab, nth, |t| t.holds_resources()) {
                let change = lab.state(&id, *state);
                lab.apply(vec![change]);
            }
        }
        Step::Stop(nth) => {
            if let Some(id) = task(lab, nth, |t| t.is_wanted()) {
                lab.apply(vec![Change::SetDesired {
                    id: id.into(),
                    desired: DesiredState::Shutdown,
                }]);
            }
        }
        Step::Node(n, words) => {
            let line = format!("n{n} {words}");
            if lab.store.node(&format!("n{n}").into()).is_some() {
                lab.set_node(&line);
            } else {
                lab.apply(vec![Change::CreateNode(Box::new(node(&line)))]);
            }
        }
        Step::RemoveNode(n) => remove_node(lab, &format!("n{n}").into()),
        Step::Wait => lab.now = lab.now + std::time::Duration::from_secs(200),
    }
}

fn remove_node(lab: &mut Lab, id: &NodeId) {
    if lab.store.node(id).is_none() {
        return;
    }
    let running = lab.store.tasks_on_node(id).filter(|t| t.may_run());
    let ids: Vec<_> = running.map(|t| t.id.to_string()).collect();
    let mut changes: Vec<_> = ids
        .iter()
        .map(|id| lab.state(id, TaskState::Orphaned))
        .collect();
    changes.push(Change::RemoveNode { id: id.clone() });
    lab.apply(changes);
}

/// No node gives more than it has, and nothing twice.
fn check_promises(lab: &Lab) {
    for node in lab.store.nodes() {
        let mut given: BTreeMap<(String, String), u64> = BTreeMap::new();
        let tasks = lab.store.tasks_on_node(&node.id);
        for task in tasks.filter(|t| t.holds_resources()) {
            for resource in &task.generic {
                let (name, count) = match &resource.value {
                    GenericValue::Named(name) => (name.clone(), 1),
                    GenericValue::Discrete(n) => {
                        (String::new(), u64::try_from(*n).expect("more than none"))
                    }
                };
                let kind = resource.kind.clone();
                *given.entry((kind, name)).or_default() += count;
            }
        }
        for ((kind, name), count) in given {
            let bound = if name.is_empty() { 2 } else { 1 };
            assert!(
                count <= bound,
                "{kind} {name} of {} is given {count} times",
                node.id
            );
        }
    }
    for task in lab.store.pending_tasks() {
        assert!(
            !task.status.error.is_empty(),
            "{} waits without a reason",
            task.id
        );
    }
}

/// Moves change the place of tasks only, and come to an end.
fn check_moves(lab: &mut Lab) {
    let services: Vec<ServiceId> = lab.store.services().map(|s| s.id.clone()).collect();
    let assigned = lab
        .store
        .tasks()
        .filter(|t| t.status.state == TaskState::Assigned);
    let ids: Vec<_> = assigned.map(|t| t.id.to_string()).collect();
    let running = ids.iter().map(|id| lab.state(id, TaskState::Running));
    let running = running.collect();
    lab.apply(running);
    let moves = rebalance(&lab.store, &services, 1000);
    let mut text = String::new();
    for (id, from, to) in &moves {
        let task = lab.store.task(id).expect("a task that is there");
        assert_eq!(task.placed_on(), Some(from));
        assert_ne!(from, to);
        writeln!(text, "{id}: {from} {to}").expect("text");
    }
    let mut moved: Vec<_> = moves.iter().map(|(id, _, _)| id).collect();
    moved.sort_unstable();
    moved.dedup();
    assert_eq!(moved.len(), moves.len(), "a task moves once: {text}");
    for limit in 0..moves.len() {
        let fewer = rebalance(&lab.store, &services, limit);
        assert_eq!(fewer, moves[..limit], "a bound only cuts");
    }
    for round in 0..ROUNDS {
        let moves = rebalance(&lab.store, &services, 1000);
        if round > 0 {
            // Only room that a move has left can make another one possible.
            for (id, _, _) in &moves {
                let asks = &lab.store.task(id).expect("task").spec;
                let asks_nothing = asks.reservations() == Resources::default()
                    && asks.generic_reservations().is_empty();
                assert!(!asks_nothing, "{id} moves after {text}");
            }
        }
        if moves.is_empty() {
            return;
        }
        move_all(lab, &moves, round);
    }
    panic!("moves without an end, first {text}");
}

/// More rounds of moves than any cluster of the test needs.
const ROUNDS: usize = 20;

/// Each task ends where it is, and another one of its service runs where it goes.
fn move_all(lab: &mut Lab, moves: &[(TaskId, NodeId, NodeId)], round: usize) {
    let stops = moves.iter().flat_map(|(id, _, _)| {
        let over = lab.state(id.as_str(), TaskState::Complete);
        let stop = Change::SetDesired {
            id: id.clone(),
            desired: DesiredState::Shutdown,
        };
        [stop, over]
    });
    let stops = stops.collect();
    lab.apply(stops);
    for (id, _, to) in moves {
        let task = lab.store.task(id).expect("task").clone();
        let new = format!("m{round}{id}");
        let service = lab.store.service(&task.service).expect("service");
        let node = lab.store.node(to).expect("node");
        let in_use = lab.store.generic_use(to).cloned().unwrap_or_default();
        let given = in_use.claim(node, task.spec.generic_reservations());
        let changes = vec![
            Change::CreateTask(NewTask {
                id: new.as_str().into(),
                service: task.service.clone(),
                spec_version: service.spec_version,
                slot: task.slot,
                node: None,
                desired: DesiredState::Running,
                start_after: None,
                restarts: vec![],
            }),
            lab.state(&new, TaskState::Pending),
            Change::AssignTask {
                id: new.as_str().into(),
                node: to.clone(),
                generic: given.expect("the node of a move has what is asked for"),
                status: TaskStatus::new(TaskState::Assigned, lab.now, "moved"),
            },
            lab.state(&new, TaskState::Running),
        ];
        lab.apply(changes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn all_schedulers_decide_the_same(steps in prop::collection::vec((step(), any::<bool>()), 1..40)) {
        let mut lab = Lab::new("n0 mem=100 zone=a\nn1 mem=100 zone=b gpu=x\nn2 mem=60");
        let mut old = Scheduler::default();
        let mut ranking = Scheduler::that_keeps_all_rankings();
        for (number, (step, applied)) in steps.iter().enumerate() {
            take(&mut lab, step, number);
            let expected = plain::decide(&lab.store, lab.now);
            prop_assert_eq!(&lab.decide_with(&mut old), &expected, "the one that remembers");
            prop_assert_eq!(&lab.decide_with(&mut ranking), &expected, "the one that keeps all rankings");
            prop_assert_eq!(&lab.decide_with(&mut Scheduler::default()), &expected, "a new one");
            if *applied {
                // It fails when a guard of the store refuses anything.
                lab.apply(expected);
                check_promises(&lab);
            }
        }
        check_moves(&mut lab);
    }
}
