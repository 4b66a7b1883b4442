//! The signing identity: a certificate, its key and its chain, parsed once.

use std::fmt;

use openssl::error::ErrorStack;
use openssl::pkcs12::Pkcs12;
use openssl::pkey::{PKey, Private};
use openssl::sha::sha256;
use openssl::x509::X509;
use sendport_core::domain::Timestamp;

use super::certificate::{
    KeyKind, Validity, ValidityError, address_key, addresses, shown, thumbprint,
};
use super::cms::CmsSigner;
use super::error::{Addresses, KeyError};

/// `check` warns of a certificate that expires within so many days.
const SOON_DAYS: i64 = 30;

/// A certificate with its private key. Its `Debug` shows nothing of the key.
pub struct Identity {
    pub(super) certificate: X509,
    pub(super) key: PKey<Private>,
    pub(super) chain: Vec<X509>,
    pub(super) kind: KeyKind,
    pub(super) validity: Validity,
    pub(super) cms_signer: CmsSigner,
    addresses: Vec<String>,
    thumbprint: String,
}

/// Why files are not a signing identity.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IdentityError {
    /// The certificates cannot be parsed.
    #[error("expected certificates in PEM, our own first: {0}")]
    Certificates(#[source] ErrorStack),
    /// There are none.
    #[error("expected certificates in PEM, our own first: found none")]
    NoCertificates,
    /// The key cannot be parsed or decrypted.
    #[error(
        "expected a private key in PEM, and password_file or password_env where it is encrypted: {0}"
    )]
    PrivateKey(#[source] ErrorStack),
    /// PKCS #12 cannot be parsed or decrypted.
    #[error(
        "expected PKCS #12 and its password; one that is encrypted by RC2 has to be exported again \
         with AES: {0}"
    )]
    Pkcs12(#[source] ErrorStack),
    /// PKCS #12 without a key or a certificate.
    #[error("expected PKCS #12 with a private key and its certificate")]
    IncompletePkcs12,
    /// Key and certificate do not belong together.
    #[error(
        "the private key is not that of the certificate; put our own certificate first and its \
         chain behind it"
    )]
    KeyMismatch,
    /// The key is of no use for signatures.
    #[error("the certificate cannot sign: {0}")]
    Key(#[from] KeyError),
    /// RFC 5280 section 4.2.1.3.
    #[error(
        "the certificate cannot sign: its keyUsage has neither digitalSignature nor nonRepudiation"
    )]
    KeyUsage,
    /// RFC 5280 section 4.2.1.12.
    #[error("the certificate cannot sign mail: its extendedKeyUsage lacks emailProtection")]
    ExtendedKeyUsage,
    /// `notBefore` or `notAfter` is malformed.
    #[error("the certificate's times cannot be read")]
    Validity,
    /// The rules ask for RSASSA-PSS.
    #[error("rsa_padding = \"pss\" is for RSA keys, this one is {0}; leave it out")]
    PssNeedsRsa(KeyKind),
}

/// A signing certificate that is not valid now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the signing certificate of {addresses} {error}; replace it and its key by valid ones, which \
     are used within seconds"
)]
pub struct NotValid {
    addresses: String,
    #[source]
    error: ValidityError,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "identity of {}", self.addresses.join(", "))
    }
}

impl Identity {
    /// Parses PEM: our own certificate first, its chain behind it; and the private key, which may
    /// be encrypted.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn from_pem(
        certificates: &[u8],
        key: &[u8],
        password: &str,
    ) -> Result<Self, IdentityError> {
        let parsed = X509::stack_from_pem(certificates);
        let mut parsed = parsed.map_err(IdentityError::Certificates)?;
        if parsed.is_empty() {
            return Err(IdentityError::NoCertificates);
        }
        let certificate = parsed.remove(0);
        // Without a password OpenSSL would prompt at the terminal.
        let key = PKey::private_key_from_pem_passphrase(key, password.as_bytes());
        let key = key.map_err(IdentityError::PrivateKey)?;
        Self::new(certificate, key, parsed)
    }

    /// Parses PKCS #12 (RFC 7292).
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn from_pkcs12(der: &[u8], password: &str) -> Result<Self, IdentityError> {
        let parsed = Pkcs12::from_der(der).and_then(|it| it.parse2(password));
        let parsed = parsed.map_err(IdentityError::Pkcs12)?;
        let (Some(certificate), Some(key)) = (parsed.cert, parsed.pkey) else {
            return Err(IdentityError::IncompletePkcs12);
        };
        let chain = parsed.ca.into_iter().flatten().collect();
        Self::new(certificate, key, chain)
    }

    fn new(certificate: X509, key: PKey<Private>, chain: Vec<X509>) -> Result<Self, IdentityError> {
        let public = certificate.public_key().map_err(KeyError::OpenSsl)?;
        if !public.public_eq(&key) {
            return Err(IdentityError::KeyMismatch);
        }
        let kind = KeyKind::of(&key)?;
        let usage = sendport_x509::usage(&certificate);
        if !usage.signs {
            return Err(IdentityError::KeyUsage);
        }
        if !usage.email {
            return Err(IdentityError::ExtendedKeyUsage);
        }
        Ok(Self {
            validity: Validity::of(&certificate).ok_or(IdentityError::Validity)?,
            cms_signer: CmsSigner::new(&certificate, &key, kind, &chain)?,
            addresses: addresses(&certificate),
            thumbprint: thumbprint(&certificate),
            certificate,
            key,
            chain,
            kind,
        })
    }

    /// Checks that the certificate is valid at a moment.
    ///
    /// # Errors
    /// [`NotValid`] says what to do.
    pub fn check_validity(&self, now: Timestamp) -> Result<(), NotValid> {
        self.validity.check(now).map_err(|error| NotValid {
            addresses: self.names(),
            error,
        })
    }

    /// SHA-1 of its certificate in upper case, as Windows shows it.
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// `notAfter` of its certificate.
    pub fn expires_at(&self) -> Timestamp {
        self.validity.end
    }

    /// SHA-256 of its certificate, in hexadecimal.
    pub fn fingerprint(&self) -> String {
        let der = self.certificate.to_der().unwrap_or_default();
        let digest = sha256(&der);
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A warning where the certificate expires within 30 days.
    pub fn expiry_warning(&self, now: Timestamp) -> Option<String> {
        let days = (self.validity.end - now).num_days();
        (days < SOON_DAYS)
            .then(|| format!("the signing certificate expires in {days} days; renew it in time"))
    }

    /// The certificate is for this address; case is ignored.
    pub fn has_address(&self, address: &str) -> bool {
        self.addresses.contains(&address_key(address))
    }

    /// Its addresses, for messages.
    pub fn names(&self) -> String {
        Addresses(&self.addresses).to_string()
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (names, end, chain) = (self.names(), shown(self.validity.end), self.chain.len());
        write!(
            f,
            "{names}, {} key, valid until {end}, {chain} more in its chain",
            self.kind
        )
    }
}
