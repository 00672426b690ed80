//! Members, reads and writes in good weather.

use std::time::{Duration, Instant};

use super::cluster::{Cluster, eventually, halted, p50_max};
use crate::{Compaction, Halt, InitializeError, Member, MembershipError, ProposeError, StartError};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_member_writes_restarts_and_finds_everything() {
    let mut cluster = Cluster::tuned(|config| {
        config.compaction.snapshot_every = 50;
        config.compaction.keep_entries = 10;
        config.segment_bytes = 16 << 10;
    });
    cluster.form(1).await;
    assert!(matches!(
        cluster.nodes[0].raft().initialize().await,
        Err(InitializeError::AlreadyInitialized)
    ));
    let mut times = Vec::new();
    for number in 0..300_u32 {
        let start = Instant::now();
        cluster.nodes[0]
            .raft()
            .propose(number.to_be_bytes().repeat(20))
            .await
            .expect("accepted");
        times.push(start.elapsed());
    }
    let (p50, max) = p50_max(times);
    println!("propose, 1 member: p50 {p50:?}, max {max:?}");
    let before = cluster.nodes[0].toy().entries();
    assert_eq!(before.len(), 300);
    let index = cluster.nodes[0].raft().read_barrier().await.expect("reads");
    for graceful in [true, false] {
        if graceful {
            cluster.nodes[0].shutdown().await;
        } else {
            cluster.nodes[0].kill();
        }
        cluster.start(0).await;
        assert!(cluster.nodes[0].raft().is_initialized());
        cluster.leader().await;
        let again = cluster.nodes[0].raft().read_barrier().await.expect("reads");
        assert!(again >= index);
        assert_eq!(cluster.nodes[0].toy().entries(), before);
    }
    let files: Vec<_> = std::fs::read_dir(&cluster.nodes[0].dir)
        .expect("dir")
        .flatten()
        .collect();
    assert!(
        files
            .iter()
            .any(|file| file.file_name().to_string_lossy().starts_with("snapshot-"))
    );
    for file in files {
        use std::os::unix::fs::PermissionsExt;
        let mode = file.metadata().expect("metadata").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?} is for the daemon only", file.path());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_has_one_owner() {
    let mut cluster = Cluster::new();
    cluster.form(1).await;
    let config = crate::Config::new(&cluster.nodes[0].dir, cluster.nodes[0].member.clone());
    let machine = std::sync::Arc::new(super::toy::Toy::default());
    let connector = std::sync::Arc::new(super::toy::Plain { me: 1, links: None });
    let second = crate::Raft::start(config.clone(), machine.clone(), connector.clone()).await;
    assert!(matches!(second.err(), Some(StartError::InUse(_))));
    cluster.nodes[0].shutdown().await;
    let mut other = config;
    other.me.raft_id = 99;
    let other = crate::Raft::start(other, machine, connector).await;
    assert!(matches!(
        other.err(),
        Some(StartError::WrongMember {
            found: 1,
            expected: 99,
            ..
        })
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_members_agree() {
    let mut cluster = Cluster::new();
    cluster.form(3).await;
    let mut times = Vec::new();
    let mut last = 0;
    for number in 0..200_u32 {
        let start = Instant::now();
        last = cluster.nodes[0]
            .raft()
            .propose(number.to_be_bytes().to_vec())
            .await
            .expect("accepted")
            .index;
        times.push(start.elapsed());
    }
    let (p50, max) = p50_max(times);
    println!("propose, 3 members: p50 {p50:?}, max {max:?}");
    let start = Instant::now();
    let writes = (0..64_u32).map(|number| {
        cluster.nodes[0]
            .raft()
            .propose(number.to_be_bytes().to_vec())
    });
    let applied = futures_util::future::try_join_all(writes)
        .await
        .expect("accepted");
    println!("64 concurrent proposals, 3 members: {:?}", start.elapsed());
    last = applied
        .iter()
        .map(|applied| applied.index)
        .max()
        .unwrap_or(last);
    cluster.settle(last).await;
    for node in cluster.running() {
        assert_eq!(node.toy().entries(), cluster.nodes[0].toy().entries());
        assert_eq!(node.raft().members(), cluster.nodes[0].raft().members());
        eventually("members_changed", || {
            (node.toy().members() == node.raft().members()).then_some(())
        })
        .await;
    }
    assert_eq!(
        cluster.nodes[0].raft().reachability(),
        vec![(1, true), (2, true), (3, true)]
    );
    assert_eq!(cluster.nodes[1].raft().reachability(), vec![]);

    // Followers point to the leader, and serve nothing themselves.
    let follower = cluster.nodes[1].raft();
    let leader = eventually("the leader to be known", || {
        follower.leadership().borrow().leader.clone()
    })
    .await;
    assert_eq!(leader.node_id, "node1");
    match follower.propose(b"x".to_vec()).await {
        Err(ProposeError::NotLeader {
            leader: Some(leader),
        }) => assert_eq!(leader.raft_id, 1),
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        follower.read_barrier().await,
        Err(ProposeError::NotLeader { .. })
    ));
    assert!(matches!(
        follower.remove_member(1).await,
        Err(MembershipError::NotLeader { .. })
    ));
    let size = crate::MAX_ENTRY_BYTES + 1;
    match cluster.nodes[0].raft().propose(vec![0; size]).await {
        Err(ProposeError::TooLarge { size: told, .. }) => assert_eq!(told, size),
        other => panic!("{other:?}"),
    }
    // Many readers, few rounds: they end together.
    let start = Instant::now();
    let reads = (0..500).map(|_| cluster.nodes[0].raft().read_barrier());
    let reads = futures_util::future::try_join_all(reads)
        .await
        .expect("reads");
    println!("500 concurrent barriers, 3 members: {:?}", start.elapsed());
    assert!(reads.iter().all(|index| *index >= last));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_catches_up_by_log_and_by_snapshot() {
    let mut cluster = Cluster::tuned(|config| {
        config.compaction.snapshot_every = 100;
        config.compaction.keep_entries = 20;
        config.segment_bytes = 16 << 10;
    });
    cluster.form(2).await;
    let third = cluster.prepare(3, "node3");
    cluster.start(third).await;
    for number in 0..30_u32 {
        cluster.write(&number.to_be_bytes()).await;
    }
    let member = cluster.nodes[third].member.clone();
    cluster.nodes[0]
        .raft()
        .add_member(member)
        .await
        .expect("adds");
    // By log after a short absence, by snapshot after a long one.
    for (absence, length) in [("short", 10_u32), ("long", 500)] {
        cluster.nodes[third].kill();
        let mut last = 0;
        for number in 0..length {
            last = cluster
                .write(format!("{absence} {number}").as_bytes())
                .await
                .index;
        }
        cluster.start(third).await;
        cluster.settle(last).await;
        assert_eq!(
            cluster.nodes[third].toy().entries(),
            cluster.nodes[0].toy().entries(),
            "after a {absence} absence"
        );
    }
    // A new member gets a snapshot at once.
    let fourth = cluster.prepare(4, "node4");
    cluster.start(fourth).await;
    let member = cluster.nodes[fourth].member.clone();
    let leader = cluster.leader().await;
    cluster.nodes[leader]
        .raft()
        .add_member(member)
        .await
        .expect("adds");
    let last = cluster.write(b"with four").await.index;
    cluster.settle(last).await;
    assert_eq!(
        cluster.nodes[fourth].toy().entries(),
        cluster.nodes[0].toy().entries()
    );
    // And after a restart it still has everything.
    cluster.nodes[fourth].shutdown().await;
    cluster.start(fourth).await;
    cluster.settle(last).await;
    assert_eq!(
        cluster.nodes[fourth].toy().entries(),
        cluster.nodes[0].toy().entries()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_come_go_and_move() {
    let mut cluster = Cluster::tuned(|config| config.join_timeout = Duration::from_millis(700));
    cluster.form(1).await;
    let alone = cluster.nodes[0].raft().remove_member(1).await;
    assert!(
        matches!(alone, Err(MembershipError::LastMember)),
        "{alone:?}"
    );
    // One that is not there is not added.
    let absent = Member {
        raft_id: 9,
        node_id: "ghost".into(),
        addr: super::cluster::free_addr(),
        voter: true,
    };
    let refused = cluster.nodes[0].raft().add_member(absent).await;
    assert!(
        matches!(refused, Err(MembershipError::NotCaughtUp { .. })),
        "{refused:?}"
    );
    assert_eq!(cluster.nodes[0].raft().members().len(), 1);

    for id in [2, 3] {
        let at = cluster.prepare(id, &format!("node{id}"));
        cluster.start(at).await;
        let member = cluster.nodes[at].member.clone();
        for _ in 0..2 {
            cluster.nodes[0]
                .raft()
                .add_member(member.clone())
                .await
                .expect("adds, and again changes nothing");
        }
    }
    let raft = cluster.nodes[0].raft().clone();
    let taken = Member {
        raft_id: 3,
        node_id: "other".into(),
        addr: "127.0.0.1:1".into(),
        voter: true,
    };
    assert!(matches!(
        raft.add_member(taken).await,
        Err(MembershipError::IdTaken { .. })
    ));
    let twice = Member {
        raft_id: 4,
        node_id: "node3".into(),
        addr: "127.0.0.1:1".into(),
        voter: true,
    };
    assert!(matches!(
        raft.add_member(twice).await,
        Err(MembershipError::NodeExists { raft_id: 3, .. })
    ));
    assert!(matches!(
        raft.remove_member(77).await,
        Err(MembershipError::NotFound(77))
    ));

    // With one of three away, removing the other would leave one of two.
    cluster.nodes[2].kill();
    eventually("member 3 to be missed", || {
        raft.reachability().contains(&(3, false)).then_some(())
    })
    .await;
    let refused = raft.remove_member(2).await;
    assert!(
        matches!(
            refused,
            Err(MembershipError::WouldLoseQuorum {
                reachable: 1,
                voters: 2,
                quorum: 2
            })
        ),
        "{refused:?}"
    );
    // The one that is away may go, and learns of it when it returns, also after another restart.
    raft.remove_member(3)
        .await
        .expect("removes the member that is away");
    cluster.start(2).await;
    halted(&cluster.nodes[2], &Halt::Removed).await;
    cluster.nodes[2].kill();
    cluster.start(2).await;
    halted(&cluster.nodes[2], &Halt::Removed).await;
    cluster.nodes[2].kill();

    // The same node under a new id.
    let again = cluster.prepare(33, "node3");
    cluster.start(again).await;
    let member = cluster.nodes[again].member.clone();
    cluster.nodes[0]
        .raft()
        .add_member(member)
        .await
        .expect("adds");
    // It moves.
    cluster.nodes[again].kill();
    let addr = super::cluster::free_addr();
    cluster.nodes[again].member.addr = addr.clone();
    cluster.start(again).await;
    cluster.nodes[0]
        .raft()
        .update_address(33, addr)
        .await
        .expect("moves");
    let last = cluster.write(b"after the move").await.index;
    cluster.settle(last).await;
    // A running member that is removed learns it too, and the leader can remove itself.
    cluster.nodes[0]
        .raft()
        .remove_member(2)
        .await
        .expect("removes");
    halted(&cluster.nodes[1], &Halt::Removed).await;
    cluster.nodes[0]
        .raft()
        .remove_member(1)
        .await
        .expect("removes itself");
    halted(&cluster.nodes[0], &Halt::Removed).await;
    let heir = cluster.leader_but(Some(0)).await;
    assert_eq!(cluster.nodes[heir].id(), 33);
    cluster.nodes[heir]
        .raft()
        .propose(b"alone".to_vec())
        .await
        .expect("accepted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_cut_as_it_is_set_while_the_member_runs() {
    let mut cluster = Cluster::tuned(|config| {
        config.compaction.snapshot_every = 1_000_000;
        config.segment_bytes = 16 << 10;
    });
    cluster.form(1).await;
    let has_snapshot = |cluster: &Cluster| {
        std::fs::read_dir(&cluster.nodes[0].dir)
            .expect("dir")
            .flatten()
            .any(|file| file.file_name().to_string_lossy().starts_with("snapshot-"))
    };
    for number in 0..60_u32 {
        cluster.write(&number.to_be_bytes()).await;
    }
    assert!(!has_snapshot(&cluster), "a million entries are far");
    cluster.nodes[0].raft().set_compaction(Compaction {
        snapshot_every: 50,
        keep_entries: 5,
    });
    // Without another write.
    eventually("a snapshot", || has_snapshot(&cluster).then_some(())).await;
}
