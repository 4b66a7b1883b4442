//! Protection (RFC 8551): the one room that may call a message secured.
//!
//! In comes a [`Message`], out goes a [`SecuredMessage`], or nothing: what a send port or an
//! alert asks for is given in full or the alert fails. [`Measures`] hold all that it takes, so
//! whoever has them cannot forget a part of it; only what was signed is called signed, and
//! only what was encrypted is called encrypted.

mod candidate;
mod certificate;
mod chain;
mod cms;
mod der;
mod entity;
mod error;
mod extensions;
mod folder;
mod found;
mod header_protection;
mod identity;
mod outside;
mod protection;
mod revocation;
mod sealer;
mod signer;
mod stamped;
mod standing;
mod trust;

use std::sync::Arc;

pub use candidate::{Candidate, Found};
pub use certificate::{KeyKind, NoCertificate, RecipientCertificate, address_key};
pub use error::SmimeError;
pub use folder::{CertificateFolder, Directory};
pub use found::{Binding, FoundCertificate};
pub use header_protection::{HeaderProtected, HeaderProtection, Hide, WhenProtected};
pub use identity::Identity;
pub use protection::Protection;
pub use revocation::{CrlCache, CrlFiles, CrlSources, Learned, Revocation, is_http};
pub use sealer::{ContentCipher, Encryptor, RsaEncryption, WhenMissing};
pub use signer::{Digest, RsaSignature, SignatureForm, Signer, SigningRules};
pub use standing::{Look, ReadIdentity};
pub use trust::{Doubt, Trust};

use entity::Entity;
use sealer::Enveloped;
use signer::Signed;

use crate::domain::{Message, ProtectionFacts, SecuredMessage, Timestamp};

/// What a send port can do to messages.
#[derive(Debug, Clone, Default)]
pub struct Protector {
    /// Section `signing`.
    pub signer: Option<Arc<Signer>>,
    /// Section `encryption`.
    pub sealer: Option<Arc<Encryptor>>,
    /// Section `header_protection`.
    pub headers: HeaderProtection,
}

/// What is done to one message, and all that it takes.
#[derive(Debug)]
pub enum Measures {
    /// Nothing.
    None,
    /// A signature.
    Sign(ToSign),
    /// An envelope.
    Encrypt(EncryptRequest),
    /// A signature inside an envelope.
    SignEncrypt(ToSign, EncryptRequest),
}

/// By whom, and as of when.
#[derive(Debug)]
pub struct ToSign {
    signer: Arc<Signer>,
    identity: Arc<Identity>,
    time: Timestamp,
    headers: HeaderProtected,
}

/// For whom.
#[derive(Debug)]
pub struct EncryptRequest {
    sealer: Arc<Encryptor>,
    recipients: Vec<Arc<RecipientCertificate>>,
    now: Timestamp,
    headers: HeaderProtected,
}

/// What is known of a message beforehand.
#[derive(Debug, Clone)]
pub struct Occasion<'a> {
    /// The address in From.
    pub from: &'a str,
    /// When the alert came into being: the signing time.
    pub created_at: Timestamp,
    /// Certificates have to be valid then.
    pub now: Timestamp,
    /// Whom an envelope is for, all with one kind of key and one cipher.
    pub recipients: Vec<Arc<RecipientCertificate>>,
}

impl Protector {
    /// It can do something.
    pub fn is_able(&self) -> bool {
        self.signer.is_some() || self.sealer.is_some()
    }

    /// All that `wanted` takes.
    ///
    /// # Errors
    /// [`SmimeError`]: nothing may be sent then.
    pub fn measures(
        &self,
        wanted: Protection,
        occasion: &Occasion<'_>,
    ) -> Result<Measures, SmimeError> {
        let lacks = |section| SmimeError::NotAvailable { wanted, section };
        let headers = self.headers.of(wanted);
        let to_sign = || {
            let signer = self.signer.clone().ok_or(lacks("signing"))?;
            let identity = signer.check(occasion.from, occasion.now)?;
            let time = occasion.created_at;
            Ok::<_, SmimeError>(ToSign {
                signer,
                identity,
                time,
                headers,
            })
        };
        let to_seal = || {
            let sealer = self.sealer.clone().ok_or(lacks("encryption"))?;
            let (recipients, now) = (occasion.recipients.clone(), occasion.now);
            match recipients.is_empty() {
                true => Err(SmimeError::Nobody),
                false => Ok(EncryptRequest {
                    sealer,
                    recipients,
                    now,
                    headers,
                }),
            }
        };
        Ok(match wanted {
            Protection::None => Measures::None,
            Protection::Sign => Measures::Sign(to_sign()?),
            Protection::Encrypt => Measures::Encrypt(to_seal()?),
            Protection::SignEncrypt => Measures::SignEncrypt(to_sign()?, to_seal()?),
        })
    }
}

impl Measures {
    /// What is done to the header fields.
    pub fn headers(&self) -> HeaderProtected {
        match self {
            Self::None => HeaderProtected::No,
            Self::Sign(to_sign) => to_sign.headers,
            Self::Encrypt(to_seal) | Self::SignEncrypt(_, to_seal) => to_seal.headers,
        }
    }

    /// What they do, in the words of a row of `Attempt`; the readers of an envelope in no
    /// particular order.
    ///
    /// # Errors
    /// [`SmimeError`]: they cannot be taken.
    pub fn facts(&self) -> Result<ProtectionFacts, SmimeError> {
        let (_, to_seal) = self.parts();
        let readers = to_seal.map(|it| it.sealer.thumbprints(&it.recipients, it.now));
        self.facts_with(readers)
    }

    fn parts(&self) -> (Option<&ToSign>, Option<&EncryptRequest>) {
        match self {
            Self::None => (None, None),
            Self::Sign(to_sign) => (Some(to_sign), None),
            Self::Encrypt(to_seal) => (None, Some(to_seal)),
            Self::SignEncrypt(to_sign, to_seal) => (Some(to_sign), Some(to_seal)),
        }
    }

    /// `readers` of the envelope, if there is one.
    fn facts_with(&self, readers: Option<String>) -> Result<ProtectionFacts, SmimeError> {
        if matches!(self, Self::None) {
            return Ok(ProtectionFacts::default());
        }
        let (to_sign, to_seal) = self.parts();
        let algorithm = to_seal.map(|it| it.sealer.algorithm(&it.recipients, it.now));
        Ok(ProtectionFacts {
            signed_by: to_sign.map(|it| it.identity.thumbprint().to_owned()),
            signature_algorithm: to_sign.map(|it| it.signer.algorithm(&it.identity)),
            encrypted_to: readers,
            encryption_algorithm: algorithm.transpose()?,
            header_protection: Some(self.headers().as_str().to_owned()),
        })
    }
}

impl ToSign {
    fn sign(&self, entity: &Entity) -> Result<Signed, SmimeError> {
        self.signer.sign(&self.identity, entity, self.time)
    }
}

impl EncryptRequest {
    fn seal(&self, entity: &Entity) -> Result<Enveloped, SmimeError> {
        self.sealer.seal(entity, &self.recipients, self.now)
    }
}

/// Secures a message. It takes a third of a millisecond of a processor, or more: not for the
/// threads of the runtime.
///
/// # Errors
/// [`SmimeError`]: nothing may be sent then.
pub fn secure(message: Message, measures: &Measures) -> Result<SecuredMessage, SmimeError> {
    let Message { message_id, octets } = message;
    let (octets, protection, readers) = match measures {
        Measures::None => (octets, Protection::None, None),
        Measures::Sign(to_sign) => {
            let (outer, entity) = to_sign.headers.part(&octets)?;
            let Signed(entity) = to_sign.sign(&entity)?;
            (entity.under(outer), Protection::Sign, None)
        }
        Measures::Encrypt(to_seal) => {
            let (outer, entity) = to_seal.headers.part(&octets)?;
            let Enveloped { entity, readers } = to_seal.seal(&entity)?;
            (entity.under(outer), Protection::Encrypt, Some(readers))
        }
        Measures::SignEncrypt(to_sign, to_seal) => {
            let (outer, entity) = to_seal.headers.part(&octets)?;
            let Signed(signed) = to_sign.sign(&entity)?;
            let Enveloped { entity, readers } = to_seal.seal(&signed)?;
            (entity.under(outer), Protection::SignEncrypt, Some(readers))
        }
    };
    let facts = measures.facts_with(readers)?;
    let secured = SecuredMessage::vouch_for(message_id, octets, protection.as_str());
    Ok(secured.protected_by(facts))
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod trust_tests;
