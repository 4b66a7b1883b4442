//! What certificates say about whose they are and what for (RFC 8550).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::nid::Nid;
use openssl::pkey::{HasPublic, Id, PKeyRef};
use openssl::sha::sha256;
use openssl::x509::{X509, X509Ref};

use super::trust::Trust;
use crate::domain::Timestamp;

/// RSA keys below this are not used.
const LEAST_RSA_BITS: u32 = 2048;

/// The kinds of keys that an envelope can be made for. Not every reader opens one that is for
/// both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
        .map(str::to_lowercase)
        .chain(entries.map(|text| text.to_lowercase()))
        .collect();
    found.sort();
    found.dedup();
    found
}

/// A certificate that messages are encrypted to.
pub struct RecipientCertificate {
    pub(super) certificate: X509,
    pub(super) validity: Validity,
    /// Its key, or why it cannot be used.
    kind: Result<KeyKind, String>,
    /// Where it was found.
    pub(super) origin: String,
    /// What came along with it: links of its chain, perhaps.
    pub(super) companions: Arc<[X509]>,
    /// SHA-256 of it.
    pub(super) fingerprint: [u8; 32],
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
            validity: Validity::of(&certificate)?,
            kind: encryption_key(&certificate),
            origin: origin.to_owned(),
            companions: Arc::default(),
            fingerprint: sha256(&certificate.to_der().ok()?),
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
        self.kind.as_ref().ok().copied()
    }

    /// Those of a file: one or more in PEM, or one in DER. `origin` names it in messages.
    ///
    /// # Errors
    /// What was expected, in a sentence.
    pub fn read(octets: &[u8], origin: &str) -> Result<Vec<Self>, String> {
        let found = certificates_of(octets)?.into_iter();
        Ok(found.filter_map(|it| Self::new(it, origin)).collect())
    }

    /// The key that an envelope is made for.
    ///
    /// # Errors
    /// [`NoCertificate::Expired`] and [`NoCertificate::Unusable`], naming the file.
    pub fn usable(&self, now: Timestamp) -> Result<KeyKind, NoCertificate> {
        let place = |why: &str| format!("the certificate in {} {why}", self.origin);
        match (&self.kind, self.validity.problem(now)) {
            (Err(why), _) => Err(NoCertificate::Unusable(place(&format!(
                "is there, but {why}"
            )))),
            (Ok(_), Some(why)) => Err(NoCertificate::Expired(place(&why))),
            (Ok(kind), None) => Ok(*kind),
        }
    }
}

impl RecipientCertificate {
    /// The key that an envelope is made for, where the certificate can be used and is believed:
    /// what is asked of every certificate before anything is encrypted to it.
    ///
    /// # Errors
    /// As [`RecipientCertificate::usable`] and [`Trust::judge`].
    pub fn trusted(&self, trust: Option<&Trust>, now: Timestamp) -> Result<KeyKind, NoCertificate> {
        let kind = self.usable(now)?;
        match trust {
            Some(trust) => trust.judge(self, now).map(|()| kind),
            None => Ok(kind),
        }
    }
}

fn encryption_key(certificate: &X509Ref) -> Result<KeyKind, String> {
    let key = certificate.public_key();
    let key = key.map_err(|error| format!("its key cannot be read: {error}"))?;
    let kind = KeyKind::of(&key)?;
    let usage = sendport_cms::usage(certificate);
    let (fits, name) = match kind {
        KeyKind::Rsa => (usage.key_encipherment, "keyEncipherment"),
        KeyKind::Ec => (usage.key_agreement, "keyAgreement"),
    };
    match (fits, usage.email) {
        (true, true) => Ok(kind),
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
pub enum NoCertificate {
    /// There is none for the address.
    #[error("{0}")]
    Missing(String),
    /// It ended, or did not begin.
    #[error("{0}")]
    Expired(String),
    /// Its key is not for that.
    #[error("{0}")]
    Unusable(String),
    /// Its chain does not end in an authority of `ca_file`.
    #[error("{0}")]
    Untrusted(String),
    /// An authority took it, or one above it, back.
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

impl NoCertificate {
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
            Self::Unusable(_) => "recipient-certificate-unusable",
            Self::Untrusted(_) => "recipient-certificate-untrusted",
            Self::Revoked(_) => "recipient-certificate-revoked",
            Self::RevocationUnknown(_) | Self::Awaited { .. } => {
                "recipient-certificate-revocation-unknown"
            }
        }
    }
}
