//! Where small metadata is kept: one tree of a key-value store, behind a trait so that this crate does not know which.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, PoisonError};

/// A row: its key and its value.
pub type Row = (Vec<u8>, Vec<u8>);

/// One tree of the daemon's store. Values are small (well under 64 KiB) and are checksummed by the implementation: a
/// damaged value is an error of `get` or `scan`, never wrong bytes.
pub trait Table: Send + Sync {
    /// The value of `key`, if there is one.
    fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>>;
    /// Sets the value of `key`. It is durable after the next [`Table::flush`].
    fn put(&self, key: &[u8], value: &[u8]) -> io::Result<()>;
    /// Removes `key`; a key that is not there is no error.
    fn delete(&self, key: &[u8]) -> io::Result<()>;
    /// All rows in the order of their keys.
    fn scan(&self) -> io::Result<Vec<Row>>;
    /// Returns when everything that was put or deleted before is on disk.
    fn flush(&self) -> io::Result<()>;
}

/// A table in memory, for tests.
#[derive(Debug, Default)]
pub struct MemoryTable {
    rows: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl MemoryTable {
    fn rows(&self) -> std::sync::MutexGuard<'_, BTreeMap<Vec<u8>, Vec<u8>>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table for MemoryTable {
    fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        Ok(self.rows().get(key).cloned())
    }

    fn put(&self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.rows().insert(key.to_vec(), value.to_vec());
        Ok(())
    }

    fn delete(&self, key: &[u8]) -> io::Result<()> {
        self.rows().remove(key);
        Ok(())
    }

    fn scan(&self) -> io::Result<Vec<Row>> {
        Ok(self
            .rows()
            .iter()
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect())
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}
