//! A state machine that remembers what it applied, and complains when the contract is broken.

use std::io;
use std::sync::{Arc, Mutex};

use crate::machine::{SnapshotEncoder, StateMachine};
use crate::{Connector, Member};

/// Entries with their indexes.
pub(super) type Entries = Vec<(u64, Vec<u8>)>;

/// Remembers every entry.
#[derive(Default)]
pub(super) struct Toy {
    entries: Mutex<Arc<Entries>>,
    members: Mutex<Vec<Member>>,
}

impl Toy {
    pub(super) fn entries(&self) -> Arc<Entries> {
        Arc::clone(&self.entries.lock().expect("lock"))
    }

    pub(super) fn holds(&self, entry: &[u8]) -> bool {
        self.entries().iter().any(|(_, held)| held == entry)
    }

    pub(super) fn members(&self) -> Vec<Member> {
        self.members.lock().expect("lock").clone()
    }
}

impl StateMachine for Toy {
    /// Replies with the number of entries so far.
    fn apply(&self, index: u64, entry: &[u8]) -> Vec<u8> {
        let mut entries = self.entries.lock().expect("lock");
        assert!(
            entries.last().is_none_or(|(last, _)| *last < index),
            "entry {index} is out of order"
        );
        let entries = Arc::make_mut(&mut entries);
        entries.push((index, entry.to_vec()));
        (entries.len() as u64).to_be_bytes().to_vec()
    }

    fn snapshot(&self) -> SnapshotEncoder {
        let entries = self.entries();
        Box::new(move || {
            let mut out = Vec::new();
            for (index, entry) in entries.iter() {
                out.extend(index.to_be_bytes());
                out.extend((entry.len() as u64).to_be_bytes());
                out.extend(entry);
            }
            Ok(out)
        })
    }

    fn restore(&self, index: u64, mut snapshot: &[u8]) -> io::Result<()> {
        let mut entries = Vec::new();
        while let Some((head, rest)) = snapshot.split_at_checked(16) {
            let number = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().expect("eight bytes"));
            let (entry, rest) = rest
                .split_at_checked(number(&head[8..]) as usize)
                .ok_or(io::ErrorKind::UnexpectedEof)?;
            entries.push((number(&head[..8]), entry.to_vec()));
            snapshot = rest;
        }
        assert!(
            entries.last().is_none_or(|(last, _)| *last <= index),
            "the snapshot reaches beyond its index"
        );
        *self.entries.lock().expect("lock") = Arc::new(entries);
        Ok(())
    }

    fn members_changed(&self, members: &[Member]) {
        *self.members.lock().expect("lock") = members.to_vec();
    }
}

/// Connects without TLS; through the proxies of [`Links`](super::links::Links) where there are any.
pub(super) struct Plain {
    pub(super) me: u64,
    pub(super) links: Option<Arc<super::links::Links>>,
}

#[async_trait::async_trait]
impl Connector for Plain {
    async fn channel(&self, member: &Member) -> io::Result<tonic::transport::Channel> {
        let addr = match &self.links {
            Some(links) => links.route(self.me, member.raft_id, &member.addr).await?,
            None => member.addr.clone(),
        };
        let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{addr}"))
            .map_err(io::Error::other)?;
        endpoint
            .tcp_nodelay(true)
            .connect()
            .await
            .map_err(io::Error::other)
    }
}
