//! One certificate revocation list (CRL, RFC 5280 section 5).

use std::cmp::Ordering;
use std::fmt;

use openssl::x509::{CrlStatus, ReasonCode, X509Crl, X509NameRef, X509Ref, X509RevokedRef};
use sendport_core::domain::Timestamp;

use crate::certificate::{shown, timestamp};

/// Where a CRL in PEM begins.
const PEM_BEGIN: &str = "-----BEGIN X509 CRL-----";

/// A parsed CRL. Its signature is checked by [`Crl::is_signed_by`].
pub(crate) struct Crl {
    pub(crate) list: X509Crl,
    /// thisUpdate.
    pub(crate) begin: Timestamp,
    /// nextUpdate.
    pub(crate) end: Timestamp,
    /// Its file or URL.
    pub(crate) origin: String,
}

/// Why bytes are not a usable CRL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CrlError {
    #[error("expected lists of revoked certificates (CRL) in PEM or one in DER, found none")]
    NoCrl,
    #[error("expected one list of revoked certificates, found several")]
    Several,
    #[error("its thisUpdate cannot be read")]
    ThisUpdate,
    #[error("it has no nextUpdate, which RFC 5280 section 5.1.2.5 demands")]
    NextUpdate,
}

impl fmt::Debug for Crl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CRL in {}", self.origin)
    }
}

impl Crl {
    /// Parses a file: CRLs in PEM, or one in DER.
    ///
    /// # Errors
    /// [`CrlError`].
    pub(crate) fn parse_all(bytes: &[u8], origin: &str) -> Result<Vec<Self>, CrlError> {
        if let Ok(list) = X509Crl::from_der(bytes) {
            return Ok(vec![Self::new(list, origin)?]);
        }
        let text = String::from_utf8_lossy(bytes);
        let pems = text.split(PEM_BEGIN).skip(1);
        let parsed = pems.map(|rest| X509Crl::from_pem(format!("{PEM_BEGIN}{rest}").as_bytes()));
        let lists = parsed.collect::<Result<Vec<_>, _>>();
        let lists = lists.ok().filter(|lists| !lists.is_empty());
        let lists = lists.ok_or(CrlError::NoCrl)?.into_iter();
        lists.map(|list| Self::new(list, origin)).collect()
    }

    /// Parses the answer of a URL, which holds one CRL.
    pub(super) fn parse_one(bytes: &[u8], url: &str) -> Result<Self, CrlError> {
        let mut lists = Self::parse_all(bytes, url)?.into_iter();
        match (lists.next(), lists.next()) {
            (Some(list), None) => Ok(list),
            _ => Err(CrlError::Several),
        }
    }

    fn new(list: X509Crl, origin: &str) -> Result<Self, CrlError> {
        let end = list.next_update().and_then(timestamp);
        Ok(Self {
            begin: timestamp(list.last_update()).ok_or(CrlError::ThisUpdate)?,
            end: end.ok_or(CrlError::NextUpdate)?,
            origin: origin.to_owned(),
            list,
        })
    }

    /// Its issuer has the name of `authority`.
    pub(crate) fn is_issued_by(&self, authority: &X509NameRef) -> bool {
        let order = self.list.issuer_name().try_cmp(authority);
        order.is_ok_and(|order| order == Ordering::Equal)
    }

    /// The key of `authority` signed it.
    pub(crate) fn is_signed_by(&self, authority: &X509Ref) -> bool {
        let key = authority.public_key();
        key.and_then(|key| self.list.verify(&key)).unwrap_or(false)
    }

    /// When and why it revokes `certificate`, in words; `None` where it does not.
    pub(crate) fn entry(&self, certificate: &X509Ref) -> Option<String> {
        match self.list.get_by_serial(certificate.serial_number()) {
            CrlStatus::Revoked(entry) => Some(describe(entry)),
            CrlStatus::NotRevoked | CrlStatus::RemoveFromCrl(_) => None,
        }
    }
}

fn describe(entry: &X509RevokedRef) -> String {
    let at = match timestamp(entry.revocation_date()) {
        Some(at) => format!("was revoked at {}", shown(at)),
        None => "was revoked".to_owned(),
    };
    let reason = entry.extension::<ReasonCode>().ok().flatten();
    match reason.and_then(|(_, code)| code.get_i64().ok()) {
        Some(code) => format!("{at} ({})", reason_text(code)),
        None => format!("{at} (no reason given)"),
    }
}

/// CRLReason (RFC 5280 section 5.3.1).
fn reason_text(code: i64) -> &'static str {
    match code {
        1 => "its key was compromised",
        2 => "its authority was compromised",
        3 => "its owner's affiliation changed",
        4 => "it was superseded",
        5 => "it is used no more",
        6 => "it is on hold",
        9 => "its owner's privilege was withdrawn",
        10 => "its attribute authority was compromised",
        _ => "no reason given",
    }
}
