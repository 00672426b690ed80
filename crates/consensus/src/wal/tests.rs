//! The log against restarts, torn tails and damage.

use std::sync::atomic::{AtomicU64, Ordering};

use openraft::{CommittedLeaderId, EntryPayload};

use super::*;
use crate::types::{Proposal, Written};

const ME: u64 = 7;
const SEGMENT: u64 = 4096;

fn options() -> Options {
    Options {
        raft_id: ME,
        seal: Arc::new(Seal::for_tests(ME)),
        segment_bytes: SEGMENT,
        sync: Arc::new(|file| file.sync_data()),
    }
}

fn open(dir: &Path) -> Wal {
    Wal::open(dir, options()).expect("opens")
}

fn id(term: u64, index: u64) -> LogId {
    LogId::new(CommittedLeaderId::new(term, ME), index)
}

fn entry(term: u64, index: u64, bytes: usize) -> Entry {
    let data = vec![index as u8; bytes];
    Entry {
        log_id: id(term, index),
        payload: EntryPayload::Normal(Proposal::new(data, Written::default())),
    }
}

/// Runs a write and waits until it is durable.
fn sync(write: impl FnOnce(Done)) -> io::Result<()> {
    let (sender, receiver) = std::sync::mpsc::channel();
    write(Box::new(move |result| {
        sender.send(result).expect("the test waits")
    }));
    receiver.recv().expect("the writer answers")
}

fn append(wal: &Wal, term: u64, indexes: std::ops::Range<u64>) {
    for index in indexes {
        sync(|done| wal.append(vec![entry(term, index, 100)], done)).expect("appends");
    }
}

fn close(wal: &Wal) {
    sync(|done| wal.close(done)).expect("closes");
}

async fn terms(wal: &Wal) -> Vec<(u64, u64)> {
    let entries = wal.read(0, u64::MAX, usize::MAX).await.expect("reads");
    entries
        .iter()
        .map(|entry| (entry.log_id.leader_id.term, entry.log_id.index))
        .collect()
}

fn refusal(dir: &Path) -> String {
    match Wal::open(dir, options()) {
        Ok(_) => panic!("a damaged log was opened"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn everything_is_found_again_across_segments() {
    let dir = tempfile::tempdir().expect("tempdir");
    let wal = open(dir.path());
    sync(|done| wal.save_vote(Vote::new_committed(1, ME), done)).expect("votes");
    append(&wal, 1, 0..100);
    wal.save_committed(id(1, 90));
    sync(|done| wal.truncate(95, done)).expect("truncates");
    append(&wal, 2, 95..97);
    close(&wal);
    assert!(
        segment::list(dir.path()).expect("list").len() > 2,
        "small segments rotate"
    );

    let wal = open(dir.path());
    assert_eq!(wal.vote(), Some(Vote::new_committed(1, ME)));
    assert_eq!(wal.committed(), Some(id(1, 90)));
    assert_eq!(wal.ends(), (None, Some(id(2, 96))));
    let expected: Vec<_> = (0..95)
        .map(|index| (1, index))
        .chain([(2, 95), (2, 96)])
        .collect();
    assert_eq!(terms(&wal).await, expected);
    close(&wal);
}

#[tokio::test]
async fn purged_segments_are_removed_and_the_vote_survives() {
    let dir = tempfile::tempdir().expect("tempdir");
    let wal = open(dir.path());
    sync(|done| wal.save_vote(Vote::new(5, ME), done)).expect("votes");
    append(&wal, 5, 0..200);
    let before = segment::list(dir.path()).expect("list").len();
    sync(|done| wal.purge(id(5, 150), done)).expect("purges");
    append(&wal, 5, 200..201);
    let after = segment::list(dir.path()).expect("list");
    assert!(
        after.len() < before && after[0] > 0,
        "{before} segments became {after:?}"
    );
    close(&wal);

    let wal = open(dir.path());
    assert_eq!(wal.vote(), Some(Vote::new(5, ME)));
    assert_eq!(wal.ends(), (Some(id(5, 150)), Some(id(5, 200))));
    assert_eq!(
        terms(&wal).await,
        (151..201).map(|index| (5, index)).collect::<Vec<_>>()
    );
    // A snapshot from the leader reaches beyond the end of the log.
    sync(|done| wal.purge(id(9, 1000), done)).expect("purges");
    append(&wal, 9, 1001..1003);
    close(&wal);
    let wal = open(dir.path());
    assert_eq!(wal.ends(), (Some(id(9, 1000)), Some(id(9, 1002))));
    close(&wal);
}

/// A truncation behind removed segments: what the first remaining header tells of the log's end is void by then.
#[tokio::test]
async fn truncation_then_purge_of_everything_before_it() {
    let dir = tempfile::tempdir().expect("tempdir");
    let wal = open(dir.path());
    append(&wal, 1, 0..100);
    sync(|done| wal.truncate(60, done)).expect("truncates");
    append(&wal, 2, 60..160);
    sync(|done| wal.purge(id(1, 59), done)).expect("purges");
    append(&wal, 2, 160..161);
    close(&wal);
    let wal = open(dir.path());
    assert_eq!(wal.ends(), (Some(id(1, 59)), Some(id(2, 160))));
    assert_eq!(terms(&wal).await.first(), Some(&(2, 60)));
    close(&wal);
}

#[tokio::test]
async fn old_entries_are_read_from_disk() {
    let dir = tempfile::tempdir().expect("tempdir");
    let wal = open(dir.path());
    let (count, bytes) = (12, 1 << 20);
    for index in 0..count {
        sync(|done| wal.append(vec![entry(1, index, bytes)], done)).expect("appends");
    }
    let all = wal.read(0, count, usize::MAX).await.expect("reads");
    assert_eq!(
        all,
        (0..count)
            .map(|index| entry(1, index, bytes))
            .collect::<Vec<_>>()
    );
    assert_eq!(
        wal.read(0, count, 3 * bytes).await.expect("reads").len(),
        2,
        "limited by bytes, with their overhead"
    );
    assert_eq!(
        wal.read(3, count, 1).await.expect("reads").len(),
        1,
        "never empty"
    );
    close(&wal);
}

#[tokio::test]
async fn a_torn_tail_is_cut_at_every_length() {
    let dir = tempfile::tempdir().expect("tempdir");
    let wal = open(dir.path());
    append(&wal, 1, 0..3);
    close(&wal);
    let path = segment::path(dir.path(), 0);
    let whole = std::fs::read(&path).expect("read");
    let end = whole.iter().rposition(|byte| *byte != 0).expect("has data") + 1;
    let start = {
        // The start of the third entry's frame is the end of the second's.
        let seed = frame::seed(ME, 0);
        let (mut at, mut last) = (0, 0);
        while let Some(payload) = frame::decode(seed, &whole, at) {
            last = at;
            at += frame::size(payload.len());
        }
        last
    };
    for cut in start..end {
        let mut torn = whole.clone();
        torn[cut..].fill(0);
        std::fs::write(&path, &torn).expect("write");
        let wal = open(dir.path());
        let found = terms(&wal).await.len();
        assert!(
            found == 2 || (found == 3 && whole[cut..end].iter().all(|byte| *byte == 0)),
            "cut at {cut}: {found}"
        );
        append(&wal, 1, found as u64..4);
        close(&wal);
        let wal = open(dir.path());
        assert_eq!(
            terms(&wal).await.len(),
            4,
            "what follows a cut tail is kept"
        );
        close(&wal);
    }
}

#[test]
fn damage_before_good_frames_is_refused() {
    let dir = tempfile::tempdir().expect("tempdir");
    let wal = open(dir.path());
    append(&wal, 1, 0..100);
    close(&wal);
    for sequence in [0, 1] {
        let path = segment::path(dir.path(), sequence);
        let whole = std::fs::read(&path).expect("read");
        for at in [400, 20] {
            let mut bad = whole.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).expect("write");
            let text = refusal(dir.path());
            assert!(
                text.contains("damaged") && text.contains("join again"),
                "{text}"
            );
        }
        std::fs::write(&path, &whole).expect("write");
    }
    // A whole tail of a middle segment vanishes, in a way that looks like a clean end.
    let path = segment::path(dir.path(), 1);
    let mut whole = std::fs::read(&path).expect("read");
    let kept = whole.clone();
    whole[2000..].fill(0);
    std::fs::write(&path, &whole).expect("write");
    assert!(refusal(dir.path()).contains("damaged"));
    std::fs::write(&path, &kept).expect("write");
    // A missing segment.
    std::fs::remove_file(&path).expect("remove");
    assert!(refusal(dir.path()).contains("missing"));
}

#[test]
fn another_members_log_is_refused() {
    let dir = tempfile::tempdir().expect("tempdir");
    close(&open(dir.path()));
    let other = Options {
        raft_id: 8,
        ..options()
    };
    let error = Wal::open(dir.path(), other).err().expect("refused");
    assert!(
        matches!(
            error,
            StartError::WrongMember {
                found: ME,
                expected: 8,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_failed_sync_is_final_and_told() {
    let dir = tempfile::tempdir().expect("tempdir");
    let syncs = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&syncs);
    let broken: Syncer = Arc::new(move |file| {
        if counter.fetch_add(1, Ordering::SeqCst) == 2 {
            Err(io::Error::from_raw_os_error(libc::EIO))
        } else {
            file.sync_data()
        }
    });
    let wal = Wal::open(
        dir.path(),
        Options {
            sync: broken,
            ..options()
        },
    )
    .expect("opens");
    append(&wal, 1, 0..2);
    let error =
        sync(|done| wal.append(vec![entry(1, 2, 10)], done)).expect_err("the disk is broken");
    assert!(
        error.to_string().contains("cannot sync the Raft log"),
        "{error}"
    );
    let error = sync(|done| wal.append(vec![entry(1, 3, 10)], done)).expect_err("and stays so");
    assert!(error.to_string().contains("Input/output error"), "{error}");
    assert_eq!(
        syncs.load(Ordering::SeqCst),
        3,
        "no sync is tried again: the kernel has dropped the pages"
    );
    assert!(wal.failure().is_some());
}

#[tokio::test]
async fn writes_that_wait_share_a_sync() {
    let dir = tempfile::tempdir().expect("tempdir");
    let syncs = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&syncs);
    let slow: Syncer = Arc::new(move |file| {
        counter.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(std::time::Duration::from_millis(50));
        file.sync_data()
    });
    let wal = Wal::open(
        dir.path(),
        Options {
            sync: slow,
            segment_bytes: 1 << 20,
            ..options()
        },
    )
    .expect("opens");
    let (sender, receiver) = std::sync::mpsc::channel();
    for index in 0..50 {
        let sender = sender.clone();
        wal.append(
            vec![entry(1, index, 10)],
            Box::new(move |result| sender.send(result).expect("the test waits")),
        );
    }
    for _ in 0..50 {
        receiver
            .recv()
            .expect("the writer answers")
            .expect("appends");
    }
    assert!(
        syncs.load(Ordering::SeqCst) <= 3,
        "{syncs:?} syncs for 50 appends"
    );
    close(&wal);
}

/// Loses the power during the `fatal`-th sync: of what was written since the sync before, each sector reached the disk
/// or did not, as `random` says.
fn lose_power(dir: &Path, fatal: u64, random: u64) -> Wal {
    const SECTOR: usize = 512;
    let count = AtomicU64::new(0);
    let before: Mutex<(u64, Vec<u8>)> = Mutex::default();
    let dir_copy = dir.to_owned();
    let sync: Syncer = Arc::new(move |_| {
        let newest = *segment::list(&dir_copy)?.last().expect("a segment");
        let path = segment::path(&dir_copy, newest);
        let written = std::fs::read(&path)?;
        let mut before = before.lock().expect("lock");
        if before.0 != newest || before.1.is_empty() {
            // A new segment: all but its header are zeros on the disk.
            let head = frame::decode(frame::seed(ME, newest), &written, 0).expect("a header");
            let mut fresh = written.clone();
            fresh[frame::size(head.len())..].fill(0);
            *before = (newest, fresh);
        }
        if count.fetch_add(1, Ordering::SeqCst) + 1 == fatal {
            let mut disk = before.1.clone();
            let mut dice = random | 1;
            for (old, new) in disk.chunks_mut(SECTOR).zip(written.chunks(SECTOR)) {
                dice ^= dice << 13;
                dice ^= dice >> 7;
                dice ^= dice << 17;
                if dice & 1 == 1 {
                    old.copy_from_slice(new);
                }
            }
            std::fs::write(&path, disk)?;
            return Err(io::Error::other("the power is gone"));
        }
        before.1 = written;
        Ok(())
    });
    Wal::open(dir, Options { sync, ..options() }).expect("opens")
}

#[tokio::test]
async fn a_power_loss_at_any_sync_loses_nothing_acknowledged() {
    for round in 0..120_u64 {
        let dir = tempfile::tempdir().expect("tempdir");
        let wal = lose_power(
            dir.path(),
            1 + round % 40,
            round.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1,
        );
        let mut acknowledged = 0;
        // Batches of one to five entries, from one to several sectors.
        for batch in 0..60_u64 {
            let entries: Vec<_> = (0..1 + batch % 5)
                .map(|n| entry(1, acknowledged + n, 50 + (batch as usize * 97) % 1500))
                .collect();
            let len = entries.len() as u64;
            if sync(|done| wal.append(entries, done)).is_err() {
                break;
            }
            acknowledged += len;
        }
        close(&wal);
        let again = open(dir.path());
        let found = terms(&again).await;
        assert!(
            found.len() as u64 >= acknowledged,
            "round {round}: {} of {acknowledged}",
            found.len()
        );
        append(&again, 2, found.len() as u64..found.len() as u64 + 3);
        close(&again);
        assert_eq!(
            terms(&open(dir.path())).await.len(),
            found.len() + 3,
            "round {round}"
        );
    }
}
