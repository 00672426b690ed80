//! The switch between the hosts: one bridge in a network namespace of its own, without uplink.

use std::fs::{self, File};
use std::future::Future;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;

use anyhow::{Context, Result, anyhow};
use futures_util::TryStreamExt;
use netlink_packet_route::link::{InfoData, InfoVeth};
use nix::sched::{CloneFlags, setns};
use rtnetlink::{Handle, LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth};

const BRIDGE: &str = "br0";
const UPLINK: &str = "eth0";
/// The hosts' network; it exists only in the namespaces of one cluster, so every cluster may use the same one.
const PREFIX_LENGTH: u8 = 24;

/// Runs `work` on a thread inside a network namespace; the caller's threads stay where they are.
pub(super) fn in_network<T: Send>(
    namespace: &File,
    work: impl FnOnce() -> Result<T> + Send,
) -> Result<T> {
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            setns(namespace, CloneFlags::CLONE_NEWNET)
                .context("cannot enter the network namespace")?;
            work()
        });
        inside
            .join()
            .unwrap_or_else(|_| Err(anyhow!("the thread in the network namespace panicked")))
    })
}

/// Network namespace of a process.
pub(super) fn network_of(pid: i32) -> Result<File> {
    File::open(format!("/proc/{pid}/ns/net"))
        .with_context(|| format!("pid {pid} has no network namespace: it is gone"))
}

/// The switch; it lives as long as the process that holds its namespace.
pub(super) struct Switch {
    namespace: File,
}

impl Switch {
    /// Makes the bridge in the network namespace of the process `holder`.
    pub(super) fn create(holder: i32) -> Result<Switch> {
        let switch = Switch {
            namespace: network_of(holder)?,
        };
        in_network(&switch.namespace, || {
            netlink(async |links| {
                links
                    .link()
                    .add(LinkBridge::new(BRIDGE).up().build())
                    .execute()
                    .await?;
                Ok(())
            })?;
            do_not_filter_bridged_frames();
            Ok(())
        })
        .context("cannot make the switch")?;
        Ok(switch)
    }

    /// Gives the host whose first process is `pid` its uplink, `eth0` with this address.
    pub(super) fn plug(&self, host: &str, pid: i32, address: Ipv4Addr) -> Result<()> {
        let inside = network_of(pid)?;
        let peer = LinkMessageBuilder::<LinkUnspec>::new()
            .name(UPLINK.to_owned())
            .address(hardware_address(address))
            .setns_by_fd(inside.as_raw_fd())
            .build();
        in_network(&self.namespace, || {
            netlink(async |handle| {
                let bridge = index(&handle, BRIDGE).await?;
                let cable = LinkVeth::new(&port(host), UPLINK)
                    .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
                    .controller(bridge)
                    .up()
                    .build();
                handle.link().add(cable).execute().await?;
                Ok(())
            })
        })
        .with_context(|| format!("cannot plug host {host} into the switch"))?;
        in_network(&inside, || {
            netlink(async |handle| {
                let (loopback, uplink) =
                    (index(&handle, "lo").await?, index(&handle, UPLINK).await?);
                handle
                    .address()
                    .add(uplink, address.into(), PREFIX_LENGTH)
                    .execute()
                    .await?;
                for link in [loopback, uplink] {
                    handle
                        .link()
                        .set(LinkUnspec::new_with_index(link).up().build())
                        .execute()
                        .await?;
                }
                Ok(())
            })
        })
        .with_context(|| format!("cannot give host {host} its address"))
    }

    /// Pulls (`up` false) or plugs the cable, silently: no packet tells the others.
    pub(super) fn set_link(&self, host: &str, up: bool) -> Result<()> {
        in_network(&self.namespace, || {
            netlink(async |handle| {
                let link = LinkUnspec::new_with_index(index(&handle, &port(host)).await?);
                let link = if up { link.up() } else { link.down() };
                handle.link().set(link.build()).execute().await?;
                Ok(())
            })
        })
        .with_context(|| format!("cannot change the link of host {host}"))
    }

    /// Removes a host's port, if it has one.
    pub(super) fn unplug(&self, host: &str) -> Result<()> {
        in_network(&self.namespace, || {
            netlink(async |handle| {
                if let Ok(link) = index(&handle, &port(host)).await {
                    handle.link().del(link).execute().await?;
                }
                Ok(())
            })
        })
        .with_context(|| format!("cannot remove the port of host {host}"))
    }
}

fn port(host: &str) -> String {
    format!("v-{host}")
}

/// The same for every life of a host, as with a real network card: others keep it in their neighbour tables.
fn hardware_address(address: Ipv4Addr) -> Vec<u8> {
    let [a, b, c, d] = address.octets();
    vec![0x02, 0x53, a, b, c, d]
}

/// The kernel sends bridged frames through the packet filter unless told otherwise, in each new namespace.
fn do_not_filter_bridged_frames() {
    for family in ["iptables", "ip6tables", "arptables"] {
        // Absent where the kernel has no bridge filter: then there is nothing to turn off.
        let _ = fs::write(format!("/proc/sys/net/bridge/bridge-nf-call-{family}"), "0");
    }
}

async fn index(handle: &Handle, name: &str) -> Result<u32> {
    let mut found = handle.link().get().match_name(name.to_owned()).execute();
    let link = found
        .try_next()
        .await
        .with_context(|| format!("no link named {name}"))?;
    Ok(link
        .ok_or_else(|| anyhow!("no link named {name}"))?
        .header
        .index)
}

/// Runs one exchange with the kernel in the network namespace of the calling thread.
fn netlink<F: Future<Output = Result<()>>>(exchange: impl FnOnce(Handle) -> F) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        let connection = tokio::spawn(connection);
        let result = exchange(handle).await;
        connection.abort();
        result
    })
}
