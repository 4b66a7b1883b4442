//! The client assertion: `private_key_jwt` (RFC 7523, RFC 7515), with the header by which Entra ID
//! finds the certificate.

use std::path::{Path, PathBuf};

use chrono::TimeDelta;
use openssl::base64::encode_block;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::{Id, PKey, Private};
use openssl::rsa::Padding;
use openssl::sign::{RsaPssSaltlen, Signer};
use openssl::x509::X509;
use secrecy::zeroize::Zeroizing;
use sendport_core::domain::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::error::SettingsError;
use crate::settings::{AssertionAlgorithm, TokenRequest};

/// Validity of an assertion.
const LIFETIME: TimeDelta = TimeDelta::minutes(5);

/// The files of certificate and key. Each assertion reads them again, so that a renewed certificate
/// needs no restart.
pub(super) struct Assertion {
    certificate_file: PathBuf,
    key_file: PathBuf,
    algorithm: AssertionAlgorithm,
}

struct Identity {
    certificate: X509,
    key: PKey<Private>,
}

impl Assertion {
    /// `None` where the client has no certificate.
    ///
    /// # Errors
    /// [`SettingsError`] names the file and what is wrong with it.
    pub(super) fn new(request: &TokenRequest) -> Result<Option<Self>, SettingsError> {
        let Some(certificate_file) = request.certificate_file.clone() else {
            return match request.key_file {
                Some(_) => Err(SettingsError::keys(
                    "key_file is given, so certificate_file must be",
                )),
                None => Ok(None),
            };
        };
        let key_file = request.key_file.clone();
        let assertion = Self {
            key_file: key_file.unwrap_or_else(|| certificate_file.clone()),
            certificate_file,
            algorithm: request.assertion_algorithm,
        };
        assertion.identity()?;
        Ok(Some(assertion))
    }

    /// A new assertion for the endpoint (RFC 7523 section 3): never used twice.
    pub(super) fn sign(
        &self,
        client_id: &str,
        endpoint: &str,
        now: Timestamp,
    ) -> Result<String, SettingsError> {
        let identity = self.identity()?;
        Ok(self.signed(&identity, client_id, endpoint, now)?)
    }

    fn signed(
        &self,
        identity: &Identity,
        client_id: &str,
        endpoint: &str,
        now: Timestamp,
    ) -> Result<String, ErrorStack> {
        let header = json!({
            "alg": self.algorithm_name(),
            "typ": "JWT",
            "x5t": base64url(&identity.certificate.digest(MessageDigest::sha1())?),
            "x5t#S256": base64url(&identity.certificate.digest(MessageDigest::sha256())?),
        });
        let claims = json!({
            "aud": endpoint,
            "iss": client_id,
            "sub": client_id,
            "jti": Uuid::new_v4().to_string(),
            "iat": now.timestamp(),
            "nbf": now.timestamp(),
            "exp": (now + LIFETIME).timestamp(),
        });
        let [header, claims] = [header, claims].map(|part| base64url(part.to_string().as_bytes()));
        let input = format!("{header}.{claims}");
        let signature = self.signature(&identity.key, input.as_bytes())?;
        Ok(format!("{input}.{}", base64url(&signature)))
    }

    fn algorithm_name(&self) -> &'static str {
        match self.algorithm {
            AssertionAlgorithm::Ps256 => "PS256",
            AssertionAlgorithm::Rs256 => "RS256",
        }
    }

    /// RFC 7518 sections 3.3 and 3.5.
    fn signature(&self, key: &PKey<Private>, input: &[u8]) -> Result<Vec<u8>, ErrorStack> {
        let mut signer = Signer::new(MessageDigest::sha256(), key)?;
        if self.algorithm == AssertionAlgorithm::Ps256 {
            signer.set_rsa_padding(Padding::PKCS1_PSS)?;
            signer.set_rsa_mgf1_md(MessageDigest::sha256())?;
            signer.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH)?;
        }
        signer.sign_oneshot_to_vec(input)
    }

    fn identity(&self) -> Result<Identity, SettingsError> {
        let (certificate_file, key_file) = (&self.certificate_file, &self.key_file);
        let unusable_key = |expected| SettingsError::content("key_file", key_file, expected);
        let certificate = read("certificate_file", certificate_file)?;
        let certificate = X509::from_pem(&certificate).map_err(|_| {
            SettingsError::content("certificate_file", certificate_file, "a PEM certificate")
        })?;
        let key = read("key_file", key_file)?;
        // An empty passphrase, so that OpenSSL does not ask at a terminal.
        let key = PKey::private_key_from_pem_passphrase(&key, b"")
            .map_err(|_| unusable_key("an unencrypted PEM private key"))?;
        if key.id() != Id::RSA {
            return Err(unusable_key("an RSA key"));
        }
        let public = certificate.public_key();
        if !public.is_ok_and(|public| public.public_eq(&key)) {
            return Err(unusable_key("the key of certificate_file"));
        }
        Ok(Identity { certificate, key })
    }
}

fn read(key: &'static str, path: &Path) -> Result<Zeroizing<Vec<u8>>, SettingsError> {
    let read = sendport_core::regular_file::read(path).map(Zeroizing::new);
    read.map_err(|source| SettingsError::File {
        key,
        path: path.to_owned(),
        source,
    })
}

/// RFC 7515 appendix C.
fn base64url(bytes: &[u8]) -> String {
    let text = encode_block(bytes).replace('+', "-").replace('/', "_");
    text.trim_end_matches('=').to_owned()
}
