//! Section `[relay.<name>]`: a server to submit to, or a substitute for one.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use sendport_core::domain::domain_to_ascii;
use serde::{Deserialize, Deserializer, Serialize};

use super::auth::AuthConfig;
use super::graph::GraphRelay;
use super::limits::{CONNECTIONS, Connections, Limits, Rate};
use super::mx::MxRelay;
use super::timeouts::Timeouts;
use super::tls::{MinTlsVersion, Pin, TlsMode};

/// A relay, tagged by `kind`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RelayConfig {
    /// `kind = "smtp"`.
    Smtp(Box<SmtpRelay>),
    /// `kind = "mx"`.
    Mx(Box<MxRelay>),
    /// `kind = "graph"`.
    Graph(Box<GraphRelay>),
    /// `kind = "file"`.
    File(FileRelay),
    /// `kind = "discard"`.
    Discard(DiscardRelay),
}

/// Takes every message and keeps nothing: for load tests of everything in front of it.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DiscardRelay {}

/// Writes each message as an .eml file, as pickup directories read them.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FileRelay {
    /// Where to.
    pub folder: PathBuf,
    /// Write the envelope as `X-Sender` and `X-Receiver` lines in front of the header.
    #[serde(default = "yes")]
    pub envelope_headers: bool,
}

/// An SMTP server.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SmtpRelay {
    /// Name or address; an internationalised name is read as its A-labels, here and below.
    #[serde(deserialize_with = "name")]
    pub host: String,
    /// TCP port; without it 25 for `tls = "none"` and `"opportunistic"`, 587 for
    /// `"starttls"`, 465 for `"implicit"`.
    pub port: Option<u16>,
    /// How the wire is encrypted.
    #[serde(default)]
    pub tls: TlsMode,
    /// PEM file of certification authorities.
    pub ca_file: Option<PathBuf>,
    /// Trust `ca_file` alone, not the system's authorities beside it.
    #[serde(default)]
    pub ca_file_only: bool,
    /// The name that the certificate has to bear, where it is not `host`.
    #[serde(default, deserialize_with = "optional_name")]
    pub verify_name: Option<String>,
    /// False accepts any certificate. `check` warns of it.
    #[serde(default = "yes")]
    pub verify_certificate: bool,
    /// Lowest TLS version.
    #[serde(default)]
    pub min_tls_version: MinTlsVersion,
    /// The relay's certificate has to match one of these. Without `ca_file` that is enough,
    /// with it the chain and the name are checked, too.
    #[serde(default)]
    pub pin_sha256: Vec<Pin>,
    /// PEM file of the certificate that we show where the server asks for one, its chain after
    /// it.
    pub client_certificate_file: Option<PathBuf>,
    /// PEM file of its private key; default: the key is in `client_certificate_file`.
    pub client_key_file: Option<PathBuf>,
    /// File that holds the password of the key.
    pub client_key_password_file: Option<PathBuf>,
    /// Environment variable that holds the password of the key.
    pub client_key_password_env: Option<String>,
    /// The name in `EHLO`; without it the host's fully qualified name.
    #[serde(default, deserialize_with = "optional_name")]
    pub ehlo_name: Option<String>,
    /// Local address to connect from.
    pub local_address: Option<IpAddr>,
    /// Authentication (RFC 4954).
    #[serde(default)]
    pub auth: AuthConfig,
    /// SMTP extensions to ignore although the server offers them, by keyword.
    #[serde(default)]
    pub ignore_extensions: Vec<String>,
    /// Most connections at the same time, of all instances together; without it
    /// [`CONNECTIONS`] of each.
    pub max_connections: Option<u32>,
    /// Most messages over one connection.
    #[serde(default = "messages_per_connection")]
    pub messages_per_connection: u32,
    /// A connection that was not used for this long is closed.
    #[serde(default = "idle_timeout", with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// Most new connections, of all instances together.
    pub connect_rate: Option<Rate>,
    /// Most mail transactions, of all instances together.
    pub message_rate: Option<Rate>,
    /// Most recipients of one mail transaction; an alert with more takes several.
    pub recipients_per_message: Option<u32>,
    /// False keeps the send port's `return_path` as it is, for a server that accepts `MAIL FROM` with that address alone.
    #[serde(default = "yes")]
    pub return_path_token: bool,
    /// Longest wait for each command.
    #[serde(default)]
    pub timeout: Timeouts,
}

impl SmtpRelay {
    /// `port`, or the one that belongs to `tls`.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(match self.tls {
            TlsMode::None | TlsMode::Opportunistic => 25,
            TlsMode::Starttls => 587,
            TlsMode::Implicit => 465,
        })
    }

    /// What may be asked of it.
    pub fn limits(&self) -> Limits {
        Limits {
            connections: self
                .max_connections
                .map_or(Connections::OfEach(CONNECTIONS), Connections::OfAll),
            connect_rate: self.connect_rate,
            message_rate: self.message_rate,
            recipients: self.recipients_per_message,
        }
    }

    /// Every file that it names.
    pub fn files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let files = [
            &mut self.ca_file,
            &mut self.client_certificate_file,
            &mut self.client_key_file,
            &mut self.client_key_password_file,
            &mut self.auth.password_file,
            &mut self.auth.keytab_file,
        ];
        files.into_iter().flatten()
    }

    /// Whether the chain and the name of the relay's certificate are checked: not where a pin
    /// vouches for it alone.
    pub fn checks_chain(&self) -> bool {
        let pin_is_enough = !self.pin_sha256.is_empty() && self.ca_file.is_none();
        self.verify_certificate && self.tls != TlsMode::Opportunistic && !pin_is_enough
    }
}

/// An invalid domain name is kept; its user reports it.
fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let written = String::deserialize(deserializer)?;
    match domain_to_ascii(&written) {
        Ok(ascii) if !written.is_ascii() => Ok(ascii.into_owned()),
        _ => Ok(written),
    }
}

pub(super) fn optional_name<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    name(deserializer).map(Some)
}

pub(super) fn yes() -> bool {
    true
}

pub(super) fn messages_per_connection() -> u32 {
    100
}

fn idle_timeout() -> Duration {
    Duration::from_secs(30)
}
