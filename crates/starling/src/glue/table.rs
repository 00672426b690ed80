//! Trees of the database as the tables of images and engine.

use crate::database::Tree;
use std::io;

/// A tree.
pub(crate) struct TreeTable(pub(crate) Tree);

impl images::Table for TreeTable {
    fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.0.get(key)
    }
    fn put(&self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.0.put(key, value)
    }
    fn delete(&self, key: &[u8]) -> io::Result<()> {
        self.0.delete(key)
    }
    fn scan(&self) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        self.0.scan()
    }
    fn flush(&self) -> io::Result<()> {
        self.0.flush()
    }
}
