//! Carries out what the worker asks of the executor: actions of one task one after another, different tasks beside
//! one another.

use crate::driver::Event;
use crate::executor::{ExecError, Executor, Say, Started};
use crate::worker::{Action, Exit, Outcome};
use futures_util::StreamExt;
use model::{TaskId, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

/// Containers started at once, per core: a start is mostly the kernel's work, and beyond a few per core the kernel's
/// own locks make it slower.
pub(crate) const STARTS_PER_CORE: usize = 4;
/// Preparations at once: mostly waiting for a registry.
const PREPARATIONS: usize = 64;
/// The end of a container is usually seen just before its stop returns; it is waited for this long, because it
/// carries the exit code.
const EXIT_AFTER_STOP: Duration = Duration::from_secs(1);
/// Exit code of a container whose end nobody could watch, as Docker gives it.
const EXIT_UNKNOWN: i64 = 255;

/// The time by this host's clock.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let nanos = since.map_or(0, |since| since.as_nanos());
    Timestamp(i64::try_from(nanos).unwrap_or(i64::MAX))
}

pub(crate) struct Actions {
    executor: Arc<dyn Executor>,
    events: mpsc::Sender<Event>,
    preparations: Arc<Semaphore>,
    starts: Arc<Semaphore>,
    tasks: BTreeMap<TaskId, Busy>,
}

/// What is under way for a task.
#[derive(Default)]
struct Busy {
    last: Option<JoinHandle<()>>,
    preparing: bool,
    waiter: Option<JoinHandle<()>>,
    health: Option<JoinHandle<()>>,
}

impl Actions {
    pub(crate) fn new(
        executor: Arc<dyn Executor>,
        events: mpsc::Sender<Event>,
        starts: usize,
    ) -> Actions {
        Actions {
            executor,
            events,
            preparations: Arc::new(Semaphore::new(PREPARATIONS)),
            starts: Arc::new(Semaphore::new(starts.max(1))),
            tasks: BTreeMap::new(),
        }
    }

    /// Begins an action; its outcome comes as an event.
    pub(crate) fn begin(&mut self, action: Action) {
        let id = match &action {
            Action::Prepare(task, _) => task.id.clone(),
            Action::Start(id) | Action::Stop(id) | Action::Remove(id) => id.clone(),
        };
        let busy = self.tasks.entry(id.clone()).or_default();
        let before = busy.last.take();
        let stops = matches!(action, Action::Stop(_));
        if let Some(before) = before.as_ref().filter(|_| stops && busy.preparing) {
            before.abort();
        }
        busy.preparing = matches!(action, Action::Prepare(..));
        let waiter = busy.waiter.take_if(|_| stops);
        let executor = Arc::clone(&self.executor);
        let events = self.events.clone();
        let slots = match action {
            Action::Prepare(..) => Some(Arc::clone(&self.preparations)),
            Action::Start(_) => Some(Arc::clone(&self.starts)),
            Action::Stop(_) | Action::Remove(_) => None,
        };
        let work = async move {
            if let Some(before) = before {
                // It was cancelled, or it ended: both are well.
                let _ = before.await;
            }
            let _slot = match slots {
                Some(slots) => slots.acquire_owned().await.ok(),
                None => None,
            };
            let say = {
                let (id, events) = (id.clone(), events.clone());
                move |what: String| {
                    // A full queue has more important news.
                    let _ = events.try_send(Event::Did(id.clone(), Outcome::Says(what)));
                }
            };
            let outcome = carry_out(&*executor, action, waiter, &say).await;
            // Nobody listens only when the agent ends.
            let _ = events.send(Event::Did(id, outcome)).await;
        };
        busy.last = Some(tokio::spawn(work));
    }

    /// Watches a container that runs until it ends.
    pub(crate) fn watch(&mut self, id: &TaskId) {
        let executor = Arc::clone(&self.executor);
        let events = self.events.clone();
        let task = id.clone();
        let work = async move {
            let exit = match executor.wait(&task).await {
                Ok(exit) => exit,
                Err(error) => Exit {
                    code: EXIT_UNKNOWN,
                    oom_killed: false,
                    at: now(),
                    error: error.message,
                },
            };
            // Nobody listens only when the agent ends.
            let _ = events.send(Event::Did(task, Outcome::Exited(exit))).await;
        };
        let busy = self.tasks.entry(id.clone()).or_default();
        busy.waiter = Some(tokio::spawn(work));
    }

    /// Watches the health of a container that runs, if it has a health check.
    pub(crate) fn watch_health(&mut self, id: &TaskId) {
        let Some(mut changes) = self.executor.health(id) else {
            return;
        };
        let (events, task) = (self.events.clone(), id.clone());
        let work = async move {
            while let Some(health) = changes.next().await {
                let told = Event::Did(task.clone(), Outcome::Health(health));
                if events.send(told).await.is_err() {
                    return;
                }
            }
        };
        let busy = self.tasks.entry(id.clone()).or_default();
        busy.health = Some(tokio::spawn(work));
    }

    /// Gives up what is under way, and waits until nothing is. Containers are left as they are.
    pub(crate) async fn end(&mut self) {
        let all = std::mem::take(&mut self.tasks).into_values();
        let work: Vec<_> = all
            .flat_map(|busy| [busy.last, busy.waiter, busy.health])
            .flatten()
            .collect();
        work.iter().for_each(JoinHandle::abort);
        for work in work {
            // It was cancelled, or it ended: both are well.
            let _ = work.await;
        }
    }

    /// Nothing of the task is left.
    pub(crate) fn forget(&mut self, id: &TaskId) {
        let busy = self.tasks.remove(id);
        if let Some(health) = busy.and_then(|busy| busy.health) {
            health.abort();
        }
    }
}

async fn carry_out(
    executor: &dyn Executor,
    action: Action,
    waiter: Option<JoinHandle<()>>,
    say: &Say,
) -> Outcome {
    match action {
        Action::Prepare(task, payloads) => match executor.prepare(&task, &payloads, say).await {
            Ok(()) => Outcome::Prepared,
            Err(error) => Outcome::PrepareFailed(error.into()),
        },
        Action::Start(id) => match executor.start(&id).await {
            Ok(Started { container, checked }) if checked => Outcome::Checked(container),
            Ok(Started { container, .. }) => Outcome::Started(container),
            Err(error) => Outcome::StartFailed(error.into()),
        },
        Action::Stop(id) => match executor.stop(&id).await {
            Ok(()) => {
                if let Some(waiter) = waiter {
                    // Late is late: the worker does without the exit code.
                    let _ = tokio::time::timeout(EXIT_AFTER_STOP, waiter).await;
                }
                Outcome::Stopped
            }
            Err(ExecError { message, .. }) => Outcome::StopFailed(message),
        },
        Action::Remove(id) => match executor.remove(&id).await {
            Ok(()) => Outcome::Removed,
            Err(ExecError { message, .. }) => Outcome::RemoveFailed(message),
        },
    }
}
