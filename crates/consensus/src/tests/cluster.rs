//! Several members in one process, each on a runtime of its own, so that killing one is sudden and complete.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio_stream::wrappers::TcpListenerStream;

use super::links::Links;
use super::toy::{Plain, Toy};
use crate::{Applied, Config, Halt, Leadership, Member, ProposeError, Raft, StartError};

/// How long a test waits for what must come.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

type Tune = Arc<dyn Fn(&mut Config) + Send + Sync>;

/// A cluster whose members live in one temporary directory.
pub(super) struct Cluster {
    pub(super) dir: tempfile::TempDir,
    tune: Tune,
    links: Option<Arc<Links>>,
    sync: crate::wal::Syncer,
    pub(super) nodes: Vec<Node>,
}

/// One member, running or not.
pub(super) struct Node {
    pub(super) member: Member,
    pub(super) dir: PathBuf,
    pub(super) running: Option<Running>,
}

pub(super) struct Running {
    pub(super) raft: Raft,
    pub(super) toy: Arc<Toy>,
    runtime: Runtime,
}

impl Node {
    pub(super) fn raft(&self) -> &Raft {
        &self.running.as_ref().expect("the member runs").raft
    }

    pub(super) fn toy(&self) -> &Toy {
        &self.running.as_ref().expect("the member runs").toy
    }

    pub(super) fn leadership(&self) -> Leadership {
        self.raft().leadership().borrow().clone()
    }

    pub(super) fn id(&self) -> u64 {
        self.member.raft_id
    }

    /// Ends everything of the member at once; what was not synced by then is not written.
    pub(super) fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            running.runtime.shutdown_background();
        }
    }

    pub(super) async fn shutdown(&mut self) {
        if let Some(running) = self.running.take() {
            running.raft.shutdown().await;
            running.runtime.shutdown_background();
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.nodes.iter_mut().for_each(Node::kill);
    }
}

impl Cluster {
    pub(super) fn new() -> Self {
        Self::tuned(|_| {})
    }

    pub(super) fn tuned(tune: impl Fn(&mut Config) + Send + Sync + 'static) -> Self {
        Self {
            dir: tempfile::tempdir().expect("tempdir"),
            tune: Arc::new(tune),
            links: None,
            sync: Arc::new(|file| file.sync_data()),
            nodes: Vec::new(),
        }
    }

    /// Puts a proxy between each two members.
    pub(super) fn with_links(mut self) -> Self {
        self.links = Some(Arc::new(Links::new(tokio::runtime::Handle::current())));
        self
    }

    pub(super) fn with_sync(mut self, sync: crate::wal::Syncer) -> Self {
        self.sync = sync;
        self
    }

    pub(super) fn links(&self) -> &Links {
        self.links.as_ref().expect("with links")
    }

    /// Makes a member with an address of its own, which does not run yet.
    pub(super) fn prepare(&mut self, raft_id: u64, node_id: &str) -> usize {
        let addr = free_addr();
        let member = Member {
            raft_id,
            node_id: node_id.to_owned(),
            addr,
            voter: true,
        };
        self.nodes.push(Node {
            member,
            dir: self.dir.path().join(format!("m{raft_id}")),
            running: None,
        });
        self.nodes.len() - 1
    }

    pub(super) async fn start(&mut self, position: usize) {
        self.try_start(position).await.expect("the member starts");
    }

    pub(super) async fn try_start(&mut self, position: usize) -> Result<(), StartError> {
        let node = &mut self.nodes[position];
        let mut config = Config::new(&node.dir, node.member.clone());
        (self.tune)(&mut config);
        let toy = Arc::new(Toy::default());
        let connector = Arc::new(Plain {
            me: node.member.raft_id,
            links: self.links.clone(),
        });
        let (machine, sync, addr) = (
            Arc::clone(&toy),
            Arc::clone(&self.sync),
            node.member.addr.clone(),
        );
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let started = runtime.spawn(async move {
            let deadline = Instant::now() + PATIENCE;
            // A killed member lets go of its directory when its last task has ended.
            let raft = loop {
                match Raft::start_on(
                    config.clone(),
                    machine.clone(),
                    connector.clone(),
                    Arc::clone(&sync),
                )
                .await
                {
                    Err(StartError::InUse(_)) if Instant::now() < deadline => {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                    other => break other?,
                }
            };
            let listener = tokio::net::TcpListener::bind(&addr)
                .await
                .expect("the address is free");
            let server = tonic::transport::Server::builder().add_service(raft.service());
            tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
            Ok(raft)
        });
        match started.await.expect("no panic while starting") {
            Ok(raft) => {
                node.running = Some(Running { raft, toy, runtime });
                Ok(())
            }
            Err(error) => {
                runtime.shutdown_background();
                Err(error)
            }
        }
    }

    /// Members 1 to `count`, all of them voters.
    pub(super) async fn form(&mut self, count: u64) {
        for id in 1..=count {
            let position = self.prepare(id, &format!("node{id}"));
            self.start(position).await;
            if id == 1 {
                self.nodes[0]
                    .raft()
                    .initialize()
                    .await
                    .expect("initializes");
            } else {
                let member = self.nodes[position].member.clone();
                self.nodes[0]
                    .raft()
                    .add_member(member)
                    .await
                    .expect("adds a member");
            }
        }
    }

    pub(super) fn running(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.running.is_some())
    }

    /// The position of the member that leads, once there is one that another position is not excluded by.
    pub(super) async fn leader(&self) -> usize {
        self.leader_but(None).await
    }

    pub(super) async fn leader_but(&self, but: Option<usize>) -> usize {
        eventually("a leader", || {
            self.nodes.iter().enumerate().position(|(at, node)| {
                Some(at) != but && node.running.is_some() && node.leadership().i_lead
            })
        })
        .await
    }

    /// Proposes at whoever leads until it is accepted.
    pub(super) async fn write(&self, entry: &[u8]) -> Applied {
        let deadline = Instant::now() + PATIENCE;
        loop {
            for node in self.running() {
                match node.raft().propose(entry.to_vec()).await {
                    Ok(applied) => return applied,
                    Err(ProposeError::TooLarge { .. }) => panic!("too large"),
                    Err(_) => {}
                }
            }
            assert!(
                Instant::now() < deadline,
                "nobody accepts a write: {}",
                self.describe()
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits until all running members have applied `index`.
    pub(super) async fn settle(&self, index: u64) {
        eventually("all members to apply", || {
            self.running()
                .all(|node| node.raft().applied_index() >= index)
                .then_some(())
        })
        .await;
    }

    pub(super) fn describe(&self) -> String {
        self.running()
            .map(|node| format!("{}: {:?}\n", node.id(), node.leadership()))
            .collect()
    }
}

/// Waits for a condition, with a limit.
pub(super) async fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Waits until a member has stopped for `why`.
pub(super) async fn halted(node: &Node, why: &Halt) {
    eventually("the member to stop", || {
        (node.leadership().halted.as_ref() == Some(why)).then_some(())
    })
    .await;
}

pub(super) fn free_addr() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").to_string()
}

/// The middle and the last of some times.
pub(super) fn p50_max(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() - 1])
}
