//! Words about a request that takes its time, so that nobody sits before a silent command.

use super::Query;
use crate::console::Tell;
use crate::plan::DRY_RUN;
use std::cell::RefCell;
use std::future::Future;
use std::time::Duration;

/// A request that takes longer is spoken of. Most take some milliseconds, and people begin to wonder after a second.
const NOTICE_AFTER: Duration = Duration::from_secs(1);

/// Where such words go, if anywhere.
#[derive(Default)]
pub(super) struct Slow(RefCell<Option<Tell>>);

impl Slow {
    pub(super) fn set(&self, tell: Option<Tell>) {
        *self.0.borrow_mut() = tell;
    }

    /// Waits for `work`, and says what it is when it takes long.
    pub(super) async fn watch<T>(&self, what: &str, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        if let Ok(done) = tokio::time::timeout(NOTICE_AFTER, &mut work).await {
            return done;
        }
        if let Some(tell) = self.0.borrow().as_ref() {
            tell(what);
        }
        work.await
    }
}

/// What the daemon does all the time.
pub(super) fn what(path: &str, query: Query<'_>) -> &'static str {
    match path {
        "/swarm/join" => "Waiting for the cluster to let this host in...",
        "/swarm/leave" => "Waiting until this host has left and its tasks have ended...",
        _ if path.starts_with("/distribution/") => "Asking the registry about the image...",
        _ if query.contains(&DRY_RUN) => "Working out what would happen...",
        _ => "Waiting for the daemon...",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wait_has_its_words() {
        assert!(what("/swarm/join", &[]).contains("let this host in"));
        assert!(what("/distribution/a/json", &[]).contains("registry"));
        let update = "/services/a/update";
        assert!(what(update, &[("version", "1"), DRY_RUN]).contains("would happen"));
        assert!(what(update, &[("version", "1")]).contains("the daemon"));
    }
}
