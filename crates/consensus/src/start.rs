//! Starting a member: its directory, its log, its tasks.

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use openraft::SnapshotPolicy;
use tokio::sync::{mpsc, watch};
use wire::raft as pb;

use crate::barrier;
use crate::compaction;
use crate::contact::Contact;
use crate::election;
use crate::inner::{Inner, REMOVED_MARK};
use crate::leader;
use crate::log_store::LogStore;
use crate::seal::Seal;
use crate::snapshot::SnapshotStore;
use crate::state_machine::Machine;
use crate::transport::network::Network;
use crate::transport::peer::Peers;
use crate::types::OpenRaft;
use crate::wal::{self, Options, Wal, io_error, segment};
use crate::{Config, Connector, Halt, Leadership, StartError, StateMachine};

const LOCK: &str = "lock";
/// Most entries in one replication message; their bytes are limited in the log store.
const APPEND_ENTRIES: u64 = 1000;
/// Smallest segment: its header and some entries.
const MIN_SEGMENT_BYTES: u64 = 4 << 10;

/// Opens everything and starts the tasks.
pub(crate) async fn start(
    config: Config,
    machine: Arc<dyn StateMachine>,
    connector: Arc<dyn Connector>,
    sync: wal::Syncer,
) -> Result<Arc<Inner>, StartError> {
    check(&config)?;
    let engine = engine_config(&config)?;
    let opening = config.clone();
    let opened = tokio::task::spawn_blocking(move || open(&opening, sync)).await;
    let opened = opened.map_err(|error| StartError::Engine(error.to_string()))??;
    let (lock, wal, snapshots) = (opened.lock, opened.wal, opened.snapshots);

    let machine = Machine::open(machine, snapshots)
        .await
        .map_err(|error| StartError::Engine(error.to_string()))?;
    let applied_index = machine.applied_index();
    let peers = Arc::new(Peers::new(connector, config.max_entry_bytes));
    let (removed, removals) = mpsc::unbounded_channel();
    let network = Network {
        peers: Arc::clone(&peers),
        removed,
    };
    let id = config.me.raft_id;
    let raft = OpenRaft::new(
        id,
        Arc::new(engine),
        network,
        LogStore::new(wal.clone()),
        machine,
    )
    .await
    .map_err(|fatal| StartError::Engine(wal.failure().unwrap_or_else(|| fatal.to_string())))?;

    let halted = config
        .dir
        .join(REMOVED_MARK)
        .exists()
        .then_some(Halt::Removed);
    let (reads, waiting) = mpsc::unbounded_channel();
    let compaction = watch::Sender::new(config.compaction);
    let inner = Arc::new(Inner {
        config,
        raft,
        wal,
        peers,
        compaction,
        contact: Contact::new(),
        applied_index,
        leadership: watch::Sender::new(Leadership {
            halted,
            ..Leadership::default()
        }),
        alive: Mutex::new(Instant::now()),
        closing: watch::Sender::new(false),
        stepping_down: false.into(),
        changing: tokio::sync::Mutex::default(),
        reads,
        tasks: Mutex::default(),
        lock: Mutex::new(Some(lock)),
    });
    let tasks = vec![
        tokio::spawn(leader::observe(Arc::clone(&inner))),
        tokio::spawn(leader::beat(Arc::clone(&inner))),
        tokio::spawn(election::campaign(Arc::clone(&inner))),
        tokio::spawn(election::watch_leader(Arc::clone(&inner))),
        tokio::spawn(compaction::serve(Arc::clone(&inner))),
        tokio::spawn(barrier::serve(Arc::clone(&inner), waiting)),
        tokio::spawn(hear_removals(Arc::clone(&inner), removals)),
    ];
    *inner.tasks.lock().expect("no panic while it is locked") = tasks;
    Ok(inner)
}

/// Ends what [`start`] has started.
pub(crate) fn abort_tasks(inner: &Inner) {
    for task in inner
        .tasks
        .lock()
        .expect("no panic while it is locked")
        .drain(..)
    {
        task.abort();
    }
}

fn check(config: &Config) -> Result<(), StartError> {
    let wrong = |text: &str| Err(StartError::Config(text.to_owned()));
    if config.heartbeat.as_millis() == 0 || config.heartbeat * 2 > config.election_min {
        return wrong(
            "the least election time-out must be at least two heartbeats, and a heartbeat at least 1 ms",
        );
    }
    if config.election_min >= config.election_max {
        return wrong("the longest election time-out must be more than the least");
    }
    if config.segment_bytes < MIN_SEGMENT_BYTES {
        return wrong("a segment of the log must have at least 4 KiB");
    }
    Ok(())
}

/// openraft's part of the timing: the lease and the patience of single calls. Its election timer is off
/// ([`election`](crate::election)), so the random time-out that it draws is of no use; it wants a range though.
fn engine_config(config: &Config) -> Result<openraft::Config, StartError> {
    let lease = u64::try_from(config.election_min.as_millis()).unwrap_or(u64::MAX);
    let heartbeat = u64::try_from(config.heartbeat.as_millis()).unwrap_or(u64::MAX);
    openraft::Config {
        cluster_name: "starling".to_owned(),
        heartbeat_interval: heartbeat,
        election_timeout_min: lease - 1,
        election_timeout_max: lease,
        max_payload_entries: APPEND_ENTRIES,
        // Both are the business of `compaction`.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: u64::MAX,
        enable_elect: false,
        // The leader's own heartbeats suffice, and it triggers openraft's where they are of use: see `leader::beat`.
        enable_heartbeat: false,
        ..openraft::Config::default()
    }
    .validate()
    .map_err(|error| StartError::Config(error.to_string()))
}

struct Opened {
    lock: Flock<std::fs::File>,
    wal: Wal,
    snapshots: Arc<SnapshotStore>,
}

fn open(config: &Config, sync: wal::Syncer) -> Result<Opened, StartError> {
    let (dir, raft_id) = (&config.dir, config.me.raft_id);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(io_error("create", dir))?;
    if let Some(parent) = dir.parent() {
        // The log is of no use after a power loss when its directory is gone.
        segment::sync_dir(parent).map_err(io_error("sync", parent))?;
    }
    let lock = lock(dir)?;
    let seal = Arc::new(Seal::open(dir, raft_id)?);
    let snapshots = SnapshotStore::open(dir, raft_id, Arc::clone(&seal))?;
    let fresh = segment::list(dir)
        .map_err(io_error("list", dir))?
        .is_empty();
    if fresh && snapshots.current().is_some() {
        let what = "there is a snapshot, but the log with this member's vote is missing".to_owned();
        return Err(StartError::Corrupt {
            path: dir.clone(),
            offset: 0,
            what,
        });
    }
    let wal = Wal::open(
        dir,
        Options {
            raft_id,
            seal,
            segment_bytes: config.segment_bytes,
            sync,
        },
    )?;
    let covered = snapshots
        .current()
        .and_then(|snapshot| snapshot.meta.last_log_id);
    let (purged, _) = wal.ends();
    if purged > covered {
        let what = format!(
            "the log begins after entry {}, and no snapshot holds what was before",
            purged.map_or(0, |id| id.index)
        );
        return Err(StartError::Corrupt {
            path: dir.clone(),
            offset: 0,
            what,
        });
    }
    Ok(Opened {
        lock,
        wal,
        snapshots: Arc::new(snapshots),
    })
}

fn lock(dir: &Path) -> Result<Flock<std::fs::File>, StartError> {
    let path = dir.join(LOCK);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(segment::FILE_MODE)
        .open(&path)
        .map_err(io_error("open", &path))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| match error {
        Errno::EWOULDBLOCK => StartError::InUse(dir.to_owned()),
        other => StartError::Io {
            action: "lock",
            path,
            source: other.into(),
        },
    })
}

async fn hear_removals(
    inner: Arc<Inner>,
    mut removals: mpsc::UnboundedReceiver<pb::StoredMembership>,
) {
    while let Some(membership) = removals.recv().await {
        inner.note_removed(membership);
    }
}
