//! Sections `[intake.<name>.client.<name>]` and `[intake.<name>.user.<name>]`.

use std::fmt;

use sendport_core::domain::Network;
use sendport_core::secret::Secret;
use serde::{Deserialize, Serialize};

use super::{AddressPattern, DomainPattern};

/// What some clients may do. A key that is not set is that of the intake.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ClientRule {
    /// Their addresses and networks.
    pub addresses: Vec<Network>,
    /// The send port of their messages.
    pub send_port: Option<String>,
    /// Reverse-paths that they may use.
    pub allow_senders: Option<Vec<AddressPattern>>,
    /// They may use the null reverse-path.
    pub allow_null_sender: Option<bool>,
    /// Domains that they may send to.
    pub allow_recipient_domains: Option<Vec<DomainPattern>>,
}

/// How a user authenticates, and what it may do. A key that is not set is that of the client, or of the intake.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct UserRule {
    /// Hash of the password, for PLAIN and LOGIN: scrypt as `$scrypt$ln=15,r=8,p=3$salt$hash`.
    pub password_hash: Option<Secret>,
    /// SHA-256 of certificates that authenticate it, whoever issued them.
    #[serde(default)]
    pub certificate_sha256: Vec<CertificateFingerprint>,
    /// A DNS name, email address or common name in a certificate that an authority in `client_ca_file` issued.
    pub certificate_name: Option<String>,
    /// The send port of its messages.
    pub send_port: Option<String>,
    /// Reverse-paths that it may use.
    pub allow_senders: Option<Vec<AddressPattern>>,
    /// It may use the null reverse-path.
    pub allow_null_sender: Option<bool>,
    /// Domains that it may send to.
    pub allow_recipient_domains: Option<Vec<DomainPattern>>,
}

impl UserRule {
    /// It authenticates by a certificate.
    pub fn has_certificate(&self) -> bool {
        !self.certificate_sha256.is_empty() || self.certificate_name.is_some()
    }
}

/// SHA-256 of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct CertificateFingerprint(pub [u8; 32]);

/// The text is no fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "certificate_sha256: expected 64 hexadecimal digits (colons may separate them), as 'openssl x509 -noout \
     -fingerprint -sha256 -in client.pem' prints them, found \"{0}\""
)]
pub struct NotAFingerprint(String);

impl TryFrom<String> for CertificateFingerprint {
    type Error = NotAFingerprint;

    fn try_from(text: String) -> Result<Self, NotAFingerprint> {
        parse(&text).map(Self).ok_or(NotAFingerprint(text))
    }
}

fn parse(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text.bytes().filter(|&byte| byte != b':').collect();
    let mut bytes = [0; 32];
    if digits.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let nibble = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(nibble(pair[0])? * 16 + nibble(pair[1])?).ok()?;
    }
    Some(bytes)
}

impl From<CertificateFingerprint> for String {
    fn from(value: CertificateFingerprint) -> Self {
        value.to_string()
    }
}

impl fmt::Display for CertificateFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
