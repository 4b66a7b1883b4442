//! Who signs: a certificate, its key and its chain, parsed once.

use std::fmt;

use openssl::pkcs12::Pkcs12;
use openssl::pkey::{PKey, Private};
use openssl::sha::sha256;
use openssl::x509::X509;

use super::certificate::{KeyKind, Validity, address_key, addresses, shown, thumbprint};
use super::cms::CmsSigner;
use sendport_core::domain::Timestamp;

/// A certificate that ends within so many days is worth a word.
const SOON_DAYS: i64 = 30;

/// A certificate with its key. Its `Debug` shows nothing of the key.
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

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "identity of {}", self.addresses.join(", "))
    }
}

impl Identity {
    /// PEM: our own certificate first, its chain behind it; and the key, under a password or
    /// not.
    ///
    /// # Errors
    /// What was expected and what was found, in a sentence.
    pub fn from_pem(certificates: &[u8], key: &[u8], password: &str) -> Result<Self, String> {
        let expected = "expected certificates in PEM, our own first";
        let read = X509::stack_from_pem(certificates);
        let mut read = read.map_err(|error| format!("{expected}: {error}"))?;
        if read.is_empty() {
            return Err(format!("{expected}: found none"));
        }
        let certificate = read.remove(0);
        // A password given beforehand: without one OpenSSL would ask at the terminal.
        let key = PKey::private_key_from_pem_passphrase(key, password.as_bytes());
        let key = key.map_err(|error| {
            format!(
                "expected a private key in PEM, and password_file or password_env where it is \
                 encrypted: {error}"
            )
        })?;
        Self::new(certificate, key, read)
    }

    /// PKCS #12 (RFC 7292).
    ///
    /// # Errors
    /// What was expected and what was found, in a sentence.
    pub fn from_pkcs12(der: &[u8], password: &str) -> Result<Self, String> {
        let parsed = Pkcs12::from_der(der).and_then(|it| it.parse2(password));
        let parsed = parsed.map_err(|error| {
            format!(
                "expected PKCS #12 and its password; one that is encrypted by RC2 has to be \
                 exported again with AES: {error}"
            )
        })?;
        let (Some(certificate), Some(key)) = (parsed.cert, parsed.pkey) else {
            return Err("expected PKCS #12 with a private key and its certificate".to_owned());
        };
        let chain = parsed.ca.into_iter().flatten().collect();
        Self::new(certificate, key, chain)
    }

    fn new(certificate: X509, key: PKey<Private>, chain: Vec<X509>) -> Result<Self, String> {
        let unreadable = |error| format!("the key of the certificate cannot be read: {error}");
        if !certificate
            .public_key()
            .map_err(unreadable)?
            .public_eq(&key)
        {
            return Err(
                "the private key is not that of the certificate; put our own certificate first \
                 and its chain behind it"
                    .to_owned(),
            );
        }
        let kind =
            KeyKind::of(&key).map_err(|why| format!("the certificate cannot sign: {why}"))?;
        let usage = sendport_x509::usage(&certificate);
        if !usage.signs {
            return Err(
                "the certificate cannot sign: its keyUsage has neither digitalSignature \
                        nor nonRepudiation"
                    .to_owned(),
            );
        }
        if !usage.email {
            return Err(
                "the certificate cannot sign mail: its extendedKeyUsage lacks emailProtection"
                    .to_owned(),
            );
        }
        Ok(Self {
            validity: Validity::of(&certificate).ok_or("the certificate's times cannot be read")?,
            cms_signer: CmsSigner::new(&certificate, &key, kind, &chain)?,
            addresses: addresses(&certificate),
            thumbprint: thumbprint(&certificate),
            certificate,
            key,
            chain,
            kind,
        })
    }

    /// Whether it may sign at a moment.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub fn check_time(&self, now: Timestamp) -> Result<(), String> {
        match self.validity.problem(now) {
            None => Ok(()),
            Some(why) => Err(format!(
                "the signing certificate of {} {why}; put a valid one and its key in their place; they are used \
                 within seconds",
                self.names()
            )),
        }
    }

    /// SHA-1 of its certificate in upper case, as people know it.
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// When it ends.
    pub fn ends(&self) -> Timestamp {
        self.validity.end
    }

    /// SHA-256 of its certificate, in hexadecimal.
    pub fn fingerprint(&self) -> String {
        let der = self.certificate.to_der().unwrap_or_default();
        let digest = sha256(&der);
        digest.iter().map(|octet| format!("{octet:02x}")).collect()
    }

    /// That it ends soon, where it does.
    pub fn ends_soon(&self, now: Timestamp) -> Option<String> {
        let days = (self.validity.end - now).num_days();
        (days < SOON_DAYS)
            .then(|| format!("the signing certificate ends in {days} days; get a new one in time"))
    }

    /// Whether it is of this address, without regard to case.
    pub fn is_of(&self, address: &str) -> bool {
        self.addresses.contains(&address_key(address))
    }

    /// Its addresses, for people.
    pub fn names(&self) -> String {
        match self.addresses.is_empty() {
            true => "no address at all".to_owned(),
            false => self.addresses.join(", "),
        }
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
