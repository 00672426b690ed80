//! Getting an image for a container, as Docker's worker does before every task.

use crate::engine::Engine;
use crate::error::ImageError;
use images::{Auth, ImageRecord, Progress, Reference};
use model::{ServiceId, TaskSpec};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A registry that says nothing for so long is given up when the image is here anyway.
const PATIENCE: Duration = Duration::from_secs(10);
/// A tag for which its registry was asked is not asked for again within this time for tasks of the same service with
/// the same spec, when it is here: the many tasks of one update ask once, and a registry that is down does not hold up
/// each of them. A new spec (`service update`, `--force` included) asks at once, and so does another service: only a
/// restart or a replica that is added within this time does not see a tag that has moved meanwhile.
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// Questions that are remembered.
const REMEMBERED: usize = 1024;
/// A pull that takes longer is told to the user; a shorter one is not worth a report to the manager.
const SAY_AFTER: Duration = Duration::from_millis(500);

/// Told what is being waited for.
pub type Say<'a> = dyn Fn(String) + Send + Sync + 'a;

/// An image that is wanted.
pub(crate) struct Wanted<'a> {
    pub(crate) reference: &'a str,
    pub(crate) auth: Option<Auth>,
    /// For which service and spec; nobody else shares the answer.
    pub(crate) asker: (&'a ServiceId, &'a Arc<TaskSpec>),
}

/// When registries were last asked, by reference and service.
#[derive(Default)]
pub(crate) struct Pulls(Mutex<BTreeMap<(String, ServiceId), Asked>>);

struct Asked {
    at: Instant,
    spec: Arc<TaskSpec>,
}

impl Pulls {
    fn asked_lately(&self, wanted: &Wanted<'_>) -> bool {
        let asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, spec) = wanted.asker;
        asked
            .get(&wanted.key())
            .is_some_and(|last| last.at.elapsed() < ASK_AGAIN && last.spec == *spec)
    }

    fn asked_now(&self, wanted: &Wanted<'_>) {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.len() >= REMEMBERED {
            asked.retain(|_, last| last.at.elapsed() < ASK_AGAIN);
        }
        let now = Asked {
            at: Instant::now(),
            spec: Arc::clone(wanted.asker.1),
        };
        asked.insert(wanted.key(), now);
    }
}

impl Wanted<'_> {
    fn key(&self) -> (String, ServiceId) {
        (self.reference.to_owned(), self.asker.0.clone())
    }
}

/// Why a pull brought nothing.
#[derive(Debug, thiserror::Error)]
enum PullFailure {
    #[error("the registry says nothing for {PATIENCE:?}")]
    Silent,
    #[error(transparent)]
    Failed(images::PullError),
}

impl Engine {
    /// The image of a reference, pulled if that is necessary or usual: a reference with a digest that is here needs no
    /// pull; a tag is asked for at its registry, and the image that is here is used when that fails.
    ///
    /// # Errors
    /// When it is not here and cannot be had; the text says both.
    pub(crate) async fn pull_for(
        &self,
        wanted: Wanted<'_>,
        say: &Say<'_>,
    ) -> Result<Arc<ImageRecord>, ImageError> {
        let images = &self.0.images;
        let reference = wanted.reference;
        let here = images.inspect(reference);
        if let Ok(image) = &here
            && (self.0.config.prefer_offline_images
                || !is_tag(reference)
                || self.0.pulls.asked_lately(&wanted))
        {
            return Ok(Arc::clone(image));
        }
        let pull = self.pull(&wanted, here.is_ok(), say).await;
        self.0.pulls.asked_now(&wanted);
        match (images.inspect(reference), pull) {
            (Ok(image), Ok(())) => Ok(image),
            (Ok(image), Err(error)) => {
                tracing::warn!(reference, %error, "pull failed; the image that is here is used");
                Ok(image)
            }
            (Err(_), Err(PullFailure::Failed(pull))) => Err(ImageError::Pull {
                image: reference.into(),
                pull,
            }),
            (Err(error), _) => Err(error.into()),
        }
    }

    /// Pulls; a registry that falls silent is waited for only if there is no other way.
    async fn pull(
        &self,
        wanted: &Wanted<'_>,
        here: bool,
        say: &Say<'_>,
    ) -> Result<(), PullFailure> {
        let started = Instant::now();
        let heard = Arc::new(AtomicU64::new(0));
        let listener = Arc::clone(&heard);
        let millis = move || u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let progress = Progress::new(move |_| listener.store(millis(), Ordering::Relaxed));
        let auth = wanted.auth.clone();
        let pull = self.0.images.pull(wanted.reference, auth, None, progress);
        tokio::pin!(pull);
        let mut said = false;
        loop {
            tokio::select! {
                result = &mut pull => return result.map(drop).map_err(PullFailure::Failed),
                () = tokio::time::sleep(SAY_AFTER), if !said => {
                    said = true;
                    say(format!("pulling image {}", wanted.reference));
                }
                () = tokio::time::sleep(PATIENCE), if here => {
                    let heard = Duration::from_millis(heard.load(Ordering::Relaxed));
                    if started.elapsed().saturating_sub(heard) >= PATIENCE {
                        return Err(PullFailure::Silent);
                    }
                }
            }
        }
    }
}

/// Whether a registry may have something else under this reference by now: neither an id nor pinned by a digest.
fn is_tag(reference: &str) -> bool {
    let hex = |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    if hex(reference.strip_prefix("sha256:").unwrap_or(reference)) {
        return false;
    }
    Reference::parse_normalized(reference).is_ok_and(|parsed| parsed.digest().is_none())
}

#[cfg(test)]
mod tests {
    use super::is_tag;

    #[test]
    fn only_tags_can_move() {
        let hex = "0123456789abcdef".repeat(4);
        for (reference, moves) in [
            ("busybox".to_owned(), true),
            ("registry:5000/a/b:1".into(), true),
            (format!("busybox@sha256:{hex}"), false),
            (format!("busybox:1@sha256:{hex}"), false),
            (format!("sha256:{hex}"), false),
            (hex.clone(), false),
        ] {
            assert_eq!(is_tag(&reference), moves, "{reference}");
        }
    }
}
