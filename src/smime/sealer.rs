//! Envelopes (RFC 8551 sections 3.3 and 3.4).

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;

use openssl::symm::Cipher;
use sendport_cms::Recipient;
use serde::Deserialize;

use super::SmimeError;
use super::candidate::{Candidate, Found, best};
use super::certificate::{RecipientCertificate, address_key};
use super::entity::Entity;
use super::folder::CertificateFolder;
use crate::domain::Timestamp;

/// What content is encrypted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum ContentCipher {
    /// Every reader opens it.
    #[default]
    #[serde(rename = "aes-256-cbc")]
    Aes256Cbc,
    /// Every reader opens it.
    #[serde(rename = "aes-192-cbc")]
    Aes192Cbc,
    /// Every reader opens it.
    #[serde(rename = "aes-128-cbc")]
    Aes128Cbc,
    /// AuthEnvelopedData (RFC 5083, RFC 5084): a change on the way is noticed.
    #[serde(rename = "aes-256-gcm")]
    Aes256Gcm,
    /// The same with a shorter key.
    #[serde(rename = "aes-128-gcm")]
    Aes128Gcm,
    /// For readers that know nothing else.
    #[serde(rename = "3des-cbc")]
    TripleDes,
}

/// How the key of the content goes to an RSA key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RsaEncryption {
    /// PKCS #1 v1.5, which every reader opens.
    #[default]
    Pkcs1,
    /// RSAES-OAEP with SHA-256 (RFC 3560).
    Oaep,
}

/// What becomes of an alert for somebody without a certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenMissing {
    /// That recipient fails; the others get it.
    #[default]
    Fail,
    /// Nobody gets it.
    FailAlert,
}

/// How a send port encrypts.
#[derive(Debug)]
pub struct Sealer {
    /// By what.
    pub cipher: ContentCipher,
    /// For RSA keys.
    pub rsa: RsaEncryption,
    /// What happens to who has no certificate.
    pub when_missing: WhenMissing,
    /// Where recipients' certificates are beside the database.
    pub folder: Option<CertificateFolder>,
    /// Ourselves, one of each kind of key.
    pub own: Vec<RecipientCertificate>,
}

/// What stands in `application/pkcs7-mime`: it cannot be mistaken for what can be read.
pub(super) struct Sealed(pub(super) Entity);

impl ContentCipher {
    /// All of them.
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

    fn algorithm(self) -> Cipher {
        match self {
            Self::Aes256Cbc => Cipher::aes_256_cbc(),
            Self::Aes192Cbc => Cipher::aes_192_cbc(),
            Self::Aes128Cbc => Cipher::aes_128_cbc(),
            Self::Aes256Gcm => Cipher::aes_256_gcm(),
            Self::Aes128Gcm => Cipher::aes_128_gcm(),
            Self::TripleDes => Cipher::des_ede3_cbc(),
        }
    }

    /// RFC 8551 section 3.2.2.
    fn smime_type(self) -> &'static str {
        match self {
            Self::Aes256Gcm | Self::Aes128Gcm => "authEnveloped-data",
            _ => "enveloped-data",
        }
    }
}

impl FromStr for ContentCipher {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|it| it.as_str() == text);
        named.ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            format!("'{text}' is not a cipher; write one of {known}")
        })
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
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = [Self::Pkcs1, Self::Oaep]
            .into_iter()
            .find(|it| it.as_str() == text);
        named.ok_or_else(|| format!("'{text}' is not a padding; write pkcs1 or oaep"))
    }
}

impl Sealer {
    /// The certificate of each address, in their order, with the kind of its key: the best of those
    /// that the database has for it and of those in the folder. Of a certificate that both have,
    /// the database says what becomes of it.
    ///
    /// # Errors
    /// [`SmimeError::NotNow`]: the folder cannot be read.
    pub fn certificates(
        &self,
        addresses: &[String],
        of_database: &HashMap<String, Vec<Candidate>>,
        now: Timestamp,
    ) -> Result<Vec<Found>, SmimeError> {
        let directory = match &self.folder {
            Some(folder) => folder.directory().map_err(SmimeError::NotNow)?,
            None => Arc::default(),
        };
        let find = |address: &String| {
            let stored = of_database.get(&address_key(address));
            let mut candidates = stored.cloned().unwrap_or_default();
            let in_folder = directory.candidates(address);
            let known =
                |it: &Candidate| stored.into_iter().flatten().any(|a| a.sha256 == it.sha256);
            candidates.extend(in_folder.filter(|it| !known(it)));
            best(address, candidates, now)
        };
        Ok(addresses.iter().map(find).collect())
    }

    pub(super) fn seal(
        &self,
        content: &Entity,
        recipients: &[Arc<RecipientCertificate>],
        now: Timestamp,
    ) -> Result<Sealed, SmimeError> {
        let first = recipients.first().ok_or(SmimeError::Nobody)?;
        let kind = first.usable(now).ok();
        let own = self.own.iter().filter(|it| it.usable(now).ok() == kind);
        let oaep = self.rsa == RsaEncryption::Oaep;
        let recipients: Vec<_> = recipients
            .iter()
            .map(|it| &**it)
            .chain(own)
            .map(|it| Recipient {
                certificate: &it.certificate,
                oaep,
            })
            .collect();
        let der = sendport_cms::encrypt(content.octets(), self.cipher.algorithm(), &recipients)?;
        let kind = format!(
            "application/pkcs7-mime; smime-type={}",
            self.cipher.smime_type()
        );
        Ok(Sealed(Entity::of_der(&kind, "smime.p7m", &der)))
    }
}
