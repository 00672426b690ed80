//! A host: its power, its disk, its containers.

use super::daemon::Daemon;
use super::events::{Event, Id};
use super::world::World;
use agent::worker::{Existing, Exit, Health, TaskRecord};
use model::assignment::AssignedTask;
use model::task::{ContainerStatus, GenericResource, GenericValue, Platform, Resources};
use model::{
    Change, IdSource, Labels, NodeDescription, NodeId, PayloadId, Proposal, TaskId, Timestamp,
};
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
    /// Secrets and configs that the daemon was sent and has not been told to forget.
    pub(super) payloads: BTreeSet<PayloadId>,
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
    /// Life of the daemon that prepared it last: secrets are in that process's memory.
    pub(super) prepared_in: u64,
    /// What its health check says, if it has one.
    pub(super) health: Option<Health>,
    /// Its health check has succeeded at some time.
    pub(super) was_healthy: bool,
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

/// Two hosts have named graphics cards, two have a number of disks.
fn generic_of(number: Id) -> Vec<GenericResource> {
    let named = |name: &str| GenericResource {
        kind: "gpu".into(),
        value: GenericValue::Named(name.into()),
    };
    match number {
        1 => vec![named("a"), named("b"), named("c")],
        3 => vec![named("a"), named("b")],
        2 | 4 => vec![GenericResource {
            kind: "disk".into(),
            value: GenericValue::Discrete(3),
        }],
        _ => vec![],
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
                engine_labels: Labels::from([("rack".to_owned(), (number % 2).to_string())]),
                generic: generic_of(number),
                engine_version: "1".into(),
                ..Default::default()
            },
            started: BTreeSet::new(),
            given_up: BTreeSet::new(),
            payloads: BTreeSet::new(),
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
                State::Running { .. } => match &container.health {
                    None | Some(Health::Healthy) => Existing::Running(status),
                    Some(other) => Existing::Checked(status, other.clone()),
                },
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

    /// Before a daemon starts again its configuration may be changed.
    pub(super) fn reconfigure(&mut self, host: Id) {
        let (rack, cpus) = (self.rng.below(2), 2 + self.rng.below(3) as i64);
        let other = self.rng.below(super::HOSTS);
        let dice = self.rng.below(3);
        let description = &mut self.hosts[host].description;
        match dice {
            0 => {
                let labels = &mut description.engine_labels;
                labels.insert("rack".into(), rack.to_string());
            }
            1 => description.resources.nano_cpus = cpus * 1_000_000_000,
            _ => description.generic = generic_of(other),
        }
        self.trace(|| format!("host {host} gets another configuration"));
    }

    /// The loop that gives nodes the roles that are wished for them, without the Raft group.
    pub(super) fn follow_role(&mut self, host: Id) {
        let node = self.checker.reference.node(&self.hosts[host].node);
        let Some(node) = node.filter(|node| node.role != node.spec.role) else {
            return;
        };
        let (id, role) = (node.id.clone(), node.spec.role);
        if let Some(leader) = self.log.leader {
            let proposal = Proposal {
                request: None,
                at: self.now,
                changes: vec![Change::SetNodeRole { id, role }],
            };
            self.managers[leader].queue.push((None, proposal));
            self.submit(leader);
        }
        let delay = self.rng.millis(500, 2000);
        self.after(delay, Event::FollowRole { host });
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
