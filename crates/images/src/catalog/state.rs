//! The images in memory, and how a change of them becomes durable.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, MutexGuard, PoisonError, RwLockReadGuard};

use serde::{Deserialize, Serialize};

use super::Inner;
use crate::digest::Digest;
use crate::document::ConfigDocument;
use crate::error::StoreError;
use crate::holds::Held;
use crate::layers::{self, LayerPlan};
use crate::record::{HistoryEntry, ImageId, ImageRecord};
use crate::reference::Reference;
use crate::store::Store;
use crate::types::Collected;

/// The version of rows and record files.
pub(super) const VERSION: u32 = 1;

/// What is kept of an image beside its blobs: a row of the table and a record file, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stored {
    pub(super) version: u32,
    pub(crate) id: ImageId,
    /// Blobs of its manifests and manifest lists.
    pub(crate) manifests: BTreeSet<Digest>,
    pub(crate) tags: BTreeSet<Reference>,
    pub(crate) digests: BTreeSet<Reference>,
    /// Nanoseconds since 1970 UTC.
    pub(crate) last_tagged: Option<i64>,
}

impl Stored {
    pub(crate) fn new(id: ImageId) -> Self {
        Self {
            version: VERSION,
            id,
            manifests: BTreeSet::new(),
            tags: BTreeSet::new(),
            digests: BTreeSet::new(),
            last_tagged: None,
        }
    }

    pub(super) fn row_key(id: &ImageId) -> Vec<u8> {
        format!("image/{}", id.hex()).into_bytes()
    }

    pub(super) fn record_path(store: &Store, id: &ImageId) -> PathBuf {
        store
            .root()
            .join("records")
            .join(format!("{}.json", id.hex()))
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a record is plain data")
    }

    /// Tags and digests.
    pub(super) fn names(&self) -> impl Iterator<Item = &Reference> {
        self.tags.iter().chain(&self.digests)
    }

    /// Takes a name away; whether it had it.
    pub(super) fn forget(&mut self, name: &Reference) -> bool {
        self.tags.remove(name) | self.digests.remove(name)
    }
}

/// An image in memory.
pub(crate) struct Known {
    pub(crate) stored: Stored,
    pub(crate) record: Arc<ImageRecord>,
    /// Chain IDs, lowest first.
    pub(crate) chain: Vec<Digest>,
    /// Overlay lower directories, topmost first.
    pub(crate) lower: Vec<PathBuf>,
    /// The blobs of the layers, lowest first.
    pub(crate) layer_blobs: Vec<Digest>,
}

impl Known {
    /// Reads what belongs to a record. The error says in words what is missing or damaged.
    pub(super) fn read(store: &Store, stored: Stored) -> Result<Self, String> {
        let bytes = store
            .read_document(&stored.id.0)
            .map_err(|error| error.to_string())?;
        let document = ConfigDocument::parse(&bytes).map_err(|error| error.to_string())?;
        let mut layers = Vec::new();
        for plan in LayerPlan::of(document.diff_ids()) {
            let layer = store
                .layer(&plan.chain_id)
                .map_err(|error| error.to_string())?;
            let layer = layer.ok_or_else(|| format!("its layer {} is missing", plan.chain_id))?;
            if !store.has_blob(&layer.blob) {
                return Err(format!("the blob {} of its layer is missing", layer.blob));
            }
            layers.push(layer);
        }
        let sizes: Vec<u64> = layers.iter().map(|layer| layer.size).collect();
        Ok(Self {
            record: Arc::new(describe(&stored, document, &sizes)),
            stored,
            chain: layers.iter().map(|layer| layer.chain_id.clone()).collect(),
            lower: layers::lower_dirs(store, layers.iter().rev()),
            layer_blobs: layers.into_iter().map(|layer| layer.blob).collect(),
        })
    }

    /// Everything on disk that this image needs.
    fn needs(&self) -> impl Iterator<Item = Held> {
        let blobs = std::iter::once(&self.stored.id.0)
            .chain(&self.stored.manifests)
            .chain(&self.layer_blobs);
        blobs
            .cloned()
            .map(Held::Blob)
            .chain(self.chain.iter().cloned().map(Held::Layer))
    }
}

fn describe(stored: &Stored, document: ConfigDocument, sizes: &[u64]) -> ImageRecord {
    let layers = document.diff_ids().to_vec();
    let mut left = sizes.iter();
    let sized = |mut step: HistoryEntry| {
        if !step.empty_layer {
            step.size = left.next().copied().unwrap_or_default();
        }
        step
    };
    ImageRecord {
        id: stored.id.clone(),
        tags: stored.tags.iter().cloned().collect(),
        digests: stored.digests.iter().cloned().collect(),
        parent: Digest::parse(&document.parent).ok().map(ImageId),
        comment: document.comment,
        created: document.created.unwrap_or_default(),
        author: document.author,
        docker_version: document.docker_version,
        architecture: document.architecture,
        variant: document.variant,
        os: if document.os.is_empty() {
            "linux".to_owned()
        } else {
            document.os
        },
        os_version: document.os_version,
        size: sizes.iter().sum(),
        layers,
        config: document.config.unwrap_or_default(),
        history: document
            .history
            .unwrap_or_default()
            .into_iter()
            .map(sized)
            .collect(),
        last_tagged: stored.last_tagged,
    }
}

/// All images and whom each name means.
#[derive(Default)]
pub(crate) struct State {
    images: BTreeMap<ImageId, Known>,
    names: BTreeMap<Reference, ImageId>,
}

impl State {
    pub(crate) fn get(&self, id: &ImageId) -> Option<&Known> {
        self.images.get(id)
    }

    pub(crate) fn named(&self, name: &Reference) -> Option<&Known> {
        self.names.get(name).and_then(|id| self.images.get(id))
    }

    pub(crate) fn images(&self) -> impl Iterator<Item = &Known> {
        self.images.values()
    }

    pub(crate) fn records(&self) -> impl Iterator<Item = &Arc<ImageRecord>> {
        self.images.values().map(|known| &known.record)
    }

    pub(super) fn insert(&mut self, known: Known) {
        let id = known.stored.id.clone();
        self.names.retain(|_, owner| *owner != id);
        self.names
            .extend(known.stored.names().map(|name| (name.clone(), id.clone())));
        self.images.insert(id, known);
    }

    fn remove(&mut self, id: &ImageId) {
        self.names.retain(|_, owner| owner != id);
        self.images.remove(id);
    }
}

impl Inner {
    pub(crate) fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lock_writes(&self) -> MutexGuard<'_, ()> {
        self.write.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a change durable and visible: files first, then the table, whose flush decides. An image that gets a name is
    /// put before the one that loses it, so a crash in between leaves the name at both and the later tag time wins.
    pub(super) fn commit(
        &self,
        _write: &MutexGuard<'_, ()>,
        puts: Vec<Stored>,
        removals: &[ImageId],
    ) -> Result<(), StoreError> {
        let mut known = Vec::new();
        for stored in puts {
            let id = stored.id.clone();
            let read = Known::read(&self.store, stored);
            let damaged =
                |why| StoreError::new(format!("use the image {id}"), std::io::Error::other(why));
            known.push(read.map_err(damaged)?);
        }
        for image in &known {
            let path = Stored::record_path(&self.store, &image.stored.id);
            self.store.write_durably(&path, &image.stored.to_json())?;
        }
        for id in removals {
            self.store
                .remove_durably(&Stored::record_path(&self.store, id))?;
        }
        let written = self.write_rows(&known, removals);
        written.map_err(|error| StoreError::new("write the table of images", error))?;
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        removals.iter().for_each(|id| state.remove(id));
        // The one that gets a name is first in the list, so it must be inserted last to own it.
        known
            .into_iter()
            .rev()
            .for_each(|image| state.insert(image));
        Ok(())
    }

    fn write_rows(&self, known: &[Known], removals: &[ImageId]) -> std::io::Result<()> {
        for image in known {
            self.table
                .put(&Stored::row_key(&image.stored.id), &image.stored.to_json())?;
        }
        for id in removals {
            self.table.delete(&Stored::row_key(id))?;
        }
        self.table.flush()
    }

    /// Removes those of `candidates` that no image needs and nobody holds. The caller holds the write lock.
    pub(super) fn remove_unreferenced(
        &self,
        candidates: impl Iterator<Item = Held>,
    ) -> Result<Collected, StoreError> {
        let needed: BTreeSet<Held> = self.state().images().flat_map(Known::needs).collect();
        let mut collected = Collected::default();
        let mut doomed = Vec::new();
        self.holds.remove_free(
            candidates.filter(|thing| !needed.contains(thing)),
            |thing| {
                match thing {
                    Held::Layer(chain_id) => {
                        let layer = self.store.layer(&chain_id).ok().flatten();
                        doomed.extend(self.store.set_aside(&self.store.layer_dir(&chain_id))?);
                        collected.layers += 1;
                        collected.bytes += layer.map_or(0, |layer| layer.size);
                    }
                    Held::Blob(digest) => {
                        let path = self.store.blob_path(&digest);
                        collected.bytes +=
                            std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
                        doomed.extend(self.store.set_aside(&path)?);
                        collected.blobs += 1;
                    }
                }
                Ok(())
            },
        )?;
        // A layer may have very many files: nobody waits for them. They lie in `tmp`, which the next open empties, should
        // there be no thread to be had.
        let spawned = std::thread::Builder::new()
            .name("images-remove".to_owned())
            .spawn(move || drop(doomed));
        if let Err(error) = spawned {
            tracing::warn!(%error, "what was removed is emptied later");
        }
        Ok(collected)
    }

    /// Everything on disk that the image needs, whether others need it too or not.
    pub(crate) fn needs_of(&self, id: &ImageId) -> Vec<Held> {
        self.state()
            .get(id)
            .map(|known| known.needs().collect())
            .unwrap_or_default()
    }
}
