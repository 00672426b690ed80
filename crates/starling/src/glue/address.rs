//! The addresses that operators give to `swarm init` and `swarm join`, with this host's interfaces.

use model::control::ControlError;
use std::error::Error;
use std::net::SocketAddr;

/// Where a founder listens, and what it advertises.
pub(super) async fn at_init(
    listen: &str,
    advertise: &str,
) -> Result<(SocketAddr, SocketAddr), ControlError> {
    let interfaces = network::interfaces().await.map_err(no_interfaces)?;
    let listen = network::resolve_listen(listen, &interfaces).map_err(wrong)?;
    let advertise = network::resolve_advertise(advertise, listen, &interfaces).map_err(wrong)?;
    Ok((listen, advertise))
}

/// The same for a node that joins. Without a wish and with any address to listen on, the way to the remote manager
/// decides what is advertised: a host with several addresses needs no `--advertise-addr`.
pub(super) async fn at_join(
    listen: &str,
    advertise: &str,
) -> Result<(SocketAddr, Option<SocketAddr>), ControlError> {
    let interfaces = network::interfaces().await.map_err(no_interfaces)?;
    let listen = network::resolve_listen(listen, &interfaces).map_err(wrong)?;
    if advertise.is_empty() && listen.ip().is_unspecified() {
        return Ok((listen, None));
    }
    let advertise = network::resolve_advertise(advertise, listen, &interfaces).map_err(wrong)?;
    Ok((listen, Some(advertise)))
}

fn wrong(error: network::AddressError) -> ControlError {
    ControlError::InvalidArgument(error.to_string())
}

fn no_interfaces(error: network::NetlinkError) -> ControlError {
    let cause = error.source().map(|cause| format!(": {cause}"));
    ControlError::NotManager(format!("{error}{}", cause.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn a_joining_node_leaves_the_choice_to_the_way() {
        let joins = at_join("", "").await.unwrap();
        assert_eq!(joins, (addr("0.0.0.0:2377"), None));
        let joins = at_join("127.0.0.1:5", "").await.unwrap();
        assert_eq!(joins, (addr("127.0.0.1:5"), Some(addr("127.0.0.1:5"))));
        let joins = at_join("", "10.0.0.1").await.unwrap();
        assert_eq!(joins, (addr("0.0.0.0:2377"), Some(addr("10.0.0.1:2377"))));
    }

    #[tokio::test]
    async fn a_wrong_address_is_an_invalid_argument() {
        let error = at_init("nowhere:1", "").await.unwrap_err();
        let text =
            "listen address must be an IP address or network interface (with optional port number)";
        assert_eq!(error, ControlError::InvalidArgument(text.into()));
        for result in [
            at_init("127.0.0.1", "0.0.0.0").await.map(|_| ()),
            at_join("127.0.0.1", "0.0.0.0").await.map(|_| ()),
        ] {
            let ControlError::InvalidArgument(text) = result.unwrap_err() else {
                panic!("another kind of error");
            };
            assert!(text.starts_with("advertise address must be"), "{text}");
        }
    }
}
