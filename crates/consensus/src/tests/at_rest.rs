//! What lies on disk is sealed: entries and snapshots, but not what only counts.

use std::path::Path;
use std::sync::{Arc, mpsc};

use openraft::{CommittedLeaderId, EntryPayload};

use crate::seal::{BLOCK, Seal};
use crate::snapshot::{SnapshotData, SnapshotStore};
use crate::types::{Entry, LogId, Proposal, SnapshotMeta};
use crate::wal::{Options, Wal};

const ME: u64 = 7;
const SECRET: &[u8] = b"correct horse battery staple";

fn open(dir: &Path, seal: Seal) -> Result<Wal, crate::StartError> {
    let options = Options {
        raft_id: ME,
        seal: Arc::new(seal),
        segment_bytes: 64 << 10,
        sync: Arc::new(|file| file.sync_data()),
    };
    Wal::open(dir, options)
}

fn close(wal: &Wal) {
    let (sender, receiver) = mpsc::channel();
    wal.close(Box::new(move |result| {
        let _ = sender.send(result);
    }));
    let closed = receiver.recv().expect("the writer answers");
    closed.expect("everything is written");
}

fn write_secret(dir: &Path) {
    let wal = open(dir, Seal::for_tests(ME)).expect("opens");
    let (sender, receiver) = mpsc::channel();
    let entry = Entry {
        log_id: LogId::new(CommittedLeaderId::new(1, ME), 0),
        payload: EntryPayload::Normal(Proposal::from(SECRET.to_vec())),
    };
    wal.append(
        vec![entry],
        Box::new(move |result| {
            let _ = sender.send(result);
        }),
    );
    let written = receiver.recv().expect("the writer answers");
    written.expect("it is written");
    close(&wal);
}

/// Whether any file of `dir` holds `needle` as it is.
fn is_on_disk(dir: &Path, needle: &[u8]) -> bool {
    std::fs::read_dir(dir).expect("lists").any(|item| {
        let bytes = std::fs::read(item.expect("lists").path()).expect("reads");
        bytes.windows(needle.len()).any(|part| part == needle)
    })
}

#[tokio::test]
async fn an_entry_is_sealed_and_comes_back() {
    let dir = tempfile::tempdir().expect("a directory");
    write_secret(dir.path());
    assert!(!is_on_disk(dir.path(), SECRET));
    let wal = open(dir.path(), Seal::for_tests(ME)).expect("opens");
    let entries = wal.read(0, 1, usize::MAX).await.expect("reads");
    let EntryPayload::Normal(data) = &entries[0].payload else {
        panic!("{entries:?}")
    };
    assert_eq!(&data.data[..], SECRET);
    close(&wal);
}

#[test]
fn without_its_key_the_log_is_refused_and_the_text_names_the_key() {
    let dir = tempfile::tempdir().expect("a directory");
    write_secret(dir.path());
    let Err(error) = open(dir.path(), Seal::with_key(8, ME)) else {
        panic!("it was read with another key")
    };
    let text = error.to_string();
    assert!(text.contains("put the right key file back"), "{text}");
}

#[test]
fn a_snapshot_is_sealed_and_any_part_of_it_can_be_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let seal = Arc::new(Seal::for_tests(ME));
    let store = SnapshotStore::open(dir.path(), ME, Arc::clone(&seal)).expect("opens");
    let data: Vec<u8> = SECRET
        .iter()
        .copied()
        .cycle()
        .take(3 * BLOCK + 17)
        .collect();
    store.save(SnapshotMeta::default(), &data).expect("saves");
    assert!(!is_on_disk(dir.path(), SECRET));

    let store = SnapshotStore::open(dir.path(), ME, seal).expect("opens again");
    let snapshot = store.current().expect("it is there").snapshot;
    assert_eq!(snapshot.bytes().expect("reads"), data);
    let SnapshotData::Stored(stored) = *snapshot else {
        panic!("it lies on disk")
    };
    for (at, len) in [
        (0, 1),
        (BLOCK - 1, 2),
        (BLOCK, BLOCK),
        (3 * BLOCK, 100),
        (5, 2 * BLOCK),
    ] {
        let end = (at + len).min(data.len());
        let part = stored.read_at(at as u64, len).expect("reads");
        assert_eq!(part, data[at..end], "{len} bytes at {at}");
    }
    assert!(
        stored
            .read_at(data.len() as u64, 10)
            .expect("reads")
            .is_empty()
    );
}
