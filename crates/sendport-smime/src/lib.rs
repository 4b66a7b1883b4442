//! S/MIME (RFC 8551): the only crate that makes a [`SecuredMessage`].
//!
//! [`Protector::plan`] decides how a [`Message`] is protected, and [`secure`] does it. A message gets
//! all of the protection that its send port or its alert asks for, or the alert fails. A
//! [`ProtectionPlan`] contains everything that is needed, so no part can be left out. A signed and an
//! encrypted entity have types of their own, so an unprotected one cannot be taken for them.

mod candidate;
mod certificate;
mod certificate_import;
mod chain;
mod cipher;
mod cms;
mod der;
mod encryptor;
mod entity;
mod error;
mod extensions;
mod folder;
mod header_protection;
mod identity;
mod identity_reload;
mod oid;
mod outer_headers;
mod protection;
mod revocation;
mod secured_message;
mod signer;
mod trust;

use std::sync::Arc;

pub use candidate::{Candidate, CertificateLookup};
pub use certificate::{
    CertificateReadError, KeyKind, RecipientCertificate, ValidityError, address_key,
};
pub use certificate_import::{Binding, ParsedCertificate};
pub use chain::CaFileError;
pub use cipher::{ContentCipher, RsaEncryption};
pub use encryptor::{Encryptor, WhenMissing};
pub use error::{BoxError, KeyError, RecipientCertificateError, SmimeError, UnknownWord};
pub use folder::{CertificateFolder, Directory, FolderError};
pub use header_protection::{HeaderProtected, HeaderProtection, Hide, WhenProtected};
pub use identity::{Identity, IdentityError, NotValid};
pub use identity_reload::{IdentityReload, ReadIdentity};
pub use protection::Protection;
pub use revocation::{CrlCache, CrlFiles, CrlSources, FetchOutcome, Revocation, is_http};
pub use secured_message::SecuredMessage;
pub use signer::{Digest, RsaSignature, SignatureForm, Signer, SigningRules};
pub use trust::{Trust, UnknownRevocation};

use sendport_core::domain::{Message, ProtectionFacts, Timestamp};

use encryptor::EnvelopedEntity;
use entity::Entity;
use signer::SignedEntity;

/// The protection that a send port can apply.
#[derive(Debug, Clone, Default)]
pub struct Protector {
    /// Section `signing`.
    pub signer: Option<Arc<Signer>>,
    /// Section `encryption`.
    pub encryptor: Option<Arc<Encryptor>>,
    /// Section `header_protection`.
    pub headers: HeaderProtection,
}

/// The protection of one message, with everything it needs.
#[derive(Debug)]
pub enum ProtectionPlan {
    /// As it is, which the send port or the alert asked for.
    Unprotected,
    /// A signature.
    Sign(SignRequest),
    /// Encryption.
    Encrypt(EncryptRequest),
    /// A signature inside an envelope.
    SignEncrypt(SignRequest, EncryptRequest),
}

/// The signer, and the signing time.
#[derive(Debug)]
pub struct SignRequest {
    signer: Arc<Signer>,
    identity: Arc<Identity>,
    time: Timestamp,
    headers: HeaderProtected,
}

/// The recipients of the encryption.
#[derive(Debug)]
pub struct EncryptRequest {
    encryptor: Arc<Encryptor>,
    recipients: Vec<Arc<RecipientCertificate>>,
    now: Timestamp,
    headers: HeaderProtected,
}

/// The properties of a message that its protection depends on.
#[derive(Debug, Clone)]
pub struct MessageContext<'a> {
    /// The address in From.
    pub from: &'a str,
    /// When the alert was inserted: the signing time.
    pub created_at: Timestamp,
    /// Certificates have to be valid at this moment.
    pub now: Timestamp,
    /// The recipients of the envelope, all with one kind of key and one cipher.
    pub recipients: Vec<Arc<RecipientCertificate>>,
}

impl Protector {
    /// It can sign or encrypt.
    pub fn is_able(&self) -> bool {
        self.signer.is_some() || self.encryptor.is_some()
    }

    /// The plan for the protection `wanted`.
    ///
    /// # Errors
    /// [`SmimeError`]: nothing may be sent then.
    pub fn plan(
        &self,
        wanted: Protection,
        message_context: &MessageContext<'_>,
    ) -> Result<ProtectionPlan, SmimeError> {
        let lacks = |section| SmimeError::MissingSection { wanted, section };
        let headers = self.headers.of(wanted);
        let sign_request = || {
            let signer = self.signer.clone().ok_or(lacks("signing"))?;
            let identity = signer.identity_for(message_context.from, message_context.now)?;
            let time = message_context.created_at;
            Ok::<_, SmimeError>(SignRequest {
                signer,
                identity,
                time,
                headers,
            })
        };
        let encrypt_request = || {
            let encryptor = self.encryptor.clone().ok_or(lacks("encryption"))?;
            let (recipients, now) = (message_context.recipients.clone(), message_context.now);
            match recipients.is_empty() {
                true => Err(SmimeError::NoRecipients),
                false => Ok(EncryptRequest {
                    encryptor,
                    recipients,
                    now,
                    headers,
                }),
            }
        };
        Ok(match wanted {
            Protection::None => ProtectionPlan::Unprotected,
            Protection::Sign => ProtectionPlan::Sign(sign_request()?),
            Protection::Encrypt => ProtectionPlan::Encrypt(encrypt_request()?),
            Protection::SignEncrypt => {
                ProtectionPlan::SignEncrypt(sign_request()?, encrypt_request()?)
            }
        })
    }
}

impl ProtectionPlan {
    /// The header protection.
    pub fn headers(&self) -> HeaderProtected {
        match self {
            Self::Unprotected => HeaderProtected::No,
            Self::Sign(sign_request) => sign_request.headers,
            Self::Encrypt(encrypt_request) | Self::SignEncrypt(_, encrypt_request) => {
                encrypt_request.headers
            }
        }
    }

    /// The columns of a row of `Attempt` that describe the protection; the recipients of an
    /// envelope in any order.
    ///
    /// # Errors
    /// [`SmimeError`]: the plan cannot be carried out.
    pub fn facts(&self) -> Result<ProtectionFacts, SmimeError> {
        let (_, encrypt_request) = self.parts();
        let readers = encrypt_request.map(|it| it.encryptor.thumbprints(&it.recipients, it.now));
        self.facts_with(readers)
    }

    fn parts(&self) -> (Option<&SignRequest>, Option<&EncryptRequest>) {
        match self {
            Self::Unprotected => (None, None),
            Self::Sign(sign_request) => (Some(sign_request), None),
            Self::Encrypt(encrypt_request) => (None, Some(encrypt_request)),
            Self::SignEncrypt(sign_request, encrypt_request) => {
                (Some(sign_request), Some(encrypt_request))
            }
        }
    }

    /// `readers` of the envelope, if there is one.
    fn facts_with(&self, readers: Option<String>) -> Result<ProtectionFacts, SmimeError> {
        if matches!(self, Self::Unprotected) {
            return Ok(ProtectionFacts::default());
        }
        let (sign_request, encrypt_request) = self.parts();
        let algorithm = encrypt_request.map(|it| it.encryptor.algorithm(&it.recipients, it.now));
        Ok(ProtectionFacts {
            signed_by: sign_request.map(|it| it.identity.thumbprint().to_owned()),
            signature_algorithm: sign_request.map(|it| it.signer.algorithm(&it.identity)),
            encrypted_to: readers,
            encryption_algorithm: algorithm.transpose()?,
            header_protection: Some(self.headers().as_str().to_owned()),
        })
    }
}

impl SignRequest {
    fn sign(&self, entity: &Entity) -> Result<SignedEntity, SmimeError> {
        self.signer.sign(&self.identity, entity, self.time)
    }
}

impl EncryptRequest {
    fn encrypt(&self, entity: &Entity) -> Result<EnvelopedEntity, SmimeError> {
        self.encryptor.encrypt(entity, &self.recipients, self.now)
    }
}

/// Protects a message. Takes a third of a millisecond of CPU or more: not for the threads of the
/// runtime.
///
/// # Errors
/// [`SmimeError`]: nothing may be sent then.
pub fn secure(message: Message, plan: &ProtectionPlan) -> Result<SecuredMessage, SmimeError> {
    let Message { message_id, bytes } = message;
    let (bytes, protection, readers) = match plan {
        ProtectionPlan::Unprotected => (bytes, Protection::None, None),
        ProtectionPlan::Sign(sign_request) => {
            let (outer, entity) = sign_request.headers.part(&bytes)?;
            let SignedEntity(entity) = sign_request.sign(&entity)?;
            (entity.under(outer), Protection::Sign, None)
        }
        ProtectionPlan::Encrypt(encrypt_request) => {
            let (outer, entity) = encrypt_request.headers.part(&bytes)?;
            let EnvelopedEntity { entity, readers } = encrypt_request.encrypt(&entity)?;
            (entity.under(outer), Protection::Encrypt, Some(readers))
        }
        ProtectionPlan::SignEncrypt(sign_request, encrypt_request) => {
            let (outer, entity) = encrypt_request.headers.part(&bytes)?;
            let SignedEntity(signed) = sign_request.sign(&entity)?;
            let EnvelopedEntity { entity, readers } = encrypt_request.encrypt(&signed)?;
            (entity.under(outer), Protection::SignEncrypt, Some(readers))
        }
    };
    let facts = plan.facts_with(readers)?;
    Ok(SecuredMessage::new(message_id, bytes, protection, facts))
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod trust_tests;
