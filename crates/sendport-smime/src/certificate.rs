//! What certificates say about whose they are and what for (RFC 8550).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{HasPublic, Id, PKeyRef};
use openssl::x509::{X509, X509Ref};

use super::cms::CmsRecipient;
use super::encryptor::{ContentCipher, RsaEncryption};
use super::trust::Trust;
use sendport_core::domain::{CertificateChoice, CertificateEntry, Timestamp, domain_to_ascii};

/// RSA keys below this are not used.
const LEAST_RSA_BITS: u32 = 2048;

/// The kinds of keys that an envelope can be made for. Not every reader opens one that is for
/// both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// RSA.
    Rsa,
    /// Elliptic curves over prime fields.
    Ec,
}

impl KeyKind {
    /// # Errors
    /// Why a key cannot be used, in words.
    pub(super) fn of<T: HasPublic>(key: &PKeyRef<T>) -> Result<Self, String> {
        match key.id() {
            Id::RSA if key.bits() < LEAST_RSA_BITS => Err(format!(
                "its RSA key has {} bits, at least {LEAST_RSA_BITS} are needed",
                key.bits()
            )),
            Id::RSA => Ok(Self::Rsa),
            Id::EC => Ok(Self::Ec),
            _ => Err("its key is neither RSA nor EC".to_owned()),
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

/// From when to when (RFC 5280 section 4.1.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) begin: Timestamp,
    pub(super) end: Timestamp,
}

impl Validity {
    pub(super) fn of(certificate: &X509Ref) -> Option<Self> {
        Some(Self {
            begin: timestamp(certificate.not_before())?,
            end: timestamp(certificate.not_after())?,
        })
    }

    /// Why it is not valid at a moment, in words.
    pub(super) fn problem(&self, now: Timestamp) -> Option<String> {
        if now > self.end {
            Some(format!("ended at {}", shown(self.end)))
        } else if now < self.begin {
            Some(format!("begins at {}", shown(self.begin)))
        } else {
            None
        }
    }
}

pub(super) fn shown(moment: Timestamp) -> impl fmt::Display {
    moment.format("%Y-%m-%dT%H:%M:%SZ")
}

pub(super) fn timestamp(time: &Asn1TimeRef) -> Option<Timestamp> {
    let since = Asn1Time::from_unix(0).ok()?.diff(time).ok()?;
    let seconds = i64::from(since.days) * 86_400 + i64::from(since.secs);
    DateTime::from_timestamp(seconds, 0)
}

/// The form in which addresses are compared: in lower case, the domain in A-labels, as certificates
/// have to write it (RFC 5280 section 7.5).
pub fn address_key(address: &str) -> String {
    let ascii = address
        .rsplit_once('@')
        .and_then(|(local, domain)| Some(format!("{local}@{}", domain_to_ascii(domain).ok()?)));
    ascii.unwrap_or_else(|| address.to_owned()).to_lowercase()
}

/// The mail addresses that a certificate is for, in lower case: rfc822Name of the
/// subjectAltName, and emailAddress of the subject (RFC 8550 section 3).
pub(super) fn addresses(certificate: &X509Ref) -> Vec<String> {
    let alternatives = certificate.subject_alt_names();
    let names = alternatives
        .iter()
        .flatten()
        .filter_map(|name| name.email());
    let subject = certificate.subject_name();
    let entries = subject.entries_by_nid(Nid::PKCS9_EMAILADDRESS);
    let entries = entries.filter_map(|entry| entry.data().to_string().ok());
    let mut found: Vec<String> = names
        .map(address_key)
        .chain(entries.map(|text| address_key(&text)))
        .collect();
    found.sort();
    found.dedup();
    found
}

/// A digest of the DER form in upper case, as Windows shows it.
pub(super) fn fingerprint(certificate: &X509Ref, digest: MessageDigest) -> Option<String> {
    use fmt::Write;
    let mut text = String::new();
    for octet in certificate.digest(digest).ok()?.iter() {
        write!(text, "{octet:02X}").ok()?;
    }
    Some(text)
}

/// SHA-1 of a certificate's DER form: what people and the database call it by.
pub(super) fn thumbprint(certificate: &X509Ref) -> String {
    fingerprint(certificate, MessageDigest::sha1()).unwrap_or_default()
}

/// A certificate that messages are encrypted to.
#[derive(Clone)]
pub struct RecipientCertificate {
    pub(super) certificate: X509,
    pub(super) validity: Validity,
    /// Its owner, by its key, or why that cannot be used.
    reader: Result<Arc<CmsRecipient>, String>,
    /// SHA-256 of its DER form.
    pub(super) sha256: String,
    thumbprint: String,
    /// Those in it, in lower case.
    pub(super) addresses: Arc<[String]>,
    /// Where it was found.
    pub(super) origin: String,
    /// What came along with it: links of its chain, perhaps.
    pub(super) companions: Arc<[X509]>,
    /// What an operator chose content to be encrypted by for it.
    pub cipher: Option<ContentCipher>,
    /// What an operator chose for its RSA key.
    pub rsa: Option<RsaEncryption>,
    /// What its owner's reader said that it opens (RFC 8551 section 2.5.2), the strongest first;
    /// ciphers that are not ours are left out.
    pub capabilities: Option<Vec<ContentCipher>>,
}

impl fmt::Debug for RecipientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "certificate in {}", self.origin)
    }
}

impl RecipientCertificate {
    /// `None` where its times cannot be read.
    pub(super) fn new(certificate: X509, origin: &str) -> Option<Self> {
        Some(Self {
            sha256: fingerprint(&certificate, MessageDigest::sha256())?,
            thumbprint: thumbprint(&certificate),
            addresses: addresses(&certificate).into(),
            validity: Validity::of(&certificate)?,
            reader: reader(&certificate).map(Arc::new),
            origin: origin.to_owned(),
            companions: Arc::default(),
            cipher: None,
            rsa: None,
            capabilities: None,
            certificate,
        })
    }

    /// The same, with certificates that were found beside it: its chain may need them.
    #[must_use]
    pub(super) fn among(self, companions: Arc<[X509]>) -> Self {
        Self { companions, ..self }
    }

    /// The kind of its key, where that can be used.
    pub(super) fn kind(&self) -> Option<KeyKind> {
        self.reader.as_ref().ok().map(|it| it.kind())
    }

    /// Those of a file: one or more in PEM, or one in DER. `origin` names it in messages.
    ///
    /// # Errors
    /// What was expected, in a sentence.
    pub fn read(octets: &[u8], origin: &str) -> Result<Vec<Self>, String> {
        let found = certificates_of(octets)?.into_iter();
        Ok(found.filter_map(|it| Self::new(it, origin)).collect())
    }

    /// That of a row of the database; whether it is the one that the row names is for
    /// [`Candidate::of_entry`](super::Candidate::of_entry) to see.
    ///
    /// # Errors
    /// What was expected, in words.
    pub fn of_pem(pem: &str) -> Result<Self, String> {
        let mut found = Self::read(pem.as_bytes(), "")?.into_iter();
        let (Some(one), None) = (found.next(), found.next()) else {
            return Err("expected one certificate with readable times in Pem".to_owned());
        };
        Ok(one)
    }

    /// The row has to name this certificate: it is found, revoked and removed by these columns.
    pub(super) fn check_names(&self, entry: &CertificateEntry) -> Result<(), String> {
        let columns = [
            ("SHA-256", &self.sha256, "Sha256Fingerprint", &entry.sha256),
            ("SHA-1", &self.thumbprint, "Thumbprint", &entry.thumbprint),
        ];
        let differs = |(_, is, _, says): &(_, &String, _, &String)| !is.eq_ignore_ascii_case(says);
        match columns.into_iter().find(differs) {
            None => Ok(()),
            Some((digest, is, column, says)) => Err(format!(
                "Pem is the certificate with the {digest} fingerprint {is}, {column} says {says}; \
                 remove the row and import the certificate again"
            )),
        }
    }

    /// Takes over what stands about it in the database.
    pub(super) fn choose(&mut self, entry: &CertificateEntry, origin: &str) -> Result<(), String> {
        origin.clone_into(&mut self.origin);
        let CertificateChoice {
            cipher,
            rsa_padding,
        } = &entry.choice;
        self.cipher = cipher.as_deref().map(str::parse).transpose()?;
        self.rsa = rsa_padding.as_deref().map(str::parse).transpose()?;
        let told = entry.capabilities.as_deref();
        // Words of a later version are none of ours.
        self.capabilities = told.map(|words| {
            let words = words.split_whitespace();
            words.filter_map(|word| word.parse().ok()).collect()
        });
        Ok(())
    }

    /// SHA-1 of its DER form in upper case, as Windows and the table show it.
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// Its owner, as envelopes are made for them.
    ///
    /// # Errors
    /// [`RecipientCertificateError::Unusable`].
    pub(super) fn reader(&self) -> Result<&CmsRecipient, RecipientCertificateError> {
        let reader = self.reader.as_deref();
        reader.map_err(|why| self.unusable(&format!("is there, but {why}")))
    }

    /// Where it was found, and until when it is valid.
    pub fn whereabouts(&self) -> String {
        let end = shown(self.validity.end);
        format!("in {}, valid until {end}", self.origin)
    }

    /// Why it cannot be used, naming where it was found.
    pub(super) fn unusable(&self, why: &str) -> RecipientCertificateError {
        RecipientCertificateError::Unusable(format!("the certificate in {} {why}", self.origin))
    }

    /// The key that an envelope is made for.
    ///
    /// # Errors
    /// [`RecipientCertificateError`], naming where it is.
    pub fn usable(&self, now: Timestamp) -> Result<KeyKind, RecipientCertificateError> {
        let place = |why: &str| format!("the certificate in {} {why}", self.origin);
        let kind = self.reader()?.kind();
        match self.validity.problem(now) {
            Some(why) if now < self.validity.begin => {
                Err(RecipientCertificateError::NotYetValid(place(&why)))
            }
            Some(why) => Err(RecipientCertificateError::Expired(place(&why))),
            None => Ok(kind),
        }
    }
}

impl RecipientCertificate {
    /// The key that an envelope is made for, where the certificate can be used and is believed:
    /// what is asked of every certificate before anything is encrypted to it.
    ///
    /// # Errors
    /// As [`RecipientCertificate::usable`] and [`Trust::judge`].
    pub fn trusted(
        &self,
        trust: Option<&Trust>,
        now: Timestamp,
    ) -> Result<KeyKind, RecipientCertificateError> {
        let kind = self.usable(now)?;
        match trust {
            Some(trust) => trust.judge(self, now).map(|()| kind),
            None => Ok(kind),
        }
    }
}

/// Its owner, where the key and its usage allow to encrypt to it.
///
/// # Errors
/// Why not, in words.
pub(super) fn reader(certificate: &X509Ref) -> Result<CmsRecipient, String> {
    let key = certificate.public_key();
    let key = key.map_err(|error| format!("its key cannot be read: {error}"))?;
    let kind = KeyKind::of(&key)?;
    let usage = sendport_x509::usage(certificate);
    let (fits, name) = match kind {
        KeyKind::Rsa => (usage.key_encipherment, "keyEncipherment"),
        KeyKind::Ec => (usage.key_agreement, "keyAgreement"),
    };
    match (fits, usage.email) {
        (true, true) => CmsRecipient::new(certificate, key, kind),
        (false, _) => Err(format!("its keyUsage lacks {name}")),
        (true, false) => Err("its extendedKeyUsage lacks emailProtection".to_owned()),
    }
}

/// One or more in PEM, or one in DER.
pub(super) fn certificates_of(octets: &[u8]) -> Result<Vec<X509>, String> {
    if let Ok(certificate) = X509::from_der(octets) {
        return Ok(vec![certificate]);
    }
    let found = X509::stack_from_pem(octets).unwrap_or_default();
    match found.is_empty() {
        true => Err("expected certificates in PEM or one in DER, found none".to_owned()),
        false => Ok(found),
    }
}

/// Why there is no certificate to encrypt to, in a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecipientCertificateError {
    /// There is none for the address.
    #[error("{0}")]
    Missing(String),
    /// It ended.
    #[error("{0}")]
    Expired(String),
    /// It did not begin.
    #[error("{0}")]
    NotYetValid(String),
    /// It cannot be read.
    #[error("{0}")]
    Malformed(String),
    /// It stands there for an address that is not in it.
    #[error("{0}")]
    WrongAddress(String),
    /// Its key is not for that.
    #[error("{0}")]
    Unusable(String),
    /// Its chain does not end in an authority of `ca_file`.
    #[error("{0}")]
    Untrusted(String),
    /// An operator took it back, or an authority it or one above it.
    #[error("{0}")]
    Revoked(String),
    /// Nothing says whether it was taken back, and nothing will.
    #[error("{0}")]
    RevocationUnknown(String),
    /// Nothing says so yet: to be asked again after `retry_in`.
    #[error("{why}")]
    Awaited {
        /// What is missing, in a sentence.
        why: String,
        /// When something may have changed.
        retry_in: Duration,
    },
}

impl RecipientCertificateError {
    /// Of two for one address, the one to tell: where one may be good in a moment, that.
    pub(super) fn foremost(before: Option<Self>, other: Self) -> Option<Self> {
        match (&before, &other) {
            (Some(Self::Awaited { .. }), _) => before,
            (_, Self::Awaited { .. }) | (None, _) => Some(other),
            _ => before,
        }
    }

    /// Key into the table of replies.
    pub fn explanation(&self) -> &'static str {
        match self {
            Self::Missing(_) => "recipient-certificate-missing",
            Self::Expired(_) => "recipient-certificate-expired",
            Self::NotYetValid(_) => "recipient-certificate-not-yet-valid",
            Self::Revoked(_) => "recipient-certificate-revoked",
            Self::Malformed(_) => "recipient-certificate-malformed",
            Self::WrongAddress(_) => "recipient-certificate-wrong-address",
            Self::Unusable(_) => "recipient-certificate-unusable",
            Self::Untrusted(_) => "recipient-certificate-untrusted",
            Self::RevocationUnknown(_) | Self::Awaited { .. } => {
                "recipient-certificate-revocation-unknown"
            }
        }
    }
}
