//! When a supervisor that nobody needs ends by itself: nothing else would ever end it.
//!
//! It is needed while a container runs, whoever is there, and while a daemon is connected. Left behind it is when a
//! daemon was killed and never came back, also one that was killed before it could connect, and when exec-root was
//! deleted under it: then no daemon can find it any more. How its containers ended is in the records in exec-root,
//! so the next supervisor loses nothing.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long it waits for a daemon while nothing runs. One that is restarted or replaced by hand is back before; later
/// it starts a new supervisor, which takes some 10 ms.
pub(super) const IDLE_LIMIT: Duration = Duration::from_secs(120);
/// How often it looks whether its socket is still there while it waits: the time that a test or a person who removed
/// exec-root may see it linger.
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// Watches over the time that nobody needs the supervisor.
pub(super) struct Idle {
    socket: PathBuf,
    made: Identity,
    limit: Duration,
    /// Since when nobody needs it.
    since: Option<Instant>,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is needed.
    Stay,
    /// It may be left behind: look again after this time.
    Look(Duration),
    /// It is left behind, for this reason.
    End(String),
}

/// Device, inode and time of the last write in nanoseconds: some file systems give a freed inode to the next file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity(u64, u64, i64, i64);

impl Identity {
    fn of(path: &Path) -> io::Result<Identity> {
        let found = std::fs::symlink_metadata(path)?;
        Ok(Identity(
            found.dev(),
            found.ino(),
            found.mtime(),
            found.mtime_nsec(),
        ))
    }
}

impl Idle {
    /// `socket` has just been made; daemons come through it.
    pub(super) fn new(socket: PathBuf, limit: Duration) -> io::Result<Idle> {
        Ok(Idle {
            made: Identity::of(&socket)?,
            socket,
            limit,
            since: None,
        })
    }

    /// `needed`: a container runs or is about to, or a daemon is connected.
    pub(super) fn judge(&mut self, needed: bool, now: Instant) -> Verdict {
        if needed {
            self.since = None;
            return Verdict::Stay;
        }
        let since = *self.since.get_or_insert(now);
        if Identity::of(&self.socket).ok() != Some(self.made) {
            let path = self.socket.display();
            return Verdict::End(format!(
                "{path} was removed or replaced: no daemon can come"
            ));
        }
        let left = self.limit.saturating_sub(now.duration_since(since));
        if left.is_zero() {
            let seconds = self.limit.as_secs();
            return Verdict::End(format!("no daemon came for {seconds} s"));
        }
        Verdict::Look(left.min(LOOK_PAUSE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn idle() -> (tempfile::TempDir, Idle) {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("socket");
        std::fs::write(&socket, "").unwrap();
        let idle = Idle::new(socket, 10 * SECOND).unwrap();
        (directory, idle)
    }

    #[test]
    fn only_time_without_need_counts() {
        let (_directory, mut idle) = idle();
        let start = Instant::now();
        assert_eq!(idle.judge(false, start), Verdict::Look(LOOK_PAUSE));
        assert_eq!(
            idle.judge(false, start + 9 * SECOND + SECOND / 2),
            Verdict::Look(SECOND / 2)
        );
        assert_eq!(idle.judge(true, start + 10 * SECOND), Verdict::Stay);
        assert_eq!(
            idle.judge(false, start + 11 * SECOND),
            Verdict::Look(LOOK_PAUSE)
        );
        let end = idle.judge(false, start + 21 * SECOND);
        assert_eq!(end, Verdict::End("no daemon came for 10 s".into()));
    }

    #[test]
    fn a_lost_socket_ends_it_unless_it_is_needed() {
        let (directory, mut idle) = idle();
        let socket = directory.path().join("socket");
        let now = Instant::now();
        // Another's, in the same place: the old one is kept so that its inode is not taken again.
        std::fs::rename(&socket, directory.path().join("old")).unwrap();
        std::fs::write(&socket, "").unwrap();
        assert_eq!(idle.judge(true, now), Verdict::Stay);
        assert!(matches!(idle.judge(false, now), Verdict::End(_)));
        std::fs::remove_file(&socket).unwrap();
        assert_eq!(idle.judge(true, now), Verdict::Stay);
        assert!(matches!(idle.judge(false, now), Verdict::End(_)));
    }
}
