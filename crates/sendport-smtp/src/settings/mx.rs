//! Section `[relay.<name>]` of `kind = "mx"`: the mail hosts of each recipient's domain.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use sendport_core::domain::{DomainRule, Network};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::limits::{Connections, Limits, Rate};
use super::relay::{messages_per_connection, optional_name, yes};
use super::timeouts::Timeouts;
use super::tls::TlsMode;

/// Most connections to all hosts where `max_connections` is not set.
pub const CONNECTIONS_TO_ALL: u32 = 20;

/// The mail hosts of each recipient's domain, by the DNS (RFC 5321 section 5.1).
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MxRelay {
    /// Name servers to ask instead of the system's.
    #[serde(default, deserialize_with = "name_servers")]
    pub dns_servers: Vec<SocketAddr>,
    /// TCP port of all hosts.
    #[serde(default = "port")]
    pub port: u16,
    /// Encryption to hosts of domains without a route: none, opportunistic or starttls.
    #[serde(default = "opportunistic")]
    pub tls: TlsMode,
    /// Honour the policies of domains (MTA-STS, RFC 8461) where `tls` is opportunistic.
    #[serde(default = "yes")]
    pub mta_sts: bool,
    /// The name in `EHLO`; without it the host's fully qualified name.
    #[serde(default, deserialize_with = "optional_name")]
    pub ehlo_name: Option<String>,
    /// Local address to connect from.
    pub local_address: Option<IpAddr>,
    /// Addresses that may be connected to although they are private or of this host.
    #[serde(default)]
    pub allow_private: Vec<Network>,
    /// SMTP extensions to ignore although a server offers them, by keyword.
    #[serde(default)]
    pub ignore_extensions: Vec<String>,
    /// Most messages under way to all hosts, of all instances together; without it
    /// [`CONNECTIONS_TO_ALL`] of each.
    pub max_connections: Option<u32>,
    /// Most messages under way to one domain, of each instance.
    #[serde(default = "of_one")]
    pub max_connections_per_domain: u32,
    /// Most connections to one address of a host, of each instance.
    #[serde(default = "of_one")]
    pub max_connections_per_host: u32,
    /// Most mail transactions, of all instances together.
    pub message_rate: Option<Rate>,
    /// Most mail transactions with one domain, of each instance.
    pub message_rate_per_domain: Option<Rate>,
    /// Most mail transactions with one address of a host, of each instance.
    pub message_rate_per_host: Option<Rate>,
    /// Most messages over one connection.
    #[serde(default = "messages_per_connection")]
    pub messages_per_connection: u32,
    /// A connection that was not used for this long is closed.
    #[serde(default = "idle_timeout", with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// Most recipients of one mail transaction.
    #[serde(default = "recipients")]
    pub recipients_per_message: Option<u32>,
    /// The wait after a domain could not be reached for the first time. It doubles.
    #[serde(default = "first_wait", with = "humantime_serde")]
    pub first_wait: Duration,
    /// It grows no longer than this.
    #[serde(default = "longest_wait", with = "humantime_serde")]
    pub longest_wait: Duration,
    /// Longest wait for each command.
    #[serde(default)]
    pub timeout: Timeouts,
    /// Domains with a route of their own.
    #[serde(default)]
    pub route: BTreeMap<DomainRule, RouteConfig>,
}

/// Section `[relay.<name>.route.<domain>]`: the route of a domain, or with a leading dot of its
/// subdomains.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RouteConfig {
    /// The name of another relay; nothing else is then set.
    pub relay: Option<String>,
    /// Name or address of a host instead of the domain's own. It may be private.
    #[serde(default, deserialize_with = "optional_name")]
    pub host: Option<String>,
    /// TCP port, where it is another one than the relay's.
    pub port: Option<u16>,
    /// Encryption, where it is another one than the relay's.
    pub tls: Option<TlsMode>,
    /// PEM file of certification authorities.
    pub ca_file: Option<PathBuf>,
}

impl MxRelay {
    /// The route of a domain: its own, or the longest one of subdomains.
    pub fn route_of(&self, domain: &str) -> Option<&RouteConfig> {
        let fitting = self.route.iter().filter(|(rule, _)| rule.allows(domain));
        let best = fitting.max_by_key(|(rule, _)| rule.specificity());
        best.map(|(_, route)| route)
    }

    /// The limits of all hosts together.
    pub fn limits(&self) -> Limits {
        Limits {
            connections: self
                .max_connections
                .map_or(Connections::OfEach(CONNECTIONS_TO_ALL), Connections::OfAll),
            connect_rate: None,
            message_rate: self.message_rate,
            recipients: None,
        }
    }

    /// The limits of one domain.
    pub fn domain_limits(&self) -> Limits {
        Limits {
            message_rate: self.message_rate_per_domain,
            recipients: self.recipients_per_message,
            ..Limits::of_each(self.max_connections_per_domain)
        }
    }

    /// Every file that it names.
    pub fn files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        self.route.values_mut().filter_map(|it| it.ca_file.as_mut())
    }
}

/// Addresses with a port, or without one for port 53.
fn name_servers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SocketAddr>, D::Error> {
    let written = Vec::<String>::deserialize(deserializer)?;
    let server = |text: &String| {
        let alone = || text.parse().map(|ip| SocketAddr::new(ip, 53));
        let wrong = |_| {
            D::Error::custom(format!(
                "expected the address of a name server such as \"192.0.2.53\" or \"[2001:db8::53]:53\", found \"{text}\""
            ))
        };
        text.parse().or_else(|_| alone()).map_err(wrong)
    };
    written.iter().map(server).collect()
}

fn port() -> u16 {
    25
}

fn opportunistic() -> TlsMode {
    TlsMode::Opportunistic
}

fn of_one() -> u32 {
    4
}

fn recipients() -> Option<u32> {
    // RFC 5321 section 4.5.3.1.8.
    Some(100)
}

fn idle_timeout() -> Duration {
    Duration::from_secs(10)
}

fn first_wait() -> Duration {
    Duration::from_secs(30)
}

fn longest_wait() -> Duration {
    // RFC 5321 section 4.5.4.1.
    Duration::from_secs(30 * 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_route_is_used() {
        let relay: MxRelay = toml::from_str(
            "[route.'.contoso.com']\nrelay = 'all'\n\
             [route.'.Test.Contoso.com']\nrelay = 'test'\n\
             [route.'contoso.com']\nhost = 'mail.contoso.com'",
        )
        .expect("settings");
        let relay_of = |domain| relay.route_of(domain).map(|it| it.relay.as_deref());
        assert_eq!(relay_of("contoso.com"), Some(None));
        assert_eq!(relay_of("a.contoso.com"), Some(Some("all")));
        assert_eq!(relay_of("A.TEST.contoso.com"), Some(Some("test")));
        assert_eq!(relay_of("contoso.net"), None);
    }

    #[test]
    fn a_name_server_has_port_53_unless_it_says_otherwise() {
        let servers = |text: &str| toml::from_str::<MxRelay>(&format!("dns_servers = [{text}]"));
        let relay = servers("'192.0.2.53', '192.0.2.53:5353', '2001:db8::53', '[2001:db8::53]:54'");
        let shown = relay.expect("settings").dns_servers;
        let shown: Vec<_> = shown.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "192.0.2.53:53",
                "192.0.2.53:5353",
                "[2001:db8::53]:53",
                "[2001:db8::53]:54"
            ]
        );
        for wrong in ["'ns.contoso.com'", "''", "'192.0.2.53:'"] {
            let error = servers(wrong).expect_err(wrong).to_string();
            assert!(error.contains("such as \"192.0.2.53\""), "{error}");
        }
    }
}
