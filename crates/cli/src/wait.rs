//! Waiting for the cluster: looks again and again, outlives a change of leader, and can be interrupted at any time.

use crate::error::{Error, Result};
use crate::session::Session;
use std::time::{Duration, Instant};

/// How often the daemon is asked; Docker's client asks as often.
pub const POLL: Duration = Duration::from_millis(200);
/// How long a daemon may fail to answer before we give up: a change of leader takes a few seconds.
const PATIENCE: Duration = Duration::from_secs(15);

/// Looks until there is a result; none when the user interrupted, which leaves the cluster to go on with what it does.
pub async fn poll<T>(
    session: &mut Session,
    mut look: impl AsyncFnMut(&mut Session) -> Result<Option<T>>,
) -> Result<Option<T>> {
    let interrupt = tokio::signal::ctrl_c();
    tokio::pin!(interrupt);
    let mut failing_since = None;
    loop {
        let looked = tokio::select! {
            looked = look(session) => looked,
            _ = &mut interrupt => return Ok(None),
        };
        match looked {
            Ok(Some(result)) => return Ok(Some(result)),
            Ok(None) => failing_since = None,
            Err(err) if may_pass(&err) => {
                let since = *failing_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= PATIENCE {
                    return Err(err);
                }
            }
            Err(err) => return Err(err),
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            _ = &mut interrupt => return Ok(None),
        }
    }
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
