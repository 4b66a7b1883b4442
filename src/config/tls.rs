//! Keys of `[relay.<name>]` about the encryption of the wire.

use serde::Deserialize;

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
