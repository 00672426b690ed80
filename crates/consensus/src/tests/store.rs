//! openraft's own suite against the log, the state machine and the snapshots.

use crate::seal::Seal;
use std::sync::{Arc, Mutex};

use openraft::testing::{StoreBuilder, Suite};

use crate::Member;
use crate::log_store::LogStore;
use crate::machine::{SnapshotEncoder, StateMachine};
use crate::snapshot::SnapshotStore;
use crate::state_machine::Machine;
use crate::types::{StorageError, TypeConfig};
use crate::wal::{Options, Wal};

#[derive(Default)]
struct Entries(Mutex<Vec<Vec<u8>>>);

impl StateMachine for Entries {
    fn apply(&self, _: u64, entry: &[u8]) -> Vec<u8> {
        self.0.lock().expect("lock").push(entry.to_vec());
        Vec::new()
    }
    fn snapshot(&self) -> SnapshotEncoder {
        let count = self.0.lock().expect("lock").len() as u64;
        Box::new(move || Ok(count.to_le_bytes().to_vec()))
    }
    fn restore(&self, _: u64, _: &[u8]) -> std::io::Result<()> {
        Ok(())
    }
    fn members_changed(&self, _: &[Member]) {}
}

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, Machine, tempfile::TempDir> for Builder {
    async fn build(&self) -> Result<(tempfile::TempDir, LogStore, Machine), StorageError> {
        let dir = tempfile::tempdir().expect("tempdir");
        let seal = Arc::new(Seal::for_tests(0));
        let options = Options {
            raft_id: 0,
            seal: Arc::clone(&seal),
            segment_bytes: 4096,
            sync: Arc::new(|file| file.sync_data()),
        };
        let wal = Wal::open(dir.path(), options).expect("opens");
        let snapshots = Arc::new(SnapshotStore::open(dir.path(), 0, seal).expect("opens"));
        let machine = Machine::open(Arc::new(Entries::default()), snapshots)
            .await
            .expect("opens");
        Ok((dir, LogStore::new(wal), machine))
    }
}

#[test]
fn openraft_suite() {
    Suite::test_all(Builder).expect("the suite passes");
}
