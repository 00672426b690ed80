//! The JSON documents of images: configurations and manifests, of Docker (schema 2) and of OCI.

use serde::{Deserialize, Deserializer};

use crate::config::ImageConfig;
use crate::digest::Digest;
use crate::error::FormatError;
use crate::layers::MAX_LAYERS;
use crate::record::HistoryEntry;

/// Media types, in the order in which a registry is asked for them.
pub(crate) const MANIFEST_TYPES: [&str; 4] =
    [OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST];
pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// The configuration of an image, whose digest is the image's ID.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ConfigDocument {
    pub(crate) created: Option<String>,
    #[serde(deserialize_with = "null_is_empty")]
    pub(crate) author: String,
    #[serde(deserialize_with = "null_is_empty")]
    pub(crate) comment: String,
    #[serde(deserialize_with = "null_is_empty")]
    pub(crate) docker_version: String,
    #[serde(deserialize_with = "null_is_empty")]
    pub(crate) architecture: String,
    #[serde(deserialize_with = "null_is_empty")]
    pub(crate) variant: String,
    #[serde(deserialize_with = "null_is_empty")]
    pub(crate) os: String,
    #[serde(rename = "os.version", deserialize_with = "null_is_empty")]
    pub(crate) os_version: String,
    #[serde(deserialize_with = "null_is_empty")]
    pub(crate) parent: String,
    pub(crate) config: Option<ImageConfig>,
    pub(crate) rootfs: RootFs,
    pub(crate) history: Option<Vec<HistoryEntry>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RootFs {
    pub(crate) diff_ids: Option<Vec<Digest>>,
}

impl ConfigDocument {
    /// A configuration whose image can run here, as far as it tells.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let config = Self::parse_any_os(bytes)?;
        let count = config.diff_ids().len();
        if count > MAX_LAYERS {
            return Err(FormatError::TooManyLayers(count));
        }
        if !matches!(config.os.as_str(), "" | "linux") {
            return Err(FormatError::Os(config.os));
        }
        if config.diff_ids().iter().any(|diff_id| !diff_id.is_sha256()) {
            let why = "its diff IDs are not sha256 digests".to_owned();
            return Err(FormatError::Json {
                what: "the image configuration".to_owned(),
                why,
            });
        }
        Ok(config)
    }

    pub(crate) fn parse_any_os(bytes: &[u8]) -> Result<Self, FormatError> {
        parse("the image configuration", bytes)
    }

    /// Diff IDs of the layers, lowest first.
    pub(crate) fn diff_ids(&self) -> &[Digest] {
        self.rootfs.diff_ids.as_deref().unwrap_or_default()
    }

    /// Checks that a manifest (or an archive) has as many layers.
    pub(crate) fn check_layer_count(&self, manifest: usize) -> Result<(), FormatError> {
        let config = self.diff_ids().len();
        if manifest == config {
            Ok(())
        } else {
            Err(FormatError::LayerCount { manifest, config })
        }
    }
}

/// A reference to a blob.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    #[serde(default)]
    pub(crate) platform: Option<PlatformDocument>,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub(crate) annotations: std::collections::BTreeMap<String, String>,
}

/// The platform of an entry of a manifest list.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PlatformDocument {
    pub(crate) architecture: String,
    pub(crate) os: String,
    pub(crate) variant: String,
    #[serde(rename = "os.version")]
    pub(crate) os_version: String,
}

/// A manifest of one image, or a list of manifests.
#[derive(Debug, Clone)]
pub(crate) enum Manifest {
    Image {
        config: Descriptor,
        layers: Vec<Descriptor>,
    },
    List(Vec<Descriptor>),
}

/// A manifest as it came, with what it is.
pub(crate) struct FetchedManifest {
    pub(crate) manifest: Manifest,
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawManifest {
    schema_version: u32,
    #[serde(default)]
    media_type: String,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
}

impl Manifest {
    /// Reads a manifest and tells its media type. OCI documents need not name theirs: it follows from what they have.
    pub(crate) fn parse(bytes: &[u8]) -> Result<(Self, String), FormatError> {
        let raw: RawManifest = parse("the manifest", bytes)?;
        let refuse = |why: String| FormatError::Json {
            what: "the manifest".to_owned(),
            why,
        };
        if raw.schema_version != 2 {
            let why = format!(
                "schema version {} is not supported: push the image again with a newer tool",
                raw.schema_version
            );
            return Err(refuse(why));
        }
        let (manifest, implied) = match (raw.config, raw.layers, raw.manifests) {
            (Some(config), Some(layers), None) => (Self::Image { config, layers }, OCI_MANIFEST),
            (None, None, Some(list)) => (Self::List(list), OCI_INDEX),
            _ => {
                return Err(refuse(
                    "it is neither the manifest of an image nor a list of them".to_owned(),
                ));
            }
        };
        let media_type = if raw.media_type.is_empty() {
            implied.to_owned()
        } else {
            raw.media_type
        };
        if let Self::Image { config, layers } = &manifest {
            check_types(config, layers)?;
        }
        Ok((manifest, media_type))
    }
}

/// Refuses what is no image (Helm charts and other artifacts), and layers that cannot be fetched or read.
fn check_types(config: &Descriptor, layers: &[Descriptor]) -> Result<(), FormatError> {
    let unsupported = |media_type: &str| FormatError::Json {
        what: "the manifest".to_owned(),
        why: format!("unsupported media type {media_type}: it is not a container image"),
    };
    if !matches!(
        config.media_type.as_str(),
        OCI_CONFIG | DOCKER_CONFIG | "" | "application/octet-stream"
    ) {
        return Err(unsupported(&config.media_type));
    }
    for layer in layers {
        let known = layer.media_type.contains(".tar") || layer.media_type.is_empty();
        if !known || layer.media_type.ends_with("+encrypted") {
            return Err(unsupported(&layer.media_type));
        }
    }
    let foreign = std::iter::once(config)
        .chain(layers)
        .find(|descriptor| !descriptor.digest.is_sha256());
    match foreign {
        Some(descriptor) => Err(FormatError::digest(
            "the manifest".to_owned(),
            &descriptor.digest,
        )),
        None => Ok(()),
    }
}

/// Reads JSON, with the name of the document in the error.
pub(crate) fn parse<'a, T: Deserialize<'a>>(what: &str, bytes: &'a [u8]) -> Result<T, FormatError> {
    serde_json::from_slice(bytes).map_err(|error| FormatError::Json {
        what: what.to_owned(),
        why: error.to_string(),
    })
}

fn null_is_empty<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}
