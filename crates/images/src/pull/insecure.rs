//! Which registries may be reached without verified TLS.

use std::net::{IpAddr, Ipv6Addr};

use crate::error::OpenError;

/// The configured exceptions. Loopback always is one, as in Docker.
#[derive(Debug, Default)]
pub(super) struct Insecure {
    hosts: Vec<String>,
    networks: Vec<(IpAddr, u8)>,
}

impl Insecure {
    /// From `insecure-registries`: `host`, `host:port`, or a network such as `10.0.0.0/8`.
    pub(super) fn parse(entries: &[String]) -> Result<Self, OpenError> {
        let mut insecure = Self::default();
        for entry in entries {
            let wrong = || OpenError::InsecureRegistry(entry.clone());
            // A scheme is what users write by mistake, and old Docker tolerated.
            let text = entry
                .trim_start_matches("http://")
                .trim_start_matches("https://")
                .trim_end_matches('/');
            match text.split_once('/') {
                Some((address, bits)) => {
                    let address: IpAddr = address.parse().map_err(|_| wrong())?;
                    let most = if address.is_ipv4() { 32 } else { 128 };
                    let bits = bits
                        .parse()
                        .ok()
                        .filter(|bits| *bits <= most)
                        .ok_or_else(wrong)?;
                    insecure.networks.push((address, bits));
                }
                None if text.is_empty() || text.contains(char::is_whitespace) => {
                    return Err(wrong());
                }
                None => insecure.hosts.push(text.to_ascii_lowercase()),
            }
        }
        Ok(insecure)
    }

    /// Whether plain HTTP and unverified TLS are allowed for `registry` (`host` or `host:port`). A host name is looked up
    /// only when networks are configured.
    pub(super) async fn allows(&self, registry: &str) -> bool {
        let registry = registry.to_ascii_lowercase();
        let host = host_of(&registry);
        if self
            .hosts
            .iter()
            .any(|known| *known == registry || known == host)
            || host == "localhost"
        {
            return true;
        }
        if let Ok(address) = host.parse() {
            return self.allows_address(address);
        }
        if self.networks.is_empty() {
            return false;
        }
        let Ok(addresses) = tokio::net::lookup_host((host, 0)).await else {
            return false;
        };
        addresses
            .into_iter()
            .any(|address| self.allows_address(address.ip()))
    }

    fn allows_address(&self, address: IpAddr) -> bool {
        address.is_loopback()
            || self
                .networks
                .iter()
                .any(|(network, bits)| contains(*network, *bits, address))
    }
}

/// The host without its port, and without the brackets of an IPv6 address.
fn host_of(registry: &str) -> &str {
    if let Some(rest) = registry.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    registry.rsplit_once(':').map_or(registry, |(host, _)| host)
}

fn contains(network: IpAddr, bits: u8, address: IpAddr) -> bool {
    if network.is_ipv4() != address.is_ipv4() {
        return false;
    }
    let widen = |address: IpAddr| match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)) << 96,
        IpAddr::V6(v6) => Ipv6Addr::to_bits(v6),
    };
    let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
    widen(network) & mask == widen(address) & mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn registries_are_insecure_by_configuration_or_loopback() {
        let entries = [
            "10.1.0.0/16",
            "myreg:5000",
            "plain.example",
            "fd00::/8",
            "http://old.example/",
        ];
        let insecure = Insecure::parse(&entries.map(str::to_owned)).unwrap();
        for (registry, want) in [
            ("localhost", true),
            ("localhost:5000", true),
            ("127.0.0.1:5000", true),
            ("127.9.9.9", true),
            ("[::1]:5000", true),
            ("10.1.2.3:5000", true),
            ("10.2.0.1", false),
            ("[fd00::1]:5000", true),
            ("[fe80::1]:5000", false),
            ("myreg:5000", true),
            ("myreg.invalid:5001", false),
            ("plain.example", true),
            ("plain.example:443", true),
            ("old.example", true),
            ("registry.invalid", false),
        ] {
            assert_eq!(insecure.allows(registry).await, want, "{registry}");
        }
    }

    #[test]
    fn wrong_entries_are_refused() {
        for entry in ["", "10.0.0.0/33", "host/path", "10.0.0.0/x", "a b"] {
            assert!(Insecure::parse(&[entry.to_owned()]).is_err(), "{entry:?}");
        }
    }
}
