//! Errors, one enum per operation. Each says in words what was wrong; [`ErrorKind`] is what an HTTP status is made of.
//!
//! They can be cloned, because several callers may wait for one pull.

use std::io;
use std::path::Path;
use std::sync::Arc;

use thiserror::Error;

use crate::digest::Digest;
use crate::reference::ReferenceError;

/// What sort of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// There is no such thing (404).
    NotFound,
    /// The request or its content is wrong (400).
    InvalidArgument,
    /// It cannot be done in the present state (409).
    Conflict,
    /// The registry wants other credentials (401).
    Unauthorized,
    /// The registry cannot be reached or does not answer rightly (500 in Docker; trying again later may help).
    Unavailable,
    /// This host failed (500).
    Internal,
}

/// The content store or the table could not be read or written.
#[derive(Debug, Clone, Error)]
#[error("cannot {doing}: {source}")]
pub struct StoreError {
    doing: String,
    #[source]
    source: Arc<io::Error>,
}

impl StoreError {
    pub(crate) fn new(doing: impl Into<String>, source: io::Error) -> Self {
        Self {
            doing: doing.into(),
            source: Arc::new(source),
        }
    }

    /// For `map_err`: what was being done to which path.
    pub(crate) fn at(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let doing = format!("{doing} {}", path.display());
        move |source| Self::new(doing, source)
    }
}

/// [`crate::Images::open`] failed.
#[derive(Debug, Clone, Error)]
pub enum OpenError {
    /// The store's directory cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An entry of `insecure_registries` is neither a host with an optional port nor a network.
    #[error(
        "insecure registry {0:?} is not valid: write host, host:port or a network such as 10.0.0.0/8"
    )]
    InsecureRegistry(String),
}

/// No image was found by a name or an ID.
#[derive(Debug, Clone, Error)]
pub enum LookupError {
    /// Docker's text; the name has its default tag.
    #[error("No such image: {0}")]
    NotFound(String),
    /// Several IDs begin so.
    #[error("image ID {prefix} is ambiguous ({count} matches found): give more of its digits")]
    Ambiguous {
        /// What was given.
        prefix: String,
        /// How many images it may mean.
        count: usize,
    },
    /// It cannot be a name.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
}

impl LookupError {
    /// For the HTTP status.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::Ambiguous { .. } | Self::Reference(_) => ErrorKind::InvalidArgument,
        }
    }
}

/// What is wrong with the tar of a layer or a root file system.
#[derive(Debug, Clone, Error)]
pub enum LayerError {
    /// It is cut off or damaged.
    #[error("the tar is damaged or cut short: {0}")]
    Corrupt(String),
    /// An entry would be written outside of the root file system.
    #[error("refused: entry {entry:?} tries to leave the root file system: {why}")]
    Escapes {
        /// The entry's name.
        entry: String,
        /// By which means.
        why: String,
    },
    /// An entry cannot be made as it is described.
    #[error("entry {entry:?}: {why}")]
    Entry {
        /// The entry's name.
        entry: String,
        /// What is wrong.
        why: String,
    },
    /// A compression that is not supported.
    #[error("{0} compression is not supported: compress with gzip or zstd, or not at all")]
    Compression(&'static str),
    /// The content is not what its digest says.
    #[error("the content has the digest {got}, but {want} was promised")]
    Digest {
        /// What was promised.
        want: Digest,
        /// What it is.
        got: Digest,
    },
    /// This host could not write it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LayerError {
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Store(_) => ErrorKind::Internal,
            _ => ErrorKind::InvalidArgument,
        }
    }
}

/// What is wrong with the configuration or a manifest of an image.
#[derive(Debug, Clone, Error)]
pub enum FormatError {
    /// It is not the JSON that it should be.
    #[error("{what} cannot be read: {why}")]
    Json {
        /// Which document.
        what: String,
        /// The parser's words.
        why: String,
    },
    /// Configuration and manifest do not agree.
    #[error("the manifest has {manifest} layers, but the configuration has {config}")]
    LayerCount {
        /// Layers in the manifest.
        manifest: usize,
        /// Diff IDs in the configuration.
        config: usize,
    },
    /// More layers than can be mounted.
    #[error("max depth exceeded: the image has {0} layers, at most {max} can be mounted", max = crate::layers::MAX_LAYERS)]
    TooManyLayers(usize),
    /// An image for another operating system.
    #[error("image operating system {0:?} cannot be used on this platform")]
    Os(String),
}

impl FormatError {
    /// A digest that the store cannot hold content of.
    pub(crate) fn digest(what: String, digest: &Digest) -> Self {
        Self::Json {
            what,
            why: format!("digest {digest} is not supported: only sha256 is"),
        }
    }
}

/// [`crate::Images::load`] failed; nothing was changed.
#[derive(Debug, Clone, Error)]
pub enum LoadError {
    /// The stream ended early, is no tar, or could not be received.
    #[error("cannot read the image archive: {0}")]
    Corrupt(String),
    /// A tar, but not of an image.
    #[error(
        "the archive has neither manifest.json nor index.json, so it is no image archive \
         (the tar of a root file system is read by `image import`)"
    )]
    NotAnImage,
    /// The archive names a file that it does not contain.
    #[error("the image archive names {0:?} but does not contain it")]
    Missing(String),
    /// More or larger files than an image archive can have.
    #[error("the image archive has {0}")]
    TooLarge(String),
    /// A name in it is no reference.
    #[error("the image archive has the name {name:?}: {source}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        source: ReferenceError,
    },
    /// A configuration or a manifest is wrong.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// A layer is wrong.
    #[error("layer {layer}: {source}")]
    Layer {
        /// Its path in the archive.
        layer: String,
        /// What is wrong with it.
        source: LayerError,
    },
    /// This host failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LoadError {
    /// For the HTTP status.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Store(_) => ErrorKind::Internal,
            Self::Layer { source, .. } => source.kind(),
            _ => ErrorKind::InvalidArgument,
        }
    }
}

/// [`crate::Images::import`] failed; nothing was changed.
#[derive(Debug, Clone, Error)]
pub enum ImportError {
    /// The stream could not be received.
    #[error("cannot read the tar: {0}")]
    Corrupt(String),
    /// The tar is wrong.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// The name for the image is wrong.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// A name with a digest was given; the digest is what comes out.
    #[error("cannot import digest reference")]
    DigestReference,
    /// `--change` is wrong.
    #[error("change {change:?}: {why}")]
    Change {
        /// The instruction.
        change: String,
        /// What is wrong with it.
        why: String,
    },
    /// This host failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ImportError {
    /// For the HTTP status.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Store(_) => ErrorKind::Internal,
            Self::Layer(source) => source.kind(),
            _ => ErrorKind::InvalidArgument,
        }
    }
}

/// [`crate::Images::save`] failed before its first byte; later failures are errors of the stream.
#[derive(Debug, Clone, Error)]
pub enum SaveError {
    /// A name means no image.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// Nothing was named.
    #[error("no image was named: give at least one name or ID")]
    NoNames,
    /// This host failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SaveError {
    /// For the HTTP status.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Lookup(source) => source.kind(),
            Self::NoNames => ErrorKind::InvalidArgument,
            Self::Store(_) => ErrorKind::Internal,
        }
    }
}

/// [`crate::Images::tag`] failed.
#[derive(Debug, Clone, Error)]
pub enum TagError {
    /// The source means no image.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// The target is no name.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// A digest cannot be given as a name.
    #[error("refusing to create a tag with a digest reference")]
    DigestReference,
    /// This host failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl TagError {
    /// For the HTTP status.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Lookup(source) => source.kind(),
            Self::Reference(_) | Self::DigestReference => ErrorKind::InvalidArgument,
            Self::Store(_) => ErrorKind::Internal,
        }
    }
}

/// [`crate::Images::remove`] failed.
#[derive(Debug, Clone, Error)]
pub enum RemoveError {
    /// The name means no image.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// It is in use; the whole text is Docker's (`conflict: unable to …`).
    #[error("conflict: unable to {0}")]
    Conflict(String),
    /// This host failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RemoveError {
    /// For the HTTP status.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Lookup(source) => source.kind(),
            Self::Conflict(_) => ErrorKind::Conflict,
            Self::Store(_) => ErrorKind::Internal,
        }
    }
}

/// [`crate::Images::pull`] or [`crate::Images::distribution`] failed; nothing was changed.
#[derive(Debug, Clone, Error)]
pub enum PullError {
    /// The name is wrong.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The registry does not have it, or hides it from these credentials.
    #[error("{0}")]
    NotFound(String),
    /// The registry wants other credentials.
    #[error("{0}")]
    Unauthorized(String),
    /// The registry cannot be reached, or its answer cannot be used.
    #[error("{0}")]
    Registry(String),
    /// The platform is not written as `os/arch[/variant]`.
    #[error("{0:?} is not a platform: write os/architecture[/variant], such as linux/amd64")]
    BadPlatform(String),
    /// There is nothing for the platform.
    #[error("{0}")]
    Platform(String),
    /// What came is not what its digest says.
    #[error("{what} verification failed for digest {digest}")]
    Verification {
        /// `manifest`, `image config` or `filesystem layer`.
        what: &'static str,
        /// The digest that was asked for.
        digest: String,
    },
    /// A configuration or a manifest is wrong.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// A layer is wrong.
    #[error("failed to register layer {layer}: {source}")]
    Layer {
        /// The digest of its blob.
        layer: Digest,
        /// What is wrong with it.
        source: LayerError,
    },
    /// The pull was given up because the daemon stops, or it failed in an unforeseen way.
    #[error("the pull was interrupted: {0}")]
    Interrupted(String),
    /// This host failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl PullError {
    /// For the HTTP status.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Reference(_) | Self::BadPlatform(_) => ErrorKind::InvalidArgument,
            Self::NotFound(_) | Self::Platform(_) => ErrorKind::NotFound,
            Self::Unauthorized(_) => ErrorKind::Unauthorized,
            Self::Registry(_)
            | Self::Verification { .. }
            | Self::Format(_)
            | Self::Interrupted(_) => ErrorKind::Unavailable,
            Self::Layer { .. } | Self::Store(_) => ErrorKind::Internal,
        }
    }
}
