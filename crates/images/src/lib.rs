//! Images: content store, registry client, layers.
//!
//! [`Images`] is the whole API: it loads, saves, imports, pulls, lists, tags and removes images, and hands
//! out the overlay lower directories of an image to the engine ([`Images::rootfs`]).
//!
//! # On disk
//! ```text
//! <dir>/blobs/sha256/<hex>          configs, manifests and layers, byte for byte as they came; the name is the digest
//! <dir>/layers/<chain id hex>/diff  an unpacked layer, usable as an overlayfs lower directory
//! <dir>/layers/<chain id hex>/layer.json   what it is: chain id, diff id, parent, blob, sizes
//! <dir>/records/<image id hex>.json what else is known of an image: its names, its manifests, when it was tagged
//! <dir>/tmp/                        work in progress, emptied at open
//! ```
//! A name appears under `blobs`, `layers` and `records` by rename only, after its content is on disk, so
//! everything found there is complete. An image is acknowledged after its record and its row in the [`Table`] are on disk.
//!
//! # The table and what it is rebuilt from
//! The [`Table`] holds one row per image with the same JSON as its record file, and a marker row. When the marker is not
//! there (a new or a lost table), or a row cannot be read, [`Images::open`] rebuilds it from `records/`.
#![forbid(unsafe_code)]

mod auth;
mod catalog;
mod compression;
mod config;
mod digest;
mod document;
mod error;
mod holds;
mod import;
mod layers;
mod load;
mod progress;
mod pull;
mod record;
pub mod reference;
mod save;
mod store;
mod table;
mod tarball;
mod timestamp;
mod types;
mod unpack;

pub use auth::AuthError;
pub use catalog::Images;
pub use config::{ImageConfig, StringSet};
pub use digest::{Digest, DigestError};
pub use error::{
    ErrorKind, FormatError, ImportError, LayerError, LoadError, LookupError, OpenError, PullError,
    RemoveError, SaveError, StoreError, TagError,
};
pub use progress::{Progress, ProgressMessage};
pub use record::{HistoryEntry, ImageId, ImageRecord};
pub use reference::{Reference, ReferenceError};
pub use save::SaveStream;
pub use table::{MemoryTable, Row, Table};
pub use types::{
    Auth, Collected, Config, ContainerUse, Distribution, LayerHold, Loaded, Platform, Pulled,
    Removed, RootfsLayers,
};
