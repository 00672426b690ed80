//! Which address a node listens on, and under which others reach it.

use crate::interfaces::Interface;
use std::net::{IpAddr, SocketAddr};

/// Docker's port for traffic between nodes.
pub const DEFAULT_SWARM_PORT: u16 = 2377;

/// No address could be chosen. The texts are Docker's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The listen address makes no sense.
    #[error(
        "listen address must be an IP address or network interface (with optional port number)"
    )]
    BadListen,
    /// The advertised address makes no sense.
    #[error(
        "advertise address must be a non-zero IP address or network interface (with optional port number)"
    )]
    BadAdvertise,
    /// This host has no address that others could reach.
    #[error("could not find the system's IP address - specify one with --advertise-addr")]
    None,
    /// Two addresses on two interfaces.
    #[error(
        "could not choose an IP address to advertise since this system has multiple addresses on different \
         interfaces ({first} on {first_interface} and {second} on {second_interface}) - specify one with --advertise-addr"
    )]
    Interfaces {
        /// One.
        first: IpAddr,
        /// Where it is.
        first_interface: String,
        /// Another.
        second: IpAddr,
        /// Where it is.
        second_interface: String,
    },
    /// Two addresses on one interface.
    #[error(
        "could not choose an IP address to advertise since this system has multiple addresses on interface \
         {interface} ({first} and {second}) - specify one with --advertise-addr"
    )]
    Interface {
        /// The interface.
        interface: String,
        /// One.
        first: IpAddr,
        /// Another.
        second: IpAddr,
    },
    /// A named interface has two addresses of one family.
    #[error("interface {interface} has more than one {family} address ({first} and {second})")]
    Named {
        /// The interface.
        interface: String,
        /// IPv4 or IPv6.
        family: &'static str,
        /// One.
        first: IpAddr,
        /// Another.
        second: IpAddr,
    },
    /// A named interface has no address.
    #[error("interface {0} has no usable IPv4 or IPv6 address")]
    NamedNone(String),
}

/// Where to listen: `address`, `interface`, either with `:port`; nothing is all addresses.
///
/// # Errors
/// When it is neither, or the interface does not decide.
pub fn resolve_listen(text: &str, interfaces: &[Interface]) -> Result<SocketAddr, AddressError> {
    if text.is_empty() {
        return Ok(SocketAddr::from(([0, 0, 0, 0], DEFAULT_SWARM_PORT)));
    }
    let (host, port) = split(text).ok_or(AddressError::BadListen)?;
    let address = match named(host, interfaces)? {
        Some(address) => address,
        None => host.parse().map_err(|_| AddressError::BadListen)?,
    };
    Ok(SocketAddr::new(address, port.unwrap_or(DEFAULT_SWARM_PORT)))
}

/// Under which address others reach this node: the one asked for, else the one listened on, else the only one that
/// there is. The port is the one listened on unless it is given.
///
/// # Errors
/// When what was asked for makes no sense, or there is a choice.
pub fn resolve_advertise(
    text: &str,
    listen: SocketAddr,
    interfaces: &[Interface],
) -> Result<SocketAddr, AddressError> {
    if text.is_empty() {
        let address = if listen.ip().is_unspecified() {
            system_address(interfaces)?
        } else {
            listen.ip()
        };
        return Ok(SocketAddr::new(address, listen.port()));
    }
    let (host, port) = split(text).ok_or(AddressError::BadAdvertise)?;
    let address = match named(host, interfaces)? {
        Some(address) => address,
        None => host.parse().map_err(|_| AddressError::BadAdvertise)?,
    };
    if address.is_unspecified() {
        return Err(AddressError::BadAdvertise);
    }
    Ok(SocketAddr::new(address, port.unwrap_or(listen.port())))
}

/// A manager elsewhere, `host` or `host:port`, as `host:port`. The host may be a name.
pub fn resolve_remote(text: &str) -> String {
    match split(text) {
        Some((host, None)) if host.contains(':') => format!("[{host}]:{DEFAULT_SWARM_PORT}"),
        Some((host, None)) => format!("{host}:{DEFAULT_SWARM_PORT}"),
        // With a port; or nonsense, which connecting to it tells.
        _ => text.to_owned(),
    }
}

/// The only address that this host has: its only IPv4 one, or its only IPv6 one if it has no IPv4.
///
/// # Errors
/// When there is none, or more than one.
pub fn system_address(interfaces: &[Interface]) -> Result<IpAddr, AddressError> {
    let usable = interfaces.iter().filter(|i| i.up && !i.loopback);
    let all: Vec<(IpAddr, &str)> = usable
        .flat_map(|i| {
            i.addresses
                .iter()
                .map(|address| (*address, i.name.as_str()))
        })
        .filter(|(address, _)| !address.is_loopback() && !address.is_multicast())
        .collect();
    let of_family = |v4: bool| {
        all.iter()
            .filter(move |(address, _)| address.is_ipv4() == v4)
    };
    let v4 = of_family(true).next().is_some();
    let mut candidates = of_family(v4);
    let (first, interface) = candidates.next().ok_or(AddressError::None)?;
    match candidates.next() {
        None => Ok(*first),
        Some((second, other)) if other == interface => Err(AddressError::Interface {
            interface: (*interface).into(),
            first: *first,
            second: *second,
        }),
        Some((second, other)) => Err(AddressError::Interfaces {
            first: *first,
            first_interface: (*interface).into(),
            second: *second,
            second_interface: (*other).into(),
        }),
    }
}

/// Host and port, the latter optional. An IPv6 address with a port is in brackets.
fn split(text: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        return match port.strip_prefix(':') {
            Some(port) => Some((host, Some(port.parse().ok()?))),
            None => port.is_empty().then_some((host, None)),
        };
    }
    match text.rsplit_once(':') {
        // More colons: an IPv6 address without a port.
        Some((host, _)) if host.contains(':') => Some((text, None)),
        Some((host, port)) => Some((host, Some(port.parse().ok()?))),
        None => Some((text, None)),
    }
}

/// The address of the interface of this name, if there is such an interface.
fn named(name: &str, interfaces: &[Interface]) -> Result<Option<IpAddr>, AddressError> {
    let Some(interface) = interfaces.iter().find(|i| i.name == name) else {
        return Ok(None);
    };
    for (v4, family) in [(true, "IPv4"), (false, "IPv6")] {
        let mut addresses = interface.addresses.iter().filter(|a| a.is_ipv4() == v4);
        match (addresses.next(), addresses.next()) {
            (None, _) => {}
            (Some(first), None) => return Ok(Some(*first)),
            (Some(first), Some(second)) => {
                return Err(AddressError::Named {
                    interface: name.into(),
                    family,
                    first: *first,
                    second: *second,
                });
            }
        }
    }
    Err(AddressError::NamedNone(name.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `eth0=10.0.0.1,fd00::1 !eth1=10.0.0.2`: an exclamation mark is an interface that is off.
    fn host(text: &str) -> Vec<Interface> {
        let interface = |word: &str| {
            let (name, addresses) = word.split_once('=').unwrap();
            let addresses = addresses.split(',').filter(|a| !a.is_empty());
            Interface {
                name: name.trim_start_matches('!').into(),
                up: !name.starts_with('!'),
                loopback: name == "lo",
                addresses: addresses.map(|a| a.parse().unwrap()).collect(),
            }
        };
        text.split_whitespace().map(interface).collect()
    }

    fn check_advertise(interfaces: &str, listen: &str, text: &str, expected: &str) {
        let interfaces = host(interfaces);
        let listen = resolve_listen(listen, &interfaces).unwrap();
        let got = match resolve_advertise(text, listen, &interfaces) {
            Ok(address) => address.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(got, expected);
    }

    #[test]
    fn the_only_address_is_advertised() {
        let one = "lo=127.0.0.1 eth0=10.0.0.1,fd00::1 !eth1=10.0.0.2";
        check_advertise(one, "", "", "10.0.0.1:2377");
        check_advertise(one, "0.0.0.0:99", "", "10.0.0.1:99");
        check_advertise("lo=127.0.0.1 eth0=fd00::1", "", "", "[fd00::1]:2377");
    }

    #[test]
    fn a_listen_address_that_is_not_all_is_advertised() {
        check_advertise("a=10.0.0.1 b=10.0.0.2", "10.0.0.2", "", "10.0.0.2:2377");
        check_advertise("a=10.0.0.1 b=10.0.0.2", "b:5", "", "10.0.0.2:5");
    }

    #[test]
    fn a_choice_is_the_users() {
        check_advertise(
            "a=10.0.0.1 b=10.0.0.2",
            "",
            "",
            "could not choose an IP address to advertise since this system has multiple addresses on different interfaces \
             (10.0.0.1 on a and 10.0.0.2 on b) - specify one with --advertise-addr",
        );
        check_advertise(
            "a=10.0.0.1,10.0.0.2",
            "",
            "",
            "could not choose an IP address to advertise since this system has multiple addresses on interface a \
             (10.0.0.1 and 10.0.0.2) - specify one with --advertise-addr",
        );
        check_advertise(
            "lo=127.0.0.1",
            "",
            "",
            "could not find the system's IP address - specify one with --advertise-addr",
        );
    }

    #[test]
    fn what_is_asked_for_is_advertised() {
        let two = "a=10.0.0.1 b=10.0.0.2 c=10.0.0.3,10.0.0.4 d=";
        check_advertise(two, "", "192.0.2.1", "192.0.2.1:2377");
        check_advertise(two, "", "192.0.2.1:7", "192.0.2.1:7");
        check_advertise(two, "", "b", "10.0.0.2:2377");
        check_advertise(two, "0.0.0.0:5", "b:6", "10.0.0.2:6");
        check_advertise(two, "", "fd00::9", "[fd00::9]:2377");
        check_advertise(two, "", "[fd00::9]:8", "[fd00::9]:8");
        let bad = "advertise address must be a non-zero IP address or network interface (with optional port number)";
        for text in [
            "0.0.0.0",
            "nope",
            "10.0.0.1:x",
            ":5",
            "[fd00::1",
            "10.0.0.1:70000",
        ] {
            check_advertise(two, "", text, bad);
        }
        check_advertise(
            two,
            "",
            "c",
            "interface c has more than one IPv4 address (10.0.0.3 and 10.0.0.4)",
        );
        check_advertise(
            two,
            "",
            "d",
            "interface d has no usable IPv4 or IPv6 address",
        );
    }

    #[test]
    fn a_bad_listen_address_is_refused() {
        for bad in ["nope:1", "1.2.3.4:x", "1.2.3.4:70000", ":1"] {
            assert_eq!(
                resolve_listen(bad, &[]),
                Err(AddressError::BadListen),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_listen_address_may_be_an_interface() {
        let interfaces = host("lo=127.0.0.1 b=10.0.0.2,fd00::2");
        let listen = |text| resolve_listen(text, &interfaces).unwrap().to_string();
        assert_eq!(listen(""), "0.0.0.0:2377");
        assert_eq!(listen("127.0.0.1"), "127.0.0.1:2377");
        assert_eq!(listen("[::1]:99"), "[::1]:99");
        assert_eq!(listen("b"), "10.0.0.2:2377");
        assert_eq!(listen("b:5"), "10.0.0.2:5");
    }

    #[test]
    fn a_manager_has_the_default_port() {
        assert_eq!(resolve_remote("host"), "host:2377");
        assert_eq!(resolve_remote("host:1"), "host:1");
        assert_eq!(resolve_remote("10.0.0.1"), "10.0.0.1:2377");
        assert_eq!(resolve_remote("::1"), "[::1]:2377");
        assert_eq!(resolve_remote("[::1]"), "[::1]:2377");
        assert_eq!(resolve_remote("[::1]:5"), "[::1]:5");
    }
}
