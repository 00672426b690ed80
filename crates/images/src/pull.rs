//! `image pull`: from a registry, by tag or by digest.

mod insecure;
pub(crate) mod platform;
mod registry;
mod shared;
mod transfer;

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::catalog::{Images, Inner, Naming, RecordOnly};
use crate::digest::Digest;
use crate::document::{ConfigDocument, Descriptor, FetchedManifest, Manifest};
use crate::error::{FormatError, OpenError, PullError};
use crate::layers::LayerPlan;
use crate::progress::Progress;
use crate::record::ImageId;
use crate::reference::Reference;
use crate::types::{Auth, Config, Distribution, Platform, Pulled};
use insecure::Insecure;
use platform::Wanted;
use registry::Registry;

/// Layers that are fetched at the same time, by all pulls of this host together: dockerd's default `max-concurrent-downloads`.
const MAX_CONCURRENT_DOWNLOADS: usize = 3;

/// What pulls share.
pub(crate) struct Puller {
    insecure: Insecure,
    downloads: Semaphore,
    /// Pulls under way.
    flights: shared::Flights,
    /// Blobs under way.
    blobs: transfer::BlobLocks,
}

impl Puller {
    pub(crate) fn new(config: &Config) -> Result<Self, OpenError> {
        install_crypto();
        Ok(Self {
            insecure: Insecure::parse(&config.insecure_registries)?,
            downloads: Semaphore::new(MAX_CONCURRENT_DOWNLOADS),
            flights: shared::Flights::default(),
            blobs: transfer::BlobLocks::default(),
        })
    }
}

/// The HTTP client takes the process's cryptography; the daemon may have installed it already.
fn install_crypto() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // An error means that another thread was faster.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

/// What pulls are the same: they share one download.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Request {
    reference: Reference,
    auth: Option<Auth>,
    platform: Option<Wanted>,
}

impl Images {
    /// Fetches an image by tag or digest for `platform` (none: this host's). Everyone who asks for the same at the same time
    /// shares one download; it is given up when the last of them is gone. A tag beside a digest is not given to the image.
    pub async fn pull(
        &self,
        reference: &str,
        auth: Option<Auth>,
        platform: Option<&str>,
        progress: Progress,
    ) -> Result<Pulled, PullError> {
        let reference = parse(reference)?;
        let platform = platform
            .filter(|text| !text.is_empty())
            .map(Wanted::parse)
            .transpose()?;
        let request = Request {
            reference,
            auth,
            platform,
        };
        let inner = self.inner.clone();
        let flights = &self.inner.puller.flights;
        flights
            .join(request.clone(), progress, |progress| async move {
                run(inner, request, progress).await
            })
            .await
    }

    /// What the registry has under this name. Fetches no layers.
    pub async fn distribution(
        &self,
        reference: &str,
        auth: Option<Auth>,
    ) -> Result<Distribution, PullError> {
        let reference = parse(reference)?;
        let registry =
            Registry::connect(&reference, auth.as_ref(), &self.inner.puller.insecure).await?;
        let fetched = registry.manifest(None).await?;
        let platforms = match &fetched.manifest {
            Manifest::List(list) => list.iter().map(Platform::of).collect(),
            Manifest::Image { config, .. } => {
                let document =
                    ConfigDocument::parse_any_os(&registry.document(config, CONFIG).await?)?;
                vec![Platform {
                    architecture: document.architecture,
                    os: document.os,
                    variant: document.variant,
                    os_version: document.os_version,
                }]
            }
        };
        Ok(Distribution {
            media_type: fetched.media_type,
            digest: fetched.digest,
            size: fetched.bytes.len() as u64,
            platforms,
        })
    }
}

fn parse(reference: &str) -> Result<Reference, PullError> {
    let reference = Reference::parse_normalized(reference)?.or_latest();
    match reference.digest() {
        Some(digest) if !digest.is_sha256() => Err(FormatError::digest(
            format!("the reference {}", reference.familiar_name()),
            digest,
        )
        .into()),
        _ => Ok(reference),
    }
}

/// What is verified, in Docker's words.
const CONFIG: &str = "image config";

/// A manifest of one image, and how it was found.
struct Resolved {
    /// The manifest or list that the reference names.
    top: Digest,
    /// All manifests on the way, as documents.
    manifests: Vec<Vec<u8>>,
    config: Descriptor,
    layers: Vec<Descriptor>,
}

async fn run(inner: Arc<Inner>, request: Request, progress: Progress) -> Result<Pulled, PullError> {
    let Request {
        reference,
        auth,
        platform,
    } = request;
    let registry = Registry::connect(&reference, auth.as_ref(), &inner.puller.insecure).await?;
    let top = registry.manifest(None).await?;
    let version = reference
        .digest()
        .map_or_else(|| reference.tag().unwrap_or_default(), Digest::as_str);
    progress.status(version, format!("Pulling from {}", reference.path()));
    let resolved = resolve(&registry, top, &reference, platform.as_ref()).await?;
    let id = ImageId(resolved.config.digest.clone());
    let config = registry.document(&resolved.config, CONFIG).await?;
    let document = ConfigDocument::parse(&config)?;
    document.check_layer_count(resolved.layers.len())?;
    check_platform(&document, &reference, platform.as_ref())?;

    let plans = LayerPlan::of(document.diff_ids());
    let fetched = transfer::layers(&inner, &registry, &resolved.layers, &plans, &progress).await?;
    let documents = [resolved.manifests.clone(), vec![config]].concat();
    let name = reference.digest().map_or(reference.clone(), |digest| {
        reference.with_digest(digest.clone())
    });
    let newer = inner
        .state()
        .named(&name)
        .is_none_or(|known| known.stored.id != id);
    let naming = Naming {
        id: id.clone(),
        manifests: resolved
            .manifests
            .iter()
            .map(|manifest| Digest::of(manifest))
            .collect(),
        names: vec![name.clone(), reference.with_digest(resolved.top.clone())],
    };
    let work = tokio::task::spawn_blocking(move || {
        let _holds = fetched.publish(&inner, &documents)?;
        inner.record(&[naming], RecordOnly::Any)?;
        Ok(())
    });
    work.await
        .unwrap_or_else(|error| Err(PullError::Interrupted(error.to_string())))?;
    progress.line(format!("Digest: {}", resolved.top));
    let status = if newer {
        "Downloaded newer image for"
    } else {
        "Image is up to date for"
    };
    progress.line(format!("Status: {status} {}", name.familiar()));
    Ok(Pulled {
        id,
        digest: resolved.top,
        newer,
    })
}

async fn resolve(
    registry: &Registry,
    top: FetchedManifest,
    reference: &Reference,
    platform: Option<&Wanted>,
) -> Result<Resolved, PullError> {
    let list = match top.manifest {
        Manifest::Image { config, layers } => {
            return Ok(Resolved {
                top: top.digest,
                manifests: vec![top.bytes],
                config,
                layers,
            });
        }
        Manifest::List(list) => list,
    };
    let wanted = platform.cloned().unwrap_or_else(Wanted::host);
    let none = || {
        PullError::Platform(format!(
            "no matching manifest for {wanted} in the manifest list entries"
        ))
    };
    let chosen = wanted.choose(&list).ok_or_else(none)?;
    let found = registry.manifest(Some(&chosen.digest)).await?;
    let Manifest::Image { config, layers } = found.manifest else {
        let text = format!(
            "the manifest list of {} names another list",
            reference.familiar()
        );
        return Err(PullError::Registry(text));
    };
    Ok(Resolved {
        top: top.digest,
        manifests: vec![top.bytes, found.bytes],
        config,
        layers,
    })
}

/// A single manifest is taken as it is, unless a platform was asked for.
fn check_platform(
    document: &ConfigDocument,
    reference: &Reference,
    platform: Option<&Wanted>,
) -> Result<(), PullError> {
    let Some(wanted) = platform else {
        return Ok(());
    };
    let os = if document.os.is_empty() {
        "linux"
    } else {
        &document.os
    };
    if wanted.accepts(os, &document.architecture, &document.variant) {
        return Ok(());
    }
    let actual = format!("{os}/{}", document.architecture);
    Err(PullError::Platform(format!(
        "image with reference {} was found but does not match the specified platform: wanted {wanted}, actual: {actual}",
        reference.familiar()
    )))
}
