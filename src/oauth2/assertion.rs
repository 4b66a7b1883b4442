//! A client that proves itself by its certificate: `private_key_jwt` (RFC 7523, RFC 7515), with
//! the header that Entra ID finds the certificate by.

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
use serde_json::json;
use uuid::Uuid;

use crate::config::oauth2::{AssertionAlgorithm, TokenRequest};
use crate::domain::Timestamp;

/// How long an assertion is valid.
const LIFE: TimeDelta = TimeDelta::minutes(5);

/// Where certificate and key stand. They are read anew for each assertion, so that a renewed
/// certificate is found without a restart.
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
    /// A sentence that names the file and what is wrong with it.
    pub(super) fn new(request: &TokenRequest) -> Result<Option<Self>, String> {
        let Some(certificate_file) = request.certificate_file.clone() else {
            return match request.key_file {
                Some(_) => Err("key_file is given, so certificate_file must be".into()),
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
    ) -> Result<String, String> {
        let identity = self.identity()?;
        self.signed(&identity, client_id, endpoint, now)
            .map_err(|cause| format!("OpenSSL could not sign the client assertion: {cause}"))
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
            "exp": (now + LIFE).timestamp(),
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

    fn identity(&self) -> Result<Identity, String> {
        let certificate = read("certificate_file", &self.certificate_file)?;
        let certificate = X509::from_pem(&certificate).map_err(|_| {
            unusable(
                "certificate_file",
                &self.certificate_file,
                "a PEM certificate",
            )
        })?;
        let key = read("key_file", &self.key_file)?;
        // An empty passphrase, so that OpenSSL asks nobody at a terminal.
        let key = PKey::private_key_from_pem_passphrase(&key, b"")
            .map_err(|_| unusable("key_file", &self.key_file, "an unencrypted PEM private key"))?;
        if key.id() != Id::RSA {
            return Err(unusable("key_file", &self.key_file, "an RSA key"));
        }
        if !certificate
            .public_key()
            .is_ok_and(|public| public.public_eq(&key))
        {
            return Err(unusable(
                "key_file",
                &self.key_file,
                "the key of certificate_file",
            ));
        }
        Ok(Identity { certificate, key })
    }
}

fn read(key: &str, file: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let read = std::fs::read(file).map(Zeroizing::new);
    read.map_err(|cause| format!("{key} '{}' cannot be read: {cause}", file.display()))
}

fn unusable(key: &str, file: &Path, expected: &str) -> String {
    format!(
        "{key} '{}': expected {expected}, found something else",
        file.display()
    )
}

/// RFC 7515 appendix C.
fn base64url(octets: &[u8]) -> String {
    let text = encode_block(octets).replace('+', "-").replace('/', "_");
    text.trim_end_matches('=').to_owned()
}
