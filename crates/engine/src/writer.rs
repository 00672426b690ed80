//! Durable writes to the table of containers, those that come together in one sync.

use images::Table;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Writes that may wait; more make their askers wait.
const QUEUE: usize = 1024;
/// Writes that share one sync.
const BATCH: usize = 512;

/// A change of one row.
pub(crate) struct Write {
    pub(crate) key: String,
    /// `None` deletes the row.
    pub(crate) value: Option<Vec<u8>>,
}

struct Job {
    write: Write,
    /// Told when it is on disk; nobody waits for some.
    done: Option<oneshot::Sender<Result<(), String>>>,
}

/// The one writer of the table.
#[derive(Clone)]
pub(crate) struct Writer(mpsc::Sender<Job>);

impl Writer {
    pub(crate) fn new(table: Arc<dyn Table>) -> Writer {
        let (jobs, queue) = mpsc::channel(QUEUE);
        tokio::spawn(run(table, queue));
        Writer(jobs)
    }

    /// Returns when it is on disk.
    pub(crate) async fn write(&self, write: Write) -> Result<(), String> {
        let (done, result) = oneshot::channel();
        let done = Some(done);
        let ended = || "the daemon ends".to_owned();
        let sent = self.0.send(Job { write, done }).await;
        sent.map_err(|_| ended())?;
        result.await.map_err(|_| ended())?
    }

    /// Writes some time soon, in order with the others.
    pub(crate) async fn write_later(&self, write: Write) {
        // The writer ends with the runtime only; then there is nobody to write for.
        let _ = self.0.send(Job { write, done: None }).await;
    }
}

async fn run(table: Arc<dyn Table>, mut queue: mpsc::Receiver<Job>) {
    let mut jobs = Vec::with_capacity(BATCH);
    while queue.recv_many(&mut jobs, BATCH).await > 0 {
        let batch = std::mem::take(&mut jobs);
        let table = Arc::clone(&table);
        let written = tokio::task::spawn_blocking(move || write_all(&*table, batch)).await;
        if let Err(error) = written {
            tracing::error!(%error, "the writer of the table of containers broke");
        }
    }
}

/// The sync is left out when nobody waits for it: the next one takes care.
fn write_all(table: &dyn Table, jobs: Vec<Job>) {
    let awaited = jobs.iter().any(|job| job.done.is_some());
    let result = jobs
        .iter()
        .try_for_each(|Job { write, .. }| match &write.value {
            Some(value) => table.put(write.key.as_bytes(), value),
            None => table.delete(write.key.as_bytes()),
        })
        .and_then(|()| if awaited { table.flush() } else { Ok(()) })
        .map_err(|error| error.to_string());
    if let Err(error) = &result {
        tracing::error!(%error, "the table of containers cannot be written");
    }
    for done in jobs.into_iter().filter_map(|job| job.done) {
        // The asker may be gone.
        let _ = done.send(result.clone());
    }
}
