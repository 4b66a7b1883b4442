//! Why a certificate was not accepted, in words.

use std::sync::Arc;

use openssl::nid::Nid;
use openssl::x509::{X509NameRef, X509Ref, X509StoreContextRef};
use parking_lot::Mutex;

/// What the verification found, carried out of OpenSSL's callback.
#[derive(Clone, Default)]
pub(super) struct VerifyFailure(Arc<Mutex<Option<String>>>);

impl VerifyFailure {
    pub(super) fn note(&self, context: &X509StoreContextRef) {
        let error = context.error();
        let whose = context.current_cert().map(described).unwrap_or_default();
        let mut noted = self.0.lock();
        noted.get_or_insert_with(|| {
            format!(
                "{} (X509_V_ERR {}, {whose})",
                error.error_string(),
                error.as_raw()
            )
        });
    }

    pub(super) fn take(&self) -> Option<String> {
        let mut noted = self.0.lock();
        noted.take()
    }
}

/// Who a certificate names and who issued it.
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

fn ip_text(octets: &[u8]) -> Option<String> {
    if let Ok(v4) = <[u8; 4]>::try_from(octets) {
        return Some(std::net::Ipv4Addr::from(v4).to_string());
    }
    let v6 = <[u8; 16]>::try_from(octets).ok()?;
    Some(std::net::Ipv6Addr::from(v6).to_string())
}

pub(super) fn common_name(name: &X509NameRef) -> String {
    let entry = name
        .entries_by_nid(Nid::COMMONNAME)
        .next()
        .or_else(|| name.entries().next());
    let text = entry.and_then(|entry| entry.data().to_string().ok());
    text.unwrap_or_else(|| "nobody".to_owned())
}
