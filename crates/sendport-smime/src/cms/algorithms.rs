//! Digests and ciphers: fetched from OpenSSL once, because fetching takes longer than processing a
//! short message, and their AlgorithmIdentifiers.

use std::ops::Deref;
use std::sync::LazyLock;

use openssl::cipher::{Cipher, CipherRef};
use openssl::error::ErrorStack;
use openssl::md::{Md, MdRef};
use openssl::md_ctx::MdCtx;

use super::super::der::context;
use super::super::oid::{self, Oid};
use super::super::{ContentCipher, Digest};
use super::der::Der;

type LazyAlgorithm<T> = LazyLock<Result<T, ErrorStack>>;

/// NULL, for algorithms that require parameters.
pub(super) const NULL: &[u8] = &[5, 0];

/// `rsaEncryption` as an AlgorithmIdentifier, for signatures and for envelopes (RFC 3370 sections
/// 3.2 and 4.2.1).
pub(super) fn rsa_encryption() -> Vec<u8> {
    Der::Sequence(&[Der::Made(&oid::RSA_ENCRYPTION), Der::Made(NULL)]).to_vec()
}

/// The value of a digest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hash {
    bytes: [u8; 64],
    length: usize,
}

impl Deref for Hash {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Digest {
    /// Every digest, each at the index of its discriminant.
    pub(super) const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    pub(super) fn md(self) -> Result<&'static MdRef, ErrorStack> {
        static FETCHED: [LazyAlgorithm<Md>; 3] = [
            LazyLock::new(|| Md::fetch(None, "SHA256", None)),
            LazyLock::new(|| Md::fetch(None, "SHA384", None)),
            LazyLock::new(|| Md::fetch(None, "SHA512", None)),
        ];
        let fetched = FETCHED[self as usize].as_ref();
        fetched.map(|md| &**md).map_err(Clone::clone)
    }

    pub(super) fn of(self, content: &[u8]) -> Result<Hash, ErrorStack> {
        let mut context = MdCtx::new()?;
        context.digest_init(self.md()?)?;
        context.digest_update(content)?;
        let mut bytes = [0; 64];
        let length = context.digest_final(&mut bytes)?;
        Ok(Hash { bytes, length })
    }

    /// Length in octets.
    pub(super) fn size(self) -> u8 {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// In an AlgorithmIdentifier it has no parameters (RFC 5754 section 2).
    pub(super) fn oid(self) -> &'static Oid {
        match self {
            Self::Sha256 => &oid::SHA256,
            Self::Sha384 => &oid::SHA384,
            Self::Sha512 => &oid::SHA512,
        }
    }

    pub(super) fn oid_with_ecdsa(self) -> &'static Oid {
        match self {
            Self::Sha256 => &oid::ECDSA_WITH_SHA256,
            Self::Sha384 => &oid::ECDSA_WITH_SHA384,
            Self::Sha512 => &oid::ECDSA_WITH_SHA512,
        }
    }

    /// HashAlgorithm and MaskGenAlgorithm in the parameters of PSS and OAEP, which require NULL as
    /// the digest's parameters (RFC 4055 section 2.1).
    pub(super) fn with_mask(self) -> Vec<u8> {
        let digest = [Der::Made(self.oid()), Der::Made(NULL)];
        let mask = [Der::Made(&oid::MGF1), Der::Sequence(&digest)];
        let both = [
            Der::Constructed(context(0), &[Der::Sequence(&digest)]).to_vec(),
            Der::Constructed(context(1), &[Der::Sequence(&mask)]).to_vec(),
        ];
        both.concat()
    }
}

impl ContentCipher {
    pub(super) fn cipher(self) -> Result<&'static CipherRef, ErrorStack> {
        static FETCHED: [LazyAlgorithm<Cipher>; 6] = [
            LazyLock::new(|| Cipher::fetch(None, "AES-256-CBC", None)),
            LazyLock::new(|| Cipher::fetch(None, "AES-192-CBC", None)),
            LazyLock::new(|| Cipher::fetch(None, "AES-128-CBC", None)),
            LazyLock::new(|| Cipher::fetch(None, "AES-256-GCM", None)),
            LazyLock::new(|| Cipher::fetch(None, "AES-128-GCM", None)),
            LazyLock::new(|| Cipher::fetch(None, "DES-EDE3-CBC", None)),
        ];
        let fetched = FETCHED[self as usize].as_ref();
        fetched.map(|cipher| &**cipher).map_err(Clone::clone)
    }

    pub(crate) fn oid(self) -> &'static Oid {
        match self {
            Self::Aes256Cbc => &oid::AES256_CBC,
            Self::Aes192Cbc => &oid::AES192_CBC,
            Self::Aes128Cbc => &oid::AES128_CBC,
            Self::Aes256Gcm => &oid::AES256_GCM,
            Self::Aes128Gcm => &oid::AES128_GCM,
            Self::TripleDes => &oid::DES_EDE3_CBC,
        }
    }
}

/// The key wrap of key agreement; as strong as the content cipher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyWrap {
    Aes128,
    Aes192,
    Aes256,
    TripleDes,
}

impl KeyWrap {
    pub(super) fn for_cipher(cipher: ContentCipher) -> Self {
        match cipher {
            ContentCipher::Aes256Cbc | ContentCipher::Aes256Gcm => Self::Aes256,
            ContentCipher::Aes192Cbc => Self::Aes192,
            ContentCipher::Aes128Cbc | ContentCipher::Aes128Gcm => Self::Aes128,
            ContentCipher::TripleDes => Self::TripleDes,
        }
    }

    pub(super) fn cipher(self) -> Result<&'static CipherRef, ErrorStack> {
        static FETCHED: [LazyAlgorithm<Cipher>; 4] = [
            LazyLock::new(|| Cipher::fetch(None, "AES-128-WRAP", None)),
            LazyLock::new(|| Cipher::fetch(None, "AES-192-WRAP", None)),
            LazyLock::new(|| Cipher::fetch(None, "AES-256-WRAP", None)),
            LazyLock::new(|| Cipher::fetch(None, "DES3-WRAP", None)),
        ];
        let fetched = FETCHED[self as usize].as_ref();
        fetched.map(|cipher| &**cipher).map_err(Clone::clone)
    }

    /// Length in octets.
    pub(super) fn key_size(self) -> u8 {
        match self {
            Self::Aes128 => 16,
            Self::Aes192 | Self::TripleDes => 24,
            Self::Aes256 => 32,
        }
    }

    /// Its AlgorithmIdentifier: AES has no parameters (RFC 3565 section 2.3.2), 3DES has NULL
    /// (RFC 3370 section 4.3.1).
    pub(super) fn algorithm(self) -> Vec<u8> {
        let (oid, parameters) = match self {
            Self::Aes128 => (&oid::AES128_WRAP, &[][..]),
            Self::Aes192 => (&oid::AES192_WRAP, &[][..]),
            Self::Aes256 => (&oid::AES256_WRAP, &[][..]),
            Self::TripleDes => (&oid::CMS_3DES_WRAP, NULL),
        };
        Der::Sequence(&[Der::Made(oid), Der::Made(parameters)]).to_vec()
    }
}
