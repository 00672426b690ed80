//! Fetching and unpacking the layers of one pull.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, stream};

use super::registry::{BlobError, LAYER, Registry};
use crate::catalog::Inner;
use crate::digest::Digest;
use crate::document::Descriptor;
use crate::error::{LayerError, PullError, StoreError};
use crate::holds::{Held, Hold};
use crate::layers::{self, LayerPlan, StagedLayer};
use crate::progress::Progress;

/// How often a layer is asked for when the connection breaks.
const ATTEMPTS: u32 = 3;
/// The wait before the second attempt; the third waits twice as long.
const RETRY_DELAY: Duration = Duration::from_millis(500);
/// The least time between two messages about one layer's bytes, as in Docker.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// Sees to it that one blob is fetched only once at a time.
#[derive(Default)]
pub(super) struct BlobLocks(Mutex<BTreeMap<Digest, Weak<tokio::sync::Mutex<()>>>>);

impl BlobLocks {
    fn of(&self, digest: &Digest) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        locks.retain(|_, lock| lock.strong_count() > 0);
        if let Some(lock) = locks.get(digest).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::default();
        locks.insert(digest.clone(), Arc::downgrade(&lock));
        lock
    }
}

/// Layers that are unpacked, and whatever else the image needs is held.
pub(super) struct Fetched {
    staged: Vec<StagedLayer>,
    holds: Vec<Hold>,
}

impl Fetched {
    /// Puts everything in its place, on disk. The holds are to be kept until the image is recorded. Blocks.
    pub(super) fn publish(
        mut self,
        inner: &Inner,
        documents: &[Vec<u8>],
    ) -> Result<Vec<Hold>, StoreError> {
        for document in documents {
            self.holds
                .push(inner.holds.take([Held::Blob(Digest::of(document))]));
            inner.store.write_document(document)?;
        }
        inner.store.sync()?;
        layers::publish(&inner.store, self.staged)?;
        Ok(self.holds)
    }
}

/// Fetches and unpacks the layers that the store does not have.
pub(super) async fn layers(
    inner: &Arc<Inner>,
    registry: &Registry,
    descriptors: &[Descriptor],
    plans: &[LayerPlan],
    progress: &Progress,
) -> Result<Fetched, PullError> {
    let mut holds = Vec::new();
    let mut missing = Vec::new();
    for (descriptor, plan) in descriptors.iter().zip(plans) {
        let things = [
            Held::Layer(plan.chain_id.clone()),
            Held::Blob(descriptor.digest.clone()),
        ];
        holds.push(inner.holds.take(things));
        let id = descriptor.digest.short();
        match inner.store.layer(&plan.chain_id)? {
            Some(layer) => {
                // It may have been unpacked from another blob, of another compression.
                holds.push(inner.holds.take([Held::Blob(layer.blob)]));
                progress.status(id, "Already exists");
            }
            None => {
                progress.status(id, "Pulling fs layer");
                missing.push((descriptor.clone(), plan.clone()));
            }
        }
    }
    let fetches = missing
        .into_iter()
        .map(|(descriptor, plan)| layer(inner, registry, descriptor, plan, progress));
    // The number of downloads is limited by the semaphore that all pulls share; unpacking goes along with it.
    let staged = stream::iter(fetches)
        .buffered(super::MAX_CONCURRENT_DOWNLOADS)
        .try_collect()
        .await?;
    Ok(Fetched { staged, holds })
}

async fn layer(
    inner: &Arc<Inner>,
    registry: &Registry,
    descriptor: Descriptor,
    plan: LayerPlan,
    progress: &Progress,
) -> Result<StagedLayer, PullError> {
    let id = descriptor.digest.short();
    fetch(inner, registry, &descriptor, progress).await?;
    progress.bytes(id, "Extracting", 0, descriptor.size);
    let task_inner = inner.clone();
    let blob = (descriptor.digest.clone(), descriptor.size);
    let work = tokio::task::spawn_blocking(move || {
        let bytes = task_inner.store.open_blob(&blob.0)?;
        layers::stage(&task_inner.store, bytes, blob, &plan)
    });
    let staged = work
        .await
        .map_err(|error| PullError::Interrupted(error.to_string()))?;
    let staged = staged.map_err(|source| match source {
        LayerError::Store(error) => PullError::Store(error),
        source => PullError::Layer {
            layer: descriptor.digest.clone(),
            source,
        },
    })?;
    progress.bytes(id, "Extracting", descriptor.size, descriptor.size);
    progress.status(id, "Pull complete");
    Ok(staged)
}

/// Makes the layer's blob be in the store.
async fn fetch(
    inner: &Arc<Inner>,
    registry: &Registry,
    descriptor: &Descriptor,
    progress: &Progress,
) -> Result<(), PullError> {
    let id = descriptor.digest.short();
    let lock = inner.puller.blobs.of(&descriptor.digest);
    let _one_at_a_time = lock.lock().await;
    if inner.store.has_blob(&descriptor.digest) {
        progress.status(id, "Download complete");
        return Ok(());
    }
    progress.status(id, "Waiting");
    let _permit = inner
        .puller
        .downloads
        .acquire()
        .await
        .expect("the semaphore is never closed");
    let mut attempt = 1;
    loop {
        match attempt_fetch(inner, registry, descriptor, progress).await {
            Err(BlobError::Broken(error)) if attempt < ATTEMPTS => {
                tracing::warn!(blob = %descriptor.digest, %error, attempt, "the transfer of a layer is tried again");
                progress.status(
                    id,
                    format!("Retrying in {} ms", (RETRY_DELAY * attempt).as_millis()),
                );
                tokio::time::sleep(RETRY_DELAY * attempt).await;
                attempt += 1;
            }
            Err(BlobError::Broken(error) | BlobError::Final(error)) => return Err(error),
            Ok(()) => break,
        }
    }
    progress.status(id, "Download complete");
    Ok(())
}

async fn attempt_fetch(
    inner: &Arc<Inner>,
    registry: &Registry,
    descriptor: &Descriptor,
    progress: &Progress,
) -> Result<(), BlobError> {
    let id = descriptor.digest.short();
    let failed = |error: StoreError| BlobError::Final(error.into());
    let mut blob = inner.store.new_blob().map_err(failed)?;
    let mut last = Instant::now();
    progress.bytes(id, "Downloading", 0, descriptor.size);
    let report = |received: u64| {
        if last.elapsed() >= PROGRESS_INTERVAL || received == descriptor.size {
            last = Instant::now();
            progress.bytes(id, "Downloading", received, descriptor.size);
        }
    };
    registry.layer(descriptor, &mut blob, report).await?;
    progress.status(id, "Verifying Checksum");
    let received = tokio::task::spawn_blocking(move || blob.finish()).await;
    let received =
        received.map_err(|error| BlobError::Final(PullError::Interrupted(error.to_string())))?;
    let received = received.map_err(failed)?;
    if received.digest != descriptor.digest {
        let digest = descriptor.digest.to_string();
        return Err(BlobError::Final(PullError::Verification {
            what: LAYER,
            digest,
        }));
    }
    received.adopt(&inner.store).map_err(failed)?;
    Ok(())
}
