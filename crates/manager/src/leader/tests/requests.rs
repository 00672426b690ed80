//! What requests do, also when the leader changes in the middle.

use super::*;
use model::service::{RevisionCause, UpdateState};

#[test]
fn a_rollback_swaps_the_specs_and_can_be_taken_back() {
    let mut lab = Lab::new(&["a", "b"]);
    let one = replicated("web", 2);
    let two = changed(&one, |task| task.container.image = "image:2".into());
    let web = lab.create(one.clone());
    lab.settle();
    lab.update(&web, two.clone()).unwrap();
    lab.settle();
    lab.pass(Duration::from_secs(20));
    let rollback = |lab: &mut Lab, to| {
        let (id, version) = (web.clone(), lab.service(&web).meta.version);
        lab.ask(Write::RollbackService { id, version, to })
    };
    rollback(&mut lab, None).unwrap();
    let status = lab.service(&web).update_status.clone().unwrap();
    assert_eq!(status.state, UpdateState::RollbackStarted);
    assert_eq!(status.message, "manually requested rollback");
    assert_eq!(*lab.service(&web).spec, one);
    lab.settle();
    lab.pass(Duration::from_secs(20));
    let status = lab.service(&web).update_status.clone().unwrap();
    assert_eq!(status.state, UpdateState::RollbackCompleted, "{status:?}");
    rollback(&mut lab, None).unwrap();
    assert_eq!(*lab.service(&web).spec, two, "the newer one again");
    lab.settle();
    lab.pass(Duration::from_secs(20));

    // To a number: replicas stay what they are.
    let mut more = two.clone();
    more.mode = Mode::Replicated { replicas: Some(3) };
    lab.update(&web, more).unwrap();
    lab.settle();
    lab.pass(Duration::from_secs(20));
    rollback(&mut lab, Some(1)).unwrap();
    let service = lab.service(&web).clone();
    assert_eq!(service.spec.task, one.task);
    assert_eq!(service.spec.replicas(), 3);
    assert_eq!(
        service.update_status.as_ref().unwrap().message,
        "manually requested rollback to revision 1"
    );
    let last = service.history.last().unwrap();
    assert_eq!(last.cause, RevisionCause::Rollback(1));
    lab.settle();
    lab.pass(Duration::from_secs(20));
    assert_eq!(lab.running(&web).len(), 3);
}

#[test]
fn tasks_are_restarted_under_the_update_configuration() {
    let mut lab = Lab::new(&["a", "b"]);
    let web = lab.create(replicated("web", 3));
    lab.settle();
    let before: Vec<TaskId> = lab.running(&web).into_iter().collect();
    lab.ask(Write::RestartTasks(before[..2].to_vec())).unwrap();
    lab.settle();
    lab.pass(Duration::from_secs(20));
    let after = lab.running(&web);
    assert_eq!(after.len(), 3);
    assert!(after.contains(&before[2]));
    assert!(!after.contains(&before[0]) && !after.contains(&before[1]));
    assert_eq!(lab.service(&web).update_status, None);
}

#[test]
fn secrets_live_from_create_to_remove() {
    let mut lab = Lab::new(&["a"]);
    let id = lab.secret("key", 5);
    let kind = PayloadKind::Secret;
    let payload = lab.store.payload(&id).unwrap().clone();
    let spec = Arc::new(PayloadSpec {
        name: "key".into(),
        labels: [("a".to_owned(), "b".to_owned())].into(),
        ..PayloadSpec::default()
    });
    let version = payload.meta.version;
    let update = Write::UpdatePayload {
        id: id.clone(),
        kind,
        version,
        spec,
    };
    lab.ask(update).unwrap();
    let now = lab.store.payload(&id).unwrap();
    assert_eq!(now.spec.labels["a"], "b");
    assert_eq!(now.spec.data, payload.spec.data);
    let id = id.clone();
    lab.ask(Write::RemovePayload {
        id: id.clone(),
        kind,
    })
    .unwrap();
    assert!(lab.store.payload(&id).is_none());
}

#[test]
fn join_tokens_are_made_beside_one_another() {
    let mut lab = Lab::new(&["a"]);
    let token = |name: &str| Write::CreateToken {
        name: name.into(),
        role: Role::Worker,
        labels: [("zone".to_owned(), name.to_owned())].into(),
    };
    // In one entry: the second is decided again.
    let (one, two) = (lab.send(token("one")), lab.send(token("two")));
    while lab.commit() {}
    assert_eq!(lab.replies.remove(&one), Some(Ok(Written::Done)));
    assert_eq!(lab.replies.remove(&two), Some(Ok(Written::Done)));
    let tokens = lab.store.cluster().unwrap().tokens.clone();
    let names: Vec<_> = tokens.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names, ["one", "two"]);
    assert_ne!(tokens[0].secret, tokens[1].secret);
    assert_eq!(tokens[0].secret.0.len(), 25);
    lab.ask(Write::RemoveToken { name: "one".into() }).unwrap();
    assert_eq!(lab.store.cluster().unwrap().tokens.len(), 1);
}

/// Every kind of request: its leader is lost after it was proposed; the entry was committed or it was not. The same
/// request to the next leader is carried out once and answered the same.
#[test]
fn a_request_that_outlives_its_leader_is_carried_out_once() {
    for committed in [false, true] {
        for kind in 0..8 {
            let mut lab = Lab::new(&["a", "b"]);
            let web = lab.create(replicated("web", 2));
            let secret = lab.secret("old", 3);
            lab.settle();
            lab.update(&web, changed(&replicated("web", 2), |t| t.force_update = 1))
                .unwrap();
            lab.settle();
            lab.pass(Duration::from_secs(20));
            let version = lab.service(&web).meta.version;
            let task = lab.running(&web).into_iter().next().unwrap();
            let payload = PayloadKind::Secret;
            let write = match kind {
                0 => Write::CreateService(Arc::new(replicated("other", 1))),
                1 => Write::RollbackService {
                    id: web.clone(),
                    version,
                    to: None,
                },
                2 => Write::RestartTasks(vec![task]),
                3 => Write::Rebalance(vec![]),
                4 => Write::CreatePayload {
                    kind: payload,
                    spec: payload_spec("new", 9),
                },
                5 => Write::RemovePayload {
                    id: secret.clone(),
                    kind: payload,
                },
                6 => Write::CreateToken {
                    name: "rack".into(),
                    role: Role::Worker,
                    labels: BTreeMap::new(),
                },
                _ => Write::RemoveService(web.clone()),
            };
            let request = WriteRequest {
                id: RequestId(99_999),
                write,
            };
            let (first, second) = (RequestToken(10_000), RequestToken(10_001));
            lab.step(Input::Request {
                token: first,
                request: request.clone(),
            });
            let queue = std::mem::take(&mut lab.queue);
            if committed {
                let index = lab.store.index() + 1;
                let proposals: Vec<_> = queue.into_iter().map(|(_, p)| p).collect();
                lab.store.apply(index, &proposals);
            }
            lab.step(Input::LostLeadership);
            let answer = lab.replies.remove(&first).unwrap();
            assert!(matches!(answer, Err(ControlError::Unavailable(_))));
            let once = lab.store.clone();

            lab.leader = Leader::new(Limits::default());
            lab.step(Input::BecameLeader);
            lab.queue.clear();
            lab.step(Input::Request {
                token: second,
                request,
            });
            while !lab.replies.contains_key(&second) {
                assert!(lab.commit(), "kind {kind}");
            }
            let answer = lab.replies.remove(&second).unwrap();
            assert!(
                answer.is_ok(),
                "kind {kind}, committed {committed}: {answer:?}"
            );
            if committed {
                let names = |store: &Store| {
                    store
                        .services()
                        .map(|s| s.spec.name.clone())
                        .collect::<Vec<_>>()
                };
                assert_eq!(names(&lab.store), names(&once));
                assert_eq!(lab.store.cluster(), once.cluster());
                let version = |store: &Store| store.service(&web).map(|s| s.meta.version);
                assert_eq!(version(&lab.store), version(&once));
            }
        }
    }
}
