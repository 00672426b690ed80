//! What a plan says is what then happens, when nothing else does.

use super::*;
use crate::leader::plan::compare::compare;
use model::node::DrainConfig;
use model::plan::Plan;
use model::service::{FailureAction, UpdateConfig, UpdateOrder};
use model::task::Placement;
use model::{Availability, Labels};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// A plan without what cannot be known before: nothing but the order of slots.
fn made(lab: &Lab, write: Write) -> Result<Plan, ControlError> {
    crate::leader::plan(lab.store.clone(), lab.now, &Limits::default(), write)
}

fn spread_of(plan: &Plan) -> Vec<(String, String)> {
    let start = plan.start.iter().map(|t| (&t.slot, &t.node));
    let nodes = start.map(|(slot, node)| (slot.to_string(), node.as_ref().unwrap().to_string()));
    nodes.collect()
}

#[test]
fn a_new_service_is_planned_with_its_nodes() {
    let mut lab = Lab::new(&["a", "b"]);
    lab.create(replicated("old", 1));
    lab.settle();
    let before = lab.store.snapshot();
    let create = Write::CreateService(Arc::new(replicated("web", 3)));
    let plan = made(&lab, create.clone()).unwrap();
    assert_eq!(plan.start.len(), 3);
    assert!(
        plan.start
            .iter()
            .all(|t| t.service_name == "web" && t.task.is_none())
    );
    assert_eq!((plan.version, plan.unchanged), (0, 1));
    assert!(plan.stop.is_empty() && plan.replace.is_empty() && plan.notes.is_empty());
    assert_eq!(lab.store.snapshot(), before, "a plan changes nothing");
    assert_eq!(spread_of(&plan).len(), 3);
    assert_eq!(made(&lab, create).unwrap(), plan, "twice the same");
}

#[test]
fn an_update_of_the_template_replaces_and_one_of_labels_does_not() {
    let mut lab = Lab::new(&["a", "b"]);
    let web = lab.create(replicated("web", 4));
    lab.settle();
    let version = lab.service(&web).meta.version;
    let update = |spec: ServiceSpec| Write::UpdateService {
        id: web.clone(),
        version,
        spec: Arc::new(spec),
    };
    let plan = made(
        &lab,
        update(changed(&replicated("web", 4), |t| t.force_update = 1)),
    )
    .unwrap();
    assert_eq!((plan.replace.len(), plan.unchanged), (4, 0));
    assert_eq!(plan.version, version);
    let mut labelled = replicated("web", 4);
    labelled.labels.insert("a".into(), "b".into());
    let plan = made(&lab, update(labelled)).unwrap();
    assert_eq!((plan.replace.len(), plan.unchanged), (0, 4));
    let plan = made(&lab, update(replicated("web", 1))).unwrap();
    assert_eq!((plan.stop.len(), plan.unchanged), (3, 1));
    let refused = made(&lab, update(spec("web", Mode::Global))).unwrap_err();
    assert_eq!(refused.to_string(), "service mode change is not allowed");
}

#[test]
fn what_finds_no_node_says_why_and_that_the_update_would_not_end() {
    let mut lab = Lab::new(&["a", "b"]);
    let web = lab.create(replicated("web", 2));
    lab.settle();
    let nowhere = changed(&replicated("web", 2), |task| {
        task.placement = Some(Placement {
            constraints: vec!["node.labels.disk==ssd".into()],
            ..Placement::default()
        });
        task.force_update = 1;
    });
    let update = |spec: ServiceSpec| Write::UpdateService {
        id: web.clone(),
        version: lab.service(&web).meta.version,
        spec: Arc::new(spec),
    };
    let plan = made(&lab, update(nowhere.clone())).unwrap();
    assert!(!plan.unplaced.is_empty());
    let reason = &plan.unplaced[0].reason;
    assert!(
        reason.contains("scheduling constraints not satisfied on 2 nodes"),
        "{reason}"
    );
    let note = plan.notes.join("; ");
    assert!(note.contains("the update of web would not end"), "{note}");

    // With a deadline it would be taken back.
    let mut bounded = nowhere;
    bounded.progress_deadline = Some(Duration::from_secs(60));
    bounded.update = Some(UpdateConfig {
        failure_action: FailureAction::Rollback,
        order: UpdateOrder::StartFirst,
        ..UpdateConfig::default()
    });
    let plan = made(&lab, update(bounded)).unwrap();
    let note = plan.notes.join("; ");
    assert!(
        note.contains("would fail and be rolled back"),
        "{note} {plan:?}"
    );
    assert!(plan.unplaced.is_empty(), "{plan:?}");
}

#[test]
fn a_drain_moves_what_is_there_and_jobs_run_to_their_end() {
    let mut lab = Lab::new(&["a", "b"]);
    let web = lab.create(replicated("web", 4));
    lab.settle();
    let node = lab.store.node(&"a".into()).unwrap().clone();
    let drain = Write::UpdateNode {
        id: "a".into(),
        version: node.meta.version,
        spec: NodeSpec {
            availability: Availability::Drain,
            drain: Some(DrainConfig {
                parallelism: 1,
                order: UpdateOrder::StartFirst,
            }),
            ..node.spec.clone()
        },
    };
    let plan = made(&lab, drain).unwrap();
    assert_eq!((plan.replace.len(), plan.unchanged), (2, 2));
    assert!(plan.replace.iter().all(|r| r.new_node == Some("b".into())));
    assert_eq!(plan.version, node.meta.version);
    let job = Mode::ReplicatedJob {
        max_concurrent: Some(2),
        total_completions: Some(7),
    };
    let plan = made(&lab, Write::CreateService(Arc::new(spec("job", job)))).unwrap();
    assert_eq!((plan.start.len(), plan.unchanged), (7, 4));
    let error = made(&lab, Write::RemoveService(web)).unwrap_err();
    assert!(
        error.to_string().starts_with("a dry run is there for"),
        "{error}"
    );
}

/// Takes the nodes of new tasks out of a plan; how many of a service come to one node, the most first.
fn shape(plan: &mut Plan) -> BTreeMap<ServiceId, Vec<usize>> {
    let mut counts: BTreeMap<ServiceId, BTreeMap<NodeId, usize>> = BTreeMap::new();
    let replaced = plan.replace.iter_mut();
    let replaced = replaced.map(|r| (&r.old.service, &mut r.new_node));
    let started = plan.start.iter_mut().map(|t| (&t.service, &mut t.node));
    for (service, node) in replaced.chain(started) {
        if let Some(node) = node.replace("somewhere".into()) {
            let of_service = counts.entry(service.clone()).or_default();
            *of_service.entry(node).or_default() += 1;
        }
    }
    let sorted = |nodes: BTreeMap<NodeId, usize>| {
        let mut counts: Vec<usize> = nodes.into_values().collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        counts
    };
    counts
        .into_iter()
        .map(|(id, nodes)| (id, sorted(nodes)))
        .collect()
}

fn any_mode() -> impl Strategy<Value = Mode> {
    prop_oneof![
        6 => (0..7_u64).prop_map(|n| Mode::Replicated { replicas: Some(n) }),
        2 => Just(Mode::Global),
        1 => (1..4_u64, 1..6_u64).prop_map(|(concurrent, total)| Mode::ReplicatedJob {
            max_concurrent: Some(concurrent),
            total_completions: Some(total),
        }),
        1 => Just(Mode::GlobalJob),
    ]
}

/// Constraint on a label, force, parallelism, start-first.
type Change5 = (Option<bool>, u64, u64, bool, u64);

fn any_change() -> impl Strategy<Value = Change5> {
    (
        prop::option::weighted(0.3, any::<bool>()),
        0..3_u64,
        0..4_u64,
        any::<bool>(),
        0..3_u64,
    )
}

fn apply(name: &str, mode: &Mode, change: &Change5) -> ServiceSpec {
    let (constraint, force, parallelism, start_first, max_replicas) = change;
    let mut spec = changed(&spec(name, mode.clone()), |task| {
        let constraints = constraint
            .iter()
            .map(|even| format!("node.labels.even=={even}"));
        task.placement = Some(Placement {
            constraints: constraints.collect(),
            max_replicas: if mode.is_global() { 0 } else { *max_replicas },
            ..Placement::default()
        });
        task.force_update = *force;
    });
    if !mode.is_job() {
        spec.update = Some(UpdateConfig {
            parallelism: *parallelism,
            order: if *start_first {
                UpdateOrder::StartFirst
            } else {
                UpdateOrder::StopFirst
            },
            ..UpdateConfig::default()
        });
    }
    spec
}

fn labelled(at: usize) -> Node {
    let mut node = node(&format!("n{at}"));
    let even = at.is_multiple_of(2).to_string();
    node.spec.labels = Labels::from([("even".to_owned(), even)]);
    node
}

/// Kinds of write, by number.
fn choose(lab: &Lab, services: &[(ServiceId, Mode)], pick: (u8, usize, Change5, u64)) -> Write {
    let (kind, at, change, replicas) = pick;
    let (id, mode) = &services[at % services.len()];
    let service = lab.service(id);
    let version = service.meta.version;
    let id = id.clone();
    match kind {
        0 => Write::CreateService(Arc::new(apply(
            "new",
            &Mode::Replicated {
                replicas: Some(replicas),
            },
            &change,
        ))),
        1 => Write::RollbackService {
            id,
            version,
            to: None,
        },
        2 => Write::Rebalance(vec![]),
        3 => {
            let node = lab.store.nodes().nth(at % lab.store.nodes().len()).unwrap();
            let mut spec = node.spec.clone();
            spec.availability = if replicas % 2 == 0 {
                Availability::Drain
            } else {
                Availability::Pause
            };
            Write::UpdateNode {
                id: node.id.clone(),
                version: node.meta.version,
                spec,
            }
        }
        _ => {
            let mode = match mode {
                Mode::Replicated { .. } => Mode::Replicated {
                    replicas: Some(replicas),
                },
                other => other.clone(),
            };
            let spec = Arc::new(apply(&service.spec.name, &mode, &change));
            Write::UpdateService { id, version, spec }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, rng_seed: RngSeed::Fixed(3), ..ProptestConfig::default() })]

    #[test]
    fn what_a_plan_says_is_what_happens(
        nodes in 1..6_usize,
        services in prop::collection::vec((any_mode(), any_change()), 1..4),
        pick in (0..8_u8, any::<usize>(), any_change(), 0..8_u64),
        joined in any::<bool>(),
    ) {
        let mut lab = Lab::with((0..nodes).map(labelled).collect());
        let created: Vec<_> = services.iter().enumerate().map(|(at, (mode, change))| {
            let spec = apply(&format!("s{at}"), mode, change);
            (lab.create(spec), mode.clone())
        }).collect();
        lab.settle();
        lab.pass(Duration::from_secs(60));
        if joined {
            let late = labelled(nodes);
            let id = late.id.clone();
            lab.write(vec![Change::CreateNode(Box::new(late))]);
            lab.connect(&id);
            lab.settle();
            lab.pass(Duration::from_secs(60));
        }
        let write = choose(&lab, &created, pick);
        let before = lab.store.clone();
        let planned = made(&lab, write.clone());
        let answer = lab.ask(write);
        match (planned, answer) {
            (Err(planned), Err(real)) => prop_assert_eq!(planned, real),
            (Ok(mut planned), Ok(_)) => {
                lab.settle();
                lab.pass(Duration::from_secs(600));
                let mut real = compare(&before, &lab.store);
                // The leader of the plan has all it needs, so that both are of the same state.
                real.version = planned.version;
                if let Some(new) = lab.store.service_by_name("new") {
                    let id = ServiceId::from("new");
                    for task in planned.start.iter_mut().chain(&mut real.start) {
                        if before.service(&task.service).is_none() || task.service == new.id {
                            task.service = id.clone();
                        }
                    }
                    let key = |t: &model::plan::PlannedTask| (t.service.clone(), t.slot.clone());
                    planned.start.sort_by_key(key);
                    real.start.sort_by_key(key);
                }
                // Of nodes that are equally good, which one is taken depends on who is faster; and when a task of a job
                // ends, which makes room for the next one, is its own affair.
                let (mut planned_shape, mut real_shape) = (shape(&mut planned), shape(&mut real));
                for (id, _) in created.iter().filter(|(_, mode)| mode.is_job()) {
                    planned_shape.remove(id);
                    real_shape.remove(id);
                }
                prop_assert_eq!(planned_shape, real_shape);
                prop_assert_eq!(planned, real);
            }
            (planned, real) => prop_assert!(false, "{:?} but {:?}", planned, real),
        }
    }
}
