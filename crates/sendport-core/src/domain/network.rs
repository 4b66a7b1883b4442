//! IP addresses and networks, as settings name them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

/// `192.0.2.1`, `192.0.2.0/24`, `2001:db8::1` or `2001:db8::/32`. IPv4 addresses that are mapped into IPv6 are
/// IPv4 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network(IpNet);

/// The text is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotANetwork {
    /// It is something else.
    #[error(
        "expected an address or a network such as \"192.0.2.1\", \"192.0.2.0/24\" or \"2001:db8::/32\", found \"{0}\""
    )]
    Malformed(String),
    /// Bits beside the prefix are set.
    #[error("\"{found}\" is an address inside of the network \"{network}\"; write one of the two")]
    HostBits {
        /// As it is written.
        found: String,
        /// The network that it is in.
        network: IpNet,
    },
}

impl Network {
    /// This host.
    pub const LOOPBACK: [Self; 2] = [
        Self(IpNet::V4(Ipv4Net::new_assert(
            Ipv4Addr::new(127, 0, 0, 0),
            8,
        ))),
        Self(IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128))),
    ];

    /// Whether the address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// The length of its prefix; that of an IPv4 network counts from the start of IPv6's.
    pub fn specificity(&self) -> u8 {
        match self.0 {
            IpNet::V4(network) => 96 + network.prefix_len(),
            IpNet::V6(network) => network.prefix_len(),
        }
    }

    /// It is wider than any organization: shorter than 8 bits in IPv4, than 16 bits in IPv6.
    pub fn is_of_everybody(&self) -> bool {
        match self.0 {
            IpNet::V4(network) => network.prefix_len() < 8,
            IpNet::V6(network) => network.prefix_len() < 16,
        }
    }

    /// All of its addresses are of this host.
    pub fn is_loopback(&self) -> bool {
        let inside = |network: &Self| network.0.contains(&self.0);
        Self::LOOPBACK.iter().any(inside)
    }
}

impl TryFrom<String> for Network {
    type Error = NotANetwork;

    fn try_from(text: String) -> Result<Self, NotANetwork> {
        let written = text.trim();
        let network = match written.parse::<IpAddr>() {
            Ok(address) => IpNet::from(address),
            Err(_) => written
                .parse()
                .map_err(|_| NotANetwork::Malformed(text.clone()))?,
        };
        if network.trunc() != network {
            let network = network.trunc();
            return Err(NotANetwork::HostBits {
                found: text,
                network,
            });
        }
        Ok(Self(without_mapping(network)))
    }
}

/// `::ffff:192.0.2.0/120` is `192.0.2.0/24`.
fn without_mapping(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else {
        return network;
    };
    let mapped = v6
        .addr()
        .to_ipv4_mapped()
        .zip(v6.prefix_len().checked_sub(96));
    let v4 = mapped.and_then(|(address, prefix)| Ipv4Net::new(address, prefix).ok());
    v4.map_or(network, IpNet::V4)
}

impl From<Network> for String {
    fn from(value: Network) -> Self {
        value.to_string()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.prefix_len() == self.0.max_prefix_len() {
            true => self.0.addr().fmt(f),
            false => self.0.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Result<Network, NotANetwork> {
        Network::try_from(text.to_owned())
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address() {
        for (text, shown) in [
            ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:DB8::/32", "2001:db8::/32"),
            (" 192.0.2.1/32 ", "192.0.2.1"),
        ] {
            assert_eq!(network(text).unwrap().to_string(), shown);
        }
        let loopback = Network::LOOPBACK;
        let is_in = |address: &str| {
            let address = address.parse().unwrap();
            loopback.iter().any(|network| network.contains(address))
        };
        for inside in ["127.0.0.1", "127.255.0.1", "::1", "::ffff:127.0.0.1"] {
            assert!(is_in(inside), "{inside}");
        }
        for outside in [
            "128.0.0.1",
            "::2",
            "::127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
        ] {
            assert!(!is_in(outside), "{outside}");
        }
        assert!(network("127.0.0.0/30").unwrap().is_loopback());
        assert!(!network("126.0.0.0/7").unwrap().is_loopback());
    }

    #[test]
    fn a_malformed_network_is_refused_with_an_example() {
        for text in [
            "",
            "10.1",
            "10.0.0.0/33",
            "localhost",
            "10.0.0.0-10.0.0.9",
            "*",
        ] {
            let error = network(text).unwrap_err().to_string();
            assert!(error.contains("\"192.0.2.0/24\""), "{error}");
        }
        let error = network("10.1.2.3/8").unwrap_err().to_string();
        assert!(error.contains("\"10.0.0.0/8\""), "{error}");
    }
}
