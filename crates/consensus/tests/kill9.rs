//! A process that writes under load is killed with SIGKILL again and again; every entry that it acknowledged is found
//! after the next start. `CONSENSUS_KILL9` asks for more rounds than the usual.
//!
//! The process is this test binary itself, running the test `child`.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use consensus::{Config, Connector, Member, Raft, SnapshotEncoder, StateMachine};

const ROUNDS: u32 = 20;
/// Names the child's directory, and makes a test run a child.
const DIR: &str = "CONSENSUS_KILL9_CHILD_DIR";
/// Proposals in flight at a time.
const WRITERS: u64 = 8;
/// How long a start may take, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn what_was_acknowledged_survives_sigkill() {
    let rounds = std::env::var("CONSENSUS_KILL9")
        .ok()
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(ROUNDS);
    let dir = tempfile::tempdir().expect("tempdir");
    let mut acknowledged = BTreeSet::new();
    let mut starts = Vec::new();
    for round in 0..rounds {
        // Every fourth is killed while it opens.
        let early = round % 4 == 3;
        let life = Duration::from_millis(u64::from(round * 37 % 200) + if early { 1 } else { 60 });
        let mut child = Spawned::new(dir.path());
        let started = Instant::now();
        if early {
            std::thread::sleep(life);
        } else {
            let held = child.wait_until_ready(PATIENCE);
            starts.push(started.elapsed());
            let lost: Vec<_> = acknowledged.difference(&held).collect();
            assert!(
                lost.is_empty(),
                "round {round}: {} of {} lost: {lost:?}",
                lost.len(),
                acknowledged.len()
            );
            std::thread::sleep(life);
        }
        acknowledged.extend(child.kill());
    }
    let held = Spawned::new(dir.path()).wait_until_ready(PATIENCE);
    let lost: Vec<_> = acknowledged.difference(&held).collect();
    assert!(
        lost.is_empty(),
        "{} of {} lost: {lost:?}",
        lost.len(),
        acknowledged.len()
    );
    assert!(
        acknowledged.len() > 20 * rounds as usize,
        "hardly any load: {}",
        acknowledged.len()
    );
    starts.sort_unstable();
    println!(
        "{rounds} kills, {} acknowledged entries, none lost; start p50 {:?}, max {:?}",
        acknowledged.len(),
        starts[starts.len() / 2],
        starts[starts.len() - 1]
    );
}

/// A running child, killed when dropped.
struct Spawned {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Spawned {
    fn new(dir: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this binary"))
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(DIR, dir)
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            out.lines()
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
        Self { child, lines }
    }

    /// The entries that the child found.
    fn wait_until_ready(&mut self, patience: Duration) -> BTreeSet<u64> {
        let deadline = Instant::now() + patience;
        let mut held = BTreeSet::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if line == "ready" => return held,
                Ok(line) => held.extend(number(&line, "held ")),
                Err(error) => panic!("the child is not ready: {error}"),
            }
        }
    }

    /// The entries that the child had acknowledged when it was killed.
    fn kill(mut self) -> BTreeSet<u64> {
        self.end();
        self.lines
            .iter()
            .filter_map(|line| number(&line, "ack "))
            .collect()
    }

    fn end(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        self.end();
    }
}

fn number(line: &str, prefix: &str) -> Option<u64> {
    line.strip_prefix(prefix)?.parse().ok()
}

/// Not a test by itself: the process that is killed.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("runtime");
    runtime.block_on(write_until_killed(Path::new(&dir)));
}

async fn write_until_killed(dir: &Path) {
    let me = Member {
        raft_id: 1,
        node_id: "one".to_owned(),
        addr: "127.0.0.1:1".to_owned(),
        voter: true,
    };
    let mut config = Config::new(dir, me);
    config.compaction.snapshot_every = 100;
    config.compaction.keep_entries = 10;
    config.segment_bytes = 32 << 10;
    let numbers = Arc::new(Numbers::default());
    let raft = Raft::start(config, numbers.clone(), Arc::new(Nowhere))
        .await
        .expect("starts");
    if !raft.is_initialized() {
        raft.initialize().await.expect("initializes");
    }
    let mut leadership = raft.leadership();
    leadership.wait_for(|now| now.i_lead).await.expect("leads");
    raft.read_barrier().await.expect("reads");
    let held = numbers.0.lock().expect("lock").clone();
    let mut out = String::from("\n");
    held.iter()
        .for_each(|number| out.push_str(&format!("held {number}\n")));
    out.push_str("ready\n");
    std::io::stdout()
        .write_all(out.as_bytes())
        .expect("the parent reads");
    let first = held.last().map_or(0, |last| last + 1);
    let writers = (0..WRITERS).map(|writer| {
        let raft = raft.clone();
        tokio::spawn(async move {
            for step in 0_u64.. {
                let number = first + step * WRITERS + writer;
                let mut entry = number.to_be_bytes().to_vec();
                entry.resize(8 + usize::try_from(number % 900).expect("small"), 0xee);
                raft.propose(entry).await.expect("accepted");
                std::io::stdout()
                    .write_all(format!("ack {number}\n").as_bytes())
                    .expect("the parent reads");
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("writes until it is killed");
    }
}

/// The numbers at the head of the entries.
#[derive(Default)]
struct Numbers(Mutex<BTreeSet<u64>>);

impl StateMachine for Numbers {
    fn apply(&self, _: u64, entry: &[u8]) -> Vec<u8> {
        let number = u64::from_be_bytes(entry[..8].try_into().expect("eight bytes"));
        assert!(
            entry[8..].iter().all(|byte| *byte == 0xee),
            "entry {number} is damaged"
        );
        self.0.lock().expect("lock").insert(number);
        Vec::new()
    }

    fn snapshot(&self) -> SnapshotEncoder {
        let numbers = self.0.lock().expect("lock").clone();
        Box::new(move || {
            Ok(numbers
                .iter()
                .flat_map(|number| number.to_be_bytes())
                .collect())
        })
    }

    fn restore(&self, _: u64, snapshot: &[u8]) -> std::io::Result<()> {
        let numbers = snapshot
            .chunks_exact(8)
            .map(|bytes| u64::from_be_bytes(bytes.try_into().expect("eight bytes")));
        *self.0.lock().expect("lock") = numbers.collect();
        Ok(())
    }

    fn members_changed(&self, _: &[Member]) {}
}

/// A group of one connects to nobody.
struct Nowhere;

#[async_trait::async_trait]
impl Connector for Nowhere {
    async fn channel(&self, _: &Member) -> std::io::Result<tonic::transport::Channel> {
        Err(std::io::ErrorKind::AddrNotAvailable.into())
    }
}
