//! The files of an archive, on disk.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

use crate::compression::{self, Unsupported};
use crate::digest::Digest;
use crate::error::LoadError;
use crate::store::{CHUNK, MAX_DOCUMENT, ReceivedBlob, Store};
use crate::tarball::{Entry, EntryKind, TarReader};

/// The most files of an archive: some hundreds of images with the most layers each.
const MAX_FILES: usize = 65_536;
/// The most links that are followed from one name to a file. Old archives have one from layer to layer.
const MAX_LINKS: usize = 8;

/// The files of an archive by their paths.
pub(super) struct Spool {
    files: BTreeMap<String, ReceivedBlob>,
    links: BTreeMap<String, String>,
}

impl Spool {
    /// Reads an archive to its end.
    pub(super) fn read(store: &Store, tar: impl Read) -> Result<Self, LoadError> {
        let tar = match compression::decompress(tar).map_err(corrupt)? {
            Ok(tar) => tar,
            Err(Unsupported(name)) => {
                return Err(LoadError::Corrupt(format!(
                    "{name} compression is not supported: use gzip or none"
                )));
            }
        };
        let was_plain = tar.is_plain();
        let mut spool = Self {
            files: BTreeMap::new(),
            links: BTreeMap::new(),
        };
        let mut tar = TarReader::new(tar);
        while let Some(entry) = tar
            .next_entry()
            .map_err(|error| not_a_tar(error, was_plain))?
        {
            spool.add(store, &entry, &mut tar)?;
        }
        // Reads a compressed archive's checksum, and the rest of the request.
        io::copy(&mut tar.into_inner(), &mut io::sink()).map_err(corrupt)?;
        Ok(spool)
    }

    fn add(&mut self, store: &Store, entry: &Entry, data: &mut impl Read) -> Result<(), LoadError> {
        let Some(path) = clean(&entry.display_name()) else {
            return Err(LoadError::Corrupt(format!(
                "the name {:?} leads out of it",
                entry.display_name()
            )));
        };
        if self.files.len() + self.links.len() >= MAX_FILES {
            return Err(LoadError::TooLarge(format!("more than {MAX_FILES} files")));
        }
        let link = String::from_utf8_lossy(&entry.link).into_owned();
        match entry.kind {
            EntryKind::File => {
                let mut blob = store.new_blob()?;
                let mut buffer = vec![0; CHUNK];
                loop {
                    match data.read(&mut buffer).map_err(corrupt)? {
                        0 => break,
                        count => blob.write(&buffer[..count])?,
                    }
                }
                self.files.insert(path, blob.finish()?);
            }
            EntryKind::Symlink => {
                let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
                let target = clean(&format!("{directory}/{link}"));
                self.links.extend(target.map(|target| (path, target)));
            }
            EntryKind::HardLink => self.links.extend(clean(&link).map(|target| (path, target))),
            _ => {}
        }
        Ok(())
    }

    /// The file of this path.
    pub(super) fn get(&self, path: &str) -> Result<&ReceivedBlob, LoadError> {
        let found = self.resolve(path).and_then(|path| self.files.get(&path));
        found.ok_or_else(|| LoadError::Missing(path.to_owned()))
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.get(path).is_ok()
    }

    /// A small file, whole.
    pub(super) fn document(&self, path: &str) -> Result<Vec<u8>, LoadError> {
        let file = self.get(path)?;
        if file.size > MAX_DOCUMENT {
            return Err(LoadError::TooLarge(format!("a {path} of more than 8 MiB")));
        }
        Ok(
            std::fs::read(file.path())
                .map_err(crate::error::StoreError::at("read", file.path()))?,
        )
    }

    /// Makes the file a blob of the store. Other paths of the same content may have done so already.
    pub(super) fn adopt(&mut self, path: &str, store: &Store) -> Result<(), LoadError> {
        let file = self.resolve(path).and_then(|path| self.files.remove(&path));
        if let Some(file) = file {
            file.adopt(store)?;
        }
        Ok(())
    }

    /// Digests of all files in `blobs/` must be what they are named by; this checks one.
    pub(super) fn check_digest(&self, path: &str, want: &Digest) -> Result<(), LoadError> {
        let got = &self.get(path)?.digest;
        if got == want {
            return Ok(());
        }
        let source = crate::error::LayerError::Digest {
            want: want.clone(),
            got: got.clone(),
        };
        Err(LoadError::Layer {
            layer: path.to_owned(),
            source,
        })
    }

    fn resolve(&self, path: &str) -> Option<String> {
        let mut path = clean(path)?;
        for _ in 0..MAX_LINKS {
            match self.links.get(&path) {
                Some(target) if !self.files.contains_key(&path) => path.clone_from(target),
                _ => break,
            }
        }
        Some(path)
    }
}

fn clean(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in Path::new(path).components() {
        match part {
            std::path::Component::Normal(part) => parts.push(part.to_str()?),
            std::path::Component::ParentDir => drop(parts.pop()?),
            _ => {}
        }
    }
    Some(parts.join("/"))
}

fn corrupt(error: io::Error) -> LoadError {
    LoadError::Corrupt(error.to_string())
}

fn not_a_tar(error: io::Error, was_plain: bool) -> LoadError {
    if was_plain && error.kind() == io::ErrorKind::InvalidData {
        return LoadError::Corrupt(format!(
            "{error}; is it a tar, written by `docker save` or similar?"
        ));
    }
    corrupt(error)
}
