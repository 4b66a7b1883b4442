//! Addresses that the DNS of a stranger must not make us connect to: our own intake trusts loopback,
//! and servers of the own network trust this host.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use sendport_core::domain::Network;

/// Why an address is not connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forbidden {
    /// Of this host: mail would come back.
    Own,
    /// Loopback, of a private network, or no address of one host.
    NotPublic,
}

/// Why `address` must not be connected to; `allowed` are exceptions.
pub(super) fn forbidden(address: IpAddr, allowed: &[Network]) -> Option<Forbidden> {
    if allowed.iter().any(|network| network.contains(address)) {
        return None;
    }
    match address.to_canonical() {
        IpAddr::V4(v4) if !is_public_v4(v4) => Some(Forbidden::NotPublic),
        IpAddr::V6(v6) if !is_public_v6(v6) => Some(Forbidden::NotPublic),
        address => is_of_this_host(address).then_some(Forbidden::Own),
    }
}

/// By the registry of RFC 6890, without the networks of documentation.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_shared = a == 100 && (64..128).contains(&b);
    let is_protocol = a == 192 && b == 0 && c == 0;
    let is_benchmark = a == 198 && (b == 18 || b == 19);
    let is_private = address.is_private() || address.is_link_local() || address.is_loopback();
    !(is_private || is_shared || is_protocol || is_benchmark || a == 0 || a >= 224)
}

/// Global unicast that leads to no forbidden IPv4 address (RFC 4291, RFC 6052, RFC 3056, RFC 4380, RFC 5214).
fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let v4_in = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match segments {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => is_public_v4(v4_in(high, low)),
        [0x2002, high, low, ..] => is_public_v4(v4_in(high, low)),
        // Teredo: the server, and the client with its bits inverted.
        [0x2001, 0, server_high, server_low, _, _, high, low] => {
            is_public_v4(v4_in(server_high, server_low)) && is_public_v4(v4_in(!high, !low))
        }
        // ISATAP: 5efe, with or without the bit for a global address.
        [first, _, _, _, 0 | 0x200, 0x5efe, high, low] => {
            (0x2000..0x4000).contains(&first) && is_public_v4(v4_in(high, low))
        }
        [first, ..] => (0x2000..0x4000).contains(&first),
    }
}

/// An address can be bound only on its own host. Where the system permits all (`ip_nonlocal_bind`), that
/// says nothing.
fn is_of_this_host(address: IpAddr) -> bool {
    let can_bind = |address: IpAddr| UdpSocket::bind((address, 0)).is_ok();
    let of_nobody = match address {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::new(192, 0, 2, 255)),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xffff)),
    };
    can_bind(address) && !can_bind(of_nobody)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(address: &str) -> Option<Forbidden> {
        forbidden(address.parse().expect("an address"), &[])
    }

    #[test]
    fn refuses_loopback_private_networks_and_what_leads_to_them() {
        for private in [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "::ffff:127.0.0.1",
            "0.0.0.0",
            "::",
            "::ffff:0.0.0.0",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "::ffff:192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "192.0.0.8",
            "198.18.0.1",
            "0.1.2.3",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "fe80::1",
            "fec0::1",
            "fd00::1",
            "fc00::1",
            "ff02::1",
            "::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:c0a8:101::1",
            "2001:0:c633:6401::80ff:fffe",
            "2001:0:c633:6401::3f57:fefe",
            "2001:0:7f00:1::39cc:9bfe",
            "2001:db8::5efe:10.0.0.1",
            "2001:db8::200:5efe:127.0.0.1",
        ] {
            assert_eq!(of(private), Some(Forbidden::NotPublic), "{private}");
        }
    }

    #[test]
    fn allows_public_addresses_and_exceptions() {
        for public in [
            "192.0.2.1",
            "198.51.100.1",
            "172.32.0.1",
            "100.128.0.1",
            "2001:db8::1",
            "64:ff9b::198.51.100.1",
            "2002:c633:6401::1",
            "2001:0:c633:6401::39cc:9bfe",
            "2001:db8::5efe:198.51.100.1",
        ] {
            assert_eq!(of(public), None, "{public}");
        }
        let allowed = ["10.0.0.0/8", "127.0.0.2"].map(|it| {
            let network = Network::try_from(it.to_owned());
            network.expect("a network")
        });
        let allows = |address: &str| forbidden(address.parse().expect("ip"), &allowed).is_none();
        assert!(allows("10.1.2.3") && allows("127.0.0.2") && allows("::ffff:10.1.2.3"));
        assert!(!allows("127.0.0.1") && !allows("192.168.0.1"));
    }
}
