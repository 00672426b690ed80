//! Workers become managers, and managers workers.

use super::*;
use crate::ca::JoinToken;
use crate::swarm::LocalState;
use model::control::ControlError;
use model::{Labels, NodeId};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Asks `manager` to give `node` this role.
async fn ask(manager: &TestNode, node: &NodeId, role: Role) -> Result<(), ControlError> {
    let selector = Selector::Id(node.clone());
    let found = manager.swarm.query(Query::Nodes(selector)).await.unwrap();
    let object = &found.nodes[0].node;
    let write = Write::UpdateNode {
        id: node.clone(),
        version: object.meta.version,
        spec: model::NodeSpec {
            role,
            ..object.spec.clone()
        },
    };
    manager.swarm.write(write).await.map(drop)
}

/// Waits until the leader has given `node` its role, and tells the node, as its agent does.
async fn tell(manager: &TestNode, node: &TestNode, role: Role) {
    let id = node.swarm.info().node.unwrap();
    eventually("the role in the state", async || {
        let view = manager.swarm.manager()?;
        view.local(|view| (view.node(&id)?.role == role).then_some(()))
    })
    .await;
    node.swarm.note_role(role);
    eventually("the role of the node", async || {
        let info = node.swarm.info();
        let settled = info.state == LocalState::Active && info.role == Some(role);
        (settled && info.control_available == (role == Role::Manager)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_becomes_a_manager_and_a_worker_again() {
    let founder = TestNode::founder().await;
    let node = TestNode::joined(&founder, Role::Worker).await;
    let id = node.swarm.info().node.unwrap();
    founder.create("before").await;

    ask(&founder, &id, Role::Manager).await.unwrap();
    tell(&founder, &node, Role::Manager).await;
    eventually("two managers", async || {
        (founder.swarm.info().manager_count == 2).then_some(())
    })
    .await;
    assert_eq!(node.names().await, ["before"]);
    node.create("here").await;
    assert_eq!(founder.names().await, ["before", "here"]);

    // It is a manager after a restart, too.
    let node = node.restarted().await;
    assert_eq!(node.names().await, ["before", "here"]);

    ask(&founder, &id, Role::Worker).await.unwrap();
    tell(&founder, &node, Role::Worker).await;
    assert_eq!(founder.swarm.info().manager_count, 1);
    assert!(!node.dir.path().join("swarm/raft").exists());
    let error = node.swarm.query(Query::Cluster).await.unwrap_err();
    assert!(error.to_string().contains("Worker nodes can't"), "{error}");
    // The one that is left has the quorum alone.
    founder.create("after").await;
    let node = node.restarted().await;
    assert_eq!(node.swarm.info().role, Some(Role::Worker));
    assert_eq!(node.swarm.info().node, Some(id));
    node.swarm.shutdown().await;
    founder.swarm.shutdown().await;
}

/// A file system that holds few files; unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Files that it holds, directories among them.
    const FILES: &str = "nr_inodes=64";

    fn mount(on: PathBuf) -> SmallDisk {
        std::fs::create_dir(&on).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", Self::FILES, "tmpfs"]);
        let mounted = mount.arg(&on).status().expect("mount is installed");
        assert!(mounted.success(), "this test has to be run by root");
        SmallDisk(on)
    }

    /// Takes all that is free; returns what it took it with.
    fn fill(&self) -> Vec<PathBuf> {
        let fillers = (0..).map(|n| self.0.join(format!("filler{n}")));
        let fits = |path: &PathBuf| std::fs::write(path, "").is_ok();
        fillers.take_while(fits).collect()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // What is left is the test's own directory, which stays then.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn remove(path: impl AsRef<Path>) {
    std::fs::remove_file(path).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_with_a_full_disk_becomes_a_manager_when_there_is_room() {
    let founder = TestNode::founder().await;
    let dir = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(dir.path().join("disk"));
    let swarm = Swarm::open(SwarmConfig::new(disk.0.join("swarm"))).await;
    let node = TestNode { swarm, dir };
    let join = founder.invitation(Role::Worker);
    node.swarm.join(join).await.unwrap();
    let id = node.swarm.info().node.unwrap();
    let mut fillers = disk.fill();
    ask(&founder, &id, Role::Manager).await.unwrap();
    eventually("the role in the state", async || {
        let view = founder.swarm.manager()?;
        view.local(|view| (view.node(&id)?.role == Role::Manager).then_some(()))
    })
    .await;
    node.swarm.note_role(Role::Manager);
    let why = "No space left on device";
    eventually("the reason of a worker", async || {
        let info = node.swarm.info();
        let told = info.error.contains("not changed its role") && info.error.contains(why);
        (told && info.state == LocalState::Active && info.role == Some(Role::Worker)).then_some(())
    })
    .await;
    // Room for its certificate, not for a log: it is on the way.
    remove(fillers.pop().unwrap());
    eventually("the reason of a manager", async || {
        let info = node.swarm.info();
        (info.state == LocalState::Error && info.error.contains(why)).then_some(())
    })
    .await;
    fillers.iter().for_each(remove);
    // Nobody has to restart the daemon; its agent says the role again now and then.
    node.swarm.note_role(Role::Manager);
    eventually("a manager", async || {
        let info = node.swarm.info();
        (info.control_available && info.error.is_empty()).then_some(())
    })
    .await;
    founder.create("web").await;
    eventually("the state", async || {
        (node.names().await == ["web"]).then_some(())
    })
    .await;
    node.swarm.shutdown().await;
    founder.swarm.shutdown().await;
    drop(disk);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demoted_manager_finds_its_role_though_nobody_tells_it() {
    let founder = TestNode::founder().await;
    let second = TestNode::joined(&founder, Role::Manager).await;
    let third = TestNode::joined(&founder, Role::Manager).await;
    let id = third.swarm.info().node.unwrap();
    ask(&second, &id, Role::Worker).await.unwrap();
    eventually("a worker", async || {
        let info = third.swarm.info();
        (info.state == LocalState::Active && info.role == Some(Role::Worker)).then_some(())
    })
    .await;
    for node in [third, second, founder] {
        node.swarm.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_demoted_hands_over_first() {
    let mut nodes = vec![TestNode::founder().await];
    for _ in 0..2 {
        let next = TestNode::joined(&nodes[0], Role::Manager).await;
        nodes.push(next);
    }
    let leader = eventually("a leader", async || nodes.iter().position(TestNode::leads)).await;
    let old = nodes.remove(leader);
    let id = old.swarm.info().node.unwrap();
    ask(&nodes[0], &id, Role::Worker).await.unwrap();
    eventually("a worker", async || {
        (old.swarm.info().role == Some(Role::Worker)).then_some(())
    })
    .await;
    nodes[1].create("after").await;
    assert_eq!(nodes[0].names().await, ["after"]);
    nodes.push(old);
    for node in nodes {
        node.swarm.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demotion_that_costs_the_quorum_is_refused_and_changes_nothing() {
    let founder = TestNode::founder().await;
    let id = founder.swarm.info().node.unwrap();
    let error = ask(&founder, &id, Role::Worker).await.unwrap_err();
    let text = "attempting to demote the last manager of the swarm";
    assert_eq!(error, ControlError::FailedPrecondition(text.into()));

    let second = TestNode::joined(&founder, Role::Manager).await;
    let third = TestNode::joined(&founder, Role::Manager).await;
    let (second_id, third_id) = (
        second.swarm.info().node.unwrap(),
        third.swarm.info().node.unwrap(),
    );
    third.swarm.shutdown().await;
    eventually("the third is not reached", async || {
        let all = Query::Nodes(Selector::All);
        let nodes = founder.swarm.query(all).await.ok()?.nodes;
        let third = nodes.iter().find(|n| n.node.id == third_id)?;
        (!third.reachable).then_some(())
    })
    .await;
    let error = ask(&founder, &second_id, Role::Worker).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("this would result in a loss of quorum"),
        "{text}"
    );
    assert_eq!(second.swarm.info().role, Some(Role::Manager));
    // The one that does not answer may go.
    ask(&founder, &third_id, Role::Worker).await.unwrap();
    eventually("two managers", async || {
        (founder.swarm.info().manager_count == 2).then_some(())
    })
    .await;
    for node in [second, founder] {
        node.swarm.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_get_the_labels_of_their_token() {
    let founder = TestNode::founder().await;
    let labels = Labels::from([("zone".to_owned(), "a".to_owned())]);
    let create = Write::CreateToken {
        name: "zone-a".into(),
        role: Role::Worker,
        labels: labels.clone(),
    };
    founder.swarm.write(create).await.unwrap();
    let cluster = founder.swarm.info().cluster.unwrap();
    let token = &cluster.tokens[0];
    let text = crate::swarm::labelled_token(&cluster, token);
    assert!(JoinToken::parse(&text).is_ok());
    let invitation = Join {
        token: text.clone(),
        ..founder.invitation(Role::Worker)
    };
    let node = TestNode::new().await;
    node.swarm.join(invitation.clone()).await.unwrap();
    let all = Query::Nodes(Selector::All);
    let nodes = founder.swarm.query(all).await.unwrap().nodes;
    let of = |node: &TestNode| {
        let id = node.swarm.info().node.unwrap();
        let found = nodes.iter().find(|n| n.node.id == id).unwrap();
        (found.node.role, found.node.spec.labels.clone())
    };
    assert_eq!(of(&node), (Role::Worker, labels));
    assert_eq!(of(&founder), (Role::Manager, Labels::new()));

    let remove = Write::RemoveToken {
        name: "zone-a".into(),
    };
    founder.swarm.write(remove).await.unwrap();
    let late = TestNode::new().await;
    let error = late.swarm.join(invitation).await.unwrap_err().to_string();
    assert!(error.contains("A valid join token is necessary"), "{error}");
    let nodes: BTreeSet<_> = nodes.iter().map(|n| n.node.id.clone()).collect();
    assert_eq!(nodes.len(), 2);
    for node in [node, founder] {
        node.swarm.shutdown().await;
    }
}
