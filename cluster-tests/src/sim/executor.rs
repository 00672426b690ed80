//! The fake engine: containers that take their time, fail, exit and are stopped.

use super::events::{Event, Id, Work};
use super::host::{Container, State};
use super::world::World;
use agent::worker::{Action, Exit, Failure, Health, Input, Outcome, Payloads};
use model::assignment::AssignedTask;
use model::task::ContainerStatus;
use model::{TaskId, Timestamp, payload};
use std::time::Duration;

/// Images whose pull fails now and then while faults last.
pub(super) const FLAKY_IMAGE: &str = "flaky";
/// Images whose process ends by itself now and then while faults last.
pub(super) const CRASHY_IMAGE: &str = "crashy";
/// Images whose process ends by itself, mostly well.
pub(super) const JOB_IMAGE: &str = "work";
/// Images with a health check that succeeds after a while.
pub(super) const SLOW_IMAGE: &str = "slow";
/// Images whose health check never succeeds while faults last.
pub(super) const SICK_IMAGE: &str = "sick";
/// Images whose health check succeeds, and fails later while faults last.
pub(super) const WEAK_IMAGE: &str = "weak";
/// Pause between two runs of a health check.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// Runs after which a check that never succeeded makes its container unhealthy, and after which one that takes its
/// time succeeds.
const CHECKS: u32 = 12;

fn has_check(image: &str) -> bool {
    [SLOW_IMAGE, SICK_IMAGE, WEAK_IMAGE]
        .iter()
        .any(|checked| image.starts_with(checked))
}

impl World {
    /// Begins an action of a host's worker.
    pub(super) fn execute(&mut self, host: Id, action: Action) {
        let begins = matches!(action, Action::Prepare(..) | Action::Start(_));
        if begins && !self.hosts[host].daemon.as_ref().is_some_and(|d| d.synced) {
            self.fail(|| format!("host {host} begins before it was told everything: {action:?}"));
        }
        let (task, what, time) = match action {
            Action::Prepare(task, payloads) => {
                let id = task.id.clone();
                self.check_payloads(host, &task, &payloads);
                self.hosts[host].preparing.insert(id.clone(), *task);
                (id, Work::Prepare, self.rng.millis(30, 1200))
            }
            Action::Start(id) => {
                if self.hosts[host].given_up.contains(&id) {
                    self.fail(|| format!("host {host} starts {id}, which it had given up"));
                }
                (id, Work::Start, self.rng.millis(20, 200))
            }
            Action::Stop(id) => {
                self.hosts[host].given_up.insert(id.clone());
                let slow = self.rng.chance(10);
                let time = if slow {
                    self.rng.millis(2000, 10_000)
                } else {
                    self.rng.millis(5, 500)
                };
                (id, Work::Stop, time)
            }
            Action::Remove(id) => (id, Work::Remove, self.rng.millis(5, 50)),
        };
        // What makes a container is not waited for: a stop cancels it.
        let free = self.hosts[host].busy.get(&task).copied();
        let at = free.map_or(self.now, |free| free.max(self.now)) + time;
        if what != Work::Prepare {
            self.hosts[host].busy.insert(task.clone(), at);
        }
        let (boot, life) = (self.hosts[host].boot, self.hosts[host].life);
        self.at(
            at,
            Event::Executed {
                host,
                boot,
                life,
                task,
                what,
            },
        );
    }

    /// An action is done. When the daemon died meanwhile, nobody hears of it, and it may have happened or not.
    pub(super) fn executed(&mut self, host: Id, boot: u64, life: u64, task: TaskId, what: Work) {
        if self.hosts[host].boot != boot {
            return;
        }
        // What a dead daemon had begun is done, or not, before the next one looks.
        if !self.lives(host, life) && (self.hosts[host].daemon.is_some() || self.rng.chance(50)) {
            return;
        }
        let outcomes = match what {
            Work::Prepare => self.prepared(host, life, &task),
            Work::Start => self.started(host, life, &task),
            Work::Stop => self.stopped(host, &task),
            Work::Remove => self.removed(host, &task),
        };
        for outcome in outcomes {
            if self.lives(host, life) {
                self.step_worker(host, Input::Did(task.clone(), outcome));
            }
        }
    }

    fn prepared(&mut self, host: Id, life: u64, id: &TaskId) -> Vec<Outcome> {
        let Some(task) = self.hosts[host].preparing.remove(id) else {
            return Vec::new(); // A stop came first.
        };
        if !self.calm && task.spec.container.image.starts_with(FLAKY_IMAGE) && self.rng.chance(35) {
            let permanent = self.rng.chance(70);
            let message = format!("No such image: {}", task.spec.container.image);
            return vec![Outcome::PrepareFailed(Failure { message, permanent })];
        }
        self.hosts[host].next_pid += 1;
        let status = ContainerStatus {
            id: format!("c-{host}-{}", self.hosts[host].next_pid),
            pid: 0,
            exit_code: 0,
        };
        let container = Container {
            task,
            state: State::Created,
            status,
            prepared_in: life,
            health: None,
            was_healthy: false,
        };
        let container = self.hosts[host]
            .containers
            .entry(id.clone())
            .or_insert(container);
        container.prepared_in = life;
        vec![Outcome::Prepared]
    }

    fn started(&mut self, host: Id, life: u64, id: &TaskId) -> Vec<Outcome> {
        let now = self.now;
        let boot = self.hosts[host].boot;
        self.hosts[host].next_pid += 1;
        let pid = self.hosts[host].next_pid;
        let permanent = |message: &str| {
            let failure = Failure {
                message: message.into(),
                permanent: true,
            };
            vec![Outcome::StartFailed(failure)]
        };
        let Some(container) = self.hosts[host].containers.get_mut(id) else {
            return permanent("no such container");
        };
        if !matches!(container.state, State::Created) {
            return permanent("the container was started before");
        }
        let spec = container.task.spec.clone();
        let lacks = !payload::used_by(&spec.container).is_empty() && container.prepared_in != life;
        container.state = State::Running { since: now };
        container.status.pid = pid;
        let status = container.status.clone();
        let image = spec.container.image.clone();
        container.health = has_check(&image).then(|| Health::Starting(String::new()));
        if lacks {
            self.fail(|| format!("host {host} starts {id} without its secrets"));
        }
        self.hosts[host].started.insert(id.clone());
        self.trace(|| format!("host {host} runs {id}"));
        let works = image.starts_with(JOB_IMAGE);
        if works || (!self.calm && image.starts_with(CRASHY_IMAGE) && self.rng.chance(60)) {
            let codes: &[i64] = if works { &[0, 0, 0, 1] } else { &[0, 1, 137] };
            let code = *self.rng.pick(codes);
            let time = self.rng.millis(50, 20_000);
            let exit = Event::Exit {
                host,
                boot,
                task: id.clone(),
                started: now,
                code,
            };
            self.after(time, exit);
        }
        if has_check(&image) {
            let (task, started) = (id.clone(), now);
            let number = 1;
            let check = Event::HealthCheck {
                host,
                boot,
                task,
                started,
                number,
            };
            self.after(CHECK_EVERY, check);
            return vec![Outcome::Checked(status)];
        }
        vec![Outcome::Started(status)]
    }

    /// A health check is run.
    pub(super) fn health_check(
        &mut self,
        host: Id,
        boot: u64,
        task: TaskId,
        started: Timestamp,
        number: u32,
    ) {
        let calm = self.calm;
        let falters = self.rng.chance(7);
        if self.hosts[host].boot != boot {
            return;
        }
        let container = self.hosts[host].containers.get_mut(&task);
        let Some(container) =
            container.filter(|c| matches!(c.state, State::Running { since } if since == started))
        else {
            return;
        };
        let image = &container.task.spec.container.image;
        let why = format!("check {number} failed");
        let weak = image.starts_with(WEAK_IMAGE);
        let health = match &container.health {
            Some(Health::Unhealthy(_)) => return, // It stays so until it is stopped.
            Some(Health::Healthy) if weak && falters && !calm => Health::Unhealthy(why),
            _ if calm || weak => Health::Healthy,
            _ if image.starts_with(SLOW_IMAGE) && number >= CHECKS / 3 => Health::Healthy,
            _ if number >= CHECKS => Health::Unhealthy(why),
            _ => Health::Starting(why),
        };
        container.was_healthy |= health == Health::Healthy;
        let changed = container.health.replace(health.clone()) != Some(health.clone());
        let number = number + 1;
        let check = Event::HealthCheck {
            host,
            boot,
            task: task.clone(),
            started,
            number,
        };
        self.after(CHECK_EVERY, check);
        if changed {
            self.trace(|| format!("host {host}: {task} is {health:?}"));
            self.step_worker(host, Input::Did(task, Outcome::Health(health)));
        }
    }

    /// A task is prepared with all its secrets and configs, and with no others.
    fn check_payloads(&mut self, host: Id, task: &AssignedTask, payloads: &Payloads) {
        let used = payload::used_by(&task.spec.container);
        if !payloads.keys().eq(used.iter()) {
            let given: Vec<_> = payloads.keys().collect();
            self.fail(|| {
                let id = &task.id;
                format!("host {host} prepares {id}, which uses {used:?}, with {given:?}")
            });
        }
    }

    fn stopped(&mut self, host: Id, id: &TaskId) -> Vec<Outcome> {
        self.hosts[host].preparing.remove(id);
        if self.rng.chance(2) {
            return vec![Outcome::StopFailed("the engine is busy".into())];
        }
        let ended = self.end_process(host, id, 143);
        ended
            .map(Outcome::Exited)
            .into_iter()
            .chain([Outcome::Stopped])
            .collect()
    }

    fn removed(&mut self, host: Id, id: &TaskId) -> Vec<Outcome> {
        if self.rng.chance(2) {
            return vec![Outcome::RemoveFailed("the file system is busy".into())];
        }
        if let Some(container) = self.hosts[host].containers.remove(id)
            && container.is_running()
        {
            self.fail(|| format!("host {host} removed the container of {id} while it ran"));
        }
        vec![Outcome::Removed]
    }

    fn end_process(&mut self, host: Id, id: &TaskId, code: i64) -> Option<Exit> {
        let at = Timestamp(self.now.0 + self.hosts[host].skew);
        let container = self.hosts[host].containers.get_mut(id)?;
        if !container.is_running() {
            return None;
        }
        let exit = Exit {
            code,
            oom_killed: false,
            at,
            error: String::new(),
        };
        container.state = State::Exited(exit.clone());
        container.status.pid = 0;
        container.status.exit_code = code;
        Some(exit)
    }

    /// A process ends by itself.
    pub(super) fn exit(
        &mut self,
        host: Id,
        boot: u64,
        task: TaskId,
        started: Timestamp,
        code: i64,
    ) {
        let container = self.hosts[host].containers.get(&task);
        let same = container
            .is_some_and(|c| matches!(c.state, State::Running { since } if since == started));
        let works = container.is_some_and(|c| c.task.spec.container.image.starts_with(JOB_IMAGE));
        if self.hosts[host].boot != boot || !same || (self.calm && !works) {
            return;
        }
        let code = if self.calm { 0 } else { code };
        self.trace(|| format!("host {host}: the process of {task} exits with {code}"));
        if let Some(exit) = self.end_process(host, &task, code) {
            self.step_worker(host, Input::Did(task, Outcome::Exited(exit)));
        }
    }
}
