//! Which of this host's addresses a manager elsewhere can answer to.

use std::net::{IpAddr, UdpSocket};

/// The source address of this host on the way to `remote`: a connected UDP socket knows it, and sends nothing.
pub(super) fn towards(remote: &str) -> Option<IpAddr> {
    let local = |any: &str| {
        let socket = UdpSocket::bind(any).ok()?;
        socket.connect(remote).ok()?;
        let ip = socket.local_addr().ok()?.ip();
        (!ip.is_unspecified()).then_some(ip)
    };
    local("0.0.0.0:0").or_else(|| local("[::]:0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_says_the_address() {
        assert_eq!(towards("127.0.0.1:1"), Some([127, 0, 0, 1].into()));
        assert_eq!(towards("no address"), None);
    }
}
