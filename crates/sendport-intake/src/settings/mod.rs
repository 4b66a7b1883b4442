//! `[intake.<name>]`: what an intake is set up with, as it is written in the configuration.

mod checks;
mod limits;
mod pattern;
mod pickup;
mod timeouts;
mod tls;
mod user;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use sendport_core::byte_size::ByteSize;
use sendport_core::domain::{Address, Network};
use sendport_core::problem::Problem;
use serde::{Deserialize, Serialize};

pub use limits::MOST_HOPS;
pub use pattern::{AddressPattern, DomainPattern, NotAPattern};
pub use pickup::PickupConfig;
pub use timeouts::Timeouts;
pub use tls::{IntakeTls, MinTlsVersion};
pub use user::{CertificateFingerprint, ClientRule, NotAFingerprint, UserRule};

/// An intake, tagged by `kind`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum IntakeConfig {
    /// `kind = "smtp"`.
    Smtp(Box<SmtpIntakeConfig>),
    /// `kind = "pickup"`: message files of any program.
    Pickup(Box<PickupConfig>),
    /// `kind = "sendmail"`: message files that `sendport sendmail` writes.
    Sendmail(Box<PickupConfig>),
}

impl IntakeConfig {
    /// Everything that has to be corrected before the intake starts; keys are relative to `[intake.<name>]`. No file is
    /// read.
    pub fn problems(&self) -> Vec<Problem> {
        match self {
            Self::Smtp(smtp) => smtp.problems(),
            Self::Pickup(pickup) => pickup.problems(false),
            Self::Sendmail(pickup) => pickup.problems(true),
        }
    }

    /// The name that the intake gives itself; `None`: that of the host.
    pub fn hostname(&self) -> Option<&str> {
        match self {
            Self::Smtp(smtp) => smtp.hostname.as_deref(),
            Self::Pickup(pickup) | Self::Sendmail(pickup) => pickup.hostname.as_deref(),
        }
    }

    /// What others than this host can do; keys as in [`IntakeConfig::problems`].
    pub fn warnings(&self) -> Vec<Problem> {
        match self {
            Self::Smtp(smtp) => smtp.warnings(),
            Self::Pickup(_) | Self::Sendmail(_) => Vec::new(),
        }
    }

    /// Every file and folder that it names.
    pub fn files(&mut self) -> Vec<&mut PathBuf> {
        match self {
            Self::Smtp(smtp) => smtp.files().collect(),
            Self::Pickup(pickup) | Self::Sendmail(pickup) => pickup.files().collect(),
        }
    }

    /// Every send port that it names, with the key that does.
    pub fn send_ports(&self) -> Vec<(String, &str)> {
        let (port, by_sender) = match self {
            Self::Smtp(smtp) => (&smtp.send_port, &smtp.send_port_by_sender),
            Self::Pickup(it) | Self::Sendmail(it) => (&it.send_port, &it.send_port_by_sender),
        };
        let mut ports = vec![("send_port".to_owned(), &**port)];
        let by_sender = by_sender.iter();
        ports
            .extend(by_sender.map(|(it, port)| (format!("send_port_by_sender.\"{it}\""), &**port)));
        if let Self::Smtp(smtp) = self {
            ports.extend(smtp.send_ports_of_clients());
        }
        ports
    }

    /// The folder that files are taken from, if it is one of files.
    pub fn pickup(&self) -> Option<&PickupConfig> {
        match self {
            Self::Smtp(_) => None,
            Self::Pickup(pickup) | Self::Sendmail(pickup) => Some(pickup),
        }
    }
}

/// An SMTP server that takes messages for the database.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SmtpIntakeConfig {
    /// Addresses and ports to listen on. `[::]` takes IPv4 too where the system is set up so.
    pub listen: Vec<SocketAddr>,
    /// The name in the greeting, in `Received` and in Message-IDs; without it the host's fully qualified name.
    pub hostname: Option<String>,
    /// The send port of the messages, unless a sender, a user or a client has one of its own.
    pub send_port: String,
    /// Send ports by reverse-path: an address, a domain or `.domain`. The most specific one counts, before
    /// that of a user or a client.
    #[serde(default)]
    pub send_port_by_sender: BTreeMap<AddressPattern, String>,
    /// Addresses and networks of clients that may relay without authentication.
    #[serde(default = "loopback")]
    pub allow_clients: Vec<Network>,
    /// Reverse-paths that clients may use: addresses, domains, `.domain`, or `*` for any.
    pub allow_senders: Vec<AddressPattern>,
    /// Accept the null reverse-path `<>`, which notifications have.
    #[serde(default)]
    pub allow_null_sender: bool,
    /// Domains that clients may send to: `contoso.com`, `.contoso.com`, `[192.0.2.1]`, or `*` for any domain,
    /// which has no address literal in it.
    #[serde(default = "any_domain")]
    pub allow_recipient_domains: Vec<DomainPattern>,
    /// Clients from anywhere may send to any domain without authentication.
    #[serde(default)]
    pub allow_open_relay: bool,
    /// Gets what is sent to `<postmaster>` without a domain (RFC 5321 section 4.5.1).
    pub postmaster: Option<Address>,
    /// Rules for some clients, by a name of your choice. Their addresses may relay, too. Where networks overlap,
    /// the smallest one counts.
    #[serde(default)]
    pub client: BTreeMap<String, ClientRule>,
    /// Users that may relay from any address after authentication, by name. Case does not matter.
    #[serde(default)]
    pub user: BTreeMap<String, UserRule>,
    /// Offer AUTH without TLS to clients on this host.
    #[serde(default)]
    pub allow_cleartext_auth: bool,
    /// How the wire is encrypted.
    #[serde(default)]
    pub tls: IntakeTls,
    /// PEM file of the server's certificate, its chain after it.
    pub certificate_file: Option<PathBuf>,
    /// PEM file of its private key; default: the key is in `certificate_file`.
    pub key_file: Option<PathBuf>,
    /// File that contains the password of the key.
    pub key_password_file: Option<PathBuf>,
    /// Environment variable that contains the password of the key.
    pub key_password_env: Option<String>,
    /// PEM file of the authorities that issue certificates of clients, for `certificate_name` of users.
    pub client_ca_file: Option<PathBuf>,
    /// Lowest TLS version.
    #[serde(default)]
    pub min_tls_version: MinTlsVersion,
    /// Longest message, as `SIZE` announces it; at most 900MB.
    #[serde(default = "limits::message_size")]
    pub max_message_size: ByteSize,
    /// Most recipients of one message; at most 10,000.
    #[serde(default = "limits::recipients")]
    pub max_recipients: u32,
    /// Most connections at the same time.
    #[serde(default = "limits::connections")]
    pub max_connections: u32,
    /// Most connections of one client address (of an IPv6 network of 64 bits) at the same time.
    #[serde(default = "limits::connections_per_client")]
    pub max_connections_per_client: u32,
    /// Most messages over one connection.
    #[serde(default = "limits::messages_per_connection")]
    pub max_messages_per_connection: u32,
    /// Most messages of one client address (of an IPv6 network of 64 bits) in a minute. Without it any number.
    pub max_messages_per_minute_per_client: Option<u32>,
    /// Most commands of one connection that are refused by a 5xx reply. An accepted message sets the count to 0.
    #[serde(default = "limits::errors")]
    pub max_errors: u32,
    /// Most `Received` fields of a message; more are a loop.
    #[serde(default = "limits::hops")]
    pub hop_limit: u32,
    /// Keep messages on the disk while the database is away.
    #[serde(default)]
    pub spool: bool,
    /// Bytes of all messages in the spool at which no more are accepted.
    #[serde(default = "limits::spool_size")]
    pub max_spool_size: ByteSize,
    /// Age of the oldest message in the spool at which no more are accepted.
    #[serde(default = "limits::spool_age", with = "humantime_serde")]
    pub max_spool_age: Duration,
    /// Longest waits.
    #[serde(default)]
    pub timeout: Timeouts,
}

impl SmtpIntakeConfig {
    /// Every file that it names.
    pub fn files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let files = [
            &mut self.certificate_file,
            &mut self.key_file,
            &mut self.key_password_file,
            &mut self.client_ca_file,
        ];
        files.into_iter().flatten()
    }

    fn send_ports_of_clients(&self) -> impl Iterator<Item = (String, &str)> {
        let clients = self.client.iter().filter_map(|(name, rule)| {
            let port = rule.send_port.as_deref()?;
            Some((format!("client.{name}.send_port"), port))
        });
        let users = self.user.iter().filter_map(|(name, rule)| {
            let port = rule.send_port.as_deref()?;
            Some((format!("user.{name}.send_port"), port))
        });
        clients.chain(users)
    }

    /// A certificate of a client can authenticate a user.
    pub fn asks_for_client_certificates(&self) -> bool {
        self.user.values().any(UserRule::has_certificate)
    }
}

fn loopback() -> Vec<Network> {
    Network::LOOPBACK.to_vec()
}

fn any_domain() -> Vec<DomainPattern> {
    vec![DomainPattern::Any]
}

#[cfg(test)]
mod tests;
