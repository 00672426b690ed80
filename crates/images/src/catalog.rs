//! [`Images`]: the images that there are, their names, and what changes them.

mod lookup;
mod names;
mod recover;
mod remove;
mod state;

use std::path::Path;
use std::sync::{Arc, Mutex, RwLock};

use crate::digest::Digest;
use crate::error::{LookupError, OpenError, StoreError};
use crate::holds::{Held, Holds};
use crate::layers;
use crate::pull::Puller;
use crate::record::{HistoryEntry, ImageId, ImageRecord};
use crate::store::Store;
use crate::table::Table;
use crate::types::{Collected, Config, LayerHold, RootfsLayers};
pub(crate) use names::{Naming, RecordOnly};
use state::State;

/// The image store. Cheap to clone; all clones are one store.
#[derive(Clone)]
pub struct Images {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) store: Store,
    table: Arc<dyn Table>,
    /// Held while images or names are changed; readers do not wait for the disk.
    write: Mutex<()>,
    state: RwLock<State>,
    pub(crate) holds: Holds,
    pub(crate) puller: Puller,
}

impl Images {
    /// Opens or makes the store in `dir`. Work that a crash left half done is removed; when `metadata` is empty or damaged it
    /// is rebuilt from the records on disk. An image that is damaged itself is left out, with a warning in the log.
    /// One store at a time may be open on a directory. Blocks for some file operations.
    pub fn open(dir: &Path, metadata: Arc<dyn Table>, config: Config) -> Result<Self, OpenError> {
        let puller = Puller::new(&config)?;
        let store = Store::open(dir)?;
        let state = recover::recover(&store, metadata.as_ref())?;
        let inner = Inner {
            store,
            table: metadata,
            write: Mutex::default(),
            state: RwLock::new(state),
            holds: Holds::default(),
            puller,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// All images, the newest first.
    pub fn list(&self) -> Vec<Arc<ImageRecord>> {
        let mut images: Vec<_> = self.inner.state().records().cloned().collect();
        images.sort_by_key(|image| {
            (
                std::cmp::Reverse(image.created_unix_nanos()),
                image.id.clone(),
            )
        });
        images
    }

    /// The image of this name, ID or beginning of an ID.
    pub fn inspect(&self, name_or_id: &str) -> Result<Arc<ImageRecord>, LookupError> {
        lookup::find(&self.inner.state(), name_or_id)
    }

    /// The image's steps, the newest first.
    pub fn history(&self, name_or_id: &str) -> Result<Vec<HistoryEntry>, LookupError> {
        let image = self.inspect(name_or_id)?;
        let mut steps = image.history.clone();
        if let Some(last) = steps.last_mut() {
            last.id = Some(image.id.clone());
            last.tags = image.repo_tags();
        }
        steps.reverse();
        Ok(steps)
    }

    /// The layers of an image for a container's root.
    pub fn rootfs(&self, id: &ImageId) -> Result<RootfsLayers, LookupError> {
        // The layers are taken while the image is known to be there: its removal looks for holds after it is not.
        let state = self.inner.state();
        let known = state
            .get(id)
            .ok_or_else(|| LookupError::NotFound(id.to_string()))?;
        let taken = self
            .inner
            .holds
            .take(known.chain.iter().cloned().map(Held::Layer));
        let lower = known.lower.clone();
        let hold = LayerHold {
            chain_id: known.chain.last().cloned(),
            lower: lower.clone(),
            _hold: taken,
        };
        Ok(RootfsLayers {
            id: id.clone(),
            lower,
            config: known.record.config.clone(),
            hold,
        })
    }

    /// The layers of a container that was made before the daemon's restart, by the chain ID of [`LayerHold`]. They are there
    /// although the image may have been removed by force since.
    pub fn hold_layers(&self, chain_id: &Digest) -> Result<LayerHold, LookupError> {
        let missing = || LookupError::NotFound(chain_id.to_string());
        let store = &self.inner.store;
        let read = || store.chain(chain_id).ok().flatten().ok_or_else(missing);
        // The first reading tells what to hold; the second, that it is all there now that nobody can remove it.
        let hold = self
            .inner
            .holds
            .take(read()?.into_iter().map(|layer| Held::Layer(layer.chain_id)));
        let lower = layers::lower_dirs(store, &read()?);
        Ok(LayerHold {
            chain_id: Some(chain_id.clone()),
            lower,
            _hold: hold,
        })
    }

    /// Removes blobs and layers that no image needs and nobody holds. For the daemon's start, after the holds of containers
    /// were taken again ([`Images::hold_layers`]), and now and then: pulls that failed leave the blobs that they have for
    /// the next attempt, removed images the layers of their containers. Blocks.
    pub fn gc(&self) -> Result<Collected, StoreError> {
        let _write = self.inner.lock_writes();
        let layers = self.inner.store.layer_ids()?.into_iter().map(Held::Layer);
        let blobs = self.inner.store.blob_digests()?.into_iter().map(Held::Blob);
        self.inner.remove_unreferenced(layers.chain(blobs))
    }
}

impl std::fmt::Debug for Images {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Images")
            .field("root", &self.inner.store.root())
            .finish_non_exhaustive()
    }
}
