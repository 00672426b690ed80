//! Random lives of a worker against a manager, an executor and a disk of this file; what must hold at each step
//! and what must come about when the faults end.

use super::bench::{key, payload, running, task, task_with};
use crate::worker::*;
use model::assignment::{AssignedTask, AssignmentChange, Assignments, digest};
use model::{DesiredState, PayloadId, TaskId, TaskState, Timestamp};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

#[derive(Clone, Debug)]
enum Event {
    /// The manager changes its mind about one task: the number picks task and wish.
    Wish(u8),
    /// The complete set comes (again).
    Complete,
    /// An old message comes late.
    Stale,
    /// A change is lost on the way.
    Lose(u8),
    /// The executor answers something; the number picks which and how.
    Answer(u8),
    /// A container ends by itself.
    Exit(u8),
    /// A health check says something.
    Health(u8),
    Acknowledge,
    Cut,
    Join,
    /// The daemon is killed and comes back.
    Crash,
    /// The journal is lost, too.
    Amnesia,
    Time(u16),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => any::<u8>().prop_map(Event::Wish),
        1 => Just(Event::Complete),
        1 => Just(Event::Stale),
        1 => any::<u8>().prop_map(Event::Lose),
        12 => any::<u8>().prop_map(Event::Answer),
        2 => any::<u8>().prop_map(Event::Exit),
        3 => any::<u8>().prop_map(Event::Health),
        2 => Just(Event::Acknowledge),
        1 => Just(Event::Cut),
        2 => Just(Event::Join),
        1 => Just(Event::Crash),
        1 => Just(Event::Amnesia),
        3 => (1u16..3000).prop_map(Event::Time),
    ]
}

#[derive(Clone, Debug, Default)]
struct Host {
    made: bool,
    runs: bool,
    exit: Option<i64>,
    health: Option<Health>,
}

fn number(id: &TaskId) -> u32 {
    id.as_str()[1..].parse().expect("t and a number")
}

/// Every third task has a health check.
fn is_checked(id: &TaskId) -> bool {
    number(id).is_multiple_of(3)
}

/// Every second task uses one of two secrets.
fn secret_of(id: &TaskId) -> Option<&'static str> {
    match number(id) % 4 {
        0 => Some("s0"),
        2 => Some("s1"),
        _ => None,
    }
}

fn assigned(id: &TaskId, wish: DesiredState) -> AssignedTask {
    match secret_of(id) {
        Some(secret) => task_with(id.as_str(), wish, &[secret]),
        None => task(id.as_str(), wish),
    }
}

struct World {
    worker: Worker,
    now: Timestamp,
    index: u64,
    wanted: BTreeMap<TaskId, DesiredState>,
    next_task: u32,
    /// Every task of which the worker took the word that it must not run.
    given_up: BTreeSet<TaskId>,
    host: BTreeMap<TaskId, Host>,
    pending: Vec<(TaskId, Action)>,
    journal: BTreeMap<String, JournalRecord>,
    /// The highest state told in the life of this process.
    told: BTreeMap<TaskId, TaskState>,
    committed: BTreeMap<TaskId, TaskState>,
    unacknowledged: Vec<(u64, Vec<(TaskId, TaskState)>)>,
    session: bool,
    wake: Option<Timestamp>,
    needs_complete: bool,
    /// The journal was lost at least once.
    amnesia: bool,
}

impl World {
    fn new() -> World {
        let mut world = World {
            worker: Worker::new(vec![]),
            now: Timestamp(0),
            index: 1,
            wanted: BTreeMap::new(),
            next_task: 0,
            given_up: BTreeSet::new(),
            host: BTreeMap::new(),
            pending: vec![],
            journal: BTreeMap::new(),
            told: BTreeMap::new(),
            committed: BTreeMap::new(),
            unacknowledged: vec![],
            session: false,
            wake: None,
            needs_complete: false,
            amnesia: false,
        };
        world.input(Input::Found(vec![]));
        world
    }

    fn input(&mut self, input: Input) {
        for output in self.worker.step(self.now, input) {
            match output {
                Output::Journal(writes) => writes.into_iter().for_each(|w| self.write(w)),
                Output::Do(action) => self.ask(action),
                Output::Report { sequence, statuses } => self.report(sequence, statuses),
                Output::NeedComplete => {
                    assert!(self.session);
                    self.needs_complete = true;
                }
                Output::WakeAt(at) => {
                    assert!(at > self.now, "a wish to be woken in the past");
                    self.wake = Some(at);
                }
            }
        }
    }

    fn write(&mut self, write: JournalWrite) {
        match write {
            JournalWrite::Put(record) => {
                self.journal.insert(key(&record), record);
            }
            JournalWrite::Delete(id) => {
                self.journal.remove(id.as_str());
            }
        }
    }

    fn ask(&mut self, action: Action) {
        let id = match &action {
            Action::Prepare(task, payloads) => {
                let own = secret_of(&task.id).map(PayloadId::from);
                assert!(payloads.keys().eq(own.as_ref()), "{payloads:?}");
                task.id.clone()
            }
            Action::Start(id) | Action::Stop(id) | Action::Remove(id) => id.clone(),
        };
        if matches!(action, Action::Prepare(..) | Action::Start(_)) {
            assert!(
                !self.given_up.contains(&id),
                "{id} was given up: {action:?}"
            );
            assert!(
                self.journal.contains_key(id.as_str()),
                "{id} is not in the journal"
            );
        }
        let others: Vec<_> = self
            .pending
            .iter()
            .filter(|(other, _)| *other == id)
            .collect();
        match action {
            Action::Stop(_) => assert!(others.len() <= 1),
            _ => assert!(others.is_empty(), "{id} is busy with {others:?}"),
        }
        self.pending.push((id, action));
    }

    fn report(&mut self, sequence: u64, statuses: Vec<(TaskId, model::TaskStatus)>) {
        assert!(self.session, "a report without a session");
        let mut states = vec![];
        for (id, status) in statuses {
            let before = self.told.insert(id.clone(), status.state);
            assert!(before <= Some(status.state), "{id} went down the ladder");
            if status.state >= TaskState::Running {
                let written = match self.journal.get(id.as_str()) {
                    Some(JournalRecord::Task(record)) => record.status.state,
                    other => panic!("{id} was told before it was written: {other:?}"),
                };
                assert_eq!(written, status.state, "{id}: journal before report");
            }
            states.push((id, status.state));
        }
        self.unacknowledged.push((sequence, states));
    }

    /// Secrets that this node has to know.
    fn payloads(&self) -> BTreeSet<PayloadId> {
        let secrets = self.wanted.keys().filter_map(secret_of);
        secrets.map(PayloadId::from).collect()
    }

    fn assignments(&self, complete: bool, changes: Vec<AssignmentChange>) -> Assignments {
        Assignments {
            index: self.index,
            complete,
            changes,
            digest: digest(
                self.wanted.iter().map(|(id, wish)| (id, *wish)),
                self.payloads().iter(),
            ),
        }
    }

    fn complete(&mut self) {
        let put = |(id, wish): (&TaskId, &DesiredState)| AssignmentChange::Put(assigned(id, *wish));
        let payloads = self.payloads().into_iter();
        let payloads = payloads.map(|id| AssignmentChange::PutPayload(payload(id.as_str())));
        let changes = payloads.chain(self.wanted.iter().map(put)).collect();
        let message = self.assignments(true, changes);
        self.needs_complete = false;
        for id in self.host.keys().chain(self.told.keys()) {
            if self
                .wanted
                .get(id)
                .is_none_or(|wish| *wish >= DesiredState::Shutdown)
            {
                self.given_up.insert(id.clone());
            }
        }
        self.input(Input::Assignments(message));
    }

    fn wish(&mut self, pick: u8, lost: bool) {
        self.index += 1;
        let before = self.payloads();
        let ids: Vec<TaskId> = self.wanted.keys().cloned().collect();
        let change = if ids.len() < 3 || pick < 60 {
            self.next_task += 1;
            let id = TaskId::from(format!("t{:04}", self.next_task));
            let wish = if pick.is_multiple_of(2) {
                DesiredState::Running
            } else {
                DesiredState::Ready
            };
            self.wanted.insert(id.clone(), wish);
            AssignmentChange::Put(assigned(&id, wish))
        } else {
            let id = ids[usize::from(pick) % ids.len()].clone();
            let climbs = match self.wanted[&id] {
                DesiredState::Ready if pick.is_multiple_of(2) => Some(DesiredState::Complete),
                DesiredState::Ready => Some(DesiredState::Running),
                DesiredState::Running | DesiredState::Complete => Some(DesiredState::Shutdown),
                DesiredState::Shutdown => Some(DesiredState::Remove),
                DesiredState::Remove => None,
            };
            match climbs {
                Some(wish) => {
                    self.wanted.insert(id.clone(), wish);
                    AssignmentChange::SetDesired(id, wish)
                }
                None => {
                    self.wanted.remove(&id);
                    AssignmentChange::Remove(id)
                }
            }
        };
        if lost || !self.session {
            return;
        }
        let (id, gone) = match &change {
            AssignmentChange::Put(task) => (task.id.clone(), false),
            AssignmentChange::SetDesired(id, wish) => (id.clone(), *wish >= DesiredState::Shutdown),
            AssignmentChange::Remove(id) => (id.clone(), true),
            AssignmentChange::PutPayload(_) | AssignmentChange::RemovePayload(_) => {
                unreachable!("wishes are about tasks")
            }
        };
        if gone {
            self.given_up.insert(id);
        }
        let after = self.payloads();
        let new = after.difference(&before);
        let mut changes: Vec<_> = new
            .map(|id| AssignmentChange::PutPayload(payload(id.as_str())))
            .collect();
        changes.push(change);
        let gone = before.difference(&after).cloned();
        changes.extend(gone.map(AssignmentChange::RemovePayload));
        let message = self.assignments(false, changes);
        self.input(Input::Assignments(message));
    }

    /// The executor finishes one action; a stop drops what it overtakes.
    fn answer(&mut self, pick: u8) {
        if self.pending.is_empty() {
            return;
        }
        let (id, action) = self.pending.remove(usize::from(pick) % self.pending.len());
        let fails = pick.is_multiple_of(11);
        let failure = Failure {
            message: "no".into(),
            permanent: pick.is_multiple_of(2),
        };
        let host = self.host.entry(id.clone()).or_default();
        let overtaken = |other: &(TaskId, Action)| other.0 != id;
        let outcome = match action {
            Action::Prepare(..) if fails => Outcome::PrepareFailed(failure),
            Action::Prepare(..) => {
                host.made = true;
                Outcome::Prepared
            }
            Action::Start(_) if fails => Outcome::StartFailed(failure),
            Action::Start(_) => {
                host.runs = true;
                if is_checked(&id) {
                    host.health = Some(Health::Starting(String::new()));
                    Outcome::Checked(running(id.as_str()))
                } else {
                    Outcome::Started(running(id.as_str()))
                }
            }
            Action::Stop(_) if fails => {
                self.pending.retain(overtaken);
                Outcome::StopFailed("no".into())
            }
            Action::Stop(_) => {
                self.pending.retain(overtaken);
                if host.runs {
                    host.exit = Some(143);
                }
                host.runs = false;
                Outcome::Stopped
            }
            Action::Remove(_) if fails => Outcome::RemoveFailed("no".into()),
            Action::Remove(_) => {
                assert!(!host.runs, "{id} runs and is removed");
                self.host.remove(&id);
                Outcome::Removed
            }
        };
        self.input(Input::Did(id, outcome));
    }

    fn exit(&mut self, pick: u8) {
        let runs: Vec<TaskId> = self
            .host
            .iter()
            .filter(|(_, h)| h.runs)
            .map(|(id, _)| id.clone())
            .collect();
        if runs.is_empty() {
            return;
        }
        let id = runs[usize::from(pick) % runs.len()].clone();
        let host = self.host.get_mut(&id).expect("it runs");
        host.runs = false;
        host.exit = Some(i64::from(pick % 2));
        let exit = Exit {
            code: i64::from(pick % 2),
            at: self.now,
            ..Exit::default()
        };
        self.input(Input::Did(id, Outcome::Exited(exit)));
    }

    fn health(&mut self, pick: u8) {
        let checked = self
            .host
            .iter()
            .filter(|(_, h)| h.runs && h.health.is_some());
        let checked: Vec<TaskId> = checked.map(|(id, _)| id.clone()).collect();
        if checked.is_empty() {
            return;
        }
        let id = checked[usize::from(pick) % checked.len()].clone();
        let health = match pick % 5 {
            0 => Health::Unhealthy("no".into()),
            1 => Health::Starting("not yet".into()),
            _ => Health::Healthy,
        };
        // Once it is known to be healthy or not, it does not start any more.
        let host = self.host.get_mut(&id).expect("it runs");
        let starts = matches!(host.health, Some(Health::Starting(_)));
        if starts || !matches!(health, Health::Starting(_)) {
            host.health = Some(health.clone());
            self.input(Input::Did(id, Outcome::Health(health)));
        }
    }

    fn all_healthy(&mut self) {
        let checked = self
            .host
            .iter()
            .filter(|(_, h)| h.runs && h.health.is_some());
        let checked: Vec<TaskId> = checked.map(|(id, _)| id.clone()).collect();
        for id in checked {
            self.input(Input::Did(id, Outcome::Health(Health::Healthy)));
        }
    }

    fn acknowledge(&mut self) {
        let Some((sequence, _)) = self.unacknowledged.last().cloned() else {
            return;
        };
        for (_, states) in std::mem::take(&mut self.unacknowledged) {
            for (id, state) in states {
                let known = self.committed.entry(id).or_insert(state);
                *known = (*known).max(state);
            }
        }
        self.input(Input::Reported { sequence });
    }

    fn cut(&mut self) {
        self.session = false;
        self.unacknowledged.clear();
        self.needs_complete = false;
        self.input(Input::SessionDown);
    }

    fn join(&mut self) {
        if !self.session {
            self.session = true;
            self.input(Input::SessionUp { node: "n".into() });
            self.complete();
        }
    }

    fn crash(&mut self, keep_journal: bool) {
        if !keep_journal {
            self.journal.clear();
            self.amnesia = true;
        }
        self.session = false;
        self.unacknowledged.clear();
        self.pending.clear();
        self.told.clear();
        self.needs_complete = false;
        self.worker = Worker::new(self.journal.values().cloned().collect());
        let found = self.host.iter().filter(|(_, host)| host.made);
        let found = found.map(|(id, host)| {
            let container = running(id.as_str());
            let existing = match (host.runs, host.exit) {
                (true, _) => match host.health.clone() {
                    None | Some(Health::Healthy) => Existing::Running(container),
                    Some(health) => Existing::Checked(container, health),
                },
                (false, Some(code)) => Existing::Exited(
                    container,
                    Exit {
                        code,
                        ..Exit::default()
                    },
                ),
                (false, None) => Existing::Created,
            };
            (id.clone(), existing)
        });
        let found = found.collect();
        self.input(Input::Found(found));
    }

    fn time(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
        if self.wake.is_some_and(|at| at <= self.now) {
            self.wake = None;
            self.input(Input::Tick);
        }
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Wish(pick) => self.wish(pick, false),
            Event::Lose(pick) => self.wish(pick, true),
            Event::Complete if self.session => self.complete(),
            Event::Stale if self.session && self.worker.index() > 0 => {
                let mut old = self.assignments(true, vec![]);
                old.index = self.worker.index() - 1;
                self.input(Input::Assignments(old));
            }
            Event::Answer(pick) => self.answer(pick),
            Event::Exit(pick) => self.exit(pick),
            Event::Health(pick) => self.health(pick),
            Event::Acknowledge => self.acknowledge(),
            Event::Cut => self.cut(),
            Event::Join => self.join(),
            Event::Crash => self.crash(true),
            Event::Amnesia => self.crash(false),
            Event::Time(millis) => self.time(u64::from(millis)),
            Event::Complete | Event::Stale => {}
        }
        if self.needs_complete && self.session {
            self.complete();
        }
    }

    /// Faults end: within a bounded time the node does what the manager wants.
    fn settle(&mut self) {
        self.join();
        self.index += 1;
        self.complete();
        for _ in 0..100 {
            // 1 makes the executor succeed.
            while !self.pending.is_empty() {
                self.answer(1);
            }
            self.all_healthy();
            self.acknowledge();
            self.time(1000);
            if self.needs_complete {
                self.complete();
            }
        }
    }

    fn check_settled(&self) {
        for (id, host) in self.host.iter().filter(|(_, host)| host.made) {
            let wish = self.wanted.get(id);
            assert!(wish.is_some(), "{id} is left over");
            let running = [DesiredState::Running, DesiredState::Complete];
            let wanted = wish.is_some_and(|w| running.contains(w));
            assert!(!host.runs || wanted, "{id} runs and is wanted {wish:?}");
        }
        for (id, wish) in &self.wanted {
            let state = self.committed.get(id).copied();
            match wish {
                DesiredState::Ready => {
                    assert!(state >= Some(TaskState::Ready), "{id} is {state:?}");
                }
                DesiredState::Running | DesiredState::Complete => {
                    assert!(state >= Some(TaskState::Running), "{id} is {state:?}");
                    let runs = self.host.get(id).is_some_and(|host| host.runs);
                    // Without its journal a worker runs again what had ended unless the manager has noticed.
                    let again = self.amnesia && state.is_some_and(TaskState::is_terminal);
                    assert!(
                        again || runs == (state == Some(TaskState::Running)),
                        "{id} is {state:?}"
                    );
                }
                _ => assert!(
                    state.is_some_and(TaskState::is_terminal),
                    "{id} is {state:?}"
                ),
            }
        }
        let known = self.worker.statuses().map(|(id, _)| id.clone());
        assert_eq!(
            known.collect::<Vec<_>>(),
            self.wanted.keys().cloned().collect::<Vec<_>>()
        );
        let written = self.journal.len() - 1;
        assert_eq!(
            written,
            self.wanted.len(),
            "the journal holds what is assigned"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn a_worker_does_what_is_wanted_through_any_faults(events in prop::collection::vec(event(), 1..150)) {
        let mut world = World::new();
        world.join();
        for event in events {
            world.apply(event);
        }
        world.settle();
        world.check_settled();
    }
}
