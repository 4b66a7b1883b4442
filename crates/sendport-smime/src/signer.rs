//! Signatures (RFC 8551 sections 3.5 and 3.6).

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::certificate::KeyKind;
use super::cms::Content;
use super::entity::Entity;
use super::identity_reload::{IdentityReload, IdentitySource, ReadIdentity};
use super::{Identity, SmimeError};
use sendport_core::domain::Timestamp;

/// What a signed message looks like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SignatureForm {
    /// `multipart/signed`: every reader shows the content.
    #[default]
    Clear,
    /// `application/pkcs7-mime; smime-type=signed-data`: only readers of S/MIME do, and nothing
    /// on the way can change it.
    Opaque,
}

/// What signatures are made of.
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

/// How an RSA key signs.
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
    /// Of content and attributes; without it the one that fits the key.
    pub digest: Option<Digest>,
    /// For RSA keys.
    pub rsa: RsaSignature,
    /// The certificates above our own go along.
    pub chain: bool,
    /// From has to be an address of the certificate.
    pub match_from: bool,
}

/// An identity that signs by rules.
#[derive(Debug)]
pub struct Signer {
    source: IdentitySource,
    rules: SigningRules,
}

/// What stands in `application/pkcs7-mime` or `multipart/signed`: it cannot be mistaken for
/// what was not signed.
pub(super) struct Signed(pub(super) Entity);

impl Digest {
    /// As long as a key on a curve: gpgsm finds fault with a shorter one.
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

    /// RFC 8551 section 3.5.3.2.
    fn micalg(self) -> &'static str {
        match self {
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
        }
    }
}

impl SigningRules {
    /// # Errors
    /// They do not fit the key.
    pub fn fit(&self, identity: &Identity) -> Result<(), String> {
        match self.rsa == RsaSignature::Pss && identity.kind != KeyKind::Rsa {
            true => Err(format!(
                "rsa_padding = \"pss\" is for RSA keys, this one is {}; leave it out",
                identity.kind
            )),
            false => Ok(()),
        }
    }

    /// Whether `identity` may sign for `from`.
    ///
    /// # Errors
    /// [`SmimeError::StrangeFrom`].
    pub fn check_from(&self, identity: &Identity, from: &str) -> Result<(), SmimeError> {
        match self.match_from && !identity.is_of(from) {
            true => Err(SmimeError::StrangeFrom {
                from: from.to_owned(),
                addresses: identity.names(),
            }),
            false => Ok(()),
        }
    }
}

impl Signer {
    /// # Errors
    /// The rules do not fit the key.
    pub fn new(identity: Identity, rules: SigningRules) -> Result<Self, String> {
        rules.fit(&identity)?;
        let source = IdentitySource::fixed(identity);
        Ok(Self { source, rules })
    }

    /// Signs by what `read` makes of `paths`, and by something else where [`Signer::look`] finds it
    /// there. `read` sees to it that the rules fit.
    ///
    /// # Errors
    /// What `read` says now.
    pub fn reading(
        paths: Vec<PathBuf>,
        read: ReadIdentity,
        rules: SigningRules,
    ) -> Result<Self, String> {
        let source = IdentitySource::reading(paths, read)?;
        Ok(Self { source, rules })
    }

    /// Who signs now.
    pub fn identity(&self) -> Arc<Identity> {
        self.source.identity()
    }

    /// Looks whether the files hold something else. Reads them, so it may take its time.
    pub fn look(&self, now: Timestamp) -> IdentityReload {
        self.source.look(now)
    }

    /// Who may sign for `from` at a moment.
    ///
    /// # Errors
    /// [`SmimeError::NotNow`], [`SmimeError::StrangeFrom`].
    pub fn check(&self, from: &str, now: Timestamp) -> Result<Arc<Identity>, SmimeError> {
        let identity = self.identity();
        identity.check_time(now).map_err(|why| {
            let unfit = self.source.unfit();
            let unfit = unfit.map(|it| format!("; what is there now cannot be used: {it}"));
            SmimeError::NotNow(why + &unfit.unwrap_or_default())
        })?;
        self.rules.check_from(&identity, from)?;
        Ok(identity)
    }

    fn digest(&self, identity: &Identity) -> Digest {
        self.rules.digest.unwrap_or(Digest::fitting(identity))
    }

    /// Key, digest and form of its signatures, in words.
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

    /// Signs as of `time`, or of the begin of the certificate where that is later: the moment of
    /// an alert, not of an attempt, so that attempts are alike and the Date agrees with it.
    pub(super) fn sign(
        &self,
        identity: &Identity,
        entity: &Entity,
        time: Timestamp,
    ) -> Result<Signed, SmimeError> {
        let time = time.max(identity.validity.begin);
        let octets = match self.rules.form {
            SignatureForm::Clear => entity.as_part(),
            SignatureForm::Opaque => entity.octets(),
        };
        let content = Content::of(octets, self.digest(identity))?;
        let der = identity.cms_signer.sign(&content, &self.rules, time)?;
        Ok(Signed(match self.rules.form {
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
            &[content.octets(), signature.as_part()],
        )
    }
}

/// Nothing holds its own digest, so this occurs nowhere in the content.
fn boundary(hash: &[u8]) -> String {
    let digits = hash.iter().take(16).flat_map(|it| [it >> 4, it & 15]);
    let digits = digits.filter_map(|it| char::from_digit(it.into(), 16));
    "=_s".chars().chain(digits).collect()
}
