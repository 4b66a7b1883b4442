//! SignedData (RFC 5652 section 5).

use chrono::{Datelike, Timelike};
use openssl::error::ErrorStack;
use openssl::pkey::{PKey, PKeyRef, Private};
use openssl::pkey_ctx::PkeyCtx;
use openssl::rsa::Padding;
use openssl::sign::RsaPssSaltlen;
use openssl::x509::{X509, X509Ref};
use sendport_core::domain::Timestamp;

use super::super::certificate::{KeyKind, cms_recipient};
use super::super::der::{GENERALIZED_TIME, INTEGER, SET, UTC_TIME, context};
use super::super::error::KeyError;
use super::super::oid;
use super::super::{ContentCipher, Digest, RsaSignature, SignatureForm, SigningRules};
use super::algorithms::{Hash, rsa_encryption};
use super::context_pool::ContextPool;
use super::der::Der;
use super::issuer_and_serial::IssuerAndSerial;

/// The key of a signer, with everything that is the same in each of its signatures.
pub(crate) struct CmsSigner {
    key: PKey<Private>,
    kind: KeyKind,
    /// IssuerAndSerialNumber.
    name: Vec<u8>,
    /// Sets of certificates: our own, and our own with its chain.
    alone: Vec<u8>,
    with_chain: Vec<u8>,
    content_type: Vec<u8>,
    capabilities: Vec<u8>,
    /// The attribute for each digest.
    signing_certificate: [Vec<u8>; 3],
    contexts: ContextPool<(Digest, RsaSignature), PkeyCtx<Private>>,
}

/// Content and its digest.
pub(crate) struct Content<'a> {
    bytes: &'a [u8],
    digest: Digest,
    hash: Hash,
}

impl<'a> Content<'a> {
    /// # Errors
    /// OpenSSL has no such digest.
    pub(crate) fn of(bytes: &'a [u8], digest: Digest) -> Result<Self, ErrorStack> {
        let hash = digest.of(bytes)?;
        Ok(Self {
            bytes,
            digest,
            hash,
        })
    }

    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub(crate) fn hash(&self) -> &[u8] {
        &self.hash
    }
}

impl CmsSigner {
    /// # Errors
    /// [`KeyError::NotDer`], [`KeyError::OpenSsl`].
    pub(crate) fn new(
        certificate: &X509Ref,
        key: &PKeyRef<Private>,
        kind: KeyKind,
        chain: &[X509],
    ) -> Result<Self, KeyError> {
        let own = certificate.to_der()?;
        let chain: Result<Vec<_>, _> = chain.iter().map(|it| it.to_der()).collect();
        let mut all = chain?;
        all.push(own.clone());
        // DER sorts a set, and it has no duplicates.
        all.sort_unstable();
        all.dedup();
        let named = IssuerAndSerial::of(&own).ok_or(KeyError::NotDer)?;
        let mut signing_certificate = [const { Vec::new() }; 3];
        for digest in Digest::ALL {
            let attribute = signing_certificate_v2(&own, &named, digest);
            signing_certificate[digest as usize] = attribute?;
        }
        Ok(Self {
            key: key.to_owned(),
            kind,
            name: named.to_vec(),
            with_chain: all.concat(),
            content_type: attribute(&oid::CONTENT_TYPE, Der::Made(&oid::DATA)),
            capabilities: capabilities(certificate),
            signing_certificate,
            alone: own,
            contexts: ContextPool::default(),
        })
    }

    /// SignedData in DER, with the signed attributes content-type, signing-time, message-digest,
    /// signingCertificateV2 and, where the certificate permits encryption, smimeCapabilities. With
    /// PKCS #1 v1.5 the same input gives the same octets.
    ///
    /// # Errors
    /// The key does not support the operation.
    pub(crate) fn sign(
        &self,
        content: &Content<'_>,
        rules: &SigningRules,
        time: Timestamp,
    ) -> Result<Vec<u8>, ErrorStack> {
        let signer = self.signer_info(content, rules.rsa, time)?;
        let bytes = [Der::OctetString(content.bytes)];
        let inside = [Der::Made(&oid::DATA), Der::Constructed(context(0), &bytes)];
        let inside = match rules.form {
            SignatureForm::Clear => &inside[..1],
            SignatureForm::Opaque => &inside,
        };
        let certificates = match rules.chain {
            true => &self.with_chain,
            false => &self.alone,
        };
        let digest = [Der::Made(content.digest.oid())];
        let signed_data = [
            VERSION_1,
            Der::Set(&[Der::Sequence(&digest)]),
            Der::Sequence(inside),
            Der::Primitive(context(0), certificates),
            Der::Primitive(SET, &signer),
        ];
        let content_info = [
            Der::Made(&oid::SIGNED_DATA),
            Der::Constructed(context(0), &[Der::Sequence(&signed_data)]),
        ];
        Ok(Der::Sequence(&content_info).to_vec())
    }

    /// SignerInfo (section 5.3).
    fn signer_info(
        &self,
        content: &Content<'_>,
        rsa: RsaSignature,
        time: Timestamp,
    ) -> Result<Vec<u8>, ErrorStack> {
        let digest = content.digest;
        let mut attributes = [
            &*self.content_type,
            &attribute(&oid::SIGNING_TIME, Der::Made(&signing_time(time))),
            &attribute(&oid::MESSAGE_DIGEST, Der::OctetString(&content.hash)),
            &self.capabilities,
            &self.signing_certificate[digest as usize],
        ];
        // DER sorts a set.
        attributes.sort_unstable();
        let attributes = attributes.into_iter().filter(|it| !it.is_empty());
        let attributes: Vec<_> = attributes.map(Der::Made).collect();
        let signed = Der::Set(&attributes).to_vec();
        let signature = self.signature(&digest.of(&signed)?, digest, rsa)?;
        let signer = [
            VERSION_1,
            Der::Made(&self.name),
            Der::Sequence(&[Der::Made(digest.oid())]),
            Der::Constructed(context(0), &attributes),
            Der::Made(&self.algorithm(digest, rsa)),
            Der::OctetString(&signature),
        ];
        Ok(Der::Sequence(&signer).to_vec())
    }

    fn signature(
        &self,
        hash: &Hash,
        digest: Digest,
        rsa: RsaSignature,
    ) -> Result<Vec<u8>, ErrorStack> {
        let make = || self.context(digest, rsa);
        self.contexts.with((digest, rsa), make, |context| {
            let mut signature = vec![0; self.key.size()];
            let length = context.sign(hash, Some(&mut signature))?;
            signature.truncate(length);
            Ok(signature)
        })
    }

    fn context(&self, digest: Digest, rsa: RsaSignature) -> Result<PkeyCtx<Private>, ErrorStack> {
        let mut context = PkeyCtx::new(&self.key)?;
        context.sign_init()?;
        context.set_signature_md(digest.md()?)?;
        match (self.kind, rsa) {
            (KeyKind::Ec, _) => {}
            (KeyKind::Rsa, RsaSignature::Pkcs1) => context.set_rsa_padding(Padding::PKCS1)?,
            (KeyKind::Rsa, RsaSignature::Pss) => {
                context.set_rsa_padding(Padding::PKCS1_PSS)?;
                context.set_rsa_mgf1_md(digest.md()?)?;
                context.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH)?;
            }
        }
        Ok(context)
    }

    /// SignatureAlgorithmIdentifier: RFC 3370 section 3.2, RFC 4056 section 2.2, RFC 5754 section
    /// 3.3.
    fn algorithm(&self, digest: Digest, rsa: RsaSignature) -> Vec<u8> {
        match (self.kind, rsa) {
            (KeyKind::Ec, _) => Der::Sequence(&[Der::Made(digest.oid_with_ecdsa())]).to_vec(),
            (KeyKind::Rsa, RsaSignature::Pkcs1) => rsa_encryption(),
            (KeyKind::Rsa, RsaSignature::Pss) => {
                let salt = [Der::Primitive(INTEGER, &[digest.size()])];
                let parameters = [
                    Der::Made(&digest.with_mask()),
                    Der::Constructed(context(2), &salt),
                ];
                Der::Sequence(&[Der::Made(&oid::RSASSA_PSS), Der::Sequence(&parameters)]).to_vec()
            }
        }
    }
}

const VERSION_1: Der<'static> = Der::Primitive(INTEGER, &[1]);

/// Attribute (section 5.3) with one value.
fn attribute(kind: &[u8], value: Der<'_>) -> Vec<u8> {
    Der::Sequence(&[Der::Made(kind), Der::Set(&[value])]).to_vec()
}

/// UTCTime until 2049, GeneralizedTime later (section 11.3).
fn signing_time(time: Timestamp) -> Vec<u8> {
    let year = time.year().unsigned_abs();
    let (tag, first) = match year {
        1950..2050 => (UTC_TIME, 1),
        _ => (GENERALIZED_TIME, 0),
    };
    let (month, day) = (time.month(), time.day());
    let (hour, minute, second) = (time.hour(), time.minute(), time.second());
    let numbers = [year / 100, year % 100, month, day, hour, minute, second];
    let digits = numbers[first..].iter().flat_map(|it| [it / 10, it % 10]);
    let digits = digits.filter_map(|it| char::from_digit(it, 10));
    let text: String = digits.chain(['Z']).collect();
    Der::Primitive(tag, text.as_bytes()).to_vec()
}

/// smimeCapabilities (RFC 8551 section 2.5.2): the ciphers for answers to us, best first. Answers are
/// read in mail programs, and not all of them open GCM. Empty where the certificate does not permit
/// encryption.
fn capabilities(certificate: &X509Ref) -> Vec<u8> {
    if cms_recipient(certificate).is_err() {
        return Vec::new();
    }
    let ciphers = [
        ContentCipher::Aes256Cbc,
        ContentCipher::Aes192Cbc,
        ContentCipher::Aes128Cbc,
    ];
    let list = ciphers.map(|it| Der::Sequence(&[Der::Made(it.oid())]).to_vec());
    let list: Vec<_> = list.iter().map(|it| Der::Made(it)).collect();
    attribute(&oid::SMIME_CAPABILITIES, Der::Sequence(&list))
}

/// signingCertificateV2 (RFC 5035 section 3) with the digest of the signature; SHA-256 is the
/// default and not written.
fn signing_certificate_v2(
    certificate: &[u8],
    name: &IssuerAndSerial<'_>,
    digest: Digest,
) -> Result<Vec<u8>, ErrorStack> {
    let algorithm = [Der::Made(digest.oid())];
    let algorithm = match digest {
        Digest::Sha256 => Der::Made(&[]),
        _ => Der::Sequence(&algorithm),
    };
    let hash = digest.of(certificate)?;
    let certificate = [
        algorithm,
        Der::OctetString(&hash),
        Der::Made(&name.issuer_serial()),
    ];
    let certificates = [Der::Sequence(&certificate)];
    let value = Der::Sequence(&[Der::Sequence(&certificates)]).to_vec();
    Ok(attribute(&oid::SIGNING_CERTIFICATE_V2, Der::Made(&value)))
}
