//! Managers in this process, on loopback, with real TLS and real disks.

mod agent;
mod certificates;
mod cluster;
mod logs;
mod place;
mod promotion;
mod roles;
mod session;

use crate::swarm::{Init, Join, Swarm, SwarmConfig, join_tokens};
use model::control::{Query, Selector, Write, Written};
use model::{Availability, ClusterSpec, ContainerSpec, Role, ServiceId, ServiceSpec, TaskSpec};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// Longest wait of a test for something that takes well below a second on an idle machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A node with a directory of its own.
struct TestNode {
    swarm: Swarm,
    dir: TempDir,
}

impl TestNode {
    async fn new() -> TestNode {
        let dir = tempfile::tempdir().unwrap();
        let swarm = Swarm::open(SwarmConfig::new(dir.path().join("swarm"))).await;
        TestNode { swarm, dir }
    }

    /// The first manager of a cluster.
    async fn founder() -> TestNode {
        let node = TestNode::new().await;
        node.swarm.init(loopback()).await.unwrap();
        node
    }

    async fn joined(to: &TestNode, role: Role) -> TestNode {
        let node = TestNode::new().await;
        node.swarm.join(to.invitation(role)).await.unwrap();
        node
    }

    fn invitation(&self, role: Role) -> Join {
        let cluster = self.swarm.info().cluster.unwrap();
        let (worker, manager) = join_tokens(&cluster);
        Join {
            listen: LOOPBACK,
            // Found out on the way to the founder.
            advertise: None,
            remote_addrs: vec![self.addr()],
            token: if role == Role::Manager {
                manager
            } else {
                worker
            },
            availability: Availability::default(),
        }
    }

    /// Address of its node server.
    fn addr(&self) -> String {
        let me = self.swarm.info().node.unwrap();
        let managers = self.swarm.info().managers.into_iter();
        let mut mine = managers.filter(|(node, _)| *node == me.as_str());
        mine.next().unwrap().1
    }

    /// The daemon is restarted.
    async fn restarted(self) -> TestNode {
        self.swarm.shutdown().await;
        let TestNode { swarm, dir } = self;
        drop(swarm);
        let swarm = Swarm::open(SwarmConfig::new(dir.path().join("swarm"))).await;
        TestNode { swarm, dir }
    }

    async fn create(&self, name: &str) -> ServiceId {
        let written = self
            .swarm
            .write(Write::CreateService(Arc::new(service(name, 2))))
            .await;
        match written.unwrap() {
            Written::Service(id) => id,
            other => panic!("no id: {other:?}"),
        }
    }

    async fn names(&self) -> Vec<String> {
        let found = self
            .swarm
            .query(Query::Services(Selector::All))
            .await
            .unwrap();
        let mut names: Vec<_> = found.services.iter().map(|s| s.spec.name.clone()).collect();
        names.sort();
        names
    }

    fn leads(&self) -> bool {
        let manager = self.swarm.manager();
        manager.is_some_and(|m| m.leadership().borrow().i_lead)
    }
}

/// Any free port.
const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn loopback() -> Init {
    Init {
        listen: LOOPBACK,
        advertise: LOOPBACK,
        spec: ClusterSpec::default(),
        availability: Availability::default(),
    }
}

fn service(name: &str, replicas: u64) -> ServiceSpec {
    ServiceSpec {
        name: name.into(),
        task: Arc::new(TaskSpec {
            container: ContainerSpec {
                image: "image:1".into(),
                ..ContainerSpec::default()
            },
            ..TaskSpec::default()
        }),
        mode: model::Mode::Replicated {
            replicas: Some(replicas),
        },
        ..ServiceSpec::default()
    }
}

/// Waits until `condition` gives something.
async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut condition: impl FnMut() -> F,
) -> T {
    let patience = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(
            tokio::time::Instant::now() < patience,
            "not in time: {what}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
