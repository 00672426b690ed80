//! The directories on disk: blobs by digest, temporary files, and what makes them durable.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::digest::{Digest, Hasher};
use crate::error::StoreError;

/// Bytes read at once from a stream.
pub(crate) const CHUNK: usize = 64 * 1024;
/// Configurations and manifests are read into memory; real ones are a few KiB (registries refuse manifests above 4 MiB).
pub(crate) const MAX_DOCUMENT: u64 = 8 << 20;

/// Where everything is. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    root: Arc<Path>,
    next_temporary: Arc<AtomicU64>,
}

impl Store {
    /// Makes the directories that are missing and removes what a crash left in `tmp`.
    pub(crate) fn open(root: &Path) -> Result<Self, StoreError> {
        let store = Self {
            root: root.into(),
            next_temporary: Arc::default(),
        };
        remove_dir_if_there(&store.root.join("tmp"))?;
        for directory in ["blobs/sha256", "layers", "records", "tmp"] {
            let path = root.join(directory);
            // Containers' files must not be reachable by users of the host, so the layers are behind 0700.
            let made = fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&path);
            made.map_err(StoreError::at("create", &path))?;
        }
        Ok(store)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs/sha256").join(digest.hex())
    }

    pub(crate) fn has_blob(&self, digest: &Digest) -> bool {
        digest.is_sha256() && self.blob_path(digest).is_file()
    }

    pub(crate) fn open_blob(&self, digest: &Digest) -> Result<File, StoreError> {
        let path = self.blob_path(digest);
        File::open(&path).map_err(StoreError::at("open", &path))
    }

    /// A small blob, whole. Its content is checked again: it decides what runs.
    pub(crate) fn read_document(&self, digest: &Digest) -> Result<Vec<u8>, StoreError> {
        let path = self.blob_path(digest);
        let mut bytes = Vec::new();
        let read = self
            .open_blob(digest)?
            .take(MAX_DOCUMENT)
            .read_to_end(&mut bytes);
        read.map_err(StoreError::at("read", &path))?;
        if Digest::of(&bytes) != *digest {
            let damaged = io::Error::new(
                io::ErrorKind::InvalidData,
                "its content does not have its digest",
            );
            return Err(StoreError::at("use", &path)(damaged));
        }
        Ok(bytes)
    }

    /// Stores a small blob, unless it is there.
    pub(crate) fn write_document(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        if !self.has_blob(&digest) {
            let mut blob = self.new_blob()?;
            blob.write(bytes)?;
            blob.finish()?.adopt(self)?;
        }
        Ok(digest)
    }

    /// A blob to be written.
    pub(crate) fn new_blob(&self) -> Result<BlobWriter, StoreError> {
        let temporary = Temporary {
            path: self.temporary_path("blob"),
        };
        let file = create(&temporary.path)?;
        Ok(BlobWriter {
            file,
            temporary,
            hasher: Hasher::default(),
            size: 0,
        })
    }

    /// A new directory under `tmp`, removed when it is dropped.
    pub(crate) fn temporary_dir(&self, what: &str) -> Result<Temporary, StoreError> {
        let path = self.temporary_path(what);
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(StoreError::at("create", &path))?;
        Ok(Temporary { path })
    }

    /// Moves `path` out of the way at once; it is removed when what this gives is dropped. None if it is not there.
    pub(crate) fn set_aside(&self, path: &Path) -> Result<Option<Temporary>, StoreError> {
        let doomed = Temporary {
            path: self.temporary_path("removed"),
        };
        match fs::rename(path, &doomed.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            moved => moved
                .map(|()| Some(doomed))
                .map_err(StoreError::at("remove", path)),
        }
    }

    /// Returns when all that was written below the root is on disk. One call for a whole image instead of one for each file.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        let synced = File::open(&self.root).and_then(|root| Ok(rustix::fs::syncfs(&root)?));
        synced.map_err(StoreError::at("sync", &self.root))
    }

    /// Replaces the file `path` by `bytes`, durably.
    pub(crate) fn write_durably(&self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        let temporary = Temporary {
            path: self.temporary_path("file"),
        };
        let mut file = create(&temporary.path)?;
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        written.map_err(StoreError::at("write", &temporary.path))?;
        fs::rename(&temporary.path, path).map_err(StoreError::at("write", path))?;
        temporary.forget();
        sync_parent(path)
    }

    /// Removes the file `path`, durably.
    pub(crate) fn remove_durably(&self, path: &Path) -> Result<(), StoreError> {
        match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed.map_err(StoreError::at("remove", path))?,
        }
        sync_parent(path)
    }

    fn temporary_path(&self, what: &str) -> PathBuf {
        let number = self.next_temporary.fetch_add(1, Ordering::Relaxed);
        self.root.join("tmp").join(format!("{what}-{number}"))
    }
}

/// A file or directory that is removed when this is dropped, unless it was moved to its place.
#[derive(Debug)]
pub(crate) struct Temporary {
    path: PathBuf,
}

impl Temporary {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// It was moved away.
    pub(crate) fn forget(mut self) {
        self.path = PathBuf::new();
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if self.path.as_os_str().is_empty() {
            return;
        }
        let removed = match fs::symlink_metadata(&self.path) {
            Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(&self.path),
            Ok(_) => fs::remove_file(&self.path),
            Err(error) => Err(error),
        };
        if let Err(error) = removed
            && error.kind() != io::ErrorKind::NotFound
        {
            // It lies in `tmp`, which the next open empties.
            tracing::warn!(path = %self.path.display(), %error, "a temporary file could not be removed");
        }
    }
}

/// A blob that is being received.
pub(crate) struct BlobWriter {
    file: File,
    temporary: Temporary,
    hasher: Hasher,
    size: u64,
}

impl BlobWriter {
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        self.file
            .write_all(bytes)
            .map_err(StoreError::at("write", &self.temporary.path))
    }

    /// Bytes so far.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// All is written.
    pub(crate) fn finish(self) -> Result<ReceivedBlob, StoreError> {
        self.file
            .sync_data()
            .map_err(StoreError::at("sync", &self.temporary.path))?;
        Ok(ReceivedBlob {
            digest: self.hasher.finish(),
            size: self.size,
            temporary: self.temporary,
        })
    }
}

/// A blob that is on disk, but not yet in its place.
pub(crate) struct ReceivedBlob {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    temporary: Temporary,
}

impl ReceivedBlob {
    pub(crate) fn path(&self) -> &Path {
        self.temporary.path()
    }

    /// Makes it a blob of the store. The caller has checked the digest.
    pub(crate) fn adopt(self, store: &Store) -> Result<Digest, StoreError> {
        let path = store.blob_path(&self.digest);
        fs::rename(self.temporary.path(), &path).map_err(StoreError::at("write", &path))?;
        self.temporary.forget();
        Ok(self.digest)
    }
}

fn create(path: &Path) -> Result<File, StoreError> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    file.map_err(StoreError::at("create", path))
}

fn sync_parent(path: &Path) -> Result<(), StoreError> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    let synced = File::open(parent).and_then(|directory| directory.sync_all());
    synced.map_err(StoreError::at("sync", parent))
}

fn remove_dir_if_there(path: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(StoreError::at("empty", path)),
    }
}
