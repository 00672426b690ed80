//! The one sled database of a daemon: its trees are handed down behind small traits.
//!
//! sled's own flush does not reach the disk (it ends in `sync_file_range`), so every acknowledged write is followed
//! by a sync of the database's file; callers that come while one is under way share the next. Each value carries a
//! checksum. What is in here can be rebuilt, see [`crate::daemon`]: a database that cannot be opened is set aside with a
//! word to the operator.
//!
//! After its first failed write, as on a full disk, sled answers every other one with that error for as long as it is
//! open. So the database is opened anew then, and what was not yet on disk is written again.

use anyhow::{Context, bail};
use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long a database may still be held by who has just closed it, or by a daemon that was killed and that the kernel
/// is still taking down: milliseconds on an idle machine.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
/// How often it is tried meanwhile.
const LOCK_POLL: Duration = Duration::from_millis(5);
/// sled's data file in its directory, which it locks.
const FILE: &str = "db";
/// sled's page cache. The trees hold small records that the daemon keeps in memory anyway.
const CACHE_BYTES: u64 = 4 << 20;

/// An open database. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Database(Arc<Inner>);

struct Inner {
    dir: PathBuf,
    /// None while it could not be opened again.
    opened: RwLock<Option<Opened>>,
    /// What may not be on disk yet. Held during a write, so that the newest value of a key is here and in sled.
    unsynced: Mutex<Unsynced>,
    /// Writers take a ticket when they want their writes on disk.
    tickets: AtomicU64,
    /// Every ticket up to this one is served. The lock is held during a sync, so that those who come meanwhile share one.
    served: Mutex<u64>,
}

/// The tree and the key of a row.
type RowKey = (Arc<str>, Vec<u8>);
/// Which write it was, and the value; none when the row was removed.
type RowWrite = (u64, Option<Vec<u8>>);

/// Writes that may be lost when the database has to be opened again.
#[derive(Default)]
struct Unsynced {
    /// By tree and key: the number of the write, and the value; none for a row that goes.
    rows: BTreeMap<RowKey, RowWrite>,
    /// Number of the last write.
    last: u64,
}

struct Opened {
    db: sled::Db,
    /// sled's data file, for our own syncs.
    file: File,
}

impl Opened {
    fn write(&self, tree: &str, key: &[u8], sealed: Option<&[u8]>) -> io::Result<()> {
        let tree = self.db.open_tree(tree).map_err(io::Error::from)?;
        match sealed {
            Some(sealed) => tree.insert(key, sealed),
            None => tree.remove(key),
        }?;
        Ok(())
    }
}

impl Database {
    /// Opens the database in `dir`, or sets a damaged one aside and begins anew.
    pub(crate) fn open(dir: &Path) -> anyhow::Result<Database> {
        // One that is in use is not damaged: it must not be set aside.
        wait_until_free(dir)?;
        let opened = match open(dir) {
            Ok(opened) => Ok(opened),
            // It is whole, and would be lost.
            Err(error) if is_disk_full(&error) => Err(error),
            Err(error) if dir.exists() => {
                let aside = set_aside(dir)?;
                tracing::error!(
                    error = format!("{error:#}"),
                    "the database {} cannot be opened; it is kept as {} and rebuilt from what is on disk and from the managers",
                    dir.display(),
                    aside.display()
                );
                open(dir)
            }
            Err(error) => Err(error),
        };
        Ok(Database(Arc::new(Inner {
            dir: dir.to_owned(),
            opened: RwLock::new(Some(opened?)),
            unsynced: Mutex::default(),
            tickets: AtomicU64::new(0),
            served: Mutex::new(0),
        })))
    }

    /// A tree of it.
    pub(crate) fn tree(&self, name: &str) -> anyhow::Result<Tree> {
        self.with(|opened| Ok(opened.db.open_tree(name)?))
            .with_context(|| format!("cannot open the tree {name}"))?;
        Ok(Tree {
            name: name.into(),
            database: self.clone(),
        })
    }

    /// Uses the database as it is open now.
    fn with<T>(&self, work: impl FnOnce(&Opened) -> io::Result<T>) -> io::Result<T> {
        let opened = self.0.opened.read().unwrap_or_else(PoisonError::into_inner);
        match &*opened {
            Some(opened) => work(opened),
            None => Err(io::Error::other("the database could not be opened again")),
        }
    }

    /// Writes a row, or removes it; [`Database::sync`] makes it durable, also when this fails.
    fn write(&self, tree: &Arc<str>, key: &[u8], sealed: Option<Vec<u8>>) -> io::Result<()> {
        let mut unsynced = self.unsynced();
        unsynced.last += 1;
        let row = (tree.clone(), key.to_vec());
        let entry = (unsynced.last, sealed.clone());
        unsynced.rows.insert(row, entry);
        let done = self.with(|opened| opened.write(tree, key, sealed.as_deref()));
        done.or_else(|error| self.open_again(&unsynced, error))
    }

    fn unsynced(&self) -> MutexGuard<'_, Unsynced> {
        let unsynced = self.0.unsynced.lock();
        unsynced.unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when everything that was written before is on disk.
    fn sync(&self) -> io::Result<()> {
        let ticket = self.0.tickets.fetch_add(1, Ordering::SeqCst) + 1;
        let mut served = self.0.served.lock().unwrap_or_else(PoisonError::into_inner);
        if *served >= ticket {
            return Ok(());
        }
        let upto = self.0.tickets.load(Ordering::SeqCst);
        let last = self.unsynced().last;
        let flush = |opened: &Opened| {
            opened.db.flush()?;
            opened.file.sync_data()
        };
        if let Err(error) = self.with(flush) {
            self.open_again(&self.unsynced(), error)?;
            self.with(flush)?;
        }
        self.unsynced().rows.retain(|_, (write, _)| *write > last);
        *served = upto;
        Ok(())
    }

    /// Opens the database anew after an error and writes what may have been lost. When that fails, nothing can be used
    /// until a later write succeeds with it.
    fn open_again(&self, unsynced: &Unsynced, error: io::Error) -> io::Result<()> {
        tracing::warn!(%error, "the database is opened anew after an error");
        let opened = self.0.opened.write();
        let mut opened = opened.unwrap_or_else(PoisonError::into_inner);
        // Closing comes first: sled locks its file.
        *opened = None;
        let reopen = || {
            wait_until_free(&self.0.dir)?;
            let fresh = open(&self.0.dir)?;
            for ((tree, key), (_, sealed)) in &unsynced.rows {
                fresh.write(tree, key, sealed.as_deref())?;
            }
            anyhow::Ok(fresh)
        };
        let fresh = reopen().map_err(|error| io::Error::other(format!("{error:#}")))?;
        *opened = Some(fresh);
        Ok(())
    }
}

/// Nothing can be written, which says nothing against what is there.
fn is_disk_full(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = match cause.downcast_ref::<sled::Error>() {
            Some(sled::Error::Io(io)) => Some(io),
            _ => cause.downcast_ref::<io::Error>(),
        };
        let kind = io.map(io::Error::kind);
        matches!(
            kind,
            Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        )
    })
}

/// Returns when nobody holds sled's lock on its file.
fn wait_until_free(dir: &Path) -> anyhow::Result<()> {
    // Whatever else keeps it from being opened is for sled to find.
    let Ok(file) = File::open(dir.join(FILE)) else {
        return Ok(());
    };
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            // Closing the file unlocks it for sled.
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(LOCK_POLL);
            }
            Err(TryLockError::WouldBlock) => {
                bail!("another process uses the database {}", dir.display())
            }
            Err(TryLockError::Error(_)) => return Ok(()),
        }
    }
}

fn open(dir: &Path) -> anyhow::Result<Opened> {
    let config = sled::Config::new()
        .path(dir)
        .cache_capacity(CACHE_BYTES)
        .mode(sled::Mode::LowSpace)
        .flush_every_ms(None);
    let db = config
        .open()
        .with_context(|| format!("cannot open the database {}", dir.display()))?;
    db.flush().context("cannot write the database")?;
    let file = File::open(dir.join(FILE)).context("cannot open the database's file")?;
    Ok(Opened { db, file })
}

fn set_aside(dir: &Path) -> anyhow::Result<PathBuf> {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let aside = dir.with_extension(format!("corrupt-{seconds}"));
    std::fs::rename(dir, &aside).with_context(|| format!("cannot set {} aside", dir.display()))?;
    Ok(aside)
}

/// A tree whose values carry a checksum.
#[derive(Clone)]
pub(crate) struct Tree {
    name: Arc<str>,
    database: Database,
}

impl Tree {
    fn with<T>(&self, work: impl FnOnce(sled::Tree) -> io::Result<T>) -> io::Result<T> {
        self.database
            .with(|opened| work(opened.db.open_tree(&*self.name)?))
    }

    pub(crate) fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let value = self.with(|tree| Ok(tree.get(key)?))?;
        value.map(|value| unseal(key, &value)).transpose()
    }

    pub(crate) fn put(&self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.database.write(&self.name, key, Some(seal(value)))
    }

    pub(crate) fn delete(&self, key: &[u8]) -> io::Result<()> {
        self.database.write(&self.name, key, None)
    }

    /// All rows. One that is damaged is left out with a word to the operator: what it said is rebuilt like a lost tree.
    pub(crate) fn scan(&self) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut rows = Vec::new();
        let found = self.with(|tree| Ok(tree.iter().collect::<sled::Result<Vec<_>>>()?))?;
        for (key, value) in found {
            match unseal(&key, &value) {
                Ok(value) => rows.push((key.to_vec(), value)),
                Err(error) => tracing::error!(%error, "a damaged record is left out"),
            }
        }
        Ok(rows)
    }

    /// Removes all rows, durably.
    pub(crate) fn clear(&self) -> io::Result<()> {
        let keys = self.with(|tree| Ok(tree.iter().keys().collect::<sled::Result<Vec<_>>>()?))?;
        if keys.is_empty() {
            return Ok(());
        }
        for key in keys {
            self.delete(&key)?;
        }
        self.flush()
    }

    pub(crate) fn flush(&self) -> io::Result<()> {
        self.database.sync()
    }
}

/// CRC-32C of the value, little endian, before it.
fn seal(value: &[u8]) -> Vec<u8> {
    let mut sealed = crc32c::crc32c(value).to_le_bytes().to_vec();
    sealed.extend_from_slice(value);
    sealed
}

fn unseal(key: &[u8], sealed: &[u8]) -> io::Result<Vec<u8>> {
    let split = sealed.split_first_chunk::<4>();
    let value = split
        .filter(|(sum, value)| u32::from_le_bytes(**sum) == crc32c::crc32c(value))
        .map(|(_, value)| value);
    value.map(<[u8]>::to_vec).ok_or_else(|| {
        let key = String::from_utf8_lossy(key).into_owned();
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("the record '{key}' does not match its checksum"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let dir =
            std::env::temp_dir().join(format!("starling-database-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        dir
    }

    #[test]
    fn writes_are_there_after_reopening_and_damage_is_noticed() {
        let dir = scratch("reopen");
        {
            let database = Database::open(&dir).expect("open");
            let tree = database.tree("t").expect("tree");
            tree.put(b"a", b"1").expect("put");
            tree.put(b"b", b"2").expect("put");
            tree.delete(b"a").expect("delete");
            tree.flush().expect("flush");
        }
        let database = Database::open(&dir).expect("open");
        let tree = database.tree("t").expect("tree");
        assert_eq!(tree.scan().expect("scan"), [(b"b".to_vec(), b"2".to_vec())]);
        let insert = |tree: sled::Tree| Ok(tree.insert(b"c", b"no checksum")?);
        tree.with(insert).expect("insert");
        assert!(tree.get(b"c").is_err());
        assert_eq!(tree.scan().expect("scan").len(), 1);
        drop((tree, database));
        std::fs::remove_dir_all(&dir).expect("clean up");
    }

    #[test]
    fn what_is_not_yet_on_disk_outlives_a_failure() {
        let dir = scratch("again");
        let database = Database::open(&dir).expect("open");
        let tree = database.tree("t").expect("tree");
        for key in [b"a", b"b"] {
            tree.put(key, b"1").expect("put");
        }
        tree.flush().expect("flush");
        tree.put(b"a", b"2").expect("put");
        tree.delete(b"b").expect("delete");
        // As long as it cannot be opened, all is refused and nothing is forgotten.
        *database.0.opened.write().expect("lock") = None;
        let aside = dir.with_extension("away");
        std::fs::rename(&dir, &aside).expect("rename");
        std::fs::write(&dir, "no directory").expect("write");
        tree.put(b"c", b"3").expect_err("it is closed");
        tree.get(b"a").expect_err("it is closed");
        tree.flush().expect_err("it is closed");
        std::fs::remove_file(&dir).expect("remove");
        std::fs::rename(&aside, &dir).expect("rename");
        let expected = [
            (b"a".to_vec(), b"2".to_vec()),
            (b"c".to_vec(), b"3".to_vec()),
        ];
        tree.flush().expect("it is opened again");
        assert_eq!(tree.scan().expect("scan"), expected);
        tree.flush().expect("flush");
        assert!(database.unsynced().rows.is_empty());
        drop((tree, database));
        let tree = Database::open(&dir).and_then(|database| database.tree("t"));
        assert_eq!(tree.expect("tree").scan().expect("scan"), expected);
        std::fs::remove_dir_all(&dir).expect("clean up");
    }

    #[test]
    fn a_full_disk_is_no_damage() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        assert!(is_disk_full(
            &anyhow::Error::new(sled::Error::Io(full())).context("open")
        ));
        assert!(is_disk_full(&anyhow::Error::new(full())));
        let damaged = sled::Error::Corruption { at: None, bt: () };
        assert!(!is_disk_full(&anyhow::Error::new(damaged)));
    }

    #[test]
    fn a_database_in_use_is_waited_for() {
        let dir = scratch("busy");
        {
            let database = Database::open(&dir).expect("open");
            let tree = database.tree("t").expect("tree");
            tree.put(b"a", b"1").expect("put");
            tree.flush().expect("flush");
            let (opened, closes) = std::sync::mpsc::channel();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    opened.send(()).expect("the other thread waits");
                    let database = Database::open(&dir).expect("open");
                    let tree = database.tree("t").expect("tree");
                    assert_eq!(tree.get(b"a").expect("get"), Some(b"1".to_vec()));
                });
                closes.recv().expect("the other thread runs");
                std::thread::sleep(20 * LOCK_POLL);
                drop((tree, database));
            });
        }
        let parent = dir.parent().expect("parent");
        let name = dir.file_name().expect("name").to_string_lossy();
        let aside = std::fs::read_dir(parent).expect("list").flatten();
        let aside = aside.filter(|entry| {
            let entry = entry.file_name();
            entry
                .to_string_lossy()
                .starts_with(&format!("{name}.corrupt-"))
        });
        assert_eq!(aside.count(), 0);
        std::fs::remove_dir_all(&dir).expect("clean up");
    }

    #[test]
    fn a_database_that_cannot_be_opened_is_set_aside() {
        let dir = scratch("aside");
        // sled mends most damage of its file by itself; a directory in its place it cannot read.
        std::fs::create_dir_all(dir.join("db")).expect("dir");
        let database = Database::open(&dir).expect("open");
        assert!(
            database
                .tree("t")
                .expect("tree")
                .scan()
                .expect("scan")
                .is_empty()
        );
        drop(database);
        let parent = dir.parent().expect("parent");
        let name = dir
            .file_name()
            .expect("name")
            .to_string_lossy()
            .into_owned();
        let kept = std::fs::read_dir(parent)
            .expect("list")
            .filter_map(Result::ok);
        let kept: Vec<_> = kept
            .filter(|e| {
                e.file_name()
                    .to_string_lossy()
                    .starts_with(&format!("{name}.corrupt-"))
            })
            .collect();
        assert_eq!(kept.len(), 1);
        std::fs::remove_dir_all(kept[0].path()).expect("clean up");
        std::fs::remove_dir_all(&dir).expect("clean up");
    }
}
