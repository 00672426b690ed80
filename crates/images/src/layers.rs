//! Unpacked layers: made in a temporary directory, renamed to their place when they are on disk.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::compression::{self, Unsupported};
use crate::digest::Digest;
use crate::error::{LayerError, StoreError};
use crate::store::{Store, Temporary};
use crate::unpack;

/// The most layers of an image, as Docker's overlay2 driver has it.
pub(crate) const MAX_LAYERS: usize = 127;
/// The version of `layer.json`.
const VERSION: u32 = 1;

/// What is known of a layer: `layer.json`, beside its directory `diff`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Layer {
    version: u32,
    pub(crate) chain_id: Digest,
    pub(crate) diff_id: Digest,
    /// Chain ID of the layer below.
    pub(crate) parent: Option<Digest>,
    /// The blob that it was unpacked from, compressed or not.
    pub(crate) blob: Digest,
    pub(crate) blob_size: u64,
    /// Bytes of the uncompressed tar.
    pub(crate) tar_size: u64,
    /// Bytes of its files.
    pub(crate) size: u64,
    /// Whether it hides all layers below.
    pub(crate) opaque_root: bool,
}

/// Which layer is to be made of which blob.
#[derive(Debug, Clone)]
pub(crate) struct LayerPlan {
    pub(crate) chain_id: Digest,
    pub(crate) diff_id: Digest,
    pub(crate) parent: Option<Digest>,
}

impl LayerPlan {
    /// The layers of an image from its diff IDs, lowest first. The chain ID of the lowest is its diff ID; that of another is
    /// the digest of `<chain ID below> <diff ID>` (OCI image specification, "Layer ChainID").
    pub(crate) fn of(diff_ids: &[Digest]) -> Vec<Self> {
        let mut plans: Vec<Self> = Vec::with_capacity(diff_ids.len());
        for diff_id in diff_ids {
            let parent = plans.last().map(|below| below.chain_id.clone());
            let chain_id = match &parent {
                None => diff_id.clone(),
                Some(parent) => Digest::of(format!("{parent} {diff_id}").as_bytes()),
            };
            plans.push(Self {
                chain_id,
                diff_id: diff_id.clone(),
                parent,
            });
        }
        plans
    }
}

/// A layer that is unpacked, but not yet in its place.
#[derive(Debug)]
pub(crate) struct StagedLayer {
    pub(crate) layer: Layer,
    directory: Temporary,
}

/// Unpacks a layer from a blob's bytes. The diff ID is checked against the plan's.
pub(crate) fn stage(
    store: &Store,
    bytes: impl Read,
    blob: (Digest, u64),
    plan: &LayerPlan,
) -> Result<StagedLayer, LayerError> {
    let (unpacked, directory) = unpack_blob(store, bytes)?;
    if unpacked.diff_id != plan.diff_id {
        return Err(LayerError::Digest {
            want: plan.diff_id.clone(),
            got: unpacked.diff_id,
        });
    }
    finish_staging(unpacked, directory, blob, plan.clone())
}

/// Unpacks a lowest layer whose diff ID is not known before.
pub(crate) fn stage_base(
    store: &Store,
    bytes: impl Read,
    blob: (Digest, u64),
) -> Result<StagedLayer, LayerError> {
    let (unpacked, directory) = unpack_blob(store, bytes)?;
    let diff_id = unpacked.diff_id.clone();
    let plan = LayerPlan {
        chain_id: diff_id.clone(),
        diff_id,
        parent: None,
    };
    finish_staging(unpacked, directory, blob, plan)
}

fn unpack_blob(
    store: &Store,
    bytes: impl Read,
) -> Result<(unpack::Unpacked, Temporary), LayerError> {
    let corrupt = |error: io::Error| LayerError::Corrupt(error.to_string());
    let tar = match compression::decompress(bytes).map_err(corrupt)? {
        Ok(tar) => tar,
        Err(Unsupported(name)) => return Err(LayerError::Compression(name)),
    };
    let directory = store.temporary_dir("layer")?;
    let diff = directory.path().join("diff");
    let made = fs::DirBuilder::new().mode(0o755).create(&diff);
    // The umask must not decide how the root of a container looks.
    let made = made.and_then(|()| fs::set_permissions(&diff, fs::Permissions::from_mode(0o755)));
    made.map_err(StoreError::at("create", &diff))?;
    let unpacked = unpack::unpack(tar, &diff)?;
    Ok((unpacked, directory))
}

fn finish_staging(
    unpacked: unpack::Unpacked,
    directory: Temporary,
    (blob, blob_size): (Digest, u64),
    plan: LayerPlan,
) -> Result<StagedLayer, LayerError> {
    let layer = Layer {
        version: VERSION,
        chain_id: plan.chain_id,
        diff_id: plan.diff_id,
        parent: plan.parent,
        blob,
        blob_size,
        tar_size: unpacked.tar_size,
        size: unpacked.size,
        opaque_root: unpacked.opaque_root,
    };
    let path = directory.path().join("layer.json");
    let json = serde_json::to_vec(&layer).expect("a layer's description is plain data");
    // The whole image is synced before its layers are moved to their places.
    fs::write(&path, json).map_err(StoreError::at("write", &path))?;
    Ok(StagedLayer { layer, directory })
}

/// Moves staged layers to their places. They must be on disk: see [`Store::sync`].
pub(crate) fn publish(store: &Store, staged: Vec<StagedLayer>) -> Result<(), StoreError> {
    for StagedLayer { layer, directory } in staged {
        let place = store.layer_dir(&layer.chain_id);
        match fs::rename(directory.path(), &place) {
            Ok(()) => directory.forget(),
            // Somebody else has brought the same layer meanwhile.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty
                ) => {}
            Err(error) => return Err(StoreError::at("write", &place)(error)),
        }
    }
    Ok(())
}

impl Store {
    /// The directory of a layer, with its description.
    pub(crate) fn layer_dir(&self, chain_id: &Digest) -> PathBuf {
        self.root().join("layers").join(chain_id.hex())
    }

    /// The lower directory of a layer.
    pub(crate) fn diff_dir(&self, chain_id: &Digest) -> PathBuf {
        self.layer_dir(chain_id).join("diff")
    }

    /// What is known of a layer; none if it is not there.
    pub(crate) fn layer(&self, chain_id: &Digest) -> Result<Option<Layer>, StoreError> {
        let path = self.layer_dir(chain_id).join("layer.json");
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(StoreError::at("read", &path))?,
        };
        let layer: Layer = serde_json::from_slice(&bytes)
            .map_err(|error| StoreError::at("read", &path)(error.into()))?;
        if layer.version != VERSION || layer.chain_id != *chain_id {
            let error = io::Error::new(
                io::ErrorKind::InvalidData,
                "it describes another layer or is of another version",
            );
            return Err(StoreError::at("use", &path)(error));
        }
        Ok(Some(layer))
    }

    /// A layer with all that are below it, topmost first; none if one of them is not there.
    pub(crate) fn chain(&self, top: &Digest) -> Result<Option<Vec<Layer>>, StoreError> {
        let mut chain = Vec::new();
        let mut next = Some(top.clone());
        while let Some(chain_id) = next {
            let Some(layer) = self.layer(&chain_id)? else {
                return Ok(None);
            };
            next = layer.parent.clone();
            chain.push(layer);
        }
        Ok(Some(chain))
    }

    /// Chain IDs of all layers.
    pub(crate) fn layer_ids(&self) -> Result<Vec<Digest>, StoreError> {
        self.digests_in("layers", "")
    }

    /// Digests of all blobs.
    pub(crate) fn blob_digests(&self) -> Result<Vec<Digest>, StoreError> {
        self.digests_in("blobs/sha256", "")
    }

    /// The names in a directory that are hex digits of a digest, without `suffix`.
    pub(crate) fn digests_in(
        &self,
        directory: &str,
        suffix: &str,
    ) -> Result<Vec<Digest>, StoreError> {
        let path = self.root().join(directory);
        let mut found = Vec::new();
        for entry in fs::read_dir(&path).map_err(StoreError::at("list", &path))? {
            let entry = entry.map_err(StoreError::at("list", &path))?;
            let name = entry.file_name();
            let hex = name.to_str().and_then(|name| name.strip_suffix(suffix));
            found.extend(hex.and_then(|hex| Digest::from_hex(hex).ok()));
        }
        found.sort();
        Ok(found)
    }
}

/// Overlay lower directories of a chain that is given topmost first. What is below an opaque root is never seen.
pub(crate) fn lower_dirs<'a>(
    store: &Store,
    chain: impl IntoIterator<Item = &'a Layer>,
) -> Vec<PathBuf> {
    let mut dirs = Vec::new();
    for layer in chain {
        dirs.push(store.diff_dir(&layer.chain_id));
        if layer.opaque_root {
            break;
        }
    }
    dirs
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the OCI image specification cannot be checked by hand; these were computed with sha256sum.
    #[test]
    fn chain_ids_are_digests_of_the_chain_below_and_the_diff() {
        let a = Digest::of(b"a");
        let b = Digest::of(b"b");
        let plans = LayerPlan::of(&[a.clone(), b.clone()]);
        assert_eq!(plans[0].chain_id, a);
        assert_eq!(plans[0].parent, None);
        assert_eq!(plans[1].parent, Some(a.clone()));
        assert_eq!(plans[1].chain_id, Digest::of(format!("{a} {b}").as_bytes()));
    }
}
