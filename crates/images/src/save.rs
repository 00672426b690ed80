//! `image save`: a docker-archive that is an OCI layout too, as Docker writes it since version 25.
//!
//! Layers are written uncompressed, so that each blob's digest is its diff ID: every reader of docker-archives takes that.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::catalog::{Images, Inner};
use crate::compression::{self, Unsupported};
use crate::digest::Digest;
use crate::document::{OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST};
use crate::error::{LookupError, SaveError, StoreError};
use crate::holds::Hold;
use crate::layers::Layer;
use crate::record::ImageRecord;
use crate::reference::Reference;
use crate::store::CHUNK;

/// Chunks that wait for a slow reader: with [`CHUNK`], a megabyte.
const CHANNEL_CHUNKS: usize = 16;

/// An image, and the tag that it is saved under.
type Meant = (Arc<ImageRecord>, Option<Reference>);

impl Images {
    /// A docker-archive, which is an OCI layout too, of these images. A repository without a tag means all of its tags.
    pub async fn save(&self, names: &[String]) -> Result<SaveStream, SaveError> {
        if names.is_empty() {
            return Err(SaveError::NoNames);
        }
        let mut images: Vec<Saved> = Vec::new();
        for name in names {
            for (record, tag) in self.resolve(name)? {
                match images.iter_mut().find(|image| image.record.id == record.id) {
                    Some(image) => image.names.extend(tag),
                    None => images.push(Saved {
                        record,
                        names: tag.into_iter().collect(),
                    }),
                }
            }
        }
        let inner = self.inner.clone();
        let hold = inner.holds.take(
            images
                .iter()
                .flat_map(|image| inner.needs_of(&image.record.id)),
        );
        let (sender, receiver) = mpsc::channel(CHANNEL_CHUNKS);
        tokio::task::spawn_blocking(move || write(&inner, &images, &hold, &sender));
        Ok(SaveStream(receiver))
    }

    /// The images that a name means, with the tag that each is saved under.
    fn resolve(&self, name: &str) -> Result<Vec<Meant>, LookupError> {
        let Ok(reference) = Reference::parse_normalized(name) else {
            return Ok(vec![(self.inspect(name)?, None)]);
        };
        if reference.is_name_only() {
            let mut tagged = Vec::new();
            for image in self.inner.state().records() {
                let tags = image
                    .tags
                    .iter()
                    .filter(|tag| tag.name() == reference.name());
                tagged.extend(tags.map(|tag| (image.clone(), Some(tag.clone()))));
            }
            if !tagged.is_empty() {
                return Ok(tagged);
            }
        }
        let image = self.inspect(name)?;
        // It may have been found by the beginning of its ID.
        let tag = Some(reference).filter(|reference| image.tags.contains(reference));
        Ok(vec![(image, tag)])
    }
}

/// The bytes of a saved archive, as they are made. An item that is an error ends it.
#[derive(Debug)]
pub struct SaveStream(mpsc::Receiver<io::Result<Bytes>>);

impl Stream for SaveStream {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}

/// An image and the tags that it is saved under.
struct Saved {
    record: Arc<ImageRecord>,
    names: BTreeSet<Reference>,
}

/// Runs in a thread of its own. The blobs are held until the end.
fn write(inner: &Inner, images: &[Saved], _hold: &Hold, sender: &mpsc::Sender<io::Result<Bytes>>) {
    let chunks = io::BufWriter::with_capacity(CHUNK, Chunks(sender));
    let mut archive = Archive {
        inner,
        tar: tar::Builder::new(chunks),
        written: BTreeSet::new(),
    };
    let result = archive
        .write(images)
        .and_then(|()| archive.tar.into_inner()?.flush());
    if let Err(error) = result {
        // A reader that has gone needs no message.
        let _ = sender.blocking_send(Err(error));
    }
}

/// Hands what is written to the stream.
struct Chunks<'a>(&'a mpsc::Sender<io::Result<Bytes>>);

impl Write for Chunks<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let gone = |_| {
            io::Error::new(
                io::ErrorKind::BrokenPipe,
                "nobody reads the archive any more",
            )
        };
        self.0
            .blocking_send(Ok(Bytes::copy_from_slice(bytes)))
            .map_err(gone)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Archive<'a, W: Write> {
    inner: &'a Inner,
    tar: tar::Builder<W>,
    /// Paths that are in the archive: images share layers.
    written: BTreeSet<String>,
}

impl<W: Write> Archive<'_, W> {
    fn write(&mut self, images: &[Saved]) -> io::Result<()> {
        for directory in ["blobs/", "blobs/sha256/"] {
            self.entry(directory, tar::EntryType::Directory, 0, io::empty())?;
        }
        let mut items = Vec::new();
        let mut index = Vec::new();
        let mut repositories: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for image in images {
            let layers = self.layers(image)?;
            let (item, entries) = self.image(image, &layers)?;
            items.push(item);
            index.extend(entries);
            for name in &image.names {
                let top = layers
                    .last()
                    .map_or(image.record.id.hex(), |layer| layer.diff_id.hex());
                let tags = repositories.entry(name.familiar_name()).or_default();
                tags.insert(name.tag().unwrap_or_default().to_owned(), top.to_owned());
            }
        }
        let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": index });
        self.document("index.json", &index)?;
        self.document("manifest.json", &Value::Array(items))?;
        self.document("oci-layout", &json!({ "imageLayoutVersion": "1.0.0" }))?;
        if !repositories.is_empty() {
            self.document("repositories", &json!(repositories))?;
        }
        Ok(())
    }

    /// The layers of an image, lowest first.
    fn layers(&self, image: &Saved) -> io::Result<Vec<Layer>> {
        let plans = crate::layers::LayerPlan::of(&image.record.layers);
        let read = |plan: crate::layers::LayerPlan| {
            let layer = self
                .inner
                .store
                .layer(&plan.chain_id)
                .map_err(io::Error::other)?;
            layer.ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::NotFound,
                    format!("layer {} is gone", plan.chain_id),
                )
            })
        };
        plans.into_iter().map(read).collect()
    }

    /// Writes the blobs of an image; gives its item of `manifest.json` and its entries of `index.json`.
    fn image(&mut self, image: &Saved, layers: &[Layer]) -> io::Result<(Value, Vec<Value>)> {
        let config = self
            .inner
            .store
            .read_document(&image.record.id.0)
            .map_err(io::Error::other)?;
        self.blob(&image.record.id.0, &config)?;
        let mut descriptors = Vec::new();
        for layer in layers {
            self.layer(layer)?;
            descriptors.push(json!({
                "mediaType": OCI_LAYER, "digest": layer.diff_id, "size": layer.tar_size,
            }));
        }
        let manifest = serde_json::to_vec(&json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": { "mediaType": OCI_CONFIG, "digest": image.record.id, "size": config.len() },
            "layers": descriptors,
        }))?;
        let digest = Digest::of(&manifest);
        self.blob(&digest, &manifest)?;
        let mut descriptor =
            json!({ "mediaType": OCI_MANIFEST, "digest": digest, "size": manifest.len() });
        let entries = if image.names.is_empty() {
            vec![descriptor]
        } else {
            let annotate = |name: &Reference| {
                descriptor["annotations"] = json!({
                    "io.containerd.image.name": name.to_string(),
                    "org.opencontainers.image.ref.name": name.tag(),
                });
                descriptor.clone()
            };
            image.names.iter().map(annotate).collect()
        };
        let names: Vec<String> = image.names.iter().map(Reference::familiar).collect();
        let item = json!({
            "Config": blob_path(&image.record.id.0),
            "RepoTags": if names.is_empty() { Value::Null } else { json!(names) },
            "Layers": layers.iter().map(|layer| blob_path(&layer.diff_id)).collect::<Vec<_>>(),
        });
        Ok((item, entries))
    }

    fn layer(&mut self, layer: &Layer) -> io::Result<()> {
        let path = blob_path(&layer.diff_id);
        if self.written.contains(&path) {
            return Ok(());
        }
        let blob = self
            .inner
            .store
            .open_blob(&layer.blob)
            .map_err(io::Error::other)?;
        let tar =
            compression::decompress(blob)?.map_err(|Unsupported(name)| io::Error::other(name))?;
        let mut sized = tar.take(layer.tar_size);
        self.entry(&path, tar::EntryType::Regular, layer.tar_size, &mut sized)?;
        if sized.limit() > 0 {
            let short = StoreError::new(
                format!("read the blob {}", layer.blob),
                io::ErrorKind::UnexpectedEof.into(),
            );
            return Err(io::Error::other(short));
        }
        self.written.insert(path);
        Ok(())
    }

    fn blob(&mut self, digest: &Digest, bytes: &[u8]) -> io::Result<()> {
        let path = blob_path(digest);
        if self.written.insert(path.clone()) {
            self.entry(&path, tar::EntryType::Regular, bytes.len() as u64, bytes)?;
        }
        Ok(())
    }

    fn document(&mut self, path: &str, value: &Value) -> io::Result<()> {
        let bytes = serde_json::to_vec(value)?;
        self.entry(
            path,
            tar::EntryType::Regular,
            bytes.len() as u64,
            bytes.as_slice(),
        )
    }

    /// Times are zero, so that the same images make the same archive.
    fn entry(
        &mut self,
        path: &str,
        kind: tar::EntryType,
        size: u64,
        data: impl Read,
    ) -> io::Result<()> {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(if kind.is_dir() { 0o755 } else { 0o644 });
        header.set_size(size);
        header.set_mtime(0);
        self.tar.append_data(&mut header, path, data)
    }
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}
