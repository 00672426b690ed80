//! Reading containers' logs: Docker's json-file format, through rotations, and on as they grow.

mod follow;
mod line;
mod position;
#[cfg(test)]
mod tests;

pub use line::LogLine;

use crate::engine::Engine;
use crate::error::LogError;
use crate::record::{Phase, State};
use follow::Reader;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use model::logs::LogOptions;
use std::path::{Path, PathBuf};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;

/// Lines that may wait for a slow reader; then the reading of the file waits.
const QUEUE: usize = 256;

impl Engine {
    /// Lines of a container's log. When it follows, the stream goes on until the container has ended.
    ///
    /// # Errors
    /// When there is no such container. A log that is not there is empty.
    pub fn logs(
        &self,
        reference: &str,
        options: &LogOptions,
    ) -> Result<BoxStream<'static, LogLine>, LogError> {
        let container = self.0.find(reference)?;
        let state = container.state.subscribe();
        let path = container.record.log_path.clone();
        let files = container.record.config.log.max_files;
        read(&path, files, options.clone(), state)
    }
}

/// Reads the log at `path` and what was rotated away from it.
pub(crate) fn read(
    path: &Path,
    max_files: u32,
    options: LogOptions,
    state: watch::Receiver<State>,
) -> Result<BoxStream<'static, LogLine>, LogError> {
    let (lines, queue) = mpsc::channel(QUEUE);
    let reader = Reader::new(path, max_files, options, lines).map_err(|source| LogError::Read {
        path: path.to_owned(),
        source,
    })?;
    let path = path.to_owned();
    tokio::spawn(async move {
        if let Err(error) = reader.run(Watched(state)).await {
            tracing::warn!(path = %path.display(), %error, "the log could not be read to its end");
        }
    });
    Ok(ReceiverStream::new(queue).boxed())
}

/// The container whose log is followed.
pub(crate) struct Watched(watch::Receiver<State>);

impl Watched {
    fn is_over(&self) -> bool {
        matches!(self.0.borrow().phase, Phase::Exited | Phase::Removed)
    }

    /// Returns when the container has ended.
    async fn over(&mut self) {
        let over = |state: &State| matches!(state.phase, Phase::Exited | Phase::Removed);
        // Without a sender the engine is gone, and with it whoever could write more.
        let _ = self.0.wait_for(over).await;
    }
}

/// The names of a log's files, the newest first: `path`, `path.1`, …
pub(crate) fn names(path: &Path, max_files: u32) -> Vec<PathBuf> {
    let rotated = (1..max_files).map(|number| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    });
    std::iter::once(path.to_owned()).chain(rotated).collect()
}
