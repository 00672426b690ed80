//! The OCI image layout: `index.json` names manifests by digest, blobs are in `blobs/<algorithm>/<hex>`.

use super::{ArchiveImage, Spool};
use crate::document::{Descriptor, Manifest};
use crate::error::{FormatError, LoadError};
use crate::pull::platform;
use crate::reference::Reference;

/// The name in full, as containerd, nerdctl and Docker write it.
const CONTAINERD_NAME: &str = "io.containerd.image.name";
/// A tag or a name, as everybody writes it.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Indexes within indexes: one level is what tools write.
const MAX_DEPTH: usize = 3;

/// None if it is no OCI layout.
pub(super) fn read(spool: &Spool) -> Result<Option<Vec<ArchiveImage>>, LoadError> {
    if !spool.has("index.json") {
        return Ok(None);
    }
    let bytes = spool.document("index.json")?;
    let (Manifest::List(entries), _) = Manifest::parse(&bytes)? else {
        let why = "it is no list of manifests".to_owned();
        return Err(FormatError::Json {
            what: "index.json".to_owned(),
            why,
        }
        .into());
    };
    let mut images: Vec<ArchiveImage> = Vec::new();
    for entry in &entries {
        let found = image(spool, entry, Vec::new())?;
        // Each further name of an image has an entry of its own.
        match images.iter_mut().find(|image| image.config == found.config) {
            Some(image) => image.names.extend(found.names),
            None => images.push(found),
        }
    }
    Ok(Some(images))
}

fn image(
    spool: &Spool,
    entry: &Descriptor,
    mut manifests: Vec<Vec<u8>>,
) -> Result<ArchiveImage, LoadError> {
    let bytes = spool.document(&checked(spool, entry)?)?;
    let (manifest, _) = Manifest::parse(&bytes)?;
    manifests.push(bytes);
    let (config, layers) = match manifest {
        Manifest::Image { config, layers } => (config, layers),
        Manifest::List(list) => {
            let host = platform::Wanted::host();
            let chosen = host.choose(&list).filter(|_| manifests.len() < MAX_DEPTH);
            let chosen = chosen.ok_or_else(|| FormatError::Json {
                what: format!("the index {}", entry.digest),
                why: format!("it has no manifest for {host}"),
            })?;
            let found = image(spool, chosen, manifests)?;
            return Ok(ArchiveImage {
                names: names(entry),
                ..found
            });
        }
    };
    let config = spool.document(&checked(spool, &config)?)?;
    let layers = layers
        .iter()
        .map(|layer| checked(spool, layer))
        .collect::<Result<_, _>>()?;
    Ok(ArchiveImage {
        config,
        manifests,
        layers,
        names: names(entry),
    })
}

/// The path of a blob whose digest was checked.
fn checked(spool: &Spool, descriptor: &Descriptor) -> Result<String, LoadError> {
    let digest = &descriptor.digest;
    let path = format!("blobs/sha256/{}", digest.hex());
    spool.check_digest(&path, digest)?;
    Ok(path)
}

/// A bare tag (`latest`) is no name: many tools write nothing else, and the repository is not known then.
fn names(entry: &Descriptor) -> Vec<Reference> {
    let full = entry.annotations.get(CONTAINERD_NAME);
    let name = full.or_else(|| {
        entry
            .annotations
            .get(REF_NAME)
            .filter(|name| name.contains(['/', ':']))
    });
    let name = name
        .and_then(|name| Reference::parse_normalized(name).ok())
        .map(Reference::or_latest);
    name.into_iter()
        .filter(|name| name.digest().is_none())
        .collect()
}
