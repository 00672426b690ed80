//! How far the logs of each task were read, so that a stream that broke off goes on where it was.

use model::logs::{LogMessage, LogOptions};
use model::{TaskId, Timestamp};
use std::collections::BTreeMap;

/// Time of the last line of each task that had one.
#[derive(Default)]
pub(super) struct Progress {
    last: BTreeMap<TaskId, Timestamp>,
    /// The same when the stream was resumed last: up to here, lines come for the second time.
    shown: BTreeMap<TaskId, Timestamp>,
}

impl Progress {
    pub(super) fn of(&self, task: &TaskId) -> Option<Timestamp> {
        self.last.get(task).copied()
    }

    /// Takes a line in; false when it was there before the stream was resumed.
    pub(super) fn is_new(&mut self, line: &LogMessage) -> bool {
        if self
            .shown
            .get(&line.task)
            .is_some_and(|at| line.time <= *at)
        {
            return false;
        }
        let last = self.last.entry(line.task.clone()).or_insert(line.time);
        *last = line.time.max(*last);
        true
    }

    /// What to ask for the rest of these tasks: all of them have shown lines, or none has. The rest of a long line
    /// that was shown in part is lost.
    pub(super) fn resume<'a>(
        &mut self,
        options: &LogOptions,
        tasks: impl Iterator<Item = &'a TaskId>,
    ) -> LogOptions {
        let mut earliest: Option<Timestamp> = None;
        for task in tasks {
            if let Some(last) = self.of(task) {
                self.shown.insert(task.clone(), last);
                earliest = Some(earliest.map_or(last, |other| other.min(last)));
            }
        }
        let Some(earliest) = earliest else {
            return options.clone();
        };
        let after = Timestamp(earliest.0.saturating_add(1));
        LogOptions {
            tail: None,
            since: options.since.max(Some(after)),
            ..options.clone()
        }
    }

    /// The same for all tasks that have shown lines.
    pub(super) fn resume_all(&mut self, options: &LogOptions) -> LogOptions {
        let tasks: Vec<TaskId> = self.last.keys().cloned().collect();
        self.resume(options, tasks.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::logs::LogStream;

    fn line(task: &str, time: i64) -> LogMessage {
        LogMessage {
            task: task.into(),
            service: "s".into(),
            node: "n".into(),
            stream: LogStream::Stdout,
            time: Timestamp(time),
            data: vec![],
        }
    }

    #[test]
    fn what_was_shown_is_not_asked_for_and_not_shown_again() {
        let options = LogOptions {
            tail: Some(3),
            since: Some(Timestamp(5)),
            ..LogOptions::default()
        };
        let mut progress = Progress::default();
        assert_eq!(progress.resume(&options, [].into_iter()), options);
        for (task, time) in [("a", 10), ("a", 20), ("b", 30), ("a", 15), ("a", 20)] {
            let line = line(task, time);
            assert!(progress.is_new(&line), "nothing was resumed yet: {line:?}");
        }
        let (a, b) = (TaskId::from("a"), TaskId::from("b"));
        let rest = progress.resume(&options, [&b].into_iter());
        assert_eq!((rest.tail, rest.since), (None, Some(Timestamp(31))));
        assert!(
            progress.is_new(&line("a", 20)),
            "only the other task was resumed"
        );
        let rest = progress.resume(&options, [&a, &b].into_iter());
        assert_eq!(rest.since, Some(Timestamp(21)));
        assert!(!progress.is_new(&line("b", 30)));
        assert!(progress.is_new(&line("a", 25)));
        assert!(progress.is_new(&line("a", 25)), "parts of a long line");
        assert!(progress.is_new(&line("c", 1)), "a task that showed nothing");
        assert_eq!(progress.resume_all(&options).since, Some(Timestamp(5)));
    }
}
