//! Which of several certificates somebody is encrypted to.

use std::cmp::Reverse;
use std::sync::Arc;

use super::certificate::{KeyKind, RecipientCertificate, RecipientCertificateError};
use super::trust::Trust;
use sendport_core::domain::{BoundBy, CertificateEntry, Timestamp};

/// The certificate of somebody and the kind of its key, or why there is none.
pub type CertificateLookup =
    Result<(Arc<RecipientCertificate>, KeyKind), RecipientCertificateError>;

/// A certificate that may be taken for an address.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// SHA-256 of its DER form, in upper case.
    pub(super) sha256: String,
    /// Its first moment.
    pub(super) begin: Timestamp,
    /// It, or why it is out of the question.
    pub(super) certificate: Result<Arc<RecipientCertificate>, RecipientCertificateError>,
}

impl Candidate {
    /// One of a folder.
    pub(super) fn of_folder(certificate: &Arc<RecipientCertificate>) -> Self {
        Self {
            sha256: certificate.sha256.clone(),
            begin: certificate.validity.begin,
            certificate: Ok(certificate.clone()),
        }
    }

    /// What is named after an address in a folder, and cannot be read. Nothing says when it began:
    /// it was put there last, as far as one can know.
    pub(super) fn unreadable(why: &str) -> Self {
        Self {
            sha256: String::new(),
            begin: Timestamp::MAX_UTC,
            certificate: Err(RecipientCertificateError::Malformed(why.to_owned())),
        }
    }

    /// One of the database: what stands about it, and what its `Pem` is read as.
    pub fn of_entry(entry: &CertificateEntry, read: Result<&RecipientCertificate, String>) -> Self {
        Self {
            sha256: entry.sha256.clone(),
            begin: entry.valid_from,
            certificate: judged(entry, read).map(Arc::new),
        }
    }

    /// Whether it can be used, and is believed where somebody has to vouch for it.
    ///
    /// # Errors
    /// [`RecipientCertificateError`].
    pub fn trusted(
        &self,
        trust: Option<&Trust>,
        now: Timestamp,
    ) -> Result<KeyKind, RecipientCertificateError> {
        match &self.certificate {
            Ok(certificate) => certificate.trusted(trust, now),
            Err(why) => Err(why.clone()),
        }
    }
}

fn judged(
    entry: &CertificateEntry,
    read: Result<&RecipientCertificate, String>,
) -> Result<RecipientCertificate, RecipientCertificateError> {
    let origin = origin(entry);
    if let Some(revoked) = &entry.revoked {
        let why = format!("the certificate in {origin} was {revoked}");
        return Err(RecipientCertificateError::Revoked(why));
    }
    let malformed =
        |what| RecipientCertificateError::Malformed(format!("the certificate in {origin}: {what}"));
    let read = read.map_err(malformed)?;
    read.check_names(entry).map_err(malformed)?;
    let (address, in_it) = (&entry.address, &read.addresses);
    if entry.bound_by == BoundBy::Certificate && !in_it.contains(address) {
        let in_it = match in_it.is_empty() {
            true => "no address at all".to_owned(),
            false => in_it.join(", "),
        };
        return Err(RecipientCertificateError::WrongAddress(format!(
            "the certificate in {origin} stands there for {address}, but is for {in_it}"
        )));
    }
    let mut certificate = read.clone();
    certificate.choose(entry, &origin).map_err(malformed)?;
    Ok(certificate)
}

/// Where it is, for people.
fn origin(entry: &CertificateEntry) -> String {
    format!("the table Certificate with thumbprint {}", entry.thumbprint)
}

/// Of those that can be used and are trusted, the one that began last.
///
/// # Errors
/// [`RecipientCertificateError`]; where there are several, about the one that is still awaited, else about
/// the one that began last.
pub(super) fn best(
    address: &str,
    mut candidates: Vec<Candidate>,
    trust: Option<&Trust>,
    now: Timestamp,
) -> CertificateLookup {
    candidates.sort_by_key(|it| Reverse(it.begin));
    let mut why = None;
    for candidate in candidates {
        let certificate = candidate.certificate;
        let trusted = certificate.and_then(|it| it.trusted(trust, now).map(|kind| (it, kind)));
        match trusted {
            Ok(found) => return Ok(found),
            Err(error) => why = RecipientCertificateError::foremost(why, error),
        }
    }
    Err(why.unwrap_or_else(|| {
        RecipientCertificateError::Missing(format!("there is no certificate for {address}"))
    }))
}
