//! Why OpenSSL did not trust a certificate.

use std::sync::Arc;

use openssl::nid::Nid;
use openssl::x509::{X509NameRef, X509Ref, X509StoreContextRef, X509VerifyResult};
use parking_lot::Mutex;
use sendport_core::domain::LocalCause;

/// The first problem that the verification found.
#[derive(Debug, Clone)]
pub(super) struct VerifyError {
    result: X509VerifyResult,
    certificate: String,
}

impl VerifyError {
    /// The kind that the table of replies explains, by the codes of `x509_vfy.h`.
    pub(super) fn cause(&self) -> LocalCause {
        match self.result.as_raw() {
            // CERT_HAS_EXPIRED
            10 => LocalCause::CertificateExpired,
            // CERT_NOT_YET_VALID
            9 => LocalCause::CertificateNotYetValid,
            // HOSTNAME_MISMATCH, IP_ADDRESS_MISMATCH
            62 | 64 => LocalCause::CertificateNameMismatch,
            // UNABLE_TO_GET_ISSUER_CERT, SELF_SIGNED_CERT_IN_CHAIN,
            // UNABLE_TO_GET_ISSUER_CERT_LOCALLY, UNABLE_TO_VERIFY_LEAF_SIGNATURE
            2 | 19 | 20 | 21 => LocalCause::CertificateUnknownAuthority,
            // DEPTH_ZERO_SELF_SIGNED_CERT
            18 => LocalCause::CertificateSelfSigned,
            _ => LocalCause::CertificateNotTrusted,
        }
    }
}

impl std::fmt::Display for VerifyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} (X509_V_ERR {}, {})",
            self.result.error_string(),
            self.result.as_raw(),
            self.certificate
        )
    }
}

/// Carries a [`VerifyError`] out of OpenSSL's callback.
#[derive(Clone, Default)]
pub(super) struct VerifyFailure(Arc<Mutex<Option<VerifyError>>>);

impl VerifyFailure {
    pub(super) fn note(&self, context: &X509StoreContextRef) {
        let certificate = context.current_cert().map(described).unwrap_or_default();
        let mut noted = self.0.lock();
        noted.get_or_insert_with(|| VerifyError {
            result: context.error(),
            certificate,
        });
    }

    pub(super) fn take(&self) -> Option<VerifyError> {
        let mut noted = self.0.lock();
        noted.take()
    }
}

/// The names, the issuer and the validity of a certificate, as a clause.
pub(super) fn described(certificate: &X509Ref) -> String {
    let mut names = alternative_names(certificate);
    names.truncate(8);
    if names.is_empty() {
        names.push(common_name(certificate.subject_name()));
    }
    format!(
        "found a certificate for '{}' issued by '{}', valid from {} until {}",
        names.join("', '"),
        common_name(certificate.issuer_name()),
        certificate.not_before(),
        certificate.not_after()
    )
}

/// DNS names and addresses (RFC 5280 section 4.2.1.6).
pub(super) fn alternative_names(certificate: &X509Ref) -> Vec<String> {
    let names = certificate.subject_alt_names().into_iter().flatten();
    let text = names.filter_map(|name| {
        let dns = name.dnsname().map(str::to_owned);
        dns.or_else(|| name.ipaddress().and_then(ip_text))
    });
    text.collect()
}

fn ip_text(bytes: &[u8]) -> Option<String> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(std::net::Ipv4Addr::from(v4).to_string());
    }
    let v6 = <[u8; 16]>::try_from(bytes).ok()?;
    Some(std::net::Ipv6Addr::from(v6).to_string())
}

pub(super) fn common_name(name: &X509NameRef) -> String {
    let entry = name
        .entries_by_nid(Nid::COMMONNAME)
        .next()
        .or_else(|| name.entries().next());
    let text = entry.and_then(|entry| entry.data().to_string().ok());
    text.unwrap_or_else(|| "no name".to_owned())
}
