//! Containers of tasks that the journal does not know: it was lost, or the crash came before it was written.
//! They are kept until a manager has said what is wanted here, then stopped and removed.

use super::entry::ACTION_RETRY;
use super::types::{Action, Existing, Health, Outcome};
use model::{TaskId, Timestamp};
use std::collections::BTreeMap;

/// Containers without a task.
#[derive(Debug, Default)]
pub(super) struct Strays(BTreeMap<TaskId, Stray>);

#[derive(Debug)]
struct Stray {
    found: Existing,
    step: Step,
    retry_at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Untouched,
    Stopping,
    Stopped,
    Removing,
}

impl Strays {
    /// Keeps a container that nobody asked for.
    pub(super) fn keep(&mut self, id: TaskId, found: Existing) {
        let stray = Stray {
            found,
            step: Step::Untouched,
            retry_at: None,
        };
        self.0.insert(id, stray);
    }

    /// The task turned out to be wanted: hands its container over, unless it is being taken down already.
    pub(super) fn claim(&mut self, id: &TaskId) -> Option<Existing> {
        self.0
            .get(id)
            .filter(|stray| stray.step == Step::Untouched)?;
        self.0.remove(id).map(|stray| stray.found)
    }

    /// It is being taken down.
    pub(super) fn holds(&self, id: &TaskId) -> bool {
        self.0.contains_key(id)
    }

    /// Takes in an answer of the executor; false when it is about another task.
    pub(super) fn did(&mut self, id: &TaskId, outcome: &Outcome, now: Timestamp) -> bool {
        let Some(stray) = self.0.get_mut(id) else {
            return false;
        };
        match outcome {
            Outcome::Stopped if stray.step == Step::Stopping => stray.step = Step::Stopped,
            Outcome::StopFailed(_) => stray.again(Step::Untouched, now),
            Outcome::RemoveFailed(_) => stray.again(Step::Stopped, now),
            Outcome::Removed => {
                self.0.remove(id);
            }
            Outcome::Exited(exit) => {
                if let Existing::Running(container) | Existing::Checked(container, _) = &stray.found
                {
                    stray.found = Existing::Exited(container.clone(), exit.clone());
                }
            }
            Outcome::Health(health) => stray.health(health),
            _ => {}
        }
        true
    }

    /// What has to be done to take all of them down.
    pub(super) fn take_down(&mut self, now: Timestamp) -> Vec<Action> {
        let due = |stray: &Stray| stray.retry_at.is_none_or(|at| at <= now);
        let mut actions = Vec::new();
        for (id, stray) in self.0.iter_mut().filter(|(_, stray)| due(stray)) {
            stray.retry_at = None;
            match stray.step {
                Step::Untouched => {
                    stray.step = Step::Stopping;
                    actions.push(Action::Stop(id.clone()));
                }
                Step::Stopped => {
                    stray.step = Step::Removing;
                    actions.push(Action::Remove(id.clone()));
                }
                Step::Stopping | Step::Removing => {}
            }
        }
        actions
    }

    /// When something has to be tried again.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.0.values().filter_map(|stray| stray.retry_at).min()
    }
}

impl Stray {
    fn health(&mut self, health: &Health) {
        if let Existing::Running(container) | Existing::Checked(container, _) = &self.found {
            let container = container.clone();
            self.found = match health {
                Health::Healthy => Existing::Running(container),
                other => Existing::Checked(container, other.clone()),
            };
        }
    }

    fn again(&mut self, step: Step, now: Timestamp) {
        self.step = step;
        self.retry_at = Some(now + ACTION_RETRY);
    }
}
