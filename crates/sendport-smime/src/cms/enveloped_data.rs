//! EnvelopedData (RFC 5652 section 6) and AuthEnvelopedData (RFC 5083).

use openssl::cipher_ctx::CipherCtx;
use openssl::error::ErrorStack;
use openssl::rand::rand_priv_bytes;
use secrecy::zeroize::Zeroizing;

use super::super::certificate::KeyKind;
use super::super::der::{INTEGER, context};
use super::super::oid;
use super::super::{ContentCipher, RsaEncryption};
use super::der::Der;
use super::recipient::CmsRecipient;

/// An envelope.
pub(crate) struct Envelope {
    /// EnvelopedData, or AuthEnvelopedData where the cipher authenticates.
    pub(crate) der: Vec<u8>,
    /// Indexes of the readers, in the envelope's order.
    pub(crate) order: Vec<usize>,
}

/// Encrypted content and its key.
struct EncryptedContent {
    bytes: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
    /// AlgorithmIdentifier.
    algorithm: Vec<u8>,
    /// The authentication tag of GCM.
    mac: Option<[u8; MAC as usize]>,
}

/// Length of the authentication tag, the longest one (RFC 5084 section 3.2).
const MAC: u8 = 16;

/// Longest key and longest initialization vector.
const LONGEST_KEY: usize = 32;
const LONGEST_IV: usize = 16;

/// Most octets that are encrypted at once: OpenSSL counts in `int`.
const CHUNK: usize = 1 << 24;

/// Encrypts content to its readers.
///
/// # Errors
/// OpenSSL has no such cipher, or a key does not support the operation.
pub(crate) fn enveloped(
    content: &[u8],
    cipher: ContentCipher,
    readers: &[(&CmsRecipient, RsaEncryption)],
) -> Result<Envelope, ErrorStack> {
    let encrypted = encrypted(content, cipher)?;
    let mut infos = Vec::with_capacity(readers.len());
    for (n, (reader, rsa)) in readers.iter().enumerate() {
        infos.push((reader.info(*rsa, cipher, &encrypted.key)?, n));
    }
    // DER sorts a set.
    infos.sort_unstable();
    let agreed = readers.iter().any(|(it, _)| it.kind() == KeyKind::Ec);
    let parts: Vec<_> = infos.iter().map(|(info, _)| Der::Made(info)).collect();
    Ok(Envelope {
        der: encrypted.in_envelope(&parts, agreed),
        order: infos.iter().map(|(_, n)| *n).collect(),
    })
}

fn encrypted(content: &[u8], cipher: ContentCipher) -> Result<EncryptedContent, ErrorStack> {
    let fetched = cipher.cipher()?;
    // The vector is not secret, but one call for both takes half the time of two.
    let mut drawn = Zeroizing::new([0; LONGEST_KEY + LONGEST_IV]);
    rand_priv_bytes(&mut *drawn)?;
    let (key, iv) = drawn.split_at(LONGEST_KEY);
    let mut key = Zeroizing::new(key[..fetched.key_length()].to_vec());
    let iv = &iv[..fetched.iv_length()];
    if cipher == ContentCipher::TripleDes {
        // The last bit of each octet is an odd parity bit (FIPS 46-3).
        key.iter_mut()
            .for_each(|it| *it ^= u8::from(it.count_ones() % 2 == 0));
    }
    let mut context = CipherCtx::new()?;
    context.encrypt_init(Some(fetched), Some(&key), Some(iv))?;
    let mut bytes = Vec::with_capacity(content.len() + 2 * fetched.block_size());
    for chunk in content.chunks(CHUNK) {
        context.cipher_update_vec(chunk, &mut bytes)?;
    }
    context.cipher_final_vec(&mut bytes)?;
    let mac = match cipher.authenticates() {
        true => {
            let mut mac = [0; MAC as usize];
            context.tag(&mut mac)?;
            Some(mac)
        }
        false => None,
    };
    let algorithm = content_algorithm(cipher, iv);
    Ok(EncryptedContent {
        bytes,
        key,
        algorithm,
        mac,
    })
}

/// ContentEncryptionAlgorithmIdentifier: the initialization vector of CBC (RFC 3565 section 2.3.1,
/// RFC 3370 section 5.1), or GCMParameters (RFC 5084 section 3.2).
fn content_algorithm(cipher: ContentCipher, iv: &[u8]) -> Vec<u8> {
    let mac = [MAC];
    let gcm = [Der::OctetString(iv), Der::Primitive(INTEGER, &mac)];
    let parameters = match cipher.authenticates() {
        true => Der::Sequence(&gcm),
        false => Der::OctetString(iv),
    };
    Der::Sequence(&[Der::Made(cipher.oid()), parameters]).to_vec()
}

impl EncryptedContent {
    fn in_envelope(&self, infos: &[Der<'_>], agreed: bool) -> Vec<u8> {
        // RFC 5652 section 6.1; RFC 5083 section 2.1 has one version.
        let version = match (agreed, self.mac) {
            (true, None) => 2,
            _ => 0,
        };
        let content = [
            Der::Made(&oid::DATA),
            Der::Made(&self.algorithm),
            Der::Primitive(CONTENT, &self.bytes),
        ];
        let mac = self.mac.as_ref().map(|it| Der::OctetString(it));
        let parts = [
            Der::Primitive(INTEGER, &[version]),
            Der::Set(infos),
            Der::Sequence(&content),
            mac.unwrap_or(Der::Made(&[])),
        ];
        let kind = match self.mac {
            Some(_) => &oid::AUTH_ENVELOPED_DATA,
            None => &oid::ENVELOPED_DATA,
        };
        let envelope = [Der::Sequence(&parts)];
        Der::Sequence(&[Der::Made(kind), Der::Constructed(context(0), &envelope)]).to_vec()
    }
}

/// `[0] IMPLICIT OCTET STRING`, so primitive.
const CONTENT: u8 = 0x80;
