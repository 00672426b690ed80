//! `image import`: an image of one layer from the tar of a root file system.

mod changes;
mod instruction;

use std::fs::File;
use std::io::Read;

use serde_json::json;
use tokio::io::AsyncRead;
use tokio_util::io::SyncIoBridge;

use crate::catalog::{Images, Inner, Naming, RecordOnly};
use crate::config::ImageConfig;
use crate::digest::Digest;
use crate::error::{ImportError, StoreError};
use crate::holds::Held;
use crate::layers;
use crate::pull::platform;
use crate::record::ImageId;
use crate::reference::Reference;
use crate::store::CHUNK;
use crate::timestamp;

/// The comment of an image whose importer gives none.
const DEFAULT_MESSAGE: &str = "Imported from -";

impl Images {
    /// Makes an image of the tar of a root file system, which may be compressed. `changes` are Dockerfile instructions
    /// (`CMD ["sh"]`, `ENV A=b`); the image gets the name `reference`, if there is one. On an error nothing is changed.
    pub async fn import(
        &self,
        tar: impl AsyncRead + Send + Unpin + 'static,
        reference: Option<&str>,
        changes: &[String],
        message: &str,
    ) -> Result<ImageId, ImportError> {
        let name = reference
            .filter(|text| !text.is_empty())
            .map(Reference::parse_normalized)
            .transpose()?;
        if name.as_ref().is_some_and(|name| name.digest().is_some()) {
            return Err(ImportError::DigestReference);
        }
        let config = changes::apply(changes)?;
        let message = if message.is_empty() {
            DEFAULT_MESSAGE
        } else {
            message
        }
        .to_owned();
        let inner = self.inner.clone();
        let tar = SyncIoBridge::new(tar);
        let name = name.map(Reference::or_latest);
        let work =
            tokio::task::spawn_blocking(move || import(&inner, tar, name, &config, &message));
        work.await
            .unwrap_or_else(|error| Err(StoreError::new("import the image", error.into()).into()))
    }
}

fn import(
    inner: &Inner,
    mut tar: impl Read,
    name: Option<Reference>,
    config: &ImageConfig,
    message: &str,
) -> Result<ImageId, ImportError> {
    let store = &inner.store;
    let mut blob = store.new_blob()?;
    let mut buffer = vec![0; CHUNK];
    loop {
        match tar
            .read(&mut buffer)
            .map_err(|error| ImportError::Corrupt(error.to_string()))?
        {
            0 => break,
            count => blob.write(&buffer[..count])?,
        }
    }
    if blob.size() == 0 {
        return Err(ImportError::Corrupt("nothing was sent".to_owned()));
    }
    let blob = blob.finish()?;
    let bytes = File::open(blob.path()).map_err(StoreError::at("open", blob.path()))?;
    let staged = layers::stage_base(store, bytes, (blob.digest.clone(), blob.size))?;
    let chain_id = staged.layer.chain_id.clone();
    let document = describe(&chain_id, config, message);
    let id = ImageId(Digest::of(&document));
    // Held from before they are in their places until the image is recorded.
    let _hold = inner.holds.take([
        Held::Layer(chain_id.clone()),
        Held::Blob(blob.digest.clone()),
        Held::Blob(id.0.clone()),
    ]);
    store.write_document(&document)?;
    // An equal layer that is there already has its own blob.
    if store.layer(&chain_id)?.is_none() {
        blob.adopt(store)?;
    }
    store.sync()?;
    layers::publish(store, vec![staged])?;
    let naming = Naming {
        id: id.clone(),
        manifests: Vec::new(),
        names: name.into_iter().collect(),
    };
    inner.record(&[naming], RecordOnly::Any)?;
    Ok(id)
}

/// The configuration document, in the order of Docker's fields.
fn describe(diff_id: &Digest, config: &ImageConfig, message: &str) -> Vec<u8> {
    let created = timestamp::format(timestamp::now());
    let document = json!({
        "architecture": platform::Wanted::host().architecture(),
        "comment": message,
        "config": config,
        "created": created,
        "history": [{ "created": created, "comment": message }],
        "os": "linux",
        "rootfs": { "type": "layers", "diff_ids": [diff_id] },
    });
    serde_json::to_vec(&document).expect("a configuration is plain data")
}
