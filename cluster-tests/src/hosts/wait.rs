//! Waiting for a condition, never for a time.

use std::fmt::Display;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Between two looks: short against every time that the tests measure, long against the cost of one look.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Calls `look` until it gives `Ok`, at most for `limit`. An `Err` says what was seen instead; the last one is in the
/// error of a wait that failed.
pub fn eventually<T, E: Display>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> std::result::Result<T, E>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        match look() {
            Ok(found) => return Ok(found),
            Err(seen) if start.elapsed() >= limit => {
                bail!(
                    "waited {:.1} s for: {what}; last seen: {seen:#}",
                    start.elapsed().as_secs_f64()
                )
            }
            Err(_) => std::thread::sleep(LOOK_EVERY),
        }
    }
}
