//! Section `[relay.<name>]`: one server to submit to, or what stands in for one.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::secret::Secret;

/// A relay, told apart by `kind`.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RelayConfig {
    /// `kind = "smtp"`.
    Smtp(Box<SmtpRelay>),
    /// `kind = "file"`.
    File(FileRelay),
    /// `kind = "discard"`.
    Discard(DiscardRelay),
}

/// Takes every message and keeps nothing: for load tests of everything in front of it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiscardRelay {}

/// Writes each message as an .eml file, as pickup directories read them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRelay {
    /// Where to.
    pub folder: PathBuf,
    /// Write the envelope as `X-Sender` and `X-Receiver` lines in front of the header.
    #[serde(default = "yes")]
    pub envelope_headers: bool,
}

/// An SMTP server.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmtpRelay {
    /// Name or address.
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
    pub verify_name: Option<String>,
    /// False accepts any certificate. `check` warns of it.
    #[serde(default = "yes")]
    pub verify_certificate: bool,
    /// Lowest TLS version.
    #[serde(default)]
    pub min_tls_version: MinTlsVersion,
    /// The name in `EHLO`; without it the host's fully qualified name.
    pub ehlo_name: Option<String>,
    /// Local address to connect from.
    pub local_address: Option<IpAddr>,
    /// How to sign in.
    #[serde(default)]
    pub auth: AuthConfig,
    /// SMTP extensions to ignore although the server offers them, by keyword.
    #[serde(default)]
    pub ignore_extensions: Vec<String>,
    /// Most connections at the same time.
    #[serde(default = "max_connections")]
    pub max_connections: u32,
    /// Most messages over one connection.
    #[serde(default = "messages_per_connection")]
    pub messages_per_connection: u32,
    /// A connection that was not used for this long is closed.
    #[serde(default = "idle_timeout", with = "humantime_serde")]
    pub idle_timeout: Duration,
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
}

/// How the wire is encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TlsMode {
    /// Not at all.
    None,
    /// STARTTLS where it is offered, the certificate not checked (RFC 7435).
    Opportunistic,
    /// STARTTLS required and the certificate checked (RFC 3207).
    #[default]
    Starttls,
    /// TLS from the first octet (RFC 8314).
    Implicit,
}

/// Lowest TLS version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum MinTlsVersion {
    /// RFC 5246.
    #[default]
    #[serde(rename = "1.2")]
    Tls12,
    /// RFC 8446.
    #[serde(rename = "1.3")]
    Tls13,
}

/// How to sign in (RFC 4954).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthConfig {
    /// Which mechanism.
    #[serde(default)]
    pub mechanism: AuthMechanism,
    /// Who signs in.
    pub username: Option<String>,
    /// With what.
    #[serde(default)]
    pub password: Option<Secret>,
    /// File that holds the password; a final line ending is not part of it.
    pub password_file: Option<PathBuf>,
    /// Environment variable that holds the password.
    pub password_env: Option<String>,
    /// Accept that the password travels over an unencrypted connection.
    #[serde(default)]
    pub allow_cleartext_auth: bool,
}

/// SASL mechanism.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMechanism {
    /// Do not sign in.
    #[default]
    None,
    /// The strongest of what is offered and known here.
    Auto,
    /// RFC 4616.
    Plain,
    /// The de-facto standard of old Exchange and others.
    Login,
}

/// Longest wait for each command; the defaults are RFC 5321 section 4.5.3.2's.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// Name look-up and TCP connect.
    #[serde(with = "humantime_serde")]
    pub connect: Duration,
    /// Until the 220 greeting.
    #[serde(with = "humantime_serde")]
    pub greeting: Duration,
    /// EHLO, HELO, RSET, and each step of AUTH.
    #[serde(with = "humantime_serde")]
    pub command: Duration,
    /// A TLS handshake.
    #[serde(with = "humantime_serde")]
    pub tls_handshake: Duration,
    /// MAIL.
    #[serde(with = "humantime_serde")]
    pub mail: Duration,
    /// RCPT, each.
    #[serde(with = "humantime_serde")]
    pub rcpt: Duration,
    /// DATA, up to 354.
    #[serde(with = "humantime_serde")]
    pub data: Duration,
    /// Each block of the content.
    #[serde(with = "humantime_serde")]
    pub data_block: Duration,
    /// The reply to the final dot.
    #[serde(with = "humantime_serde")]
    pub end_of_data: Duration,
    /// QUIT.
    #[serde(with = "humantime_serde")]
    pub quit: Duration,
    /// The whole attempt, from the connection to the reply to the final dot.
    #[serde(with = "humantime_serde")]
    pub attempt: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let minutes = |m: u64| Duration::from_secs(60 * m);
        Self {
            connect: Duration::from_secs(30),
            greeting: minutes(5),
            command: minutes(5),
            tls_handshake: minutes(1),
            mail: minutes(5),
            rcpt: minutes(5),
            data: minutes(2),
            data_block: minutes(3),
            end_of_data: minutes(10),
            quit: Duration::from_secs(2),
            attempt: minutes(30),
        }
    }
}

fn yes() -> bool {
    true
}

fn max_connections() -> u32 {
    10
}

fn messages_per_connection() -> u32 {
    100
}

fn idle_timeout() -> Duration {
    Duration::from_secs(30)
}
