//! Ciphers of content and paddings of RSA keys, by the words of configuration and database.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::error::UnknownWord;

/// The cipher that content is encrypted with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub enum ContentCipher {
    /// Every mail program opens it.
    #[default]
    #[serde(rename = "aes-256-cbc")]
    Aes256Cbc,
    /// Every mail program opens it.
    #[serde(rename = "aes-192-cbc")]
    Aes192Cbc,
    /// Every mail program opens it.
    #[serde(rename = "aes-128-cbc")]
    Aes128Cbc,
    /// AuthEnvelopedData (RFC 5083, RFC 5084): readers notice a change in transit.
    #[serde(rename = "aes-256-gcm")]
    Aes256Gcm,
    /// The same with a shorter key.
    #[serde(rename = "aes-128-gcm")]
    Aes128Gcm,
    /// For mail programs that support nothing else.
    #[serde(rename = "3des-cbc")]
    TripleDes,
}

/// How the content key is encrypted to an RSA key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RsaEncryption {
    /// PKCS #1 v1.5, which every mail program opens.
    #[default]
    Pkcs1,
    /// RSAES-OAEP with SHA-256 (RFC 3560).
    Oaep,
}

impl ContentCipher {
    const ALL: [Self; 6] = [
        Self::Aes256Cbc,
        Self::Aes192Cbc,
        Self::Aes128Cbc,
        Self::Aes256Gcm,
        Self::Aes128Gcm,
        Self::TripleDes,
    ];

    /// The word in the configuration and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aes256Cbc => "aes-256-cbc",
            Self::Aes192Cbc => "aes-192-cbc",
            Self::Aes128Cbc => "aes-128-cbc",
            Self::Aes256Gcm => "aes-256-gcm",
            Self::Aes128Gcm => "aes-128-gcm",
            Self::TripleDes => "3des-cbc",
        }
    }

    /// Readers notice a change in transit.
    pub fn authenticates(self) -> bool {
        matches!(self, Self::Aes256Gcm | Self::Aes128Gcm)
    }

    /// Bits of security, then whether it authenticates.
    pub(super) fn strength(self) -> (u16, bool) {
        match self {
            Self::Aes256Gcm => (256, true),
            Self::Aes256Cbc => (256, false),
            Self::Aes192Cbc => (192, false),
            Self::Aes128Gcm => (128, true),
            Self::Aes128Cbc => (128, false),
            Self::TripleDes => (112, false),
        }
    }

    /// The parameter `smime-type` (RFC 8551 section 3.2.2).
    pub(super) fn smime_type(self) -> &'static str {
        match self.authenticates() {
            true => "authEnveloped-data",
            false => "enveloped-data",
        }
    }
}

impl FromStr for ContentCipher {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        UnknownWord::find("cipher", text, &Self::ALL, Self::as_str)
    }
}

impl RsaEncryption {
    /// The word in the configuration and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pkcs1 => "pkcs1",
            Self::Oaep => "oaep",
        }
    }
}

impl FromStr for RsaEncryption {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        UnknownWord::find("padding", text, &[Self::Pkcs1, Self::Oaep], Self::as_str)
    }
}
