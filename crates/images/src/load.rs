//! `image load`: archives that `docker save`, skopeo, buildah and others write.
//!
//! The tar arrives once, as a stream, and what it is (docker-archive or OCI layout) often stands at its end. So its files
//! are spooled to the disk first, where the layers' blobs must go anyway. Nothing of the store changes before all
//! images of the archive are read and checked.

mod docker_archive;
mod oci_layout;
mod spool;

use std::fs::File;
use std::io::Read;

use tokio::io::AsyncRead;
use tokio_util::io::SyncIoBridge;

use crate::catalog::{Images, Inner, Naming, RecordOnly};
use crate::digest::Digest;
use crate::document::ConfigDocument;
use crate::error::{LayerError, LoadError, StoreError};
use crate::holds::Held;
use crate::layers::{self, LayerPlan, StagedLayer};
use crate::progress::Progress;
use crate::record::ImageId;
use crate::reference::Reference;
use crate::types::Loaded;
use spool::Spool;

impl Images {
    /// Reads a docker-archive or an OCI layout, as a tar that may be compressed as a whole; its layers may be plain, gzip or
    /// zstd. On an error nothing is changed.
    pub async fn load(
        &self,
        tar: impl AsyncRead + Send + Unpin + 'static,
        progress: Progress,
    ) -> Result<Vec<Loaded>, LoadError> {
        let inner = self.inner.clone();
        let tar = SyncIoBridge::new(tar);
        let work = tokio::task::spawn_blocking(move || load(&inner, tar, &progress));
        work.await
            .unwrap_or_else(|error| Err(StoreError::new("load the images", error.into()).into()))
    }
}

/// An image of an archive, before its layers are read.
struct ArchiveImage {
    /// The configuration's bytes.
    config: Vec<u8>,
    /// Manifests that describe it.
    manifests: Vec<Vec<u8>>,
    /// Paths of the layers in the archive, lowest first.
    layers: Vec<String>,
    /// Names with tags.
    names: Vec<Reference>,
}

fn load(inner: &Inner, tar: impl Read, progress: &Progress) -> Result<Vec<Loaded>, LoadError> {
    let spool = Spool::read(&inner.store, tar)?;
    let images = match docker_archive::read(&spool)? {
        Some(images) => images,
        None => oci_layout::read(&spool)?.ok_or(LoadError::NotAnImage)?,
    };
    let mut loading = Loading {
        inner,
        spool,
        progress,
        holds: Vec::new(),
        staged: Vec::new(),
        blobs: Vec::new(),
    };
    let mut documents = Vec::new();
    for image in &images {
        documents.extend(image.manifests.iter().chain([&image.config]).cloned());
        loading.stage_layers(image)?;
    }
    let namings: Vec<Naming> = images.iter().map(ArchiveImage::naming).collect();
    loading.finish(&documents)?;
    let moved = inner.record(&namings, RecordOnly::Any)?;
    for (name, old) in moved {
        let name = name.familiar();
        progress.line(format!(
            "The image {name} already exists, renaming the old one with ID {old} to empty string"
        ));
    }
    Ok(namings.into_iter().flat_map(loaded).collect())
}

fn loaded(naming: Naming) -> Vec<Loaded> {
    if naming.names.is_empty() {
        return vec![Loaded {
            id: naming.id,
            name: None,
        }];
    }
    naming
        .names
        .into_iter()
        .map(|name| Loaded {
            id: naming.id.clone(),
            name: Some(name),
        })
        .collect()
}

impl ArchiveImage {
    fn naming(&self) -> Naming {
        Naming {
            id: ImageId(Digest::of(&self.config)),
            manifests: self
                .manifests
                .iter()
                .map(|manifest| Digest::of(manifest))
                .collect(),
            names: self.names.clone(),
        }
    }
}

/// A load under way.
struct Loading<'a> {
    inner: &'a Inner,
    spool: Spool,
    progress: &'a Progress,
    /// Keep what this load found in the store from being removed.
    holds: Vec<crate::holds::Hold>,
    staged: Vec<StagedLayer>,
    /// Paths in the archive of the blobs of staged layers.
    blobs: Vec<String>,
}

impl Loading<'_> {
    /// Unpacks the layers of an image that the store does not have.
    fn stage_layers(&mut self, image: &ArchiveImage) -> Result<(), LoadError> {
        let document = ConfigDocument::parse(&image.config)?;
        document.check_layer_count(image.layers.len())?;
        for (plan, path) in LayerPlan::of(document.diff_ids()).iter().zip(&image.layers) {
            self.holds
                .push(self.inner.holds.take([Held::Layer(plan.chain_id.clone())]));
            let staged = self
                .staged
                .iter()
                .any(|staged| staged.layer.chain_id == plan.chain_id);
            if staged || self.has_layer(plan)? {
                continue;
            }
            let file = self.spool.get(path)?;
            let blob = (file.digest.clone(), file.size);
            self.holds
                .push(self.inner.holds.take([Held::Blob(blob.0.clone())]));
            let id = plan.chain_id.short();
            self.progress.bytes(id, "Loading layer", 0, blob.1);
            let bytes = File::open(file.path()).map_err(StoreError::at("open", file.path()))?;
            let failed = |source: LayerError| LoadError::Layer {
                layer: path.clone(),
                source,
            };
            self.staged
                .push(layers::stage(&self.inner.store, bytes, blob.clone(), plan).map_err(failed)?);
            self.progress.bytes(id, "Loading layer", blob.1, blob.1);
            self.blobs.push(path.clone());
        }
        Ok(())
    }

    /// Whether the layer is in the store, with its blob, which is held then.
    fn has_layer(&mut self, plan: &LayerPlan) -> Result<bool, LoadError> {
        let Some(layer) = self.inner.store.layer(&plan.chain_id)? else {
            return Ok(false);
        };
        self.holds
            .push(self.inner.holds.take([Held::Blob(layer.blob.clone())]));
        Ok(self.inner.store.has_blob(&layer.blob))
    }

    /// Puts everything in its place, on disk. The holds live until the caller has recorded the images.
    fn finish(&mut self, documents: &[Vec<u8>]) -> Result<(), LoadError> {
        let store = &self.inner.store;
        for document in documents {
            self.holds
                .push(self.inner.holds.take([Held::Blob(Digest::of(document))]));
            store.write_document(document)?;
        }
        for path in std::mem::take(&mut self.blobs) {
            self.spool.adopt(&path, store)?;
        }
        store.sync()?;
        layers::publish(store, std::mem::take(&mut self.staged))?;
        Ok(())
    }
}
