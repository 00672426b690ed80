//! What a long operation tells while it runs, in the shape of Docker's progress stream.

use std::fmt;
use std::sync::Arc;

use tokio::sync::mpsc;

/// Messages that a receiver of [`Progress::channel`] may be behind. A slower reader misses messages, the operation never waits.
const CHANNEL_MESSAGES: usize = 1024;

/// One line of progress, as `{"status":…,"id":…,"progressDetail":{"current":…,"total":…}}` of the HTTP API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgressMessage {
    /// Docker's words: `Pulling fs layer`, `Downloading`, `Pull complete`, …
    pub status: String,
    /// The layer (12 hex digits) or the tag that it is about; none for a line about the whole operation.
    pub id: Option<String>,
    /// Bytes done, where it is known.
    pub current: Option<u64>,
    /// Bytes in all, where it is known.
    pub total: Option<u64>,
}

type Listener = dyn Fn(ProgressMessage) + Send + Sync;

/// Whoever listens to the progress of an operation. Cheap to clone.
#[derive(Clone, Default)]
pub struct Progress(Option<Arc<Listener>>);

impl Progress {
    /// Nobody listens.
    pub fn none() -> Self {
        Self(None)
    }

    /// `listener` is called for each message, from any thread; it must not block.
    pub fn new(listener: impl Fn(ProgressMessage) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(listener)))
    }

    /// Messages go to the returned receiver, which ends when the operation does.
    pub fn channel() -> (Self, mpsc::Receiver<ProgressMessage>) {
        let (sender, receiver) = mpsc::channel(CHANNEL_MESSAGES);
        // A full queue means a reader that is far behind; what it misses is cosmetic.
        let progress = Self::new(move |message| drop(sender.try_send(message)));
        (progress, receiver)
    }

    pub(crate) fn send(&self, message: ProgressMessage) {
        if let Some(listener) = &self.0 {
            listener(message);
        }
    }

    /// A line about the whole operation.
    pub(crate) fn line(&self, status: impl Into<String>) {
        self.send(ProgressMessage {
            status: status.into(),
            id: None,
            current: None,
            total: None,
        });
    }

    /// A new state of the thing `id`.
    pub(crate) fn status(&self, id: &str, status: impl Into<String>) {
        self.send(ProgressMessage {
            status: status.into(),
            id: Some(id.to_owned()),
            current: None,
            total: None,
        });
    }

    /// `current` of `total` bytes of the thing `id` are done.
    pub(crate) fn bytes(&self, id: &str, status: &str, current: u64, total: u64) {
        self.send(ProgressMessage {
            status: status.to_owned(),
            id: Some(id.to_owned()),
            current: Some(current),
            total: Some(total),
        });
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "Progress(listener)"
        } else {
            "Progress(none)"
        })
    }
}
