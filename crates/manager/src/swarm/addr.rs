//! Addresses that operators give: an IP address or a network interface, with a port or without.

use super::SwarmError;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use std::net::{IpAddr, SocketAddr, UdpSocket};

/// Docker's port for traffic between nodes.
pub(super) const DEFAULT_PORT: u16 = 2377;
/// An address of the documentation's network (RFC 5737): asking for the way there sends nothing.
const SOMEWHERE: &str = "192.0.2.1:9";

const BAD_LISTEN: &str =
    "listen address must be an IP address or network interface (with optional port number)";
const BAD_ADVERTISE: &str = "advertise address must be a non-zero IP address or network interface (with optional port number)";
const NO_ADVERTISE: &str =
    "could not find the system's IP address - specify one with --advertise-addr";

/// Where the node server listens: any address on Docker's port unless given.
pub(super) fn listen(text: &str) -> Result<SocketAddr, SwarmError> {
    if text.is_empty() {
        return Ok(SocketAddr::from(([0, 0, 0, 0], DEFAULT_PORT)));
    }
    let (host, port) = split(text);
    let ip = resolve(host).ok_or_else(|| SwarmError::Invalid(BAD_LISTEN.into()))?;
    let port = parse_port(port, DEFAULT_PORT, BAD_LISTEN)?;
    Ok(SocketAddr::new(ip, port))
}

/// What other nodes are told: as given, else the address that is listened on, else the one on the way to `remote`.
pub(super) fn advertise(
    text: &str,
    listen: SocketAddr,
    remote: Option<&str>,
) -> Result<SocketAddr, SwarmError> {
    if !text.is_empty() {
        let (host, port) = split(text);
        let ip = resolve(host).filter(|ip| !ip.is_unspecified());
        let ip = ip.ok_or_else(|| SwarmError::Invalid(BAD_ADVERTISE.into()))?;
        let port = parse_port(port, listen.port(), BAD_ADVERTISE)?;
        return Ok(SocketAddr::new(ip, port));
    }
    if !listen.ip().is_unspecified() {
        return Ok(listen);
    }
    let ip = towards(remote.unwrap_or(SOMEWHERE)).or_else(only_address);
    let ip = ip.ok_or_else(|| SwarmError::Invalid(NO_ADVERTISE.into()))?;
    Ok(SocketAddr::new(ip, listen.port()))
}

/// A manager to join, with Docker's port unless given.
pub(super) fn remote(text: &str) -> String {
    match split(text) {
        (host, "") if host.contains(':') => format!("[{host}]:{DEFAULT_PORT}"),
        (host, "") => format!("{host}:{DEFAULT_PORT}"),
        _ => text.to_owned(),
    }
}

/// Host and port; the port is empty when there is none.
fn split(text: &str) -> (&str, &str) {
    if text.parse::<IpAddr>().is_ok() {
        return (text, "");
    }
    match text.rsplit_once(':') {
        Some((host, port)) => {
            let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
            (bare.unwrap_or(host), port)
        }
        None => (text, ""),
    }
}

fn parse_port(port: &str, default: u16, error: &str) -> Result<u16, SwarmError> {
    if port.is_empty() {
        return Ok(default);
    }
    port.parse().map_err(|_| SwarmError::Invalid(error.into()))
}

/// An address, or an interface's first one (IPv4 before IPv6).
fn resolve(host: &str) -> Option<IpAddr> {
    if let Ok(ip) = host.parse() {
        return Some(ip);
    }
    let addresses = interfaces().into_iter().filter(|(name, _)| name == host);
    addresses.map(|(_, ip)| ip).min_by_key(IpAddr::is_ipv6)
}

/// The address of this host on the way to `remote`.
fn towards(remote: &str) -> Option<IpAddr> {
    let local = |any: &str| {
        let socket = UdpSocket::bind(any).ok()?;
        socket.connect(remote).ok()?;
        let ip = socket.local_addr().ok()?.ip();
        (!ip.is_unspecified()).then_some(ip)
    };
    local("0.0.0.0:0").or_else(|| local("[::]:0"))
}

/// The address of this host if it has but one beside the loopback's.
fn only_address() -> Option<IpAddr> {
    let mut addresses = interfaces().into_iter().map(|(_, ip)| ip);
    let first = addresses.find(|ip| ip.is_ipv4() && !ip.is_loopback())?;
    let other = addresses.find(|ip| ip.is_ipv4() && !ip.is_loopback());
    other.is_none().then_some(first)
}

fn interfaces() -> Vec<(String, IpAddr)> {
    let Ok(all) = getifaddrs() else {
        return Vec::new();
    };
    let up = all.filter(|i| i.flags.contains(InterfaceFlags::IFF_UP));
    let addresses = up.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|a| IpAddr::from(a.ip()));
        let v6 = address.as_sockaddr_in6().map(|a| IpAddr::from(a.ip()));
        Some((interface.interface_name, v4.or(v6)?))
    });
    addresses.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_are_read_as_docker_reads_them() {
        assert_eq!(listen("").unwrap(), addr("0.0.0.0:2377"));
        assert_eq!(listen("127.0.0.1").unwrap(), addr("127.0.0.1:2377"));
        assert_eq!(listen("[::1]:99").unwrap(), addr("[::1]:99"));
        assert_eq!(listen("lo:5").unwrap(), addr("127.0.0.1:5"));
        for bad in ["nowhere", "1.2.3.4:x", "1.2.3.4:70000", ":1"] {
            let error = listen(bad).unwrap_err().to_string();
            assert_eq!(error, BAD_LISTEN, "{bad}");
        }
        assert_eq!(remote("host"), "host:2377");
        assert_eq!(remote("host:1"), "host:1");
        assert_eq!(remote("::1"), "[::1]:2377");
    }

    #[test]
    fn the_advertised_address_follows_from_what_is_known() {
        let any = addr("0.0.0.0:7");
        assert_eq!(
            advertise("10.0.0.1", any, None).unwrap(),
            addr("10.0.0.1:7")
        );
        assert_eq!(
            advertise("10.0.0.1:8", any, None).unwrap(),
            addr("10.0.0.1:8")
        );
        assert_eq!(
            advertise("", addr("10.0.0.2:9"), None).unwrap(),
            addr("10.0.0.2:9")
        );
        assert_eq!(
            advertise("", any, Some("127.0.0.1:1")).unwrap(),
            addr("127.0.0.1:7")
        );
        let error = advertise("0.0.0.0", any, None).unwrap_err().to_string();
        assert_eq!(error, BAD_ADVERTISE);
    }
}
