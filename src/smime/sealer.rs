//! Envelopes (RFC 8551 sections 3.3 and 3.4).

use std::sync::Arc;

use openssl::symm::Cipher;
use sendport_cms::Recipient;
use serde::Deserialize;

use super::SmimeError;
use super::certificate::{KeyKind, NoCertificate, RecipientCertificate};
use super::entity::Entity;
use super::folder::CertificateFolder;
use super::trust::Trust;
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
    /// Where the recipients' certificates are.
    pub folder: CertificateFolder,
    /// Who vouches for them; `None` believes them all.
    pub trust: Option<Arc<Trust>>,
    /// Ourselves, one of each kind of key.
    pub own: Vec<RecipientCertificate>,
}

/// What stands in `application/pkcs7-mime`: it cannot be mistaken for what can be read.
pub(super) struct Sealed(pub(super) Entity);

impl ContentCipher {
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

impl Sealer {
    /// The certificate of each address, in their order, with the kind of its key.
    ///
    /// # Errors
    /// [`SmimeError::NotNow`]: the folder cannot be read; [`SmimeError::Awaited`]: it is not yet
    /// known whether one was revoked.
    pub fn certificates(
        &self,
        addresses: &[String],
        now: Timestamp,
    ) -> Result<Vec<Found>, SmimeError> {
        let directory = self.folder.directory().map_err(SmimeError::NotNow)?;
        let trust = self.trust.as_deref();
        let find = |address: &String| match directory.find(address, trust, now) {
            Err(NoCertificate::Awaited { why, retry_in }) => {
                Err(SmimeError::Awaited { why, retry_in })
            }
            found => Ok(found),
        };
        addresses.iter().map(find).collect()
    }

    /// Those of our own to which nothing is encrypted any more, in sentences.
    pub fn useless_own(&self, now: Timestamp) -> Vec<String> {
        let why = self.own.iter().filter_map(|it| it.usable(now).err());
        why.map(|why| format!("own_certificate_file: {why}; nothing is encrypted to it, put a new one in its place and restart"))
            .collect()
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

/// The certificate of somebody and the kind of its key, or why there is none.
pub type Found = Result<(Arc<RecipientCertificate>, KeyKind), NoCertificate>;
