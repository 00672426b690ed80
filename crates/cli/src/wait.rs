//! Waiting for the cluster: looks again and again, outlives a change of leader, and can be interrupted at any time.

use crate::error::{Error, Result};
use crate::session::Session;
use std::io;
use std::time::{Duration, Instant};

/// How often the daemon is asked; Docker's client asks as often.
pub const POLL: Duration = Duration::from_millis(200);
/// How long a daemon may fail to answer before we give up: a change of leader takes a few seconds.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long one look may take: a daemon that is frozen keeps its connections open and never answers. Plans of large clusters
/// take some seconds.
const LOOK_LIMIT: Duration = Duration::from_secs(30);
/// A daemon that fails for longer is spoken of; restarts and most changes of leader are over by then.
const NOTICE_AFTER: Duration = Duration::from_secs(1);

/// Looks until there is a result; none when the user interrupted, which leaves the cluster to go on with what it does.
pub async fn poll<T>(
    session: &mut Session,
    mut look: impl AsyncFnMut(&mut Session) -> Result<Option<T>>,
) -> Result<Option<T>> {
    // Looks go on all the time and have lines of their own, which other words would tear apart.
    session.client.tell_when_slow(None);
    let interrupt = tokio::signal::ctrl_c();
    let reader_gone = session.console.reader_gone();
    tokio::pin!(interrupt, reader_gone);
    let mut failing = Failing::default();
    loop {
        let begun = Instant::now();
        let looked = tokio::select! {
            looked = tokio::time::timeout(LOOK_LIMIT, look(session)) => looked,
            _ = &mut interrupt => return Ok(None),
        };
        match looked.unwrap_or_else(|_| Err(no_answer())) {
            Ok(Some(result)) => return Ok(Some(result)),
            Ok(None) => failing = Failing::default(),
            Err(err) if may_pass(&err) => failing.note(session, begun, err)?,
            Err(err) => return Err(err),
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            _ = &mut interrupt => return Ok(None),
            () = &mut reader_gone => return Err(io::Error::from(io::ErrorKind::BrokenPipe).into()),
        }
    }
}

/// A daemon that fails again and again.
#[derive(Default)]
struct Failing {
    since: Option<Instant>,
    told: bool,
}

impl Failing {
    /// Gives up with the failure after some time, and tells of it before.
    fn note(&mut self, session: &mut Session, begun: Instant, err: Error) -> Result<()> {
        let failing = self.since.get_or_insert(begun).elapsed();
        if failing >= PATIENCE {
            return Err(err);
        }
        if failing >= NOTICE_AFTER && !self.told {
            self.told = true;
            session.console.notice(&format!(
                "{err}; trying again for {} seconds",
                PATIENCE.saturating_sub(failing).as_secs()
            ));
        }
        Ok(())
    }
}

fn no_answer() -> Error {
    Error::Transport(format!("no answer for {} seconds", LOOK_LIMIT.as_secs()))
}

/// Whether a failure may be one of those that pass: nobody leads, or the daemon restarts.
fn may_pass(err: &Error) -> bool {
    matches!(
        err,
        Error::Api {
            status: 500 | 503,
            ..
        } | Error::Transport(_)
            | Error::Connect { .. }
    )
}
