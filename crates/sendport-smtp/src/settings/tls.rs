//! Keys of `[relay.<name>]` about the encryption of the wire.

use std::fmt;
use std::str::FromStr;

use openssl::base64::decode_block;
use serde::{Deserialize, Serialize};

/// How the wire is encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
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

/// SHA-256 of what is known of the relay beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Pin {
    /// `cert:`, of the whole certificate.
    Certificate([u8; 32]),
    /// `spki:`, of the SubjectPublicKeyInfo (RFC 7469 section 2.4): stays when the certificate
    /// is renewed with the same key.
    PublicKey([u8; 32]),
}

/// Not a pin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "pin_sha256: expected \"cert:\" or \"spki:\" and a SHA-256 in 64 hexadecimal digits (colons may \
     part them) or in base64, found \"{0}\""
)]
pub struct NotAPin(String);

impl FromStr for Pin {
    type Err = NotAPin;

    fn from_str(text: &str) -> Result<Self, NotAPin> {
        let (kind, digest) = text.split_once(':').unwrap_or_default();
        let digest = from_hexadecimal(digest).or_else(|| from_base64(digest));
        match (kind, digest) {
            ("cert", Some(digest)) => Ok(Self::Certificate(digest)),
            ("spki", Some(digest)) => Ok(Self::PublicKey(digest)),
            _ => Err(NotAPin(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Pin {
    type Error = NotAPin;

    fn try_from(text: String) -> Result<Self, NotAPin> {
        text.parse()
    }
}

impl From<Pin> for String {
    fn from(value: Pin) -> Self {
        value.to_string()
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, digest) = match self {
            Self::Certificate(digest) => ("cert", digest),
            Self::PublicKey(digest) => ("spki", digest),
        };
        write!(f, "{kind}:")?;
        digest.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn from_hexadecimal(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text.bytes().filter(|&b| b != b':').collect();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let nibble = |digit: u8| char::from(digit).to_digit(16);
        let value = nibble(pair[0])? * 16 + nibble(pair[1])?;
        *byte = u8::try_from(value).ok()?;
    }
    Some(bytes)
}

fn from_base64(text: &str) -> Option<[u8; 32]> {
    decode_block(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_in_every_spelling() {
        let hexadecimal = "spki:".to_owned() + &"0A".repeat(32);
        let colons = "cert:".to_owned() + &["0a"; 32].join(":");
        let base64 = "spki:CgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgo=";
        assert_eq!(hexadecimal.parse(), Ok(Pin::PublicKey([10; 32])));
        assert_eq!(base64.parse(), Ok(Pin::PublicKey([10; 32])));
        assert_eq!(colons.parse(), Ok(Pin::Certificate([10; 32])));
        let shown = Pin::PublicKey([10; 32]).to_string();
        assert_eq!(shown, hexadecimal.to_lowercase());
        for wrong in [
            "",
            "cert:",
            "sha256:00",
            &hexadecimal[5..],
            "spki:Cg==",
            "cert:é",
        ] {
            let error = wrong.parse::<Pin>().expect_err(wrong).to_string();
            assert!(error.contains("expected"), "{error}");
        }
    }
}
