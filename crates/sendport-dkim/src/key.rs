//! The private key: RSA (RFC 6376 section 3.3.2) or Ed25519 (RFC 8463), in OpenSSL.

use std::fmt;
use std::io;
use std::path::Path;

use mail_auth::common::crypto::{Algorithm, CryptoError, Sha256, SigningKey};
use mail_auth::common::headers::Writable;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::{Id, PKey, Private};
use openssl::sha::sha256;
use openssl::sign::Signer;
use sendport_core::regular_file;

/// Bits of the shortest RSA key (RFC 8301 section 3.2).
const SHORTEST_RSA: u32 = 1024;

/// Bits of an RSA key that RFC 8301 section 3.2 recommends at least.
const SHORT_RSA: u32 = 2048;

/// Bits of the longest RSA key that each verifier supports (RFC 8301 section 3.2).
const LONGEST_RSA: u32 = 4096;

/// Why a file has no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// It has a password.
    #[error("the key has a password; store it without one: openssl pkey -in FILE -out FILE")]
    Encrypted,
    /// There is no private key in it.
    #[error("there is no private key in PEM in it, which begins with -----BEGIN PRIVATE KEY-----")]
    NoKey(#[source] ErrorStack),
    /// RFC 8301 section 3.2.
    #[error(
        "the RSA key has {0} bits; verifiers ignore keys of fewer than {SHORTEST_RSA}: create one of {SHORT_RSA}"
    )]
    Short(u32),
    /// Neither RSA nor Ed25519.
    #[error("the key is neither RSA nor Ed25519; DKIM has no other kinds")]
    Kind,
}

/// A key that can sign.
#[derive(Clone)]
pub struct PrivateKey {
    key: PKey<Private>,
    algorithm: Algorithm,
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PrivateKey").field(&self.kind()).finish()
    }
}

impl PrivateKey {
    /// Reads a PEM file.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let pem = regular_file::read(path)?;
        Self::from_pem(&pem)
    }

    fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        let mut has_password = false;
        let key = PKey::private_key_from_pem_callback(pem, |_| {
            has_password = true;
            Err(ErrorStack::get())
        });
        let key = key.map_err(|error| match has_password {
            true => KeyError::Encrypted,
            false => KeyError::NoKey(error),
        })?;
        let algorithm = match key.id() {
            Id::RSA if key.bits() < SHORTEST_RSA => return Err(KeyError::Short(key.bits())),
            Id::RSA => Algorithm::RsaSha256,
            Id::ED25519 => Algorithm::Ed25519Sha256,
            _ => return Err(KeyError::Kind),
        };
        Ok(Self { key, algorithm })
    }

    /// Such as `RSA of 2048 bits`.
    pub fn kind(&self) -> String {
        match self.algorithm {
            Algorithm::Ed25519Sha256 => "Ed25519".to_owned(),
            _ => format!("RSA of {} bits", self.key.bits()),
        }
    }

    /// Each verifier knows this algorithm.
    pub(crate) fn is_rsa(&self) -> bool {
        matches!(self.algorithm, Algorithm::RsaSha256)
    }

    /// What verifiers may not like about it.
    pub fn weakness(&self) -> Option<&'static str> {
        match self.algorithm {
            Algorithm::Ed25519Sha256 => Some(
                "many verifiers do not know Ed25519: have an RSA key for the same domain beside it",
            ),
            _ if self.key.bits() < SHORT_RSA => {
                Some("the RSA key is short: create one of 2048 bits")
            }
            _ if self.key.bits() > LONGEST_RSA => Some(
                "some verifiers do not support RSA keys of more than 4096 bits: create one of 2048",
            ),
            _ => None,
        }
    }

    /// The text of its TXT record (RFC 6376 section 3.6.1, RFC 8463 section 4).
    ///
    /// # Errors
    /// OpenSSL's.
    pub fn record(&self) -> Result<String, ErrorStack> {
        let (kind, public) = match self.algorithm {
            Algorithm::Ed25519Sha256 => ("ed25519", self.key.raw_public_key()?),
            _ => ("rsa", self.key.public_key_to_der()?),
        };
        let public = base64_simd::STANDARD.encode_to_string(public);
        Ok(format!("v=DKIM1; k={kind}; p={public}"))
    }

    fn signature(&self, octets: &[u8]) -> Result<Vec<u8>, ErrorStack> {
        match self.algorithm {
            // RFC 8463 section 3: the hash is what is signed.
            Algorithm::Ed25519Sha256 => {
                Signer::new_without_digest(&self.key)?.sign_oneshot_to_vec(&sha256(octets))
            }
            _ => Signer::new(MessageDigest::sha256(), &self.key)?.sign_oneshot_to_vec(octets),
        }
    }
}

impl SigningKey for PrivateKey {
    type Hasher = Sha256;

    fn sign(&self, input: impl Writable) -> mail_auth::Result<Vec<u8>> {
        let mut octets = Vec::new();
        input.write(&mut octets);
        let signature = self.signature(&octets);
        signature.map_err(|error| mail_auth::Error::Crypto(CryptoError::Library(error.to_string())))
    }

    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

#[cfg(test)]
mod tests {
    use openssl::ec::{EcGroup, EcKey};
    use openssl::nid::Nid;
    use openssl::rsa::Rsa;
    use openssl::symm::Cipher;

    use super::*;

    fn rsa(bits: u32) -> PKey<Private> {
        PKey::from_rsa(Rsa::generate(bits).expect("a key")).expect("a key")
    }

    fn refused(pem: &[u8]) -> String {
        let error = PrivateKey::from_pem(pem).expect_err("refused");
        error.to_string()
    }

    #[test]
    fn says_what_is_wrong_with_a_key() {
        assert!(refused(b"").contains("no private key in PEM"));
        let short = rsa(512).private_key_to_pem_pkcs8().expect("PEM");
        assert!(refused(&short).contains("512 bits"));
        let key = rsa(1024);
        let encrypted = key.private_key_to_pem_pkcs8_passphrase(Cipher::aes_128_cbc(), b"secret");
        assert!(refused(&encrypted.expect("PEM")).contains("without one"));
        let public = key.public_key_to_pem().expect("PEM");
        assert!(refused(&public).contains("no private key in PEM"));
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).expect("a group");
        let ec = PKey::from_ec_key(EcKey::generate(&group).expect("a key")).expect("a key");
        let ec = ec.private_key_to_pem_pkcs8().expect("PEM");
        assert!(refused(&ec).contains("neither RSA nor Ed25519"));
    }

    #[test]
    fn reads_the_pem_of_opendkim_and_of_openssl() {
        let key = rsa(1024);
        let pkcs1 = key.rsa().expect("RSA").private_key_to_pem().expect("PEM");
        let pkcs8 = key.private_key_to_pem_pkcs8().expect("PEM");
        for pem in [pkcs1, pkcs8] {
            let key = PrivateKey::from_pem(&pem).expect("a key");
            assert_eq!(key.kind(), "RSA of 1024 bits");
            assert!(key.weakness().is_some());
        }
    }
}
