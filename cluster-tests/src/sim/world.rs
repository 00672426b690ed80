//! The world: everything there is, and the loop that lets time pass.

use super::checks::Checker;
use super::clients::Clients;
use super::events::{Event, Planned};
use super::faults::Faults;
use super::host::Host;
use super::log::Log;
use super::manager::Manager;
use super::network::Network;
use super::plans::Foreseen;
use super::rng::Rng;
use super::script::Line;
use super::session::Session;
use super::{CALM, END, FIRST_HOSTS, Failure, HOSTS, MANAGERS, Summary};
use model::cluster::{JoinSecret, RootCa};
use model::node::{ManagerStatus, NodeSpec, NodeStatus, Role};
use model::{
    Change, Cluster, ClusterId, ClusterSpec, Labels, Meta, Node, NodeId, Proposal, Timestamp,
};
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

/// When the simulation begins.
const START: Timestamp = Timestamp(1_700_000_000_000_000_000);
/// Clocks are off by up to this many milliseconds, either way.
const MAX_SKEW_MS: i64 = 2000;
/// Events of one run at most: more mean that something spins.
const MAX_EVENTS: u64 = 3_000_000;

/// Everything.
pub(super) struct World {
    seed: u64,
    pub(super) now: Timestamp,
    queue: BinaryHeap<Planned>,
    planned: u64,
    pub(super) rng: Rng,
    pub(super) ids: Rng,
    pub(super) net: Network,
    pub(super) log: Log,
    pub(super) managers: Vec<Manager>,
    pub(super) hosts: Vec<Host>,
    pub(super) sessions: Vec<Session>,
    pub(super) clients: Clients,
    pub(super) faults: Faults,
    pub(super) checker: Checker,
    pub(super) calm: bool,
    pub(super) summary: Summary,
    pub(super) failed: Option<String>,
    trace: VecDeque<String>,
    trace_lines: usize,
    ended: bool,
    /// What happens instead of random requests and faults.
    script: Option<Vec<Line>>,
    /// What a script has had planned.
    pub(super) foreseen: Option<Foreseen>,
}

impl World {
    pub(super) fn new(seed: u64, trace_lines: usize) -> World {
        let mut rng = Rng::new(seed);
        let mut ids = Rng::new(seed ^ 0x1d5);
        let mut skew =
            || (rng.next() % (2 * MAX_SKEW_MS as u64)) as i64 * 1_000_000 - MAX_SKEW_MS * 1_000_000;
        let managers = (0..MANAGERS).map(|_| Manager::new(skew())).collect();
        let mut host = |n| Host::new(NodeId::generate(&mut ids), n, skew());
        let hosts = (0..HOSTS).map(&mut host).collect();
        World {
            seed,
            now: START,
            queue: BinaryHeap::new(),
            planned: 0,
            net: Network::new(),
            log: Log::default(),
            managers,
            hosts,
            sessions: Vec::new(),
            clients: Clients::default(),
            faults: Faults::default(),
            checker: Checker::default(),
            calm: false,
            summary: Summary::default(),
            failed: None,
            trace: VecDeque::new(),
            trace_lines,
            ended: false,
            script: None,
            foreseen: None,
            rng,
            ids,
        }
    }

    /// A world in which only happens what the script says.
    pub(super) fn scripted(script: Vec<Line>, trace_lines: usize) -> World {
        World {
            script: Some(script),
            ..World::new(0, trace_lines)
        }
    }

    /// From the first entry to the end of the calm.
    pub(super) fn run(mut self) -> Result<Summary, Box<Failure>> {
        self.begin();
        let mut events = 0;
        while self.failed.is_none() && !self.ended {
            let Some(next) = self.queue.pop() else {
                self.fail(|| "nothing is left to happen".into());
                break;
            };
            self.now = next.at;
            self.happen(next.event);
            events += 1;
            if events > MAX_EVENTS {
                self.fail(|| "something spins".into());
            }
        }
        match self.failed.take() {
            None => Ok(self.summary),
            Some(what) => Err(Box::new(Failure {
                seed: self.seed,
                at: self.now.since(START),
                index: self.log.last(),
                what,
                trace: std::mem::take(&mut self.trace).into(),
            })),
        }
    }

    fn begin(&mut self) {
        let cluster = Cluster {
            id: ClusterId::generate(&mut self.ids),
            meta: Meta::default(),
            spec: ClusterSpec::default(),
            ca: RootCa {
                cert_pem: String::new(),
                key_pem: String::new(),
            },
            worker_token: JoinSecret("worker".into()),
            manager_token: JoinSecret("manager".into()),
            tokens: Vec::new(),
        };
        let mut changes = vec![Change::CreateCluster(Box::new(cluster))];
        for host in 0..FIRST_HOSTS {
            changes.extend(self.new_node(host).changes);
        }
        let first = Proposal {
            request: None,
            at: self.now,
            changes,
        };
        self.bootstrap(first);
        for host in 0..FIRST_HOSTS {
            self.after(Duration::from_millis(500), Event::StartDaemon { host });
        }
        if let Some(script) = self.script.take() {
            self.begin_script(script);
            return;
        }
        for host in FIRST_HOSTS..HOSTS {
            let delay = self.rng.millis(20_000, 350_000);
            self.after(delay, Event::Join { host });
        }
        self.plan_hops(self.seed);
        self.after(Duration::from_secs(2), Event::NextRequest);
        self.after(Duration::from_secs(5), Event::Fault);
        self.at(START + CALM, Event::Calm);
        self.at(START + END, Event::End);
    }

    /// What makes a host's node known.
    pub(super) fn new_node(&mut self, host: usize) -> Proposal {
        let is_manager = host < MANAGERS;
        let manager = is_manager.then(|| ManagerStatus {
            raft_id: host as u64 + 1,
            addr: format!("10.0.0.{}:2377", host + 1),
        });
        let role = if is_manager {
            Role::Manager
        } else {
            Role::Worker
        };
        // Some join with a token that has labels.
        let tokens = self.checker.reference.cluster().map(|c| &c.tokens[..]);
        let labels = match tokens {
            Some(tokens) if !tokens.is_empty() => self.rng.pick(tokens).labels.clone(),
            _ => Labels::new(),
        };
        let node = Node {
            id: self.hosts[host].node.clone(),
            meta: Meta::default(),
            spec: NodeSpec {
                role,
                labels,
                ..Default::default()
            },
            role,
            description: None,
            status: NodeStatus::default(),
            manager,
        };
        Proposal {
            request: None,
            at: self.now,
            changes: vec![Change::CreateNode(Box::new(node))],
        }
    }

    pub(super) fn end(&mut self) {
        self.ended = true;
        self.check_at_rest();
    }

    pub(super) fn after(&mut self, delay: Duration, event: Event) {
        self.at(self.now + delay, event);
    }

    /// Nothing happens in the past.
    pub(super) fn at(&mut self, at: Timestamp, event: Event) {
        self.planned += 1;
        self.queue.push(Planned {
            at: at.max(self.now),
            number: self.planned,
            event,
        });
    }

    /// The first failure counts.
    pub(super) fn fail(&mut self, what: impl FnOnce() -> String) {
        if self.failed.is_none() {
            self.failed = Some(what());
        }
    }

    pub(super) fn trace(&mut self, line: impl FnOnce() -> String) {
        if self.trace_lines == 0 {
            return;
        }
        if self.trace.len() == self.trace_lines {
            self.trace.pop_front();
        }
        let time = self.now.since(START).as_secs_f64();
        self.trace.push_back(format!("{time:10.3} {}", line()));
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::NextRequest => self.next_request(),
            Event::Try { request, attempt } => self.try_request(request, attempt),
            Event::Arrive {
                manager,
                life,
                request,
            } => self.arrive(manager, life, request),
            Event::Answer { request, result } => self.answer(request, result),
            Event::Commit { number } => self.commit_under_way(number),
            Event::Follow { manager, life } => self.follow(manager, life),
            Event::Elect { epoch } => self.elect(epoch),
            Event::StepDown {
                manager,
                life,
                term,
            } => self.step_down_from(manager, life, term),
            Event::LeaderTick {
                manager,
                life,
                number,
            } => self.leader_tick(manager, life, number),
            Event::WorkerTick { host, life, number } => self.worker_tick(host, life, number),
            Event::Connect { host, life } => self.connect(host, life),
            Event::ConnectTimeout {
                host,
                life,
                session,
            } => self.connect_timeout(host, life, session),
            Event::Heartbeat { session } => self.heartbeat(session),
            Event::Up { session } => self.deliver_up(session),
            Event::Down { session } => self.deliver_down(session),
            Event::Broken { session, side } => self.broken(session, side),
            Event::Executed {
                host,
                boot,
                life,
                task,
                what,
            } => {
                self.executed(host, boot, life, task, what);
            }
            Event::Exit {
                host,
                boot,
                task,
                started,
                code,
            } => self.exit(host, boot, task, started, code),
            Event::HealthCheck {
                host,
                boot,
                task,
                started,
                number,
            } => self.health_check(host, boot, task, started, number),
            Event::FollowRole { host } => self.follow_role(host),
            Event::Fault => self.fault(),
            Event::Mend { number } => self.mend(number),
            Event::Wander { host, number } => self.wander(host, number),
            Event::Resign => self.resign(),
            Event::Hops { time } => self.begin_hops(time),
            Event::StartDaemon { host } => self.start_daemon(host),
            Event::Boot { host } => self.boot(host),
            Event::Rejoin { host } => self.rejoin(host),
            Event::Join { host } => self.join(host),
            Event::Line { line } => self.perform(&line),
            Event::Calm => self.calm_down(),
            Event::Tidy => self.tidy(),
            Event::End => self.end(),
        }
    }
}
