//! Certificates (RFC 5280, RFC 8550): whose they are, what for, and until when.

use std::fmt;
use std::sync::Arc;

use chrono::DateTime;
use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{HasPublic, Id, PKeyRef};
use openssl::x509::{X509, X509Ref};
use sendport_core::domain::{CertificateChoice, CertificateEntry, Timestamp, domain_to_ascii};

use super::cipher::{ContentCipher, RsaEncryption};
use super::cms::CmsRecipient;
use super::error::{KeyError, RecipientCertificateError, UnknownWord};
use super::trust::Trust;

/// Shorter RSA keys are refused.
const LEAST_RSA_BITS: u32 = 2048;

/// The kinds of keys that an envelope can be made for. Not every mail program opens an envelope
/// for both kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// RSA.
    Rsa,
    /// Elliptic curves over prime fields.
    Ec,
}

impl KeyKind {
    /// # Errors
    /// [`KeyError`]: a short RSA key, or another kind.
    pub(super) fn of<T: HasPublic>(key: &PKeyRef<T>) -> Result<Self, KeyError> {
        match key.id() {
            Id::RSA if key.bits() < LEAST_RSA_BITS => Err(KeyError::ShortRsaKey {
                bits: key.bits(),
                least: LEAST_RSA_BITS,
            }),
            Id::RSA => Ok(Self::Rsa),
            Id::EC => Ok(Self::Ec),
            _ => Err(KeyError::UnsupportedKey),
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rsa => "RSA",
            Self::Ec => "EC",
        })
    }
}

/// Validity of a certificate (RFC 5280 section 4.1.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) begin: Timestamp,
    pub(super) end: Timestamp,
}

/// Why a certificate is not valid at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ValidityError {
    /// Its `notAfter` is over.
    #[error("expired at {}", shown(*.0))]
    Expired(Timestamp),
    /// Its `notBefore` is to come.
    #[error("is not valid before {}", shown(*.0))]
    NotYetValid(Timestamp),
}

impl Validity {
    pub(super) fn of(certificate: &X509Ref) -> Option<Self> {
        Some(Self {
            begin: timestamp(certificate.not_before())?,
            end: timestamp(certificate.not_after())?,
        })
    }

    pub(super) fn check(&self, now: Timestamp) -> Result<(), ValidityError> {
        if now > self.end {
            Err(ValidityError::Expired(self.end))
        } else if now < self.begin {
            Err(ValidityError::NotYetValid(self.begin))
        } else {
            Ok(())
        }
    }
}

pub(super) fn shown(moment: Timestamp) -> String {
    sendport_core::clock::utc_text(moment)
}

pub(super) fn timestamp(time: &Asn1TimeRef) -> Option<Timestamp> {
    let since = Asn1Time::from_unix(0).ok()?.diff(time).ok()?;
    let seconds = i64::from(since.days) * 86_400 + i64::from(since.secs);
    DateTime::from_timestamp(seconds, 0)
}

/// The form in which addresses are compared: lower case, the domain in A-labels, as RFC 5280
/// section 7.5 requires of certificates.
pub fn address_key(address: &str) -> String {
    let ascii = address
        .rsplit_once('@')
        .and_then(|(local, domain)| Some(format!("{local}@{}", domain_to_ascii(domain).ok()?)));
    ascii.unwrap_or_else(|| address.to_owned()).to_lowercase()
}

/// The email addresses of a certificate in lower case: rfc822Name of the subjectAltName, and
/// emailAddress of the subject (RFC 8550 section 3).
pub(super) fn addresses(certificate: &X509Ref) -> Vec<String> {
    let alternatives = certificate.subject_alt_names();
    let names = alternatives
        .iter()
        .flatten()
        .filter_map(|name| name.email());
    let subject = certificate.subject_name();
    let entries = subject.entries_by_nid(Nid::PKCS9_EMAILADDRESS);
    let entries = entries.filter_map(|entry| entry.data().to_string().ok());
    let mut addresses: Vec<String> = names
        .map(address_key)
        .chain(entries.map(|text| address_key(&text)))
        .collect();
    addresses.sort();
    addresses.dedup();
    addresses
}

/// Digest of the DER form, in upper case as Windows shows it.
pub(super) fn fingerprint(certificate: &X509Ref, digest: MessageDigest) -> Option<String> {
    use fmt::Write;
    let mut text = String::new();
    for byte in certificate.digest(digest).ok()?.iter() {
        write!(text, "{byte:02X}").ok()?;
    }
    Some(text)
}

/// SHA-1 of the DER form: the name of a certificate in Windows and in the database.
pub(super) fn thumbprint(certificate: &X509Ref) -> String {
    fingerprint(certificate, MessageDigest::sha1()).unwrap_or_default()
}

/// A certificate that messages are encrypted to.
#[derive(Clone)]
pub struct RecipientCertificate {
    pub(super) certificate: X509,
    pub(super) validity: Validity,
    /// Its key, prepared for envelopes, or why it cannot be used.
    cms_recipient: Result<Arc<CmsRecipient>, KeyError>,
    /// SHA-256 of its DER form.
    pub(super) sha256: String,
    thumbprint: String,
    /// The addresses that it contains, in lower case.
    pub(super) addresses: Arc<[String]>,
    /// Where it is stored, for messages.
    pub(super) origin: String,
    /// The certificates of the same file, which may be links of its chain.
    pub(super) companions: Arc<[X509]>,
    /// The cipher that an operator chose for it.
    pub cipher: Option<ContentCipher>,
    /// The RSA padding that an operator chose for it.
    pub rsa: Option<RsaEncryption>,
    /// The ciphers that its owner's mail program announced (RFC 8551 section 2.5.2), strongest
    /// first; unsupported ones are left out.
    pub capabilities: Option<Vec<ContentCipher>>,
}

impl fmt::Debug for RecipientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "certificate in {}", self.origin)
    }
}

impl RecipientCertificate {
    /// `None` where its validity cannot be read.
    pub(super) fn new(certificate: X509, origin: &str) -> Option<Self> {
        Some(Self {
            sha256: fingerprint(&certificate, MessageDigest::sha256())?,
            thumbprint: thumbprint(&certificate),
            addresses: addresses(&certificate).into(),
            validity: Validity::of(&certificate)?,
            cms_recipient: cms_recipient(&certificate).map(Arc::new),
            origin: origin.to_owned(),
            companions: Arc::default(),
            cipher: None,
            rsa: None,
            capabilities: None,
            certificate,
        })
    }

    /// The same with the certificates of its file.
    #[must_use]
    pub(super) fn with_companions(self, companions: Arc<[X509]>) -> Self {
        Self { companions, ..self }
    }

    /// The kind of its key, where the key can be used.
    pub(super) fn kind(&self) -> Option<KeyKind> {
        self.cms_recipient.as_ref().ok().map(|it| it.kind())
    }

    /// Parses a file: certificates in PEM, or one in DER. `origin` names the file in messages.
    ///
    /// # Errors
    /// [`CertificateReadError::NoCertificate`].
    pub fn from_file(bytes: &[u8], origin: &str) -> Result<Vec<Self>, CertificateReadError> {
        let certificates = certificates_from(bytes)?.into_iter();
        Ok(certificates
            .filter_map(|it| Self::new(it, origin))
            .collect())
    }

    /// Parses the column `Pem` of a row. [`Candidate::from_row`](super::Candidate::from_row)
    /// compares it with the other columns.
    ///
    /// # Errors
    /// [`CertificateReadError`].
    pub fn from_pem(pem: &str) -> Result<Self, CertificateReadError> {
        let mut certificates = Self::from_file(pem.as_bytes(), "")?.into_iter();
        match (certificates.next(), certificates.next()) {
            (Some(one), None) => Ok(one),
            _ => Err(CertificateReadError::NotOne),
        }
    }

    /// The columns by which a row is found, revoked and removed have to name this certificate.
    pub(super) fn check_fingerprints(
        &self,
        entry: &CertificateEntry,
    ) -> Result<(), CertificateReadError> {
        let columns = [
            ("SHA-256", &self.sha256, "Sha256Fingerprint", &entry.sha256),
            ("SHA-1", &self.thumbprint, "Thumbprint", &entry.thumbprint),
        ];
        for (digest, actual, column, recorded) in columns {
            if !actual.eq_ignore_ascii_case(recorded) {
                return Err(CertificateReadError::FingerprintMismatch {
                    digest,
                    actual: actual.clone(),
                    column,
                    recorded: recorded.clone(),
                });
            }
        }
        Ok(())
    }

    /// Takes over the operator's choices and the capabilities of a row.
    pub(super) fn apply_row(
        &mut self,
        entry: &CertificateEntry,
        origin: &str,
    ) -> Result<(), CertificateReadError> {
        origin.clone_into(&mut self.origin);
        let CertificateChoice {
            cipher,
            rsa_padding,
        } = &entry.choice;
        self.cipher = cipher.as_deref().map(str::parse).transpose()?;
        self.rsa = rsa_padding.as_deref().map(str::parse).transpose()?;
        // A later version may have stored words that this one does not know.
        self.capabilities = entry.capabilities.as_deref().map(|words| {
            let words = words.split_whitespace();
            words.filter_map(|word| word.parse().ok()).collect()
        });
        Ok(())
    }

    /// SHA-1 of its DER form in upper case, as Windows and the table show it.
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// Its key, prepared for envelopes.
    ///
    /// # Errors
    /// [`RecipientCertificateError::Unusable`].
    pub(super) fn cms_recipient(&self) -> Result<&CmsRecipient, RecipientCertificateError> {
        let recipient = self.cms_recipient.as_deref();
        recipient.map_err(|why| self.unusable(&format!("exists, but {why}")))
    }

    /// Where it is stored and until when it is valid.
    pub fn location(&self) -> String {
        let end = shown(self.validity.end);
        format!("in {}, valid until {end}", self.origin)
    }

    /// [`RecipientCertificateError::Unusable`] with the place where it is stored.
    pub(super) fn unusable(&self, why: &str) -> RecipientCertificateError {
        RecipientCertificateError::Unusable(self.sentence(why))
    }

    fn sentence(&self, why: impl fmt::Display) -> String {
        format!("the certificate in {} {why}", self.origin)
    }

    /// Checks key, usage and validity; not whether it is trusted.
    ///
    /// # Errors
    /// [`RecipientCertificateError`], naming where it is stored.
    pub fn check_usable(&self, now: Timestamp) -> Result<KeyKind, RecipientCertificateError> {
        let kind = self.cms_recipient()?.kind();
        match self.validity.check(now) {
            Ok(()) => Ok(kind),
            Err(why @ ValidityError::NotYetValid(_)) => {
                Err(RecipientCertificateError::NotYetValid(self.sentence(why)))
            }
            Err(why @ ValidityError::Expired(_)) => {
                Err(RecipientCertificateError::Expired(self.sentence(why)))
            }
        }
    }

    /// Every check that precedes encryption: usable and, with `trust`, trusted.
    ///
    /// # Errors
    /// As [`RecipientCertificate::check_usable`] and [`Trust::check`].
    pub fn check(
        &self,
        trust: Option<&Trust>,
        now: Timestamp,
    ) -> Result<KeyKind, RecipientCertificateError> {
        let kind = self.check_usable(now)?;
        match trust {
            Some(trust) => trust.check(self, now).map(|()| kind),
            None => Ok(kind),
        }
    }
}

/// The key of a certificate whose extensions allow encryption to it.
///
/// # Errors
/// [`KeyError`].
pub(super) fn cms_recipient(certificate: &X509Ref) -> Result<CmsRecipient, KeyError> {
    let key = certificate.public_key()?;
    let kind = KeyKind::of(&key)?;
    let usage = sendport_x509::usage(certificate);
    let (fits, name) = match kind {
        KeyKind::Rsa => (usage.key_encipherment, "keyEncipherment"),
        KeyKind::Ec => (usage.key_agreement, "keyAgreement"),
    };
    match (fits, usage.email) {
        (true, true) => CmsRecipient::new(certificate, key, kind),
        (false, _) => Err(KeyError::KeyUsage(name)),
        (true, false) => Err(KeyError::ExtendedKeyUsage),
    }
}

/// Certificates in PEM, or one in DER.
pub(super) fn certificates_from(bytes: &[u8]) -> Result<Vec<X509>, CertificateReadError> {
    if let Ok(certificate) = X509::from_der(bytes) {
        return Ok(vec![certificate]);
    }
    let certificates = X509::stack_from_pem(bytes).unwrap_or_default();
    match certificates.is_empty() {
        true => Err(CertificateReadError::NoCertificate),
        false => Ok(certificates),
    }
}

/// Why bytes are not the expected certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateReadError {
    /// Of a file with recipients' certificates.
    #[error("expected certificates in PEM or one in DER, found none")]
    NoCertificate,
    /// Of a file that is imported.
    #[error("expected certificates in PEM, one in DER, or PKCS #7 with certificates, found none")]
    NoImport,
    /// Of a row.
    #[error("expected one certificate with readable times in Pem")]
    NotOne,
    /// A row names another certificate than its `Pem`.
    #[error(
        "Pem is the certificate with the {digest} fingerprint {actual}, {column} says {recorded}; \
         remove the row and import the certificate again"
    )]
    FingerprintMismatch {
        /// `SHA-1` or `SHA-256`.
        digest: &'static str,
        /// Of `Pem`.
        actual: String,
        /// Which column differs.
        column: &'static str,
        /// Its value.
        recorded: String,
    },
    /// A row has an unknown cipher or padding.
    #[error(transparent)]
    Choice(#[from] UnknownWord),
    /// A field of the certificate is malformed.
    #[error("its {0} cannot be read")]
    Field(&'static str),
}
