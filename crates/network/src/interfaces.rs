//! Asks the kernel for interfaces and addresses.

use futures_util::TryStreamExt;
use netlink_packet_route::address::{AddressAttribute, AddressMessage, AddressScope};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

/// A network interface of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// It is switched on.
    pub up: bool,
    /// It leads back to this host.
    pub loopback: bool,
    /// Its addresses that are valid everywhere (neither link-local nor host-local), in the kernel's order.
    pub addresses: Vec<IpAddr>,
}

/// The kernel did not answer.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// There is no netlink socket.
    #[error("cannot open a netlink socket")]
    Socket(#[source] io::Error),
    /// A question was answered with an error.
    #[error("cannot list this host's interfaces and addresses")]
    Request(#[source] rtnetlink::Error),
}

/// All interfaces of this network namespace, in the order of their indexes.
///
/// # Errors
/// When netlink cannot be used.
pub async fn interfaces() -> Result<Vec<Interface>, NetlinkError> {
    let (connection, handle, _) = rtnetlink::new_connection().map_err(NetlinkError::Socket)?;
    let connection = tokio::spawn(connection);
    let answers = async {
        let links: Vec<LinkMessage> = handle.link().get().execute().try_collect().await?;
        let addresses = handle.address().get().execute().try_collect().await?;
        Ok((links, addresses))
    };
    let answers: Result<(Vec<LinkMessage>, Vec<AddressMessage>), _> = answers.await;
    connection.abort();
    let (links, addresses) = answers.map_err(NetlinkError::Request)?;
    let mut interfaces: BTreeMap<u32, Interface> = links.into_iter().filter_map(link).collect();
    for message in addresses {
        let Some(interface) = interfaces.get_mut(&message.header.index) else {
            continue;
        };
        interface.addresses.extend(address(&message));
    }
    Ok(interfaces.into_values().collect())
}

fn link(message: LinkMessage) -> Option<(u32, Interface)> {
    let flags = message.header.flags;
    let name = message.attributes.into_iter().find_map(|attribute| {
        if let LinkAttribute::IfName(name) = attribute {
            Some(name)
        } else {
            None
        }
    })?;
    let interface = Interface {
        name,
        up: flags.contains(LinkFlags::Up),
        loopback: flags.contains(LinkFlags::Loopback),
        addresses: Vec::new(),
    };
    Some((message.header.index, interface))
}

/// The local address: on a point-to-point link `Address` is the other end.
fn address(message: &AddressMessage) -> Option<IpAddr> {
    if message.header.scope != AddressScope::Universe {
        return None;
    }
    let mut far = None;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) => return Some(*address),
            AddressAttribute::Address(address) => far = Some(*address),
            _ => {}
        }
    }
    far
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_loopback_device_is_there() {
        let all = interfaces().await.unwrap();
        let loopback = all
            .iter()
            .find(|i| i.name == "lo")
            .expect("a loopback device");
        assert!(loopback.loopback);
    }
}
