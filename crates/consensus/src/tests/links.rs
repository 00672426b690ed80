//! A proxy for each pair of members, which can be cut (nothing passes, nothing is reset) and throttled.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Mutex;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;

#[derive(Clone, Copy, Default)]
struct Faults {
    cut: bool,
    bytes_per_second: Option<u64>,
}

struct Link {
    addr: String,
    faults: watch::Sender<Faults>,
}

/// All links of a cluster. They live on the runtime of the test, so that they outlive killed members.
pub(super) struct Links {
    runtime: Handle,
    links: Mutex<HashMap<(u64, u64), Link>>,
    isolated: Mutex<HashSet<u64>>,
}

impl Links {
    pub(super) fn new(runtime: Handle) -> Self {
        Self {
            runtime,
            links: Mutex::default(),
            isolated: Mutex::default(),
        }
    }

    /// The address that leads `from` to `to`.
    pub(super) async fn route(&self, from: u64, to: u64, target: &str) -> io::Result<String> {
        if let Some(link) = self.links.lock().expect("lock").get(&(from, to)) {
            return Ok(link.addr.clone());
        }
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?.to_string();
        let (faults, view) = watch::channel(Faults {
            cut: self.is_isolated(from) || self.is_isolated(to),
            ..Faults::default()
        });
        let target = target.to_owned();
        self.runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).expect("a listener");
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, target.clone(), view.clone()));
            }
        });
        self.links.lock().expect("lock").insert(
            (from, to),
            Link {
                addr: addr.clone(),
                faults,
            },
        );
        Ok(addr)
    }

    /// Cuts or heals all links from and to `member`.
    pub(super) fn isolate(&self, member: u64, cut: bool) {
        {
            let mut isolated = self.isolated.lock().expect("lock");
            if cut {
                isolated.insert(member)
            } else {
                isolated.remove(&member)
            };
        }
        self.change(
            |(from, to)| from == member || to == member,
            |faults| faults.cut = cut,
        );
    }

    fn is_isolated(&self, member: u64) -> bool {
        self.isolated.lock().expect("lock").contains(&member)
    }

    /// Limits what `member` can send.
    pub(super) fn throttle(&self, member: u64, bytes_per_second: Option<u64>) {
        self.change(
            |(from, _)| from == member,
            |faults| faults.bytes_per_second = bytes_per_second,
        );
    }

    fn change(&self, which: impl Fn((u64, u64)) -> bool, change: impl Fn(&mut Faults)) {
        for (pair, link) in self.links.lock().expect("lock").iter() {
            if which(*pair) {
                link.faults.send_modify(&change);
            }
        }
    }
}

async fn forward(client: TcpStream, target: String, faults: watch::Receiver<Faults>) {
    let mut open = faults.clone();
    if open.wait_for(|faults| !faults.cut).await.is_err() {
        return;
    }
    let Ok(server) = TcpStream::connect(target).await else {
        return;
    };
    let (_, _) = (client.set_nodelay(true), server.set_nodelay(true));
    let (client_in, client_out) = client.into_split();
    let (server_in, server_out) = server.into_split();
    // Either side's end ends both.
    tokio::select! {
        _ = copy(client_in, server_out, faults.clone()) => {}
        _ = copy(server_in, client_out, faults) => {}
    }
}

async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut faults: watch::Receiver<Faults>,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let len = from.read(&mut buffer).await?;
        if len == 0 {
            return Ok(());
        }
        let now = *faults
            .wait_for(|faults| !faults.cut)
            .await
            .map_err(io::Error::other)?;
        if let Some(rate) = now.bytes_per_second {
            tokio::time::sleep(Duration::from_secs_f64(len as f64 / rate as f64)).await;
        }
        to.write_all(&buffer[..len]).await?;
    }
}
