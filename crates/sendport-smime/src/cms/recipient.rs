//! Recipients of envelopes: RecipientInfo (RFC 5652 section 6.2).

use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Public};
use openssl::pkey_ctx::PkeyCtx;
use openssl::rsa::Padding;
use openssl::x509::X509Ref;

use super::super::certificate::KeyKind;
use super::super::der::INTEGER;
use super::super::error::KeyError;
use super::super::oid;
use super::super::{ContentCipher, Digest, RsaEncryption};
use super::algorithms::{KeyWrap, rsa_encryption};
use super::context_pool::ContextPool;
use super::der::Der;
use super::issuer_and_serial::IssuerAndSerial;
use super::key_agreement::KeyAgreement;

/// The key of a certificate, with everything that is the same in each envelope to it.
pub(crate) struct CmsRecipient {
    /// IssuerAndSerialNumber.
    name: Vec<u8>,
    key: Key,
}

enum Key {
    Rsa {
        key: PKey<Public>,
        contexts: ContextPool<RsaEncryption, PkeyCtx<Public>>,
    },
    Ec(KeyAgreement),
}

impl CmsRecipient {
    /// # Errors
    /// [`KeyError::NotDer`], [`KeyError::OpenSsl`].
    pub(crate) fn new(
        certificate: &X509Ref,
        key: PKey<Public>,
        kind: KeyKind,
    ) -> Result<Self, KeyError> {
        let der = certificate.to_der()?;
        let name = IssuerAndSerial::of(&der).ok_or(KeyError::NotDer)?;
        let key = match kind {
            KeyKind::Rsa => Key::Rsa {
                key,
                contexts: ContextPool::default(),
            },
            KeyKind::Ec => Key::Ec(KeyAgreement::new(&key)?),
        };
        Ok(Self {
            name: name.to_vec(),
            key,
        })
    }

    pub(crate) fn kind(&self) -> KeyKind {
        match self.key {
            Key::Rsa { .. } => KeyKind::Rsa,
            Key::Ec(_) => KeyKind::Ec,
        }
    }

    /// RecipientInfo with the encrypted key of the content, which `cipher` encrypts.
    pub(super) fn info(
        &self,
        rsa: RsaEncryption,
        cipher: ContentCipher,
        content_key: &[u8],
    ) -> Result<Vec<u8>, ErrorStack> {
        match &self.key {
            Key::Ec(agreement) => {
                agreement.info(&self.name, KeyWrap::for_cipher(cipher), content_key)
            }
            Key::Rsa { key, contexts } => {
                let encrypted = contexts.with(
                    rsa,
                    || context(key, rsa),
                    |context| {
                        let mut encrypted = vec![0; key.size()];
                        let length = context.encrypt(content_key, Some(&mut encrypted))?;
                        encrypted.truncate(length);
                        Ok(encrypted)
                    },
                )?;
                Ok(self.key_transport(rsa, &encrypted))
            }
        }
    }

    /// KeyTransRecipientInfo (section 6.2.1).
    fn key_transport(&self, rsa: RsaEncryption, encrypted: &[u8]) -> Vec<u8> {
        let algorithm = match rsa {
            RsaEncryption::Pkcs1 => rsa_encryption(),
            RsaEncryption::Oaep => {
                // RFC 4055 section 4.1; the label is the default, empty.
                let parameters = Digest::Sha256.with_mask();
                let parameters = [Der::Made(&parameters)];
                Der::Sequence(&[Der::Made(&oid::RSAES_OAEP), Der::Sequence(&parameters)]).to_vec()
            }
        };
        Der::Sequence(&[
            Der::Primitive(INTEGER, &[0]),
            Der::Made(&self.name),
            Der::Made(&algorithm),
            Der::OctetString(encrypted),
        ])
        .to_vec()
    }
}

fn context(key: &PKey<Public>, rsa: RsaEncryption) -> Result<PkeyCtx<Public>, ErrorStack> {
    let mut context = PkeyCtx::new(key)?;
    context.encrypt_init()?;
    match rsa {
        RsaEncryption::Pkcs1 => context.set_rsa_padding(Padding::PKCS1)?,
        RsaEncryption::Oaep => {
            context.set_rsa_padding(Padding::PKCS1_OAEP)?;
            context.set_rsa_oaep_md(Digest::Sha256.md()?)?;
            context.set_rsa_mgf1_md(Digest::Sha256.md()?)?;
        }
    }
    Ok(context)
}
