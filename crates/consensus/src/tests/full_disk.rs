//! A disk that is really full: a small tmpfs. Needs root.

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::cluster::{Cluster, eventually};
use crate::{Halt, ProposeError};

/// Bytes of the disk: some segments, not many.
const DISK: &str = "size=1m,mode=0700";

struct Mounted(std::path::PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        // Files may still be open in threads that are about to end.
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_stops_the_member_and_loses_nothing() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: needs root to mount a tmpfs");
        return;
    }
    let mut cluster = Cluster::tuned(|config| config.segment_bytes = 64 << 10);
    let at = cluster.prepare(1, "node1");
    let dir = cluster.nodes[at].dir.clone();
    std::fs::create_dir_all(&dir).expect("a directory");
    mount(
        Some("consensus-test"),
        &dir,
        Some("tmpfs"),
        MsFlags::empty(),
        Some(DISK),
    )
    .expect("mounts a tmpfs");
    let mounted = Mounted(dir.clone());
    cluster.start(at).await;
    cluster.nodes[at]
        .raft()
        .initialize()
        .await
        .expect("initializes");
    let mut acknowledged = 0;
    let error = loop {
        match cluster.nodes[at].raft().propose(vec![1; 10_000]).await {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
        assert!(acknowledged < 1000, "the disk is not full");
    };
    assert!(acknowledged > 20, "{acknowledged}");
    assert!(
        matches!(error, ProposeError::Unknown | ProposeError::Stopped { .. }),
        "{error}"
    );
    let text = eventually("the member to stop", || {
        match cluster.nodes[at].leadership().halted {
            Some(Halt::Failed(text)) => Some(text),
            _ => None,
        }
    })
    .await;
    assert!(text.contains("No space left on device"), "{text}");
    cluster.nodes[at].kill();

    // With room again, everything acknowledged is there.
    let bigger = Some("size=4m,mode=0700");
    mount(
        Some("consensus-test"),
        &dir,
        Some("tmpfs"),
        MsFlags::MS_REMOUNT,
        bigger,
    )
    .expect("remounts");
    cluster.start(at).await;
    cluster.leader().await;
    cluster.nodes[at]
        .raft()
        .read_barrier()
        .await
        .expect("reads");
    let held = cluster.nodes[at].toy().entries().len();
    assert!(held >= acknowledged, "{held} of {acknowledged}");
    cluster.nodes[at].shutdown().await;
    drop(mounted);
}
