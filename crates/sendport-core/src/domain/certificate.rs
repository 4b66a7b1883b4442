//! Recipients' certificates in the database.

use std::fmt;

use super::Timestamp;
use super::alert::word_enum;

/// Key of a row of the table `Certificate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CertificateId(pub i64);

word_enum! {
    /// Whether the certificate or an operator binds it to an address: the column `BoundBy`.
    pub enum BoundBy {
        /// The certificate contains the address.
        Certificate = "certificate",
        /// An operator or a directory bound it; it need not contain the address.
        Operator = "operator",
    }
}

/// An operator's choices for one certificate, in the words of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CertificateChoice {
    /// As `cipher` of the section `encryption`.
    pub cipher: Option<String>,
    /// As `rsa_padding` of the section `encryption`.
    pub rsa_padding: Option<String>,
}

impl CertificateChoice {
    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.cipher.is_none() && self.rsa_padding.is_none()
    }
}

/// Revocation of a certificate by an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedCertificate {
    /// Since when.
    pub at: Timestamp,
    /// Why, if the operator gave a reason.
    pub reason: Option<String>,
}

impl fmt::Display for RevokedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "revoked at {}", crate::clock::utc_text(self.at))?;
        match &self.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}

/// A certificate for one address. All fields except address, choice and source come from `pem`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateText {
    /// The address, in lower case, the domain in A-labels.
    pub address: String,
    /// What binds it to the address.
    pub bound_by: BoundBy,
    /// SHA-1 of its DER form, as Windows and Outlook show it: 40 digits in upper case.
    pub thumbprint: String,
    /// SHA-256 of its DER form: 64 digits in upper case.
    pub sha256: String,
    /// Its subject (RFC 4514, in the certificate's order).
    pub subject: String,
    /// Its issuer.
    pub issuer: String,
    /// In hexadecimal.
    pub serial_number: String,
    /// `notBefore`.
    pub valid_from: Timestamp,
    /// `notAfter`.
    pub valid_to: Timestamp,
    /// Key usages such as `keyEncipherment, emailProtection`; starts with `any` where keyUsage is
    /// absent.
    pub key_usage: String,
    /// Its key usage allows encryption to it.
    pub can_encrypt: bool,
    /// Such as `RSA 2048` or `EC P-256`.
    pub key_algorithm: String,
    /// Ciphers that its owner's mail program supports, in the words of `cipher`, strongest first.
    pub capabilities: Option<String>,
    /// The operator's choices.
    pub choice: CertificateChoice,
    /// The certificate in PEM.
    pub pem: String,
    /// Where it came from, for people.
    pub source: String,
}

/// A row of the table `Certificate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRow {
    /// Its key.
    pub id: CertificateId,
    /// Its columns.
    pub text: CertificateText,
    /// When it was added.
    pub added_at: Timestamp,
    /// The login that added it.
    pub added_by: String,
    /// Its revocation by an operator.
    pub revoked: Option<RevokedCertificate>,
}

/// The columns of a row that are read for each encrypted alert: all except the certificate itself,
/// which its fingerprint identifies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateEntry {
    /// Its key.
    pub id: CertificateId,
    /// The address.
    pub address: String,
    /// What binds it to the address.
    pub bound_by: BoundBy,
    /// SHA-1.
    pub thumbprint: String,
    /// SHA-256.
    pub sha256: String,
    /// `notBefore`.
    pub valid_from: Timestamp,
    /// As in [`CertificateText`].
    pub capabilities: Option<String>,
    /// The operator's choices.
    pub choice: CertificateChoice,
    /// Its revocation by an operator.
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

/// Result of adding a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateAdded {
    /// It is new for its address.
    Added,
    /// It existed; choices or capabilities were updated.
    Changed,
    /// It existed unchanged.
    Known,
}

/// A line of the view `ExpiringCertificate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpiringCertificate {
    /// Its key.
    pub id: CertificateId,
    /// The address.
    pub address: String,
    /// SHA-1.
    pub thumbprint: String,
    /// `notAfter`.
    pub valid_to: Timestamp,
    /// Whole days until then.
    pub days_left: u32,
    /// The last notice, in days before expiry.
    pub notified_at_days: Option<u32>,
}
