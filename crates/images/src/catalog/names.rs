//! Giving names to images, and recording new ones.

use std::collections::BTreeSet;

use super::state::Stored;
use super::{Images, Inner};
use crate::digest::Digest;
use crate::error::{StoreError, TagError};
use crate::record::ImageId;
use crate::reference::Reference;
use crate::timestamp;

/// What is recorded of an image: a new one, or more of one that is there.
#[derive(Debug, Clone)]
pub(crate) struct Naming {
    pub(crate) id: ImageId,
    /// Its manifests' blobs.
    pub(crate) manifests: Vec<Digest>,
    /// Names with a tag or a digest.
    pub(crate) names: Vec<Reference>,
}

impl Images {
    /// Gives the image `source` the further name `target`; another image loses it. Blocks for a disk sync.
    pub fn tag(&self, source: &str, target: &str) -> Result<ImageId, TagError> {
        let id = self.inspect(source)?.id.clone();
        let target = Reference::parse_normalized(target)?.or_latest();
        if target.digest().is_some() {
            return Err(TagError::DigestReference);
        }
        let naming = Naming {
            id: id.clone(),
            manifests: Vec::new(),
            names: vec![target],
        };
        self.inner.record(&[naming], RecordOnly::Known)?;
        Ok(id)
    }
}

/// Whether an image may be new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordOnly {
    /// It was removed meanwhile if it is not there.
    Known,
    /// New ones are made; their blobs and layers are in place and on disk.
    Any,
}

impl Inner {
    /// Records images and their names, all or nothing. Names that meant other images mean these from now on; tells which
    /// image each such name meant before. An image listed twice gets the names of both.
    pub(crate) fn record(
        &self,
        namings: &[Naming],
        only: RecordOnly,
    ) -> Result<Vec<(Reference, ImageId)>, StoreError> {
        let write = self.lock_writes();
        let now = timestamp::now();
        let mut puts: Vec<Stored> = Vec::new();
        let mut moved = Vec::new();
        for naming in namings {
            let known = puts.iter().position(|put| put.id == naming.id);
            let at = match known {
                Some(at) => at,
                None => {
                    let stored = self
                        .state()
                        .get(&naming.id)
                        .map(|known| known.stored.clone());
                    if stored.is_none() && only == RecordOnly::Known {
                        let gone = std::io::Error::new(
                            std::io::ErrorKind::NotFound,
                            "it was removed meanwhile",
                        );
                        return Err(StoreError::new(
                            format!("name the image {}", naming.id),
                            gone,
                        ));
                    }
                    puts.push(stored.unwrap_or_else(|| Stored::new(naming.id.clone())));
                    puts.len() - 1
                }
            };
            puts[at].add(naming, now);
        }
        self.take_names_from_others(namings, &mut puts, &mut moved);
        self.commit(&write, puts, &[])?;
        Ok(moved)
    }

    fn take_names_from_others(
        &self,
        namings: &[Naming],
        puts: &mut Vec<Stored>,
        moved: &mut Vec<(Reference, ImageId)>,
    ) {
        let state = self.state();
        for naming in namings {
            for name in &naming.names {
                for put in puts.iter_mut().filter(|put| put.id != naming.id) {
                    put.forget(name);
                }
                let Some(owner) = state
                    .named(name)
                    .filter(|owner| owner.stored.id != naming.id)
                else {
                    continue;
                };
                let id = &owner.stored.id;
                moved.push((name.clone(), id.clone()));
                if !puts.iter().any(|put| put.id == *id) {
                    let mut loser = owner.stored.clone();
                    loser.forget(name);
                    puts.push(loser);
                }
            }
        }
    }
}

impl Stored {
    fn add(&mut self, naming: &Naming, now: i64) {
        self.manifests.extend(naming.manifests.iter().cloned());
        let (digests, tags): (BTreeSet<_>, BTreeSet<_>) = naming
            .names
            .iter()
            .cloned()
            .partition(|name| name.digest().is_some());
        if !tags.is_empty() {
            self.last_tagged = Some(now);
        }
        self.tags.extend(tags);
        self.digests.extend(digests);
    }
}
