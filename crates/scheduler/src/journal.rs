//! What changed in the index, for those who remember more about hosts than it does.

use crate::class::HostNo;

/// Changes that are kept at least: those of some decisions. After more of them it is quicker to look at all hosts.
const KEPT: usize = 65_536;

/// Changes of hosts, oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Journal {
    hosts: Vec<HostNo>,
    /// Changes that are not kept any more.
    dropped: u64,
    /// How often hosts went or moved to another class, or a class began.
    era: u64,
    /// How often room may have changed on any host.
    room: u64,
}

/// How much of a journal somebody has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bookmark {
    changes: u64,
    era: u64,
}

impl Journal {
    /// A host is new, or it or its load, or whose tasks it has, may have changed.
    pub(crate) fn note(&mut self, no: HostNo) {
        if self.hosts.len() >= 2 * KEPT {
            self.hosts.drain(..KEPT);
            self.dropped += KEPT as u64;
        }
        self.hosts.push(no);
    }

    /// A host that could not take a task may be able to, or the other way round.
    pub(crate) fn note_room(&mut self) {
        self.room += 1;
    }

    /// A host went, or belongs to another class, or a class is new.
    pub(crate) fn begin_anew(&mut self) {
        self.era += 1;
        self.room += 1;
    }

    /// The same as long as each host can take what it could take before.
    pub(crate) fn room(&self) -> u64 {
        self.room
    }

    /// All that was noted.
    pub(crate) fn end(&self) -> Bookmark {
        Bookmark {
            changes: self.dropped + self.hosts.len() as u64,
            era: self.era,
        }
    }

    /// Hosts of which something was noted since. Absent when that is not known any more, or hosts went.
    pub(crate) fn since(&self, seen: Bookmark) -> Option<&[HostNo]> {
        let begin = usize::try_from(seen.changes.checked_sub(self.dropped)?).ok()?;
        self.hosts.get(begin..).filter(|_| seen.era == self.era)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_is_kept_for_a_while() {
        let mut journal = Journal::default();
        let begin = journal.end();
        journal.note(7);
        let one = journal.end();
        journal.note(9);
        assert_eq!(journal.since(begin), Some(&[7, 9][..]));
        assert_eq!(journal.since(one), Some(&[9][..]));
        for _ in 0..KEPT {
            journal.note(1);
        }
        assert_eq!(journal.since(one).map(<[_]>::len), Some(KEPT + 1));
        for _ in 0..KEPT {
            journal.note(1);
        }
        assert_eq!(journal.since(one), None);
        assert_eq!(journal.since(journal.end()), Some(&[][..]));
    }

    #[test]
    fn after_a_host_went_nothing_older_counts() {
        let mut journal = Journal::default();
        let begin = journal.end();
        journal.note(7);
        journal.begin_anew();
        assert_eq!(journal.since(begin), None);
        assert_eq!(journal.since(journal.end()), Some(&[][..]));
    }
}
