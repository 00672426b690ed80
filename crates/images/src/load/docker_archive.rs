//! The format of `docker save`: `manifest.json` names a configuration, layers and tags for each image.
//! (Its older sibling `repositories` alone, without `manifest.json`, is of Docker before 1.10 and refused.)

use serde::Deserialize;

use super::{ArchiveImage, Spool};
use crate::digest::Digest;
use crate::document;
use crate::error::LoadError;
use crate::reference::Reference;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// None if it is no docker-archive.
pub(super) fn read(spool: &Spool) -> Result<Option<Vec<ArchiveImage>>, LoadError> {
    if !spool.has("manifest.json") {
        return Ok(None);
    }
    let items: Vec<Item> = document::parse("manifest.json", &spool.document("manifest.json")?)?;
    items
        .into_iter()
        .map(|item| image(spool, item))
        .collect::<Result<_, _>>()
        .map(Some)
}

fn image(spool: &Spool, item: Item) -> Result<ArchiveImage, LoadError> {
    for path in item.layers.iter().flatten().chain([&item.config]) {
        // Current Docker names blobs by their digests; a configuration of older ones is `<hex>.json`, and a layer is
        // checked by its diff ID.
        let hex = path
            .strip_prefix("blobs/sha256/")
            .or(path.strip_suffix(".json"));
        match hex.and_then(|hex| Digest::from_hex(hex).ok()) {
            Some(digest) => spool.check_digest(path, &digest)?,
            None => drop(spool.get(path)?),
        }
    }
    let mut names = Vec::new();
    for name in item.repo_tags.unwrap_or_default() {
        let invalid = |source| LoadError::Name {
            name: name.clone(),
            source,
        };
        let name = Reference::parse_normalized(&name)
            .map_err(invalid)?
            .or_latest();
        // A digest would be the registry's word, which an archive cannot give.
        names.extend(name.digest().is_none().then_some(name));
    }
    Ok(ArchiveImage {
        config: spool.document(&item.config)?,
        manifests: Vec::new(),
        layers: item.layers.unwrap_or_default(),
        names,
    })
}
