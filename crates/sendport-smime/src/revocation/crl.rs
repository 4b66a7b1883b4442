//! One list of revoked certificates.

use std::cmp::Ordering;
use std::fmt;

use openssl::x509::{CrlStatus, ReasonCode, X509Crl, X509NameRef, X509Ref, X509RevokedRef};

use crate::certificate::{shown, timestamp};
use sendport_core::domain::Timestamp;

/// Where a list in PEM begins.
const PEM_BEGIN: &str = "-----BEGIN X509 CRL-----";

/// A list of an authority (RFC 5280 section 5). Whether the authority signed it is asked apart.
pub(crate) struct Crl {
    pub(crate) list: X509Crl,
    pub(crate) begin: Timestamp,
    /// nextUpdate.
    pub(crate) end: Timestamp,
    /// Where it was found.
    pub(crate) origin: String,
}

impl fmt::Debug for Crl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "list of revoked certificates in {}", self.origin)
    }
}

impl Crl {
    /// Those of a file: one or more in PEM, or one in DER.
    ///
    /// # Errors
    /// What was expected, in a sentence.
    pub(crate) fn read(octets: &[u8], origin: &str) -> Result<Vec<Self>, String> {
        if let Ok(list) = X509Crl::from_der(octets) {
            return Ok(vec![Self::new(list, origin)?]);
        }
        let text = String::from_utf8_lossy(octets);
        let pems = text.split(PEM_BEGIN).skip(1);
        let parsed = pems.map(|rest| X509Crl::from_pem(format!("{PEM_BEGIN}{rest}").as_bytes()));
        let unreadable = || {
            "expected lists of revoked certificates (CRL) in PEM or one in DER, found none"
                .to_owned()
        };
        let lists = parsed.collect::<Result<Vec<_>, _>>();
        let lists = lists.ok().filter(|lists| !lists.is_empty());
        let lists = lists.ok_or_else(unreadable)?.into_iter();
        lists.map(|list| Self::new(list, origin)).collect()
    }

    fn new(list: X509Crl, origin: &str) -> Result<Self, String> {
        let end = list.next_update().and_then(timestamp);
        Ok(Self {
            begin: timestamp(list.last_update()).ok_or("its thisUpdate cannot be read")?,
            end: end.ok_or("it has no nextUpdate, which RFC 5280 section 5.1.2.5 demands")?,
            origin: origin.to_owned(),
            list,
        })
    }

    /// It bears the name of this authority.
    pub(crate) fn is_of(&self, authority: &X509NameRef) -> bool {
        let order = self.list.issuer_name().try_cmp(authority);
        order.is_ok_and(|order| order == Ordering::Equal)
    }

    /// This authority made it.
    pub(crate) fn is_signed_by(&self, authority: &X509Ref) -> bool {
        let key = authority.public_key();
        key.and_then(|key| self.list.verify(&key)).unwrap_or(false)
    }

    /// Since when and why it says that a certificate is no good any more, in words.
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
        Some(code) => format!("{at} ({})", reason_in_words(code)),
        None => format!("{at} (no reason given)"),
    }
}

/// RFC 5280 section 5.3.1.
fn reason_in_words(code: i64) -> &'static str {
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
