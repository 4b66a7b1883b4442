//! Key agreement (RFC 5753): ephemeral-static ECDH, with a new ephemeral key for each recipient and
//! message.

use openssl::bn::BigNumContext;
use openssl::cipher_ctx::{CipherCtx, CipherCtxFlags};
use openssl::derive::Deriver;
use openssl::ec::{EcKey, PointConversionForm};
use openssl::error::ErrorStack;
use openssl::md_ctx::MdCtx;
use openssl::pkey::{PKey, Public};
use secrecy::zeroize::Zeroizing;

use super::super::Digest;
use super::super::der::{BIT_STRING, INTEGER, context};
use super::super::oid;
use super::algorithms::KeyWrap;
use super::der::Der;

/// Key agreement with the owner of an EC key.
pub(super) struct KeyAgreement {
    key: PKey<Public>,
    /// The same key, for its curve.
    point: EcKey<Public>,
}

impl KeyAgreement {
    /// Checks the key once, instead of with each message.
    pub(super) fn new(key: &PKey<Public>) -> Result<Self, ErrorStack> {
        let point = key.ec_key()?;
        point.check_key()?;
        let key = key.clone();
        Ok(Self { key, point })
    }

    /// KeyAgreeRecipientInfo (RFC 5652 section 6.2.2, RFC 5753 section 3.1.1).
    pub(super) fn info(
        &self,
        name: &[u8],
        wrap: KeyWrap,
        content_key: &[u8],
    ) -> Result<Vec<u8>, ErrorStack> {
        let ours = EcKey::generate(self.point.group())?;
        let mut context_of_numbers = BigNumContext::new()?;
        let form = PointConversionForm::UNCOMPRESSED;
        let point =
            ours.public_key()
                .to_bytes(self.point.group(), form, &mut context_of_numbers)?;
        let ours = PKey::from_ec_key(ours)?;
        let mut deriver = Deriver::new(&ours)?;
        deriver.set_peer_ex(&self.key, false)?;
        let secret = Zeroizing::new(deriver.derive_to_vec()?);

        let wrap_algorithm = wrap.algorithm();
        let key_encryption_key = derived(&secret, wrap, &wrap_algorithm)?;
        let encrypted = wrapped(content_key, wrap, &key_encryption_key)?;

        // A BIT STRING starts with the number of unused bits.
        let point = [&[0], &*point].concat();
        let originator = [
            Der::Sequence(&[Der::Made(&oid::EC_PUBLIC_KEY)]),
            Der::Primitive(BIT_STRING, &point),
        ];
        let algorithm = [Der::Made(&oid::ECDH_SHA256KDF), Der::Made(&wrap_algorithm)];
        let encrypted = [Der::Made(name), Der::OctetString(&encrypted)];
        let info = [
            Der::Primitive(INTEGER, &[3]),
            Der::Constructed(context(0), &[Der::Constructed(context(1), &originator)]),
            Der::Sequence(&algorithm),
            Der::Sequence(&[Der::Sequence(&encrypted)]),
        ];
        Ok(Der::Constructed(context(1), &info).to_vec())
    }
}

/// The KDF of ANSI X9.63 with SHA-256 (SEC 1 section 3.6.1) over ECC-CMS-SharedInfo (RFC 5753
/// section 7.2). One digest is enough for every key.
fn derived(
    secret: &[u8],
    wrap: KeyWrap,
    wrap_algorithm: &[u8],
) -> Result<Zeroizing<[u8; 32]>, ErrorStack> {
    let bits = u32::from(wrap.key_size()) * 8;
    let bits = bits.to_be_bytes();
    let shared = [
        Der::Made(wrap_algorithm),
        Der::Constructed(context(2), &[Der::OctetString(&bits)]),
    ];
    let mut digest = MdCtx::new()?;
    digest.digest_init(Digest::Sha256.md()?)?;
    for part in [
        secret,
        &1_u32.to_be_bytes(),
        &Der::Sequence(&shared).to_vec(),
    ] {
        digest.digest_update(part)?;
    }
    let mut key = Zeroizing::new([0; 32]);
    digest.digest_final(&mut *key)?;
    Ok(key)
}

/// RFC 3394 for AES, RFC 3217 for 3DES.
fn wrapped(content_key: &[u8], wrap: KeyWrap, key: &[u8; 32]) -> Result<Vec<u8>, ErrorStack> {
    let mut context = CipherCtx::new()?;
    context.set_flags(CipherCtxFlags::FLAG_WRAP_ALLOW);
    let key = &key[..usize::from(wrap.key_size())];
    context.encrypt_init(Some(wrap.cipher()?), Some(key), None)?;
    // 3DES adds two blocks, AES one.
    let mut wrapped = vec![0; content_key.len() + 16];
    let length = context.cipher_update(content_key, Some(&mut wrapped))?;
    wrapped.truncate(length);
    Ok(wrapped)
}
