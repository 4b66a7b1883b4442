//! Keys of `[intake.<name>]` about the encryption of the wire.

use serde::{Deserialize, Serialize};

/// How the wire is encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IntakeTls {
    /// Not at all.
    #[default]
    None,
    /// STARTTLS is offered (RFC 3207).
    Starttls,
    /// STARTTLS is required before MAIL and AUTH.
    StarttlsRequired,
    /// TLS from the first octet (RFC 8314).
    Implicit,
}

/// Lowest TLS version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum MinTlsVersion {
    /// RFC 5246.
    #[default]
    #[serde(rename = "1.2")]
    Tls12,
    /// RFC 8446.
    #[serde(rename = "1.3")]
    Tls13,
}
