//! Protection (RFC 8551): the one room that may call a message secured.
//!
//! In comes a [`Message`], out goes a [`SecuredMessage`], or nothing: what a send port or an
//! alert asks for is given in full or the alert fails. [`Measures`] hold all that it takes, so
//! whoever has them cannot forget a part of it; only what was signed is called signed, and
//! only what was encrypted is called encrypted.

mod certificate;
mod chain;
mod entity;
mod error;
mod folder;
mod identity;
mod protection;
mod revocation;
mod sealer;
mod signer;
mod stamped;
mod standing;
mod trust;

use std::sync::Arc;

pub use certificate::{KeyKind, NoCertificate, RecipientCertificate};
pub use error::SmimeError;
pub use folder::{CertificateFolder, Directory};
pub use identity::Identity;
pub use protection::Protection;
pub use revocation::{CrlFiles, CrlShelf, CrlSources, Learned, Revocation, is_http};
pub use sealer::{ContentCipher, Found, RsaEncryption, Sealer, WhenMissing};
pub use signer::{Digest, RsaSignature, SignatureForm, Signer, SigningRules};
pub use standing::{Look, ReadIdentity};
pub use trust::{Doubt, Trust};

use entity::Entity;
use sealer::Sealed;
use signer::Signed;

use crate::domain::{Message, SecuredMessage, Timestamp};

/// What a send port can do to messages.
#[derive(Debug, Clone, Default)]
pub struct Protector {
    /// Section `signing`.
    pub signer: Option<Arc<Signer>>,
    /// Section `encryption`.
    pub sealer: Option<Arc<Sealer>>,
}

/// What is done to one message, and all that it takes.
#[derive(Debug)]
pub enum Measures {
    /// Nothing.
    None,
    /// A signature.
    Sign(ToSign),
    /// An envelope.
    Encrypt(ToSeal),
    /// A signature inside an envelope.
    SignEncrypt(ToSign, ToSeal),
}

/// By whom, and as of when.
#[derive(Debug)]
pub struct ToSign {
    signer: Arc<Signer>,
    identity: Arc<Identity>,
    time: Timestamp,
}

/// For whom.
#[derive(Debug)]
pub struct ToSeal {
    sealer: Arc<Sealer>,
    recipients: Vec<Arc<RecipientCertificate>>,
    now: Timestamp,
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
    /// Whom an envelope is for, all with one kind of key.
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
        let to_sign = || {
            let signer = self.signer.clone().ok_or(lacks("signing"))?;
            let identity = signer.check(occasion.from, occasion.now)?;
            let time = occasion.created_at;
            Ok::<_, SmimeError>(ToSign {
                signer,
                identity,
                time,
            })
        };
        let to_seal = || {
            let sealer = self.sealer.clone().ok_or(lacks("encryption"))?;
            let (recipients, now) = (occasion.recipients.clone(), occasion.now);
            match recipients.is_empty() {
                true => Err(SmimeError::Nobody),
                false => Ok(ToSeal {
                    sealer,
                    recipients,
                    now,
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

impl ToSign {
    fn sign(&self, entity: &Entity) -> Result<Signed, SmimeError> {
        self.signer.sign(&self.identity, entity, self.time)
    }
}

impl ToSeal {
    fn seal(&self, entity: &Entity) -> Result<Sealed, SmimeError> {
        self.sealer.seal(entity, &self.recipients, self.now)
    }
}

/// Secures a message. It takes a millisecond of a processor: not for the threads of the runtime.
///
/// # Errors
/// [`SmimeError`]: nothing may be sent then.
pub fn secure(message: Message, measures: &Measures) -> Result<SecuredMessage, SmimeError> {
    let Message { message_id, octets } = message;
    let (octets, protection) = match measures {
        Measures::None => (octets, Protection::None),
        Measures::Sign(to_sign) => {
            let (outer, entity) = Entity::split(&octets)?;
            let Signed(entity) = to_sign.sign(&entity)?;
            (entity.under(outer), Protection::Sign)
        }
        Measures::Encrypt(to_seal) => {
            let (outer, entity) = Entity::split(&octets)?;
            let Sealed(entity) = to_seal.seal(&entity)?;
            (entity.under(outer), Protection::Encrypt)
        }
        Measures::SignEncrypt(to_sign, to_seal) => {
            let (outer, entity) = Entity::split(&octets)?;
            let Signed(signed) = to_sign.sign(&entity)?;
            let Sealed(entity) = to_seal.seal(&signed)?;
            (entity.under(outer), Protection::SignEncrypt)
        }
    };
    Ok(SecuredMessage::vouch_for(
        message_id,
        octets,
        protection.as_str(),
    ))
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod trust_tests;
