//! Clients: what they ask for, and how they insist.

use super::events::{Event, Id};
use super::executor::{CRASHY_IMAGE, FLAKY_IMAGE};
use super::world::World;
use super::{CALM, MANAGERS, REQUESTS};
use model::change::RequestId;
use model::control::{ControlError, Write, WriteRequest, Written};
use model::node::Availability;
use model::service::{FailureAction, Mode, Service, ServiceSpec, UpdateConfig, UpdateOrder};
use model::task::{
    Placement, ResourceRequirements, Resources, RestartCondition, RestartPolicy, TaskSpec,
};
use model::{Node, NodeSpec};
use std::sync::Arc;
use std::time::Duration;

/// An answer that does not come within this time is not waited for: the same request is sent again.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between a refusal for want of a leader and the next try.
const RETRY_MS: (u64, u64) = (200, 1000);
/// How often a client sends a request twice at once, in percent.
const TWICE: u64 = 5;
/// Services that clients keep.
const MAX_SERVICES: usize = 6;
/// Names that clients give: few, so that they clash.
const NAMES: [&str; 8] = ["web", "db", "api", "job", "Web", "cache", "mail", "queue"];

/// All requests so far.
#[derive(Default)]
pub(super) struct Clients {
    requests: Vec<Request>,
}

struct Request {
    write: WriteRequest,
    attempt: u32,
    answer: Option<Result<Written, ControlError>>,
}

impl Clients {
    pub(super) fn write(&self, request: usize) -> WriteRequest {
        self.requests[request].write.clone()
    }
    pub(super) fn id(&self, request: usize) -> RequestId {
        self.requests[request].write.id
    }
    pub(super) fn count(&self) -> usize {
        self.requests.len()
    }
    /// Requests without an answer.
    pub(super) fn open(&self) -> impl Iterator<Item = (usize, &Write)> {
        let requests = self.requests.iter().enumerate();
        requests
            .filter(|(_, r)| r.answer.is_none())
            .map(|(i, r)| (i, &r.write.write))
    }
    fn is_done(&self, request: usize) -> bool {
        self.requests[request].answer.is_some()
    }
}

impl World {
    /// Requests come in bursts, so that some meet in one entry.
    pub(super) fn next_request(&mut self) {
        let burst = if self.rng.chance(20) {
            2 + self.rng.below(3)
        } else {
            1
        };
        for _ in 0..burst {
            if let Some(write) = self.think() {
                self.ask(write);
            }
        }
        let pause = CALM.as_millis() as u64 / (REQUESTS as u64 + 10);
        let pause = self.rng.millis(pause / 2, pause * 3 / 2);
        if !self.calm {
            self.after(pause, Event::NextRequest);
        }
    }

    /// Sends a new request.
    pub(super) fn ask(&mut self, write: Write) {
        let request = self.clients.count();
        self.trace(|| format!("request {request}: {}", describe(&write)));
        let id = RequestId(u128::from(self.rng.next()) << 64 | u128::from(self.rng.next()));
        let write = WriteRequest { id, write };
        self.clients.requests.push(Request {
            write,
            attempt: 0,
            answer: None,
        });
        self.summary.requests += 1;
        self.try_request(request, 0);
        if self.rng.chance(TWICE) {
            self.send(request);
        }
    }

    pub(super) fn try_request(&mut self, request: usize, attempt: u32) {
        let state = &self.clients.requests[request];
        if state.answer.is_some() || state.attempt != attempt {
            return;
        }
        self.clients.requests[request].attempt += 1;
        if attempt > 0 {
            self.summary.retries += 1;
        }
        self.send(request);
        let attempt = attempt + 1;
        self.after(PATIENCE, Event::Try { request, attempt });
    }

    /// Any manager takes a request and forwards it to whom it holds for the leader.
    fn send(&mut self, request: usize) {
        let manager = self.rng.below(MANAGERS);
        let Some(leader) = self.leader_known_to(manager) else {
            let text = ControlError::NO_LEADER.to_owned();
            let result = Err(ControlError::Unavailable(text));
            let delay = self.net.latency(&mut self.rng);
            self.after(delay, Event::Answer { request, result });
            return;
        };
        let life = self.managers[leader].life;
        let delay = self.net.latency(&mut self.rng);
        self.after(
            delay,
            Event::Arrive {
                manager: leader,
                life,
                request,
            },
        );
    }

    fn leader_known_to(&self, manager: Id) -> Option<Id> {
        if !self.managers[manager].up {
            return None;
        }
        if self.managers[manager].leading.is_some() {
            return Some(manager);
        }
        self.log
            .leader
            .filter(|leader| self.net.reaches(manager, *leader))
    }

    /// Not to know is no answer: the same request is sent again.
    pub(super) fn answer(&mut self, request: usize, result: Result<Written, ControlError>) {
        if self.clients.is_done(request) {
            return;
        }
        if matches!(result, Err(ControlError::Unavailable(_))) {
            let attempt = self.clients.requests[request].attempt;
            let delay = self.rng.millis(RETRY_MS.0, RETRY_MS.1);
            self.after(delay, Event::Try { request, attempt });
            return;
        }
        self.trace(|| format!("answer {request}: {result:?}"));
        self.summary.accepted += u64::from(result.is_ok());
        self.clients.requests[request].answer = Some(result);
    }

    /// What a client comes to want, from what it sees.
    fn think(&mut self) -> Option<Write> {
        let services: Vec<Arc<Service>> = self.checker.reference.services().cloned().collect();
        let nodes: Vec<Arc<Node>> = self.checker.reference.nodes().cloned().collect();
        let dice = self.rng.below(100);
        if services.len() < 2 || (dice < 8 && services.len() < MAX_SERVICES) {
            return Some(Write::CreateService(Arc::new(self.new_spec())));
        }
        let service = services[self.rng.below(services.len())].clone();
        match dice {
            0..=72 => Some(self.update(&service)),
            73..=76 => Some(Write::RemoveService(service.id.clone())),
            77..=94 => {
                let node = nodes[self.rng.below(nodes.len())].clone();
                Some(self.update_node(&node))
            }
            95..=96 => self.remove_node(&nodes),
            _ => self.update_cluster(),
        }
    }

    fn update(&mut self, service: &Service) -> Write {
        let mut spec = ServiceSpec::clone(&service.spec);
        let mut task = TaskSpec::clone(&spec.task);
        match self.rng.below(12) {
            0..=4 => task.force_update += 1,
            5 => {
                spec.mode = Mode::Replicated {
                    replicas: Some(self.rng.below(7) as u64),
                }
            }
            6 => task.container.image = self.image(),
            7 => {
                let value = self.rng.below(3).to_string();
                spec.labels.insert("team".into(), value);
            }
            8 => spec.update = Some(self.update_config()),
            9 => task.placement = self.placement(),
            10 => task.restart = self.restart_policy(),
            _ => {
                task.force_update += 1;
                spec.update = Some(self.update_config());
                spec.mode = Mode::Replicated {
                    replicas: Some(1 + self.rng.below(6) as u64),
                };
            }
        }
        spec.task = Arc::new(task);
        // Some act on what they read a while ago.
        let stale = u64::from(self.rng.chance(4));
        Write::UpdateService {
            id: service.id.clone(),
            version: service.meta.version - stale,
            spec: Arc::new(spec),
        }
    }

    fn update_node(&mut self, node: &Node) -> Write {
        let mut spec = NodeSpec::clone(&node.spec);
        match self.rng.below(8) {
            0 | 1 => spec.availability = Availability::Drain,
            2 => spec.availability = Availability::Pause,
            3 | 4 => {
                let zone = if self.rng.chance(50) { "a" } else { "b" };
                spec.labels.insert("zone".into(), zone.into());
            }
            _ => spec.availability = Availability::Active,
        }
        Write::UpdateNode {
            id: node.id.clone(),
            version: node.meta.version,
            spec,
        }
    }

    fn remove_node(&mut self, nodes: &[Arc<Node>]) -> Option<Write> {
        let workers: Vec<_> = nodes.iter().filter(|n| n.manager.is_none()).collect();
        if workers.is_empty() {
            return None;
        }
        let id = self.rng.pick(&workers).id.clone();
        Some(Write::RemoveNode {
            id,
            force: self.rng.chance(70),
        })
    }

    fn update_cluster(&mut self) -> Option<Write> {
        let cluster = self.checker.reference.cluster()?;
        let (version, mut spec) = (cluster.meta.version, cluster.spec.clone());
        spec.task_history_limit = 1 + self.rng.below(6) as i64;
        Some(Write::UpdateCluster {
            version,
            spec,
            rotate_worker_token: self.rng.chance(50),
            rotate_manager_token: false,
        })
    }

    fn new_spec(&mut self) -> ServiceSpec {
        let name = (*self.rng.pick(&NAMES)).to_owned();
        let mut task = TaskSpec::default();
        task.container.image = self.image();
        task.restart = self.restart_policy();
        task.placement = self.placement();
        if self.rng.chance(40) {
            let reservations = Resources {
                nano_cpus: 500_000_000 * (1 + self.rng.below(3) as i64),
                memory_bytes: 256 << 20,
            };
            task.resources = Some(ResourceRequirements {
                limits: None,
                reservations: Some(reservations),
            });
        }
        ServiceSpec {
            name,
            task: Arc::new(task),
            mode: Mode::Replicated {
                replicas: Some(1 + self.rng.below(6) as u64),
            },
            update: Some(self.update_config()),
            ..Default::default()
        }
    }

    fn image(&mut self) -> String {
        match self.rng.below(10) {
            0..=5 => format!("good:{}", self.rng.below(3)),
            6 | 7 => FLAKY_IMAGE.into(),
            _ => CRASHY_IMAGE.into(),
        }
    }

    fn update_config(&mut self) -> UpdateConfig {
        let first = self.rng.chance(50);
        UpdateConfig {
            parallelism: self.rng.below(4) as u64,
            delay: self.rng.millis(0, 2000),
            failure_action: if self.rng.chance(60) {
                FailureAction::Pause
            } else {
                FailureAction::Continue
            },
            monitor: Some(self.rng.millis(0, 5000)),
            max_failure_ratio: *self.rng.pick(&[0.0, 0.3, 1.0]),
            order: if first {
                UpdateOrder::StartFirst
            } else {
                UpdateOrder::StopFirst
            },
        }
    }

    fn restart_policy(&mut self) -> Option<RestartPolicy> {
        let condition = match self.rng.below(8) {
            0 => RestartCondition::None,
            1 => RestartCondition::OnFailure,
            _ => RestartCondition::Any,
        };
        let bounded = self.rng.chance(15);
        self.rng.chance(80).then(|| RestartPolicy {
            condition,
            delay: Some(Duration::from_secs(1)),
            max_attempts: if bounded { 3 } else { 0 },
            window: if bounded {
                Duration::from_secs(30)
            } else {
                Duration::ZERO
            },
        })
    }

    fn placement(&mut self) -> Option<Placement> {
        let constraint = match self.rng.below(12) {
            0 | 1 => "node.labels.zone!=b",
            2 => "node.role==worker",
            3 => "node.labels.zone==a",
            _ => return None,
        };
        Some(Placement {
            constraints: vec![constraint.into()],
            max_replicas: if self.rng.chance(20) { 2 } else { 0 },
            platforms: vec![],
        })
    }

    /// The operator makes all nodes active again, and keeps at it.
    pub(super) fn tidy(&mut self) {
        let nodes: Vec<Arc<Node>> = self.checker.reference.nodes().cloned().collect();
        for node in nodes {
            let asked =
                |write: &Write| matches!(write, Write::UpdateNode { id, .. } if *id == node.id);
            let under_way = self.clients.open().any(|(_, write)| asked(write));
            if node.spec.availability != Availability::Active && !under_way {
                let spec = NodeSpec {
                    availability: Availability::Active,
                    ..node.spec.clone()
                };
                self.ask(Write::UpdateNode {
                    id: node.id.clone(),
                    version: node.meta.version,
                    spec,
                });
            }
        }
        self.after(Duration::from_secs(2), Event::Tidy);
    }
}

fn describe(write: &Write) -> String {
    match write {
        Write::CreateService(spec) => format!("create {} {}", spec.name, sketch(spec)),
        Write::UpdateService { id, version, spec } => {
            format!("update {id} from {version} {}", sketch(spec))
        }
        Write::RemoveService(id) => format!("remove service {id}"),
        Write::UpdateNode { id, version, spec } => {
            format!(
                "update node {id} from {version} {:?} {:?}",
                spec.availability, spec.labels
            )
        }
        Write::RemoveNode { id, force } => format!("remove node {id} force {force}"),
        Write::UpdateCluster { version, spec, .. } => {
            format!(
                "update cluster from {version} history {}",
                spec.task_history_limit
            )
        }
    }
}

fn sketch(spec: &ServiceSpec) -> String {
    let update = spec.update_config();
    format!(
        "{} x{} force {} {:?} parallelism {} delay {:?} monitor {:?} ratio {} {:?} restart {:?} placement {:?}",
        spec.task.container.image,
        spec.replicas(),
        spec.task.force_update,
        update.order,
        update.parallelism,
        update.delay,
        update.monitor(),
        update.max_failure_ratio,
        update.failure_action,
        spec.task
            .restart
            .as_ref()
            .map(|r| (r.condition, r.max_attempts)),
        spec.task
            .placement
            .as_ref()
            .map(|p| (&p.constraints, p.max_replicas)),
    )
}
