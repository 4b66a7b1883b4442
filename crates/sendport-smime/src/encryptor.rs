//! Envelopes (RFC 8551 sections 3.3 and 3.4).

use std::collections::{BTreeSet, HashMap};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::SmimeError;
use super::candidate::{Candidate, CertificateLookup, best};
use super::certificate::{KeyKind, RecipientCertificate, RecipientCertificateError, address_key};
use super::cms::{Envelope, enveloped};
use super::entity::Entity;
use super::folder::CertificateFolder;
use super::trust::Trust;
use sendport_core::domain::Timestamp;

/// What content is encrypted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RsaEncryption {
    /// PKCS #1 v1.5, which every reader opens.
    #[default]
    Pkcs1,
    /// RSAES-OAEP with SHA-256 (RFC 3560).
    Oaep,
}

/// What becomes of an alert that is to be encrypted where somebody has no usable certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenMissing {
    /// Nobody gets it.
    #[default]
    Fail,
    /// Who has one gets it; the others fail.
    Split,
    /// Who has one gets it encrypted, the others as it is.
    Plaintext,
}

/// How a send port encrypts.
#[derive(Debug)]
pub struct Encryptor {
    /// By what.
    pub cipher: ContentCipher,
    /// For RSA keys.
    pub rsa: RsaEncryption,
    /// What happens to who has no certificate.
    pub when_missing: WhenMissing,
    /// Where recipients' certificates are beside the database.
    pub folder: Option<CertificateFolder>,
    /// Who vouches for them; `None` believes them all.
    pub trust: Option<Arc<Trust>>,
    /// A reader that is known to open a stronger cipher gets it.
    pub follow_capabilities: bool,
    /// Ciphers of the past are allowed.
    pub legacy: bool,
    /// Ourselves, one of each kind of key.
    pub own: Vec<RecipientCertificate>,
}

/// What stands in `application/pkcs7-mime`: it cannot be mistaken for what can be read.
pub(super) struct Enveloped {
    pub(super) entity: Entity,
    /// The thumbprints of all who can open it, in its order, a blank between them.
    pub(super) readers: String,
}

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

    /// By the bits of its strength, then whether a change on the way is noticed.
    fn strength(self) -> (u16, bool) {
        match self {
            Self::Aes256Gcm => (256, true),
            Self::Aes256Cbc => (256, false),
            Self::Aes192Cbc => (192, false),
            Self::Aes128Gcm => (128, true),
            Self::Aes128Cbc => (128, false),
            Self::TripleDes => (112, false),
        }
    }

    /// RFC 8551 section 3.2.2.
    fn smime_type(self) -> &'static str {
        match self.authenticates() {
            true => "authEnveloped-data",
            false => "enveloped-data",
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

impl Encryptor {
    /// The certificate of each address, in their order, with the kind of its key: the best of those
    /// that the database has for it and of those in the folder. Of a certificate that both have,
    /// the database says what becomes of it.
    ///
    /// # Errors
    /// [`SmimeError::NotNow`]: the folder cannot be read; [`SmimeError::Awaited`]: it is not yet
    /// known whether one was revoked.
    pub fn certificates(
        &self,
        addresses: &[String],
        of_database: &HashMap<String, Vec<Candidate>>,
        now: Timestamp,
    ) -> Result<Vec<CertificateLookup>, SmimeError> {
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
            match best(address, candidates, self.trust.as_deref(), now) {
                Err(RecipientCertificateError::Awaited { why, retry_in }) => {
                    Err(SmimeError::Awaited { why, retry_in })
                }
                Err(RecipientCertificateError::Missing(why)) => Ok(Err(
                    RecipientCertificateError::Missing(why + &directory.doubts()),
                )),
                found => Ok(found),
            }
        };
        addresses.iter().map(find).collect()
    }

    /// Those of our own to which nothing is encrypted any more, in sentences.
    pub fn useless_own(&self, now: Timestamp) -> Vec<String> {
        const ADVICE: &str = "nothing is encrypted to it, put a new one in its place and restart";
        let why = self.own.iter().filter_map(|it| it.usable(now).err());
        why.map(|why| format!("own_certificate_file: {why}; {ADVICE}"))
            .collect()
    }

    /// By what content is encrypted for the owner of a certificate: by what an operator chose for
    /// it; else, where that is followed, by the strongest that its reader is known to open and
    /// that is not weaker than the send port's own; else by that.
    ///
    /// # Errors
    /// [`RecipientCertificateError::Unusable`]: a cipher of the past, which the send port does not allow.
    pub fn cipher_for(
        &self,
        certificate: &RecipientCertificate,
    ) -> Result<ContentCipher, RecipientCertificateError> {
        let known = certificate.capabilities.as_deref();
        let known = known.filter(|_| self.follow_capabilities);
        let known = known.unwrap_or_default().iter().copied();
        let least = self.cipher.strength();
        let stronger = known.filter(|it| it.strength() >= least);
        let strongest = stronger.max_by_key(|it| it.strength());
        let cipher = certificate.cipher.or(strongest).unwrap_or(self.cipher);
        if cipher == ContentCipher::TripleDes && !self.legacy {
            return Err(certificate.unusable(
                "has the cipher 3des-cbc, which this send port does not use; choose another one, \
                 or write legacy = true",
            ));
        }
        Ok(cipher)
    }

    /// All whom an envelope for `recipients` is for: they and, of ourselves, the certificates
    /// with their kind of key.
    fn readers<'a>(
        &'a self,
        recipients: &'a [Arc<RecipientCertificate>],
        now: Timestamp,
    ) -> impl Iterator<Item = &'a RecipientCertificate> {
        let kind = recipients.first().and_then(|it| it.usable(now).ok());
        let own = self.own.iter();
        let own = own.filter(move |it| kind.is_some() && it.usable(now).ok() == kind);
        recipients.iter().map(|it| &**it).chain(own)
    }

    fn padding_for(&self, certificate: &RecipientCertificate) -> RsaEncryption {
        certificate.rsa.unwrap_or(self.rsa)
    }

    /// By what an envelope is made: of the content, and how its key is transported.
    pub(super) fn algorithm(
        &self,
        recipients: &[Arc<RecipientCertificate>],
        now: Timestamp,
    ) -> Result<String, SmimeError> {
        let first = recipients.first().ok_or(SmimeError::Nobody)?;
        let transport = |reader: &RecipientCertificate| match reader.usable(now) {
            Ok(KeyKind::Ec) => "ecdh",
            _ => match self.padding_for(reader) {
                RsaEncryption::Pkcs1 => "rsa-pkcs1",
                RsaEncryption::Oaep => "rsa-oaep",
            },
        };
        let transports: BTreeSet<_> = self.readers(recipients, now).map(transport).collect();
        let cipher = std::iter::once(self.cipher_for(first)?.as_str());
        Ok(cipher.chain(transports).collect::<Vec<_>>().join(" "))
    }

    /// The thumbprints of all whom an envelope would be for.
    pub(super) fn thumbprints(
        &self,
        recipients: &[Arc<RecipientCertificate>],
        now: Timestamp,
    ) -> String {
        let readers = self.readers(recipients, now);
        let thumbprints: Vec<_> = readers.map(RecipientCertificate::thumbprint).collect();
        thumbprints.join(" ")
    }

    pub(super) fn encrypt(
        &self,
        content: &Entity,
        recipients: &[Arc<RecipientCertificate>],
        now: Timestamp,
    ) -> Result<Enveloped, SmimeError> {
        let first = recipients.first().ok_or(SmimeError::Nobody)?;
        let cipher = self.cipher_for(first)?;
        let readers: Vec<_> = self.readers(recipients, now).collect();
        let padded = readers
            .iter()
            .map(|it| Ok((it.reader()?, self.padding_for(it))));
        let padded: Vec<_> = padded.collect::<Result<_, RecipientCertificateError>>()?;
        let Envelope { der, order } = enveloped(content.octets(), cipher, &padded)?;
        let thumbprints: Vec<_> = order.iter().map(|n| readers[*n].thumbprint()).collect();
        let kind = format!("application/pkcs7-mime; smime-type={}", cipher.smime_type());
        Ok(Enveloped {
            entity: Entity::of_der(&kind, "smime.p7m", &der),
            readers: thumbprints.join(" "),
        })
    }
}
