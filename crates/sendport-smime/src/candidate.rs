//! Selection of one certificate among those stored for a recipient.

use std::cmp::Reverse;
use std::sync::Arc;

use sendport_core::domain::{BoundBy, CertificateEntry, RevokedCertificate, Timestamp};

use super::certificate::{CertificateReadError, KeyKind, RecipientCertificate};
use super::error::{Addresses, RecipientCertificateError};
use super::trust::Trust;

/// The certificate of a recipient and the kind of its key, or why there is none.
pub type CertificateLookup =
    Result<(Arc<RecipientCertificate>, KeyKind), RecipientCertificateError>;

/// A certificate that may be selected for an address.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// SHA-256 of its DER form, in upper case; empty where it cannot be read.
    pub(super) sha256: String,
    /// Start of its validity.
    pub(super) begin: Timestamp,
    /// The certificate, or why it cannot be used.
    pub(super) certificate: Result<Arc<RecipientCertificate>, RecipientCertificateError>,
}

impl Candidate {
    /// A certificate of `certificates_folder`.
    pub(super) fn from_folder(certificate: &Arc<RecipientCertificate>) -> Self {
        Self {
            sha256: certificate.sha256.clone(),
            begin: certificate.validity.begin,
            certificate: Ok(certificate.clone()),
        }
    }

    /// An unreadable file named after an address. Its validity is unknown, so it counts as the
    /// newest.
    pub(super) fn from_unreadable_file(why: &str) -> Self {
        Self {
            sha256: String::new(),
            begin: Timestamp::MAX_UTC,
            certificate: Err(RecipientCertificateError::Malformed(why.to_owned())),
        }
    }

    /// A row of the table `Certificate`, and its column `Pem`, parsed.
    pub fn from_row(
        entry: &CertificateEntry,
        parsed: Result<&RecipientCertificate, CertificateReadError>,
    ) -> Self {
        Self {
            sha256: entry.sha256.clone(),
            begin: entry.valid_from,
            certificate: checked(entry, parsed).map(Arc::new),
        }
    }

    /// A row that an operator revoked; its `Pem` need not be read.
    pub fn from_revoked_row(entry: &CertificateEntry, revoked: &RevokedCertificate) -> Self {
        Self {
            sha256: entry.sha256.clone(),
            begin: entry.valid_from,
            certificate: Err(revoked_row(entry, revoked)),
        }
    }

    /// Checks that the certificate is usable and, with `trust`, trusted.
    ///
    /// # Errors
    /// [`RecipientCertificateError`].
    pub fn check(
        &self,
        trust: Option<&Trust>,
        now: Timestamp,
    ) -> Result<KeyKind, RecipientCertificateError> {
        match &self.certificate {
            Ok(certificate) => certificate.check(trust, now),
            Err(why) => Err(why.clone()),
        }
    }
}

fn checked(
    entry: &CertificateEntry,
    parsed: Result<&RecipientCertificate, CertificateReadError>,
) -> Result<RecipientCertificate, RecipientCertificateError> {
    if let Some(revoked) = &entry.revoked {
        return Err(revoked_row(entry, revoked));
    }
    let origin = origin(entry);
    let malformed = |why: CertificateReadError| {
        RecipientCertificateError::Malformed(format!("the certificate in {origin}: {why}"))
    };
    let parsed = parsed.map_err(malformed)?;
    parsed.check_fingerprints(entry).map_err(malformed)?;
    let (address, contained) = (&entry.address, &parsed.addresses);
    if entry.bound_by == BoundBy::Certificate && !contained.contains(address) {
        let contained = Addresses(contained);
        return Err(RecipientCertificateError::WrongAddress(format!(
            "the certificate in {origin} is stored for {address}, but is for {contained}"
        )));
    }
    let mut certificate = parsed.clone();
    certificate.apply_row(entry, &origin).map_err(malformed)?;
    Ok(certificate)
}

fn revoked_row(
    entry: &CertificateEntry,
    revoked: &RevokedCertificate,
) -> RecipientCertificateError {
    let origin = origin(entry);
    RecipientCertificateError::Revoked(format!("the certificate in {origin} was {revoked}"))
}

/// Where it is stored, for messages.
fn origin(entry: &CertificateEntry) -> String {
    format!("the table Certificate with thumbprint {}", entry.thumbprint)
}

/// The usable and trusted candidate whose validity began last.
///
/// # Errors
/// [`RecipientCertificateError`]; among several, that of a candidate whose revocation is still
/// being checked, else that of the candidate whose validity began last.
pub(super) fn select(
    address: &str,
    mut candidates: Vec<Candidate>,
    trust: Option<&Trust>,
    now: Timestamp,
) -> CertificateLookup {
    candidates.sort_by_key(|it| Reverse(it.begin));
    let mut why = None;
    for candidate in candidates {
        let certificate = candidate.certificate;
        let checked = certificate.and_then(|it| it.check(trust, now).map(|kind| (it, kind)));
        match checked {
            Ok(selected) => return Ok(selected),
            Err(error) => why = RecipientCertificateError::more_relevant(why, error),
        }
    }
    Err(why.unwrap_or_else(|| {
        RecipientCertificateError::Missing(format!("there is no certificate for {address}"))
    }))
}
