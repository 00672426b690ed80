//! The one sled database of a daemon: its trees are handed down behind small traits.
//!
//! sled's own flush does not reach the disk (it ends in `sync_file_range`), so every acknowledged write is followed
//! by a sync of the database's file; callers that come while one is under way share the next. Each value carries a
//! checksum. What is in here can be rebuilt, see [`crate::daemon`]: a database that cannot be opened is set aside with a
//! word to the operator.

use anyhow::{Context, bail};
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
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
    db: sled::Db,
    /// sled's data file, for our own syncs.
    file: File,
    /// Writers take a ticket when they want their writes on disk.
    tickets: AtomicU64,
    /// Every ticket up to this one is served. The lock is held during a sync, so that those who come meanwhile share one.
    served: Mutex<u64>,
}

impl Database {
    /// Opens the database in `dir`, or sets a damaged one aside and begins anew.
    pub(crate) fn open(dir: &Path) -> anyhow::Result<Database> {
        // One that is in use is not damaged: it must not be set aside.
        wait_until_free(dir)?;
        match open(dir) {
            Ok(database) => Ok(database),
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
        }
    }

    /// A tree of it.
    pub(crate) fn tree(&self, name: &str) -> anyhow::Result<Tree> {
        let tree = self
            .0
            .db
            .open_tree(name)
            .with_context(|| format!("cannot open the tree {name}"))?;
        Ok(Tree {
            tree,
            database: self.clone(),
        })
    }

    /// Returns when everything that was written before is on disk.
    fn sync(&self) -> io::Result<()> {
        let ticket = self.0.tickets.fetch_add(1, Ordering::SeqCst) + 1;
        let mut served = self.0.served.lock().unwrap_or_else(PoisonError::into_inner);
        if *served >= ticket {
            return Ok(());
        }
        let upto = self.0.tickets.load(Ordering::SeqCst);
        self.0.db.flush().map_err(io::Error::other)?;
        self.0.file.sync_data()?;
        *served = upto;
        Ok(())
    }
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

fn open(dir: &Path) -> anyhow::Result<Database> {
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
    let inner = Inner {
        db,
        file,
        tickets: AtomicU64::new(0),
        served: Mutex::new(0),
    };
    Ok(Database(Arc::new(inner)))
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
    tree: sled::Tree,
    database: Database,
}

impl Tree {
    pub(crate) fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let value = self.tree.get(key).map_err(io::Error::other)?;
        value.map(|value| unseal(key, &value)).transpose()
    }

    pub(crate) fn put(&self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.tree
            .insert(key, seal(value))
            .map_err(io::Error::other)?;
        Ok(())
    }

    pub(crate) fn delete(&self, key: &[u8]) -> io::Result<()> {
        self.tree.remove(key).map_err(io::Error::other)?;
        Ok(())
    }

    /// All rows. One that is damaged is left out with a word to the operator: what it said is rebuilt like a lost tree.
    pub(crate) fn scan(&self) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut rows = Vec::new();
        for row in &self.tree {
            let (key, value) = row.map_err(io::Error::other)?;
            match unseal(&key, &value) {
                Ok(value) => rows.push((key.to_vec(), value)),
                Err(error) => tracing::error!(%error, "a damaged record is left out"),
            }
        }
        Ok(rows)
    }

    /// Removes all rows, durably.
    pub(crate) fn clear(&self) -> io::Result<()> {
        if self.tree.is_empty() {
            return Ok(());
        }
        self.tree.clear().map_err(io::Error::other)?;
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
        tree.tree.insert(b"c", b"no checksum").expect("insert");
        assert!(tree.get(b"c").is_err());
        assert_eq!(tree.scan().expect("scan").len(), 1);
        drop((tree, database));
        std::fs::remove_dir_all(&dir).expect("clean up");
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
