//! Envelopes (RFC 8551 sections 3.3 and 3.4).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use sendport_core::domain::Timestamp;
use serde::{Deserialize, Serialize};

use super::SmimeError;
use super::candidate::{Candidate, CertificateLookup, select};
use super::certificate::{KeyKind, RecipientCertificate, address_key};
use super::cipher::{ContentCipher, RsaEncryption};
use super::cms::{Envelope, enveloped};
use super::entity::Entity;
use super::error::RecipientCertificateError;
use super::folder::CertificateFolder;
use super::trust::Trust;

/// What happens to an alert that is to be encrypted when a recipient has no usable certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenMissing {
    /// Nothing is sent to any recipient.
    #[default]
    Fail,
    /// Recipients with a certificate get the message; the others fail.
    Split,
    /// Recipients with a certificate get it encrypted, the others unencrypted.
    Plaintext,
}

/// How a send port encrypts.
#[derive(Debug)]
pub struct Encryptor {
    /// The cipher of content.
    pub cipher: ContentCipher,
    /// The padding for RSA keys.
    pub rsa: RsaEncryption,
    /// What happens to recipients without a certificate.
    pub when_missing: WhenMissing,
    /// Recipients' certificates beside those of the database.
    pub folder: Option<CertificateFolder>,
    /// The authorities that certificates have to chain to; `None` trusts every certificate.
    pub trust: Option<Arc<Trust>>,
    /// Recipients whose mail program announced a stronger cipher get that one.
    pub follow_capabilities: bool,
    /// Permits 3DES.
    pub legacy: bool,
    /// The sender's own certificates, one of each kind of key.
    pub own: Vec<RecipientCertificate>,
}

/// An encrypted entity, `application/pkcs7-mime`. A type of its own, so that cleartext cannot be
/// taken for it.
pub(super) struct EnvelopedEntity {
    pub(super) entity: Entity,
    /// The thumbprints of all recipients, in the envelope's order, separated by a space.
    pub(super) readers: String,
}

impl Encryptor {
    /// The certificate of each address, in the order of `addresses`, with the kind of its key: the
    /// best of those in `of_database` and in the folder. For a certificate that both have, the row
    /// of the database is used.
    ///
    /// # Errors
    /// [`SmimeError::Folder`]; [`SmimeError::RevocationPending`].
    pub fn certificates(
        &self,
        addresses: &[String],
        of_database: &HashMap<String, Vec<Candidate>>,
        now: Timestamp,
    ) -> Result<Vec<CertificateLookup>, SmimeError> {
        let directory = match &self.folder {
            Some(folder) => folder.directory()?,
            None => Arc::default(),
        };
        let find = |address: &String| {
            let stored = of_database.get(&address_key(address));
            let mut candidates = stored.cloned().unwrap_or_default();
            let in_folder = directory.candidates(address);
            let known =
                |it: &Candidate| stored.into_iter().flatten().any(|a| a.sha256 == it.sha256);
            candidates.extend(in_folder.filter(|it| !known(it)));
            match select(address, candidates, self.trust.as_deref(), now) {
                Err(RecipientCertificateError::RevocationPending { why, retry_in }) => {
                    Err(SmimeError::RevocationPending { why, retry_in })
                }
                Err(RecipientCertificateError::Missing(why)) => Ok(Err(
                    RecipientCertificateError::Missing(why + &directory.unreadable_hint()),
                )),
                found => Ok(found),
            }
        };
        addresses.iter().map(find).collect()
    }

    /// The sender's own certificates that cannot be used any more, in sentences.
    pub fn unusable_own(&self, now: Timestamp) -> Vec<String> {
        const ADVICE: &str = "nothing is encrypted to it; replace the file and restart";
        let errors = self.own.iter().filter_map(|it| it.check_usable(now).err());
        errors
            .map(|why| format!("own_certificate_file: {why}; {ADVICE}"))
            .collect()
    }

    /// The cipher for a certificate: the operator's choice for it; else, with
    /// `follow_capabilities`, the strongest announced one that is not weaker than the send port's;
    /// else the send port's.
    ///
    /// # Errors
    /// [`RecipientCertificateError::Unusable`]: 3DES, which the send port does not permit.
    pub fn cipher_for(
        &self,
        certificate: &RecipientCertificate,
    ) -> Result<ContentCipher, RecipientCertificateError> {
        let announced = certificate.capabilities.as_deref();
        let announced = announced.filter(|_| self.follow_capabilities);
        let announced = announced.unwrap_or_default().iter().copied();
        let least = self.cipher.strength();
        let stronger = announced.filter(|it| it.strength() >= least);
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

    /// All that an envelope for `recipients` is encrypted to: they, and those of the sender's own
    /// certificates that have the same kind of key.
    fn readers<'a>(
        &'a self,
        recipients: &'a [Arc<RecipientCertificate>],
        now: Timestamp,
    ) -> impl Iterator<Item = &'a RecipientCertificate> {
        let kind = recipients.first().and_then(|it| it.check_usable(now).ok());
        let own = self.own.iter();
        let own = own.filter(move |it| kind.is_some() && it.check_usable(now).ok() == kind);
        recipients.iter().map(|it| &**it).chain(own)
    }

    fn padding_for(&self, certificate: &RecipientCertificate) -> RsaEncryption {
        certificate.rsa.unwrap_or(self.rsa)
    }

    /// The algorithms of an envelope: of the content, and of the transport of its key.
    pub(super) fn algorithm(
        &self,
        recipients: &[Arc<RecipientCertificate>],
        now: Timestamp,
    ) -> Result<String, SmimeError> {
        let first = recipients.first().ok_or(SmimeError::NoRecipients)?;
        let transport = |reader: &RecipientCertificate| match reader.check_usable(now) {
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

    /// The thumbprints of all certificates that an envelope would be encrypted to.
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
    ) -> Result<EnvelopedEntity, SmimeError> {
        let first = recipients.first().ok_or(SmimeError::NoRecipients)?;
        let cipher = self.cipher_for(first)?;
        let readers: Vec<_> = self.readers(recipients, now).collect();
        let keys = readers
            .iter()
            .map(|it| Ok((it.cms_recipient()?, self.padding_for(it))));
        let keys: Vec<_> = keys.collect::<Result<_, RecipientCertificateError>>()?;
        let Envelope { der, order } = enveloped(content.bytes(), cipher, &keys)?;
        let thumbprints: Vec<_> = order.iter().map(|n| readers[*n].thumbprint()).collect();
        let kind = format!("application/pkcs7-mime; smime-type={}", cipher.smime_type());
        Ok(EnvelopedEntity {
            entity: Entity::of_der(&kind, "smime.p7m", &der),
            readers: thumbprints.join(" "),
        })
    }
}
