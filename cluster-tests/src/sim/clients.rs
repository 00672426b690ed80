//! Clients: what they ask for, and how they insist.

use super::events::{Event, Id};
use super::world::World;
use super::{CALM, MANAGERS, REQUESTS};
use model::change::RequestId;
use model::control::{ControlError, Write, WriteRequest, Written};
use model::node::Availability;
use model::service::{ServiceSpec, UpdateConfig};
use model::{Node, NodeSpec, payload};
use std::sync::Arc;
use std::time::Duration;

/// An answer that does not come within this time is not waited for: the same request is sent again.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between a refusal for want of a leader and the next try.
const RETRY_MS: (u64, u64) = (200, 1000);
/// How often a client sends a request twice at once, in percent.
const TWICE: u64 = 5;
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
                "update node {id} from {version} {:?} {:?} {:?} {:?}",
                spec.availability, spec.labels, spec.drain, spec.role
            )
        }
        Write::RemoveNode { id, force } => format!("remove node {id} force {force}"),
        Write::UpdateCluster { version, spec, .. } => {
            format!(
                "update cluster from {version} history {}",
                spec.task_history_limit
            )
        }
        other => format!("{other:?}"),
    }
}

fn sketch(spec: &ServiceSpec) -> String {
    let task = &spec.task;
    let config = |config: &UpdateConfig| {
        format!(
            "{:?} parallelism {} delay {:?} monitor {:?} ratio {} {:?}",
            config.order,
            config.parallelism,
            config.delay,
            config.monitor(),
            config.max_failure_ratio,
            config.failure_action
        )
    };
    let restart = task.restart.as_ref();
    let placement = task.placement.as_ref();
    format!(
        "{:?} {} force {} update [{}] rollback [{}] restart {:?} placement {:?} resources {:?} uses {:?} deadline {:?} stopped {:?} auto {}",
        spec.mode,
        task.container.image,
        task.force_update,
        config(&spec.update_config()),
        config(&spec.rollback_config()),
        restart.map(|r| (r.condition, r.max_attempts)),
        placement.map(|p| (&p.constraints, &p.preferences, p.max_replicas)),
        task.resources,
        payload::used_by(&task.container),
        spec.progress_deadline,
        spec.stopped,
        spec.auto_rebalance,
    )
}
