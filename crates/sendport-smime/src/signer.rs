//! Signatures (RFC 8551 sections 3.5 and 3.6).

use std::path::PathBuf;
use std::sync::Arc;

use sendport_core::domain::Timestamp;
use serde::{Deserialize, Serialize};

use super::certificate::KeyKind;
use super::cms::Content;
use super::entity::Entity;
use super::error::BoxError;
use super::identity::IdentityError;
use super::identity_reload::{IdentityReload, IdentitySource, ReadIdentity};
use super::{Identity, SmimeError};

/// The form of a signed message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SignatureForm {
    /// `multipart/signed`: every mail program shows the content.
    #[default]
    Clear,
    /// `application/pkcs7-mime; smime-type=signed-data`: only mail programs with S/MIME show the
    /// content, and no server can break the signature by rewriting it.
    Opaque,
}

/// The digest of signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Digest {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// The signature scheme of an RSA key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RsaSignature {
    /// PKCS #1 v1.5.
    #[default]
    Pkcs1,
    /// RSASSA-PSS (RFC 4056), the salt as long as the digest.
    Pss,
}

/// How a send port signs.
#[derive(Debug, Clone, Copy)]
pub struct SigningRules {
    /// Clear or opaque.
    pub form: SignatureForm,
    /// Of content and attributes; by default the one that fits the key.
    pub digest: Option<Digest>,
    /// For RSA keys.
    pub rsa: RsaSignature,
    /// The chain is included.
    pub chain: bool,
    /// From is required to be an address of the certificate.
    pub match_from: bool,
}

/// Signs by the rules of a send port.
#[derive(Debug)]
pub struct Signer {
    source: IdentitySource,
    rules: SigningRules,
}

/// A signed entity, `application/pkcs7-mime` or `multipart/signed`. A type of its own, so that an
/// unsigned one cannot be taken for it.
pub(super) struct SignedEntity(pub(super) Entity);

impl Digest {
    /// As long as an EC key: gpgsm rejects a shorter digest.
    fn fitting(identity: &Identity) -> Self {
        match (identity.kind, identity.key.bits()) {
            (KeyKind::Rsa, _) | (KeyKind::Ec, ..=256) => Self::Sha256,
            (KeyKind::Ec, ..=384) => Self::Sha384,
            (KeyKind::Ec, _) => Self::Sha512,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// The parameter `micalg` (RFC 8551 section 3.5.3.2).
    fn micalg(self) -> &'static str {
        match self {
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
        }
    }
}

impl SigningRules {
    /// Checks that the key of `identity` supports the rules.
    ///
    /// # Errors
    /// [`IdentityError::PssNeedsRsa`].
    pub fn check_key(&self, identity: &Identity) -> Result<(), IdentityError> {
        match self.rsa == RsaSignature::Pss && identity.kind != KeyKind::Rsa {
            true => Err(IdentityError::PssNeedsRsa(identity.kind)),
            false => Ok(()),
        }
    }

    /// Checks that `identity` may sign for `from`.
    ///
    /// # Errors
    /// [`SmimeError::FromMismatch`].
    pub fn check_from(&self, identity: &Identity, from: &str) -> Result<(), SmimeError> {
        match self.match_from && !identity.has_address(from) {
            true => Err(SmimeError::FromMismatch {
                from: from.to_owned(),
                addresses: identity.names(),
            }),
            false => Ok(()),
        }
    }
}

impl Signer {
    /// A signer whose identity never changes.
    ///
    /// # Errors
    /// [`IdentityError::PssNeedsRsa`].
    pub fn new(identity: Identity, rules: SigningRules) -> Result<Self, IdentityError> {
        rules.check_key(&identity)?;
        let source = IdentitySource::fixed(identity);
        Ok(Self { source, rules })
    }

    /// A signer whose identity `read` makes from `paths`; [`Signer::reload`] calls it again.
    /// `read` is responsible for checking the rules.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn from_files(
        paths: Vec<PathBuf>,
        read: ReadIdentity,
        rules: SigningRules,
    ) -> Result<Self, BoxError> {
        let source = IdentitySource::from_files(paths, read)?;
        Ok(Self { source, rules })
    }

    /// The identity that signs now.
    pub fn identity(&self) -> Arc<Identity> {
        self.source.identity()
    }

    /// Uses another identity where the files hold one. Reads files; not for the threads of the
    /// runtime.
    pub fn reload(&self, now: Timestamp) -> IdentityReload {
        self.source.reload(now)
    }

    /// The identity, if it may sign for `from` at this moment.
    ///
    /// # Errors
    /// [`SmimeError::IdentityNotValid`], [`SmimeError::FromMismatch`].
    pub fn identity_for(&self, from: &str, now: Timestamp) -> Result<Arc<Identity>, SmimeError> {
        let identity = self.identity();
        let rejected = || self.source.rejected();
        let valid = identity.check_validity(now);
        valid.map_err(|error| SmimeError::IdentityNotValid {
            error,
            rejected: rejected(),
        })?;
        self.rules.check_from(&identity, from)?;
        Ok(identity)
    }

    fn digest(&self, identity: &Identity) -> Digest {
        self.rules.digest.unwrap_or(Digest::fitting(identity))
    }

    /// Key, digest and form of its signatures, such as `rsa-pss sha256 clear`.
    pub(super) fn algorithm(&self, identity: &Identity) -> String {
        let key = match (identity.kind, self.rules.rsa) {
            (KeyKind::Ec, _) => "ecdsa",
            (KeyKind::Rsa, RsaSignature::Pkcs1) => "rsa-pkcs1",
            (KeyKind::Rsa, RsaSignature::Pss) => "rsa-pss",
        };
        let form = match self.rules.form {
            SignatureForm::Clear => "clear",
            SignatureForm::Opaque => "opaque",
        };
        format!("{key} {} {form}", self.digest(identity).as_str())
    }

    /// Signs with the signing time `time`, or the begin of the certificate's validity where that is
    /// later. `time` is that of the alert, not of the attempt, so that every attempt sends the same
    /// bytes and the signing time agrees with Date.
    pub(super) fn sign(
        &self,
        identity: &Identity,
        entity: &Entity,
        time: Timestamp,
    ) -> Result<SignedEntity, SmimeError> {
        let time = time.max(identity.validity.begin);
        let bytes = match self.rules.form {
            SignatureForm::Clear => entity.as_part(),
            SignatureForm::Opaque => entity.bytes(),
        };
        let content = Content::of(bytes, self.digest(identity))?;
        let der = identity.cms_signer.sign(&content, &self.rules, time)?;
        Ok(SignedEntity(match self.rules.form {
            SignatureForm::Clear => self.multipart(&content, &der, identity),
            SignatureForm::Opaque => {
                let kind = "application/pkcs7-mime; smime-type=signed-data";
                Entity::of_der(kind, "smime.p7m", &der)
            }
        }))
    }

    fn multipart(&self, content: &Content<'_>, der: &[u8], identity: &Identity) -> Entity {
        let signature = Entity::of_der("application/pkcs7-signature", "smime.p7s", der);
        let micalg = self.digest(identity).micalg();
        Entity::multipart(
            &format!("signed; protocol=\"application/pkcs7-signature\";\r\n micalg={micalg}"),
            &boundary(content.hash()),
            &[content.bytes(), signature.as_part()],
        )
    }
}

/// A content cannot contain its own digest, so the boundary does not occur in it.
fn boundary(hash: &[u8]) -> String {
    let digits = hash.iter().take(16).flat_map(|it| [it >> 4, it & 15]);
    let digits = digits.filter_map(|it| char::from_digit(it.into(), 16));
    "=_s".chars().chain(digits).collect()
}
