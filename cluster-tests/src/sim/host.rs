//! A host: its power, its disk, its containers.

use super::daemon::Daemon;
use super::events::{Event, Id};
use super::world::World;
use agent::worker::{Existing, Exit, TaskRecord};
use model::assignment::AssignedTask;
use model::task::{ContainerStatus, Platform, Resources};
use model::{IdSource, NodeDescription, NodeId, TaskId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// What each host has to give.
pub(super) const CAPACITY: Resources = Resources {
    nano_cpus: 4_000_000_000,
    memory_bytes: 4 << 30,
};

/// A host.
pub(super) struct Host {
    pub(super) powered: bool,
    /// Grows when it loses power.
    pub(super) boot: u64,
    /// Grows when its daemon ends.
    pub(super) life: u64,
    pub(super) daemon: Option<Daemon>,
    /// What the daemon has written down, durably.
    pub(super) journal: Journal,
    pub(super) containers: BTreeMap<TaskId, Container>,
    /// Tasks whose containers are being made.
    pub(super) preparing: BTreeMap<TaskId, AssignedTask>,
    /// Until when the executor is at a task: actions of one task are done one after another.
    pub(super) busy: BTreeMap<TaskId, Timestamp>,
    pub(super) node: NodeId,
    pub(super) description: NodeDescription,
    /// Tasks whose containers were started here, ever.
    pub(super) started: BTreeSet<TaskId>,
    /// Tasks that a worker here has given up, ever.
    pub(super) given_up: BTreeSet<TaskId>,
    pub(super) next_pid: i64,
    /// Its clock is off by this many nanoseconds.
    pub(super) skew: i64,
}

/// The worker's records.
#[derive(Default)]
pub(super) struct Journal {
    pub(super) index: Option<u64>,
    pub(super) tasks: BTreeMap<TaskId, TaskRecord>,
}

/// A container.
pub(super) struct Container {
    pub(super) task: AssignedTask,
    pub(super) state: State,
    pub(super) status: ContainerStatus,
}

/// What its process does.
#[derive(Clone)]
pub(super) enum State {
    Created,
    Running { since: Timestamp },
    Exited(Exit),
}

impl Container {
    pub(super) fn is_running(&self) -> bool {
        matches!(self.state, State::Running { .. })
    }
}

impl Host {
    pub(super) fn new(node: NodeId, number: Id, skew: i64) -> Host {
        Host {
            powered: true,
            boot: 0,
            life: 0,
            daemon: None,
            journal: Journal::default(),
            containers: BTreeMap::new(),
            preparing: BTreeMap::new(),
            busy: BTreeMap::new(),
            node,
            description: NodeDescription {
                hostname: format!("host{number}"),
                platform: Platform {
                    architecture: "x86_64".into(),
                    os: "linux".into(),
                },
                resources: CAPACITY,
                engine_version: "1".into(),
                ..Default::default()
            },
            started: BTreeSet::new(),
            given_up: BTreeSet::new(),
            next_pid: 100,
            skew,
        }
    }

    /// What a starting daemon finds.
    pub(super) fn existing(&self) -> Vec<(TaskId, Existing)> {
        let found = self.containers.iter().map(|(id, container)| {
            let status = container.status.clone();
            let existing = match &container.state {
                State::Created => Existing::Created,
                State::Running { .. } => Existing::Running(status),
                State::Exited(exit) => Existing::Exited(status, exit.clone()),
            };
            (id.clone(), existing)
        });
        found.collect()
    }
}

impl World {
    /// Power loss: nothing says goodbye, processes are gone, disks stay.
    pub(super) fn lose_power(&mut self, host: Id) {
        self.trace(|| format!("host {host} loses power"));
        self.net.set_power(host, false);
        let now = self.now;
        let state = &mut self.hosts[host];
        state.powered = false;
        state.boot += 1;
        state.preparing.clear();
        for container in state.containers.values_mut() {
            if container.is_running() {
                container.state = State::Exited(Exit {
                    code: 255,
                    oom_killed: false,
                    at: now,
                    error: "the host was restarted".into(),
                });
            }
        }
        self.end_daemon(host);
    }

    pub(super) fn boot(&mut self, host: Id) {
        if !self.hosts[host].powered {
            self.trace(|| format!("host {host} has power again"));
            self.hosts[host].powered = true;
            self.net.set_power(host, true);
            let delay = self.rng.millis(100, 2000);
            self.after(delay, Event::StartDaemon { host });
        }
    }

    /// The host's node was removed: the operator wipes it and lets it join under a new identity.
    pub(super) fn rejoin(&mut self, host: Id) {
        if self
            .checker
            .reference
            .node(&self.hosts[host].node)
            .is_some()
        {
            return; // It has joined meanwhile.
        }
        self.trace(|| format!("host {host} is wiped and joins again"));
        if self.hosts[host].daemon.is_some() {
            self.crash_daemon(host);
        }
        let node = NodeId::generate(&mut self.ids as &mut dyn IdSource);
        let state = &mut self.hosts[host];
        state.boot += 1;
        state.node = node;
        state.journal = Journal::default();
        state.containers.clear();
        state.preparing.clear();
        let delay = self.rng.millis(200, 2000);
        self.after(delay, Event::Join { host });
    }

    /// Asks the leader to make the node known until it is; then the daemon starts.
    pub(super) fn join(&mut self, host: Id) {
        let node = self.hosts[host].node.clone();
        if self.checker.reference.node(&node).is_some() {
            self.after(std::time::Duration::ZERO, Event::StartDaemon { host });
            return;
        }
        if let Some(leader) = self.log.leader {
            let proposal = self.new_node(host);
            self.managers[leader].queue.push((None, proposal));
            self.submit(leader);
        }
        let delay = self.rng.millis(500, 1500);
        self.after(delay, Event::Join { host });
    }
}
