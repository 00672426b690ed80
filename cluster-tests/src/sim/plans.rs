//! Plans of scripts: what a dry run told is what the write then does.

use super::world::World;
use manager::leader::{Limits, plan};
use model::control::Write;
use model::plan::Plan;
use model::{ServiceId, SlotKey, TaskId};
use std::collections::{BTreeMap, BTreeSet};
use store::Store;

/// A plan, and the wanted task of each slot when it was made.
pub(super) struct Foreseen {
    plan: Plan,
    before: Slots,
}

type Slots = BTreeMap<(ServiceId, SlotKey), TaskId>;

/// The newest wanted task of each slot.
fn slots(view: &Store) -> Slots {
    let mut slots = Slots::new();
    for service in view.services_with_tasks() {
        for (slot, tasks) in view.slots_of_service(service) {
            if let Some(task) = tasks.iter().rfind(|t| t.is_wanted()) {
                slots.insert((service.clone(), slot), task.id.clone());
            }
        }
    }
    slots
}

impl World {
    /// Has the write planned.
    pub(super) fn plan(&mut self, write: Write) -> Result<(), String> {
        let view = self.checker.reference.clone();
        let before = slots(&view);
        let plan = plan(view, self.now, &Limits::default(), write).map_err(|e| e.to_string())?;
        self.trace(|| format!("planned: {plan:?}"));
        self.foreseen = Some(Foreseen { plan, before });
        Ok(())
    }

    /// Everything came as the plan said.
    pub(super) fn came_as_planned(&self) -> Result<(), String> {
        let Foreseen { plan, before } = self.foreseen.as_ref().ok_or("nothing is planned")?;
        let view = &self.checker.reference;
        let after = slots(view);
        let is_placed = |id: &TaskId| view.task(id).is_some_and(|t| t.placed_on().is_some());
        let mut unchanged = 0;
        let (mut started, mut stopped) = (BTreeSet::new(), BTreeSet::new());
        let (mut replaced, mut unplaced) = (BTreeSet::new(), BTreeSet::new());
        for key in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
            let (was, is) = (before.get(key), after.get(key));
            if is.is_some_and(|id| !is_placed(id)) {
                unplaced.insert(key.1.clone());
            }
            match (was, is) {
                (Some(was), Some(is)) if was == is => unchanged += u64::from(is_placed(is)),
                (Some(was), Some(_)) => {
                    replaced.insert(was.clone());
                }
                (None, Some(is)) if is_placed(is) => {
                    let name = view.task(is).map_or("", |t| &*t.service_name);
                    started.insert((name.to_owned(), key.1.clone()));
                }
                (Some(was), None) => {
                    stopped.insert(was.clone());
                }
                (None, _) => {}
            }
        }
        // A service that is only planned has no id yet.
        let starts = plan.start.iter();
        let starts = starts.map(|t| (t.service_name.clone(), t.slot.clone()));
        let stops = plan.stop.iter().filter_map(|t| t.task.clone());
        let replaces = plan.replace.iter().filter_map(|r| r.old.task.clone());
        let waits = plan.unplaced.iter().map(|u| u.slot.clone());
        compare("started", starts, &started)?;
        compare("stopped", stops, &stopped)?;
        compare("replaced", replaces, &replaced)?;
        compare("not placed", waits, &unplaced)?;
        match plan.unchanged == unchanged {
            true => Ok(()),
            false => Err(format!(
                "{} were to stay, and {unchanged} did",
                plan.unchanged
            )),
        }
    }
}

fn compare<T: Ord + std::fmt::Debug>(
    what: &str,
    planned: impl Iterator<Item = T>,
    done: &BTreeSet<T>,
) -> Result<(), String> {
    let planned: BTreeSet<T> = planned.collect();
    match planned == *done {
        true => Ok(()),
        false => Err(format!("{planned:?} were to be {what}, and {done:?} were")),
    }
}
