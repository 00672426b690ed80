//! What sessions, questions and events tell, by way of any manager.

use super::agent::FakeAgent;
use super::*;
use model::payload::PayloadData;
use model::{NodeId, PayloadKind, PayloadSpec};
use wire::pb::dispatcher::to_agent;

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_told_when_its_role_changes() {
    let leader = TestNode::founder().await;
    let worker = TestNode::joined(&leader, Role::Worker).await;
    let membership = worker.swarm.membership().borrow().clone().unwrap();
    let mut agent = FakeAgent::open(&membership.connector, &leader.addr()).await;
    let found = leader
        .swarm
        .query(Query::Nodes(Selector::Id(membership.node.clone())));
    let node = found.await.unwrap().nodes[0].node.clone();
    let mut spec = node.spec.clone();
    spec.role = Role::Manager;
    let write = Write::UpdateNode {
        id: node.id.clone(),
        version: node.meta.version,
        spec,
    };
    leader.swarm.write(write).await.unwrap();
    loop {
        if let to_agent::Message::RoleChanged(changed) = agent.next().await {
            let role = wire::dispatcher::read_role(changed.role).unwrap();
            assert_eq!(role, Role::Manager);
            break;
        }
    }
    for node in [worker, leader] {
        node.swarm.shutdown().await;
    }
}

async fn payload(node: &TestNode, kind: PayloadKind, name: &str) {
    let spec = PayloadSpec {
        name: name.into(),
        data: PayloadData(b"hunter2".as_slice().into()),
        ..PayloadSpec::default()
    };
    let spec = Arc::new(spec);
    let written = node.swarm.write(Write::CreatePayload { kind, spec }).await;
    assert!(matches!(written, Ok(Written::Payload(_))), "{written:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_stay_with_the_managers_and_plans_and_events_come_from_any() {
    let leader = TestNode::founder().await;
    let follower = TestNode::joined(&leader, Role::Manager).await;
    payload(&follower, PayloadKind::Secret, "key").await;
    payload(&follower, PayloadKind::Config, "conf").await;
    for node in [&leader, &follower] {
        let bytes = |kind| async move {
            let query = Query::Payloads(kind, Selector::All);
            let found = node.swarm.query(query).await.unwrap().payloads;
            found
                .iter()
                .map(|p| p.spec.data.0.to_vec())
                .collect::<Vec<_>>()
        };
        assert_eq!(bytes(PayloadKind::Secret).await, [b""]);
        assert_eq!(bytes(PayloadKind::Config).await, [b"hunter2"]);
        let by_name = Selector::Reference("KEY".into());
        let found = node
            .swarm
            .query(Query::Payloads(PayloadKind::Secret, by_name));
        assert_eq!(found.await.unwrap().payloads[0].spec.name, "key");

        let create = Write::CreateService(Arc::new(service("planned", 2)));
        let plan = node.swarm.query(Query::Plan(Box::new(create)));
        let plan = plan.await.unwrap().plan.unwrap();
        assert_eq!(
            (plan.unplaced.len(), plan.start.len()),
            (2, 0),
            "nobody is ready"
        );
        assert!(
            plan.unplaced[0].reason.starts_with("no suitable node"),
            "{plan:?}"
        );
    }
    assert!(leader.names().await.is_empty(), "a plan creates nothing");

    let id = leader.create("web").await;
    follower.names().await;
    let indexes = |node: &TestNode| {
        let manager = node.swarm.manager().unwrap();
        let mut reader = manager.events_from(1).unwrap();
        let ready = reader.take_ready();
        ready
            .iter()
            .map(|batch| (batch.index, batch.events.len()))
            .collect::<Vec<_>>()
    };
    let last = |node: &TestNode| {
        let manager = node.swarm.manager().unwrap();
        manager.local(|view| view.service(&id).map(|service| service.meta.version))
    };
    let created = eventually("the follower has it", async || last(&follower)).await;
    assert_eq!(last(&leader), Some(created));
    let (of_leader, of_follower) = (indexes(&leader), indexes(&follower));
    let common = |all: &[(u64, usize)]| {
        all.iter()
            .filter(|(index, _)| *index <= created)
            .copied()
            .collect::<Vec<_>>()
    };
    assert_eq!(common(&of_leader), common(&of_follower));
    // The daemon is restarted: the log says again what was.
    let follower = follower.restarted().await;
    let again = || async { (last(&follower) == Some(created)).then(|| indexes(&follower)) };
    let again = eventually("the log is applied again", again).await;
    assert_eq!(common(&again), common(&of_leader));
    for node in [follower, leader] {
        node.swarm.shutdown().await;
    }
}

/// It hears its followers no more, and they hear it: whoever asks them is sent to it for ever, unless it says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_quorum_is_told_within_seconds() {
    let first = TestNode::founder().await;
    let mut nodes = vec![first];
    for _ in 0..2 {
        let next = TestNode::joined(&nodes[0], Role::Manager).await;
        nodes.push(next);
    }
    let at = eventually("a leader", async || nodes.iter().position(TestNode::leads)).await;
    let survivor = nodes.remove(at);
    for node in nodes {
        node.swarm.shutdown().await;
    }
    let begun = tokio::time::Instant::now();
    let write = Write::CreateService(Arc::new(service("web", 1)));
    let error = survivor.swarm.write(write).await.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("The swarm does not have a leader."),
        "{error}"
    );
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    let query = Query::Nodes(Selector::Id(NodeId::from("x")));
    assert!(survivor.swarm.query(query).await.is_err());
    survivor.swarm.shutdown().await;
}
