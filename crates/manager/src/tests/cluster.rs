//! Three managers.

use super::agent::FakeAgent;
use super::*;
use crate::swarm::LocalState;
use model::NodeState;
use model::control::ControlError;

async fn three() -> Vec<TestNode> {
    let first = TestNode::founder().await;
    let second = TestNode::joined(&first, Role::Manager).await;
    // By way of a manager that does not lead.
    let third = TestNode::joined(&second, Role::Manager).await;
    vec![first, second, third]
}

async fn leader(nodes: &[TestNode]) -> usize {
    eventually("a leader", async || nodes.iter().position(TestNode::leads)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_manager_takes_every_call_and_a_dead_leader_loses_nothing() {
    let mut nodes = three().await;
    for (at, node) in nodes.iter().enumerate() {
        node.create(&format!("before-{at}")).await;
    }
    for node in &nodes {
        assert_eq!(node.names().await, ["before-0", "before-1", "before-2"]);
        assert_eq!(node.swarm.info().manager_count, 3);
    }
    let statuses = nodes[2]
        .swarm
        .query(Query::Nodes(Selector::All))
        .await
        .unwrap()
        .nodes;
    assert_eq!(statuses.iter().filter(|n| n.reachable).count(), 3);
    assert_eq!(statuses.iter().filter(|n| n.leader).count(), 1);

    let dead = nodes.remove(leader(&nodes).await);
    dead.swarm.shutdown().await;
    // At once: the call waits for the new leader.
    nodes[0].create("after-0").await;
    nodes[1].create("after-1").await;
    for node in &nodes {
        let names = ["after-0", "after-1", "before-0", "before-1", "before-2"];
        assert_eq!(node.names().await, names);
    }
    let back = dead.restarted().await;
    assert_eq!(back.names().await.len(), 5);
    nodes.push(back);
    for node in nodes {
        node.swarm.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_under_way_when_the_leader_goes_are_made_once() {
    let mut nodes = three().await;
    let dead = nodes.remove(leader(&nodes).await);
    let writer = nodes[0].swarm.clone();
    let writing = tokio::spawn(async move {
        for at in 0..40 {
            let spec = Arc::new(service(&format!("s{at:02}"), 0));
            // A name that is taken would mean that an earlier attempt of this request was made, too.
            writer.write(Write::CreateService(spec)).await.unwrap();
        }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    dead.swarm.shutdown().await;
    writing.await.unwrap();
    let expected: Vec<_> = (0..40).map(|at| format!("s{at:02}")).collect();
    assert_eq!(nodes[1].names().await, expected);
    for node in nodes {
        node.swarm.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_leaves_the_group_and_the_rest_goes_on() {
    let mut nodes = three().await;
    let error = nodes[0].swarm.leave(false).await.unwrap_err().to_string();
    assert!(
        error.contains("Doing so may lose the consensus of your cluster."),
        "{error}"
    );
    let gone = nodes.remove(leader(&nodes).await);
    let id = gone.swarm.info().node.unwrap();
    gone.swarm.leave(true).await.unwrap();
    assert_eq!(gone.swarm.info().state, LocalState::Inactive);
    nodes[0].create("after").await;
    let count = || async {
        let found = nodes[1]
            .swarm
            .query(Query::Nodes(Selector::All))
            .await
            .unwrap();
        let managers = found
            .nodes
            .iter()
            .filter(|n| n.node.manager.is_some())
            .count();
        (managers == 2).then_some(())
    };
    eventually("two managers", count).await;
    // It is a manager no longer, so that it can be removed.
    let write = Write::RemoveNode { id, force: true };
    nodes[0].swarm.write(write).await.unwrap();
    for node in nodes {
        node.swarm.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_that_is_down_can_be_removed_by_force() {
    let mut nodes = three().await;
    let gone = nodes.remove(leader(&nodes).await);
    let id = gone.swarm.info().node.unwrap();
    gone.swarm.shutdown().await;
    let remove = || async {
        let write = Write::RemoveNode {
            id: id.clone(),
            force: true,
        };
        // The new leader waits for the node to come back before it calls it down.
        nodes[0].swarm.write(write).await.ok()
    };
    eventually("the node is removed", remove).await;
    let found = nodes[1].swarm.query(Query::Nodes(Selector::All)).await;
    let left = found.unwrap().nodes;
    assert!(
        left.iter()
            .all(|n| n.node.id != id && n.node.manager.is_some())
    );
    assert_eq!(left.len(), 2);
    nodes[1].create("after").await;
    for node in nodes {
        node.swarm.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_the_group_cannot_be_removed_as_nodes() {
    let nodes = three().await;
    let id = nodes[1].swarm.info().node.unwrap();
    let write = Write::RemoveNode {
        id: id.clone(),
        force: true,
    };
    let error = nodes[2].swarm.write(write).await.unwrap_err();
    let expected = format!("node {id} is a cluster manager and is a member of the raft cluster");
    assert!(
        matches!(&error, ControlError::FailedPrecondition(text) if text.starts_with(&expected)),
        "{error}"
    );
    for node in nodes {
        node.swarm.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_find_the_new_leader() {
    let mut nodes = three().await;
    let worker = TestNode::joined(&nodes[1], Role::Worker).await;
    let membership = worker.swarm.membership().borrow().clone().unwrap();
    assert_eq!(membership.managers.len(), 3);
    let follower = (leader(&nodes).await + 1) % 3;
    let agent = FakeAgent::open(&membership.connector, &nodes[follower].addr()).await;
    let ready = |node: &TestNode| {
        let manager = node.swarm.manager().unwrap();
        let id = membership.node.clone();
        manager.local(|view| {
            view.node(&id)
                .is_some_and(|n| n.status.state == NodeState::Ready)
        })
    };
    eventually("ready", async || nodes.iter().all(ready).then_some(())).await;
    let dead = nodes.remove(leader(&nodes).await);
    dead.swarm.shutdown().await;
    drop(agent);
    let mut agent = FakeAgent::open(&membership.connector, &nodes[0].addr()).await;
    nodes[0].create("web").await;
    while agent.tasks.len() < 2 {
        agent.next().await;
    }
    for node in nodes {
        node.swarm.shutdown().await;
    }
    worker.swarm.shutdown().await;
}
