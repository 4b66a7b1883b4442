//! Recipients' certificates as they stand in the database.

use std::fmt;
use std::str::FromStr;

use super::Timestamp;

/// Key of a row of the table `Certificate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CertificateId(pub i64);

/// Who says that a certificate is for an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BoundBy {
    /// The certificate itself: the address is in it.
    Certificate,
    /// An operator or a directory: the address need not be in it.
    Operator,
}

impl BoundBy {
    /// The word in the column `BoundBy`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Operator => "operator",
        }
    }
}

impl FromStr for BoundBy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "certificate" => Ok(Self::Certificate),
            "operator" => Ok(Self::Operator),
            other => Err(format!(
                "'{other}' is neither 'certificate' nor 'operator', who can bind a certificate to an address"
            )),
        }
    }
}

/// What an operator chose for one certificate, in the words of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CertificateChoice {
    /// As `cipher` of the section `encryption`.
    pub cipher: Option<String>,
    /// As `rsa_padding` of the section `encryption`.
    pub rsa_padding: Option<String>,
}

impl CertificateChoice {
    /// Nothing was chosen.
    pub fn is_empty(&self) -> bool {
        self.cipher.is_none() && self.rsa_padding.is_none()
    }
}

/// That a certificate is not used any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedCertificate {
    /// Since when.
    pub at: Timestamp,
    /// Why, if somebody said so.
    pub reason: Option<String>,
}

impl fmt::Display for RevokedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "revoked at {}", self.at.format("%Y-%m-%dT%H:%M:%SZ"))?;
        match &self.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}

/// A certificate for one address; all but address, choice and source is taken from `pem`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateText {
    /// Whom it is for, in lower case, the domain in A-labels.
    pub address: String,
    /// Who says so.
    pub bound_by: BoundBy,
    /// SHA-1 of its DER form, as Windows and Outlook show it: 40 digits in upper case.
    pub thumbprint: String,
    /// SHA-256 of its DER form: 64 digits in upper case.
    pub sha256: String,
    /// Its subject (RFC 4514, in the certificate's order).
    pub subject: String,
    /// Who issued it.
    pub issuer: String,
    /// In hexadecimal.
    pub serial_number: String,
    /// Its first moment.
    pub valid_from: Timestamp,
    /// Its last moment.
    pub valid_to: Timestamp,
    /// What it is for, such as `keyEncipherment, emailProtection`; `any` at its beginning where
    /// it has no key usage.
    pub key_usage: String,
    /// Such as `RSA 2048` or `EC P-256`.
    pub key_algorithm: String,
    /// Ciphers that its owner's reader opens, in the words of `cipher`, the strongest first.
    pub capabilities: Option<String>,
    /// What an operator chose.
    pub choice: CertificateChoice,
    /// The certificate.
    pub pem: String,
    /// Where it came from, in words.
    pub source: String,
}

/// A row of the table `Certificate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRow {
    /// Its key.
    pub id: CertificateId,
    /// What it says.
    pub text: CertificateText,
    /// Since when it is there.
    pub added_at: Timestamp,
    /// By which login.
    pub added_by: String,
    /// That it is not used any more.
    pub revoked: Option<RevokedCertificate>,
}

/// What is asked of a row each time that an alert is encrypted: all but the certificate itself,
/// which is told by its fingerprint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateEntry {
    /// Its key.
    pub id: CertificateId,
    /// Whom it is for.
    pub address: String,
    /// Who says so.
    pub bound_by: BoundBy,
    /// SHA-1, for people.
    pub thumbprint: String,
    /// SHA-256.
    pub sha256: String,
    /// Its first moment.
    pub valid_from: Timestamp,
    /// As in [`CertificateText`].
    pub capabilities: Option<String>,
    /// What an operator chose.
    pub choice: CertificateChoice,
    /// That it is not used any more.
    pub revoked: Option<RevokedCertificate>,
}

impl From<&CertificateRow> for CertificateEntry {
    fn from(row: &CertificateRow) -> Self {
        let text = &row.text;
        Self {
            id: row.id,
            address: text.address.clone(),
            bound_by: text.bound_by,
            thumbprint: text.thumbprint.clone(),
            sha256: text.sha256.clone(),
            valid_from: text.valid_from,
            capabilities: text.capabilities.clone(),
            choice: text.choice.clone(),
            revoked: row.revoked.clone(),
        }
    }
}

/// What became of a certificate that was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateAdded {
    /// It is new for its address.
    Added,
    /// It was there; what was chosen for it or what its reader opens is different now.
    Changed,
    /// It was there, and just so.
    Known,
}

/// A line of the view `ExpiringCertificate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpiringCertificate {
    /// Its key.
    pub id: CertificateId,
    /// Whom it is for.
    pub address: String,
    /// SHA-1, for people.
    pub thumbprint: String,
    /// Its last moment.
    pub valid_to: Timestamp,
    /// Whole days until then.
    pub days_left: u32,
    /// The smallest number of days that it was announced with.
    pub notified_at_days: Option<u32>,
}
