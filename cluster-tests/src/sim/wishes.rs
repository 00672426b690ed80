//! What clients come to want, from what they see.

use super::executor::{CRASHY_IMAGE, FLAKY_IMAGE, JOB_IMAGE, SICK_IMAGE, SLOW_IMAGE, WEAK_IMAGE};
use super::world::World;
use model::control::Write;
use model::node::{Availability, DrainConfig, Role};
use model::payload::{ConfigRef, FileTarget, PayloadData, SecretEnv, SecretRef};
use model::service::{
    FailureAction, Mode, RegistryAuth, Service, ServiceSpec, UpdateConfig, UpdateOrder,
};
use model::task::{
    GenericResource, GenericValue, Placement, ResourceRequirements, Resources, RestartCondition,
    RestartPolicy, TaskSpec,
};
use model::{Labels, Node, NodeSpec, Payload, PayloadKind, PayloadSpec};
use std::sync::Arc;
use std::time::Duration;

/// Services that clients keep.
const MAX_SERVICES: usize = 7;
/// Secrets and configs that clients keep.
const MAX_PAYLOADS: usize = 6;
/// Labelled join tokens that clients keep.
const MAX_TOKENS: usize = 2;
/// Names that clients give: few, so that they clash.
const NAMES: [&str; 9] = [
    "web", "db", "api", "job", "Web", "cache", "mail", "queue", "agent",
];
/// Names of secrets and configs.
const PAYLOAD_NAMES: [&str; 5] = ["key", "cert", "Key", "conf", "motd"];
/// What a registry is told; it never gets into a journal.
const CREDENTIALS: &str = "dXNlcjpwYXNz";

impl World {
    /// What a client comes to want, from what it sees.
    pub(super) fn think(&mut self) -> Option<Write> {
        let services: Vec<Arc<Service>> = self.checker.reference.services().cloned().collect();
        let dice = self.rng.below(100);
        if services.len() < 2 || (dice < 8 && services.len() < MAX_SERVICES) {
            return Some(Write::CreateService(Arc::new(self.new_spec())));
        }
        let service = services[self.rng.below(services.len())].clone();
        match dice {
            0..=55 => Some(self.update(&service)),
            56..=61 => self.roll_back(&service),
            62..=66 => self.restart_tasks(&service),
            67..=68 => Some(self.rebalance(&services)),
            69..=71 => Some(Write::RemoveService(service.id.clone())),
            72..=77 => Some(self.change_payloads()),
            78..=93 => {
                let nodes: Vec<Arc<Node>> = self.checker.reference.nodes().cloned().collect();
                let node = nodes[self.rng.below(nodes.len())].clone();
                Some(self.update_node(&node))
            }
            94..=95 => self.remove_node(),
            96..=97 => self.change_tokens(),
            _ => self.update_cluster(),
        }
    }

    fn update(&mut self, service: &Service) -> Write {
        let mut spec = ServiceSpec::clone(&service.spec);
        let mut task = TaskSpec::clone(&spec.task);
        match self.rng.below(20) {
            0..=4 => task.force_update += 1,
            5 | 6 => spec.mode = self.resized(&spec.mode),
            7 | 8 => task.container.image = self.image(&spec.mode),
            9 => {
                let value = self.rng.below(3).to_string();
                spec.labels.insert("team".into(), value);
            }
            10 => spec.update = Some(self.update_config()),
            11 => spec.rollback = self.rng.chance(80).then(|| self.update_config()),
            12 => task.placement = self.placement(),
            13 => task.restart = self.restart_policy(),
            14 => spec.progress_deadline = self.deadline(),
            15 => self.use_payloads(&mut task),
            16 => spec.stopped = self.stop_or_start(&mut spec.mode, spec.stopped),
            17 => task.resources = self.resources(),
            18 => spec.auto_rebalance = !spec.auto_rebalance,
            _ => {
                task.force_update += 1;
                spec.update = Some(self.update_config());
                spec.rollback = Some(self.update_config());
                spec.progress_deadline = self.deadline();
                task.container.image = self.image(&spec.mode);
                spec.mode = self.resized(&spec.mode);
            }
        }
        spec.task = Arc::new(task);
        fit_to_mode(&mut spec);
        // Some act on what they read a while ago.
        let stale = u64::from(self.rng.chance(4));
        Write::UpdateService {
            id: service.id.clone(),
            version: service.meta.version - stale,
            spec: Arc::new(spec),
        }
    }

    fn roll_back(&mut self, service: &Service) -> Option<Write> {
        let to = if self.rng.chance(50) {
            None
        } else {
            Some(self.rng.pick(&service.history).number)
        };
        Some(Write::RollbackService {
            id: service.id.clone(),
            version: service.meta.version,
            to,
        })
    }

    fn restart_tasks(&mut self, service: &Service) -> Option<Write> {
        let tasks = self.checker.reference.tasks_of_service(&service.id);
        let ids: Vec<_> = tasks
            .filter(|t| t.is_wanted() && t.may_run())
            .map(|t| t.id.clone())
            .collect();
        if ids.is_empty() {
            return None;
        }
        let count = 1 + self.rng.below(3);
        let picked = (0..count).map(|_| self.rng.pick(&ids).clone()).collect();
        Some(Write::RestartTasks(picked))
    }

    fn rebalance(&mut self, services: &[Arc<Service>]) -> Write {
        let mut named = Vec::new();
        if self.rng.chance(60) {
            let replicated = services
                .iter()
                .filter(|s| matches!(s.spec.mode, Mode::Replicated { .. }));
            named.extend(replicated.map(|s| s.id.clone()).take(1));
        }
        Write::Rebalance(named)
    }

    /// `service stop` and `service start`.
    fn stop_or_start(&mut self, mode: &mut Mode, stopped: Option<u64>) -> Option<u64> {
        let Mode::Replicated { replicas } = mode else {
            return stopped.is_none().then_some(0);
        };
        match stopped {
            Some(before) => {
                *replicas = Some(before);
                None
            }
            None => Some(replicas.replace(0).unwrap_or(1)),
        }
    }

    fn change_payloads(&mut self) -> Write {
        let payloads = self.payloads();
        let dice = self.rng.below(10);
        if payloads.len() < 2 || (dice < 5 && payloads.len() < MAX_PAYLOADS) {
            let kind = if self.rng.chance(60) {
                PayloadKind::Secret
            } else {
                PayloadKind::Config
            };
            let spec = PayloadSpec {
                name: (*self.rng.pick(&PAYLOAD_NAMES)).to_owned(),
                data: PayloadData(self.rng.next().to_be_bytes().into()),
                ..Default::default()
            };
            let spec = Arc::new(spec);
            return Write::CreatePayload { kind, spec };
        }
        let payload = self.rng.pick(&payloads).clone();
        let (id, kind) = (payload.id.clone(), payload.kind);
        if dice < 8 {
            return Write::RemovePayload { id, kind };
        }
        let labels = Labels::from([("of".to_owned(), self.rng.below(3).to_string())]);
        let spec = PayloadSpec {
            labels,
            ..PayloadSpec::clone(&payload.spec)
        };
        Write::UpdatePayload {
            id,
            kind,
            version: payload.meta.version,
            spec: Arc::new(spec),
        }
    }

    fn payloads(&self) -> Vec<Arc<Payload>> {
        let view = &self.checker.reference;
        let kinds = [PayloadKind::Secret, PayloadKind::Config];
        let all = kinds.into_iter().flat_map(|kind| view.payloads(kind));
        all.cloned().collect()
    }

    /// Some secrets and configs, or none.
    fn use_payloads(&mut self, task: &mut TaskSpec) {
        let container = &mut task.container;
        container.secrets.clear();
        container.configs.clear();
        container.secret_env.clear();
        for payload in self.payloads() {
            if !self.rng.chance(35) {
                continue;
            }
            let (id, name) = (payload.id.clone(), payload.spec.name.clone());
            let file = FileTarget {
                name: name.clone(),
                uid: "0".into(),
                gid: "0".into(),
                mode: 0o444,
            };
            match payload.kind {
                PayloadKind::Config => container.configs.push(ConfigRef {
                    id,
                    name,
                    file: Some(file),
                }),
                PayloadKind::Secret if self.rng.chance(30) => {
                    let variable = format!("V_{name}");
                    container.secret_env.push(SecretEnv { id, name, variable });
                }
                PayloadKind::Secret => container.secrets.push(SecretRef { id, name, file }),
            }
        }
    }

    fn change_tokens(&mut self) -> Option<Write> {
        let tokens = &self.checker.reference.cluster()?.tokens;
        if tokens.len() >= MAX_TOKENS {
            let name = tokens[0].name.clone();
            return Some(Write::RemoveToken { name });
        }
        let name = format!("token{}", self.rng.below(3));
        let zone = if self.rng.chance(50) { "a" } else { "b" };
        let labels = Labels::from([("zone".to_owned(), zone.to_owned())]);
        let role = Role::Worker;
        Some(Write::CreateToken { name, role, labels })
    }

    fn update_node(&mut self, node: &Node) -> Write {
        let mut spec = NodeSpec::clone(&node.spec);
        match self.rng.below(12) {
            0..=2 => {
                spec.availability = Availability::Drain;
                spec.drain = self.drain_config();
            }
            3 => spec.availability = Availability::Pause,
            4 | 5 => {
                let zone = if self.rng.chance(50) { "a" } else { "b" };
                spec.labels.insert("zone".into(), zone.into());
            }
            6 => spec.drain = self.drain_config(),
            7 if node.manager.is_none() => {
                spec.role = match spec.role {
                    Role::Worker => Role::Manager,
                    Role::Manager => Role::Worker,
                };
            }
            _ => spec.availability = Availability::Active,
        }
        Write::UpdateNode {
            id: node.id.clone(),
            version: node.meta.version,
            spec,
        }
    }

    fn drain_config(&mut self) -> Option<DrainConfig> {
        self.rng.chance(65).then(|| DrainConfig {
            parallelism: self.rng.below(3) as u64,
            order: self.order(),
        })
    }

    fn remove_node(&mut self) -> Option<Write> {
        let nodes = self.checker.reference.nodes();
        let workers: Vec<_> = nodes.filter(|n| n.manager.is_none()).cloned().collect();
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
        let mode = self.mode();
        let mut task = TaskSpec::default();
        task.container.image = self.image(&mode);
        task.restart = self.restart_policy();
        task.placement = self.placement();
        task.resources = self.resources();
        if self.rng.chance(40) {
            self.use_payloads(&mut task);
        }
        let mut spec = ServiceSpec {
            name,
            task: Arc::new(task),
            mode,
            update: Some(self.update_config()),
            rollback: self.rng.chance(60).then(|| self.update_config()),
            progress_deadline: self.deadline(),
            registry_auth: self
                .rng
                .chance(30)
                .then(|| RegistryAuth(CREDENTIALS.into())),
            auto_rebalance: self.rng.chance(20),
            ..Default::default()
        };
        fit_to_mode(&mut spec);
        spec
    }

    fn mode(&mut self) -> Mode {
        let mode = match self.rng.below(20) {
            0..=9 => Mode::Replicated { replicas: None },
            10..=13 => Mode::Global,
            14..=17 => Mode::ReplicatedJob {
                max_concurrent: None,
                total_completions: None,
            },
            _ => Mode::GlobalJob,
        };
        self.resized(&mode)
    }

    /// The same kind with other numbers.
    fn resized(&mut self, mode: &Mode) -> Mode {
        match mode {
            Mode::Replicated { .. } => Mode::Replicated {
                replicas: Some(1 + self.rng.below(6) as u64),
            },
            Mode::ReplicatedJob { .. } => Mode::ReplicatedJob {
                max_concurrent: Some(1 + self.rng.below(3) as u64),
                total_completions: Some(1 + self.rng.below(6) as u64),
            },
            other => other.clone(),
        }
    }

    fn image(&mut self, mode: &Mode) -> String {
        if mode.is_job() && self.rng.chance(85) {
            return format!("{JOB_IMAGE}:{}", self.rng.below(3));
        }
        match self.rng.below(20) {
            0..=8 => format!("good:{}", self.rng.below(3)),
            9 | 10 => format!("{SLOW_IMAGE}:{}", self.rng.below(3)),
            11..=13 => FLAKY_IMAGE.into(),
            14..=16 => CRASHY_IMAGE.into(),
            17 | 18 => SICK_IMAGE.into(),
            _ => WEAK_IMAGE.into(),
        }
    }

    fn order(&mut self) -> UpdateOrder {
        if self.rng.chance(50) {
            UpdateOrder::StartFirst
        } else {
            UpdateOrder::StopFirst
        }
    }

    fn update_config(&mut self) -> UpdateConfig {
        let actions = [
            FailureAction::Pause,
            FailureAction::Pause,
            FailureAction::Continue,
            FailureAction::Rollback,
            FailureAction::Rollback,
        ];
        UpdateConfig {
            parallelism: self.rng.below(4) as u64,
            delay: self.rng.millis(0, 2000),
            failure_action: *self.rng.pick(&actions),
            monitor: Some(self.rng.millis(0, 5000)),
            max_failure_ratio: *self.rng.pick(&[0.0, 0.3, 1.0]),
            order: self.order(),
        }
    }

    fn deadline(&mut self) -> Option<Duration> {
        self.rng.chance(40).then(|| self.rng.millis(8000, 25_000))
    }

    fn resources(&mut self) -> Option<ResourceRequirements> {
        let dice = self.rng.below(100);
        let reserves = dice < 40;
        let asks = (30..55).contains(&dice);
        let reservations = reserves.then(|| Resources {
            nano_cpus: 500_000_000 * (1 + self.rng.below(3) as i64),
            memory_bytes: 256 << 20,
        });
        let mut generic = Vec::new();
        if asks {
            let kind = (*self.rng.pick(&["gpu", "disk"])).to_owned();
            let value = GenericValue::Discrete(1 + self.rng.below(2) as i64);
            generic.push(GenericResource { kind, value });
        }
        (reserves || asks).then_some(ResourceRequirements {
            limits: None,
            reservations,
            generic,
        })
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
        let constraint = match self.rng.below(16) {
            0 | 1 => Some("node.labels.zone!=b"),
            2 => Some("node.role==worker"),
            3 => Some("node.labels.zone==a"),
            4 => Some("engine.labels.rack==1"),
            5 => Some("node.role!=worker"),
            _ => None,
        };
        let spreads = self.rng.chance(25);
        if constraint.is_none() && !spreads {
            return None;
        }
        let mut preferences = Vec::new();
        if spreads {
            preferences.push("node.labels.zone".to_owned());
            if self.rng.chance(50) {
                preferences.push("engine.labels.rack".to_owned());
            }
        }
        Some(Placement {
            constraints: constraint.map(str::to_owned).into_iter().collect(),
            max_replicas: if self.rng.chance(20) { 2 } else { 0 },
            platforms: vec![],
            preferences,
        })
    }
}

/// Takes out what a service of its mode may not have.
fn fit_to_mode(spec: &mut ServiceSpec) {
    if spec.mode.is_job() {
        spec.update = None;
        spec.rollback = None;
        spec.progress_deadline = None;
    }
    let task = Arc::make_mut(&mut spec.task);
    if let (true, Some(placement)) = (spec.mode.is_global(), &mut task.placement) {
        placement.max_replicas = 0;
    }
}
