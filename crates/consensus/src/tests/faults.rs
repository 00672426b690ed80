//! Kills, cut networks, slow and full disks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::cluster::{Cluster, PATIENCE, eventually, halted, p50_max};
use crate::{Halt, ProposeError, StartError};

/// Rounds of killing the leader; `CONSENSUS_KILLS` asks for more.
const KILLS: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaders_are_killed_and_nothing_acknowledged_is_lost() {
    let rounds = std::env::var("CONSENSUS_KILLS")
        .ok()
        .and_then(|kills| kills.parse().ok())
        .unwrap_or(KILLS);
    let mut cluster = Cluster::tuned(|config| {
        config.compaction.snapshot_every = 200;
        config.compaction.keep_entries = 50;
    });
    cluster.form(3).await;
    let mut acknowledged = Vec::new();
    let mut times = Vec::new();
    for round in 0..rounds {
        let leader = cluster.leader().await;
        for number in 0..20 {
            let entry = format!("{round} before {number}").into_bytes();
            cluster.nodes[leader]
                .raft()
                .propose(entry.clone())
                .await
                .expect("accepted");
            acknowledged.push(entry);
        }
        // Some are in flight at the end; what of them is acknowledged counts.
        let raft = cluster.nodes[leader].raft().clone();
        let in_flight: Vec<_> = (0..20)
            .map(|number| {
                let (raft, entry) = (
                    raft.clone(),
                    format!("{round} during {number}").into_bytes(),
                );
                tokio::spawn(async move { raft.propose(entry.clone()).await.ok().map(|_| entry) })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(2)).await;
        let start = Instant::now();
        cluster.nodes[leader].kill();
        let entry = format!("{round} after").into_bytes();
        cluster.write(&entry).await;
        times.push(start.elapsed());
        acknowledged.push(entry);
        for write in in_flight {
            acknowledged.extend(write.await.expect("no panic"));
        }
        drop(raft);
        cluster.start(leader).await;
    }
    let last = cluster.write(b"end").await.index;
    cluster.settle(last).await;
    for node in cluster.running() {
        let held: std::collections::HashSet<_> = node
            .toy()
            .entries()
            .iter()
            .map(|(_, entry)| entry.clone())
            .collect();
        let lost: Vec<_> = acknowledged
            .iter()
            .filter(|entry| !held.contains(*entry))
            .collect();
        assert!(
            lost.is_empty(),
            "member {} lost {} of {}",
            node.id(),
            lost.len(),
            acknowledged.len()
        );
        assert_eq!(node.toy().entries(), cluster.nodes[0].toy().entries());
    }
    let terms = cluster.nodes[0].leadership().term;
    let (p50, max) = p50_max(times);
    println!(
        "leader kill to next accepted write, {rounds} rounds, {terms} terms: p50 {p50:?}, max {max:?}"
    );
    assert!(
        terms <= 4 * (rounds as u64 + 1),
        "a storm of elections: {terms} terms"
    );
    assert!(max < Duration::from_secs(5), "{max:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_back_at_once_leads_on_or_is_replaced() {
    let mut cluster = Cluster::new();
    cluster.form(3).await;
    for round in 0..5 {
        let leader = cluster.leader().await;
        cluster.write(format!("before {round}").as_bytes()).await;
        cluster.nodes[leader].kill();
        // Long enough for the others to see that the port refuses, shorter than the lease.
        tokio::time::sleep(Duration::from_millis(50 * round)).await;
        cluster.start(leader).await;
        let last = cluster
            .write(format!("after {round}").as_bytes())
            .await
            .index;
        cluster.settle(last).await;
        let leader = cluster.leader().await;
        let id = cluster.nodes[leader].id();
        eventually("all members to know the leader", || {
            let knows =
                |known: Option<crate::Member>| known.is_some_and(|known| known.raft_id == id);
            cluster
                .running()
                .all(|node| knows(node.leadership().leader))
                .then_some(())
        })
        .await;
    }
}

/// The leader dies at any point of a change of the voters: whoever leads next ends it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_members_survives_its_leader() {
    let mut cluster = Cluster::new();
    cluster.form(3).await;
    let fourth = cluster.prepare(4, "node4");
    cluster.start(fourth).await;
    let mut times = Vec::new();
    for round in 0..8_u64 {
        let leader = cluster.leader().await;
        let raft = cluster.nodes[leader].raft().clone();
        let member = cluster.nodes[fourth].member.clone();
        let change = tokio::spawn(async move { raft.add_member(member).await });
        tokio::time::sleep(Duration::from_millis(round * 3)).await;
        cluster.nodes[leader].kill();
        // The caller ends with the process.
        change.abort();
        let succeeded = matches!(change.await, Ok(Ok(())));
        let started = Instant::now();
        let heir = cluster.leader_but(Some(leader)).await;
        times.push(started.elapsed());
        cluster.start(leader).await;
        let raft = cluster.nodes[heir].raft().clone();
        if succeeded {
            assert!(
                raft.members()
                    .iter()
                    .any(|member| member.raft_id == 4 && member.voter),
                "round {round}"
            );
        }
        // Adding is idempotent from whatever is left, and then all goes its way.
        let deadline = Instant::now() + PATIENCE;
        for step in ["add", "remove"] {
            loop {
                let leader = cluster.leader().await;
                let raft = cluster.nodes[leader].raft().clone();
                let result = match step {
                    "add" => raft.add_member(cluster.nodes[fourth].member.clone()).await,
                    _ => match raft.remove_member(4).await {
                        Err(crate::MembershipError::NotFound(4)) => Ok(()),
                        other => other,
                    },
                };
                let Err(error) = result else { break };
                assert!(
                    Instant::now() < deadline,
                    "round {round}, {step}: {error}, {}",
                    cluster.describe()
                );
            }
        }
        let members = raft.members();
        drop(raft);
        assert_eq!(
            members.iter().filter(|member| member.voter).count(),
            3,
            "round {round}: {members:?}"
        );
        // Removed for good: it joins again under a new directory only.
        halted(&cluster.nodes[fourth], &Halt::Removed).await;
        cluster.nodes[fourth].kill();
        std::fs::remove_dir_all(&cluster.nodes[fourth].dir).expect("remove");
        cluster.start(fourth).await;
    }
    let (p50, max) = p50_max(times);
    println!("leader kill amid a change of members to the next leader: p50 {p50:?}, max {max:?}");
    assert!(max < Duration::from_secs(3), "{max:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_host_vanishes_is_replaced() {
    let mut cluster = Cluster::new().with_links();
    cluster.form(3).await;
    cluster.write(b"warm").await;
    let mut times = Vec::new();
    for round in 0..5 {
        let leader = cluster.leader().await;
        let id = cluster.nodes[leader].id();
        let start = Instant::now();
        // Nothing is reset and no port refuses: as when a host loses its power.
        cluster.links().isolate(id, true);
        let heir = cluster.leader_but(Some(leader)).await;
        cluster.nodes[heir]
            .raft()
            .propose(format!("after {round}").into_bytes())
            .await
            .expect("accepted");
        times.push(start.elapsed());
        cluster.links().isolate(id, false);
        let last = cluster.write(b"healed").await.index;
        cluster.settle(last).await;
    }
    let (p50, max) = p50_max(times);
    println!("leader's host lost to next accepted write: p50 {p50:?}, max {max:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_off_leader_stops_serving_and_returns_quietly() {
    let mut cluster = Cluster::new().with_links();
    cluster.form(3).await;
    cluster.write(b"before").await;
    let old = cluster.leader().await;
    let raft = cluster.nodes[old].raft().clone();
    let id = cluster.nodes[old].id();
    cluster.links().isolate(id, true);
    let start = Instant::now();
    let pending = raft.propose(b"pending".to_vec()).await;
    assert!(
        matches!(pending, Err(ProposeError::Unknown)),
        "never success: {pending:?}"
    );
    let waited = start.elapsed();
    println!("a cut-off leader's pending proposal ended after {waited:?}");
    assert!(
        waited < crate::ELECTION_MAX + Duration::from_millis(400),
        "{waited:?}"
    );
    assert!(!raft.leadership().borrow().i_lead);
    assert!(matches!(
        raft.propose(b"later".to_vec()).await,
        Err(ProposeError::NotLeader { .. })
    ));
    assert!(matches!(
        raft.read_barrier().await,
        Err(ProposeError::NotLeader { .. })
    ));

    let new = cluster.leader_but(Some(old)).await;
    let term = cluster.nodes[new].leadership().term;
    cluster.nodes[new]
        .raft()
        .propose(b"meanwhile".to_vec())
        .await
        .expect("accepted");
    tokio::time::sleep(crate::ELECTION_MAX * 3).await;
    cluster.links().isolate(id, false);
    let healed = Instant::now();
    eventually("the old leader to follow", || {
        let known = raft
            .leadership()
            .borrow()
            .leader
            .as_ref()
            .map(|leader| leader.raft_id);
        (known == Some(cluster.nodes[new].id())).then_some(())
    })
    .await;
    println!(
        "a cut-off leader followed the new one {:?} after the network healed",
        healed.elapsed()
    );
    let last = cluster.write(b"after").await.index;
    cluster.settle(last).await;
    assert_eq!(
        cluster.nodes[new].leadership().term,
        term,
        "its return deposes nobody"
    );
    assert!(cluster.nodes[old].toy().holds(b"meanwhile"));
    assert_eq!(
        cluster.nodes[old].toy().entries(),
        cluster.nodes[new].toy().entries()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_off_follower_returns_quietly() {
    let mut cluster = Cluster::new().with_links();
    cluster.form(3).await;
    let leader = cluster.leader().await;
    let follower = (leader + 1) % 3;
    cluster.write(b"before").await;
    let term = cluster.nodes[leader].leadership().term;
    cluster.links().isolate(cluster.nodes[follower].id(), true);
    tokio::time::sleep(crate::ELECTION_MAX * 4).await;
    assert_eq!(
        cluster.nodes[follower].leadership().leader,
        None,
        "it knows that it knows nothing"
    );
    cluster.write(b"meanwhile").await;
    cluster.links().isolate(cluster.nodes[follower].id(), false);
    let last = cluster.write(b"after").await.index;
    cluster.settle(last).await;
    assert_eq!(cluster.nodes[leader].leadership().term, term);
    assert!(cluster.nodes[leader].leadership().i_lead);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_disk_causes_no_election() {
    let slow = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&slow);
    let sync: crate::wal::Syncer = Arc::new(move |file| {
        if switch.load(Ordering::SeqCst) {
            std::thread::sleep(crate::ELECTION_MIN - Duration::from_millis(10));
        }
        file.sync_data()
    });
    let mut cluster = Cluster::new().with_sync(sync);
    cluster.form(3).await;
    let leader = cluster.leader().await;
    let term = cluster.nodes[leader].leadership().term;
    slow.store(true, Ordering::SeqCst);
    let mut watch = cluster.nodes[leader].raft().leadership();
    watch.mark_unchanged();
    for number in 0..10_u32 {
        cluster.nodes[leader]
            .raft()
            .propose(number.to_be_bytes().to_vec())
            .await
            .expect("accepted, slowly");
    }
    assert!(
        !watch.has_changed().expect("it runs"),
        "leadership never wavered: {:?}",
        *watch.borrow()
    );
    slow.store(false, Ordering::SeqCst);
    assert_eq!(cluster.nodes[leader].leadership().term, term);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_entry_on_a_slow_link_causes_no_election() {
    let mut cluster = Cluster::new().with_links();
    cluster.form(3).await;
    let leader = cluster.leader().await;
    let term = cluster.nodes[leader].leadership().term;
    cluster
        .links()
        .throttle(cluster.nodes[leader].id(), Some(3 << 20));
    let start = Instant::now();
    let entry = vec![7; crate::MAX_ENTRY_BYTES];
    let applied = cluster.nodes[leader]
        .raft()
        .propose(entry)
        .await
        .expect("accepted");
    let took = start.elapsed();
    println!("8 MiB over 3 MiB/s: {took:?}");
    assert!(
        took > crate::ELECTION_MAX * 2,
        "the link was not slow enough for the test: {took:?}"
    );
    assert!(
        took < Duration::from_secs(9),
        "sent more than once: {took:?}"
    );
    cluster.links().throttle(cluster.nodes[leader].id(), None);
    cluster.settle(applied.index).await;
    assert_eq!(cluster.nodes[leader].leadership().term, term);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_is_handed_over() {
    let mut cluster = Cluster::new();
    cluster.form(3).await;
    let old = cluster.leader().await;
    cluster.write(b"before").await;
    let start = Instant::now();
    cluster.nodes[old].raft().step_down().await;
    let new = cluster.leader_but(Some(old)).await;
    cluster.nodes[new]
        .raft()
        .propose(b"after".to_vec())
        .await
        .expect("accepted");
    println!(
        "step_down to the next accepted write: {:?}",
        start.elapsed()
    );
    // A leader that is shut down says so.
    let start = Instant::now();
    cluster.nodes[new].shutdown().await;
    let last = cluster.write(b"after the shutdown").await.index;
    println!(
        "shutdown of the leader to the next accepted write: {:?}",
        start.elapsed()
    );
    cluster.start(new).await;
    cluster.settle(last).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_restart_at_once() {
    let mut cluster = Cluster::new();
    cluster.form(3).await;
    for round in 0..3 {
        let entry = format!("round {round}").into_bytes();
        cluster.write(&entry).await;
        cluster
            .nodes
            .iter_mut()
            .for_each(super::cluster::Node::kill);
        let start = Instant::now();
        for position in 0..3 {
            cluster.start(position).await;
        }
        let last = cluster.write(b"again").await.index;
        println!(
            "restart of all to the next accepted write: {:?}",
            start.elapsed()
        );
        cluster.settle(last).await;
        assert!(cluster.running().all(|node| node.toy().holds(&entry)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_log_is_refused_and_the_others_go_on() {
    let mut cluster = Cluster::new();
    cluster.form(3).await;
    for number in 0..50_u32 {
        cluster.write(&number.to_be_bytes().repeat(10)).await;
    }
    cluster.nodes[2].shutdown().await;
    let path = crate::wal::segment::path(&cluster.nodes[2].dir, 0);
    let mut bytes = std::fs::read(&path).expect("read");
    bytes[1000] ^= 4;
    std::fs::write(&path, bytes).expect("write");
    match cluster.try_start(2).await {
        Err(error @ StartError::Corrupt { .. }) => {
            assert!(error.to_string().contains("join again"), "{error}")
        }
        other => panic!("{other:?}"),
    }
    cluster.write(b"without it").await;
}

/// The second sync from now on fails, as on a full or a broken disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_disk_stops_the_member_and_says_why() {
    let fuse = Arc::new(AtomicU64::new(u64::MAX));
    let burning = Arc::clone(&fuse);
    let sync: crate::wal::Syncer = Arc::new(move |file| {
        let left = burning.load(Ordering::SeqCst);
        if left == 0 {
            return Err(std::io::Error::from_raw_os_error(libc::ENOSPC));
        }
        if left != u64::MAX {
            burning.store(left - 1, Ordering::SeqCst);
        }
        file.sync_data()
    });
    let mut cluster = Cluster::new().with_sync(sync);
    cluster.form(1).await;
    fuse.store(1, Ordering::SeqCst);
    let deadline = Instant::now() + PATIENCE;
    while cluster.nodes[0].raft().propose(b"x".to_vec()).await.is_ok() {
        assert!(Instant::now() < deadline, "the disk is not full");
    }
    let text = eventually("the member to stop", || {
        match cluster.nodes[0].leadership().halted {
            Some(Halt::Failed(text)) => Some(text),
            _ => None,
        }
    })
    .await;
    assert!(
        text.contains("No space left on device") && text.contains("log-"),
        "{text}"
    );
    match cluster.nodes[0].raft().propose(b"x".to_vec()).await {
        Err(ProposeError::Stopped { reason }) => assert_eq!(reason, text),
        other => panic!("{other:?}"),
    }
    halted(&cluster.nodes[0], &Halt::Failed(text)).await;
}
