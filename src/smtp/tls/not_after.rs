//! When certificates end (RFC 5280 section 4.1.2.5).

use std::path::Path;

use openssl::asn1::Asn1Time;
use openssl::ssl::SslRef;
use openssl::x509::{X509, X509Ref};

use crate::config::relay::SmtpRelay;
use crate::relay::watch::Certificate;

/// Those of the configuration, by their files as they were read at the start.
pub(super) fn configured(config: &SmtpRelay) -> Vec<(Certificate, i64)> {
    let client = config.client_certificate_file.as_deref();
    // Our own comes first, its chain behind it.
    let client = client.and_then(|file| in_file(file).first().copied());
    let authorities = config.ca_file.as_deref();
    let authority = authorities.and_then(|file| in_file(file).into_iter().min());
    let found = [
        client.map(|end| (Certificate::Client, end)),
        authority.map(|end| (Certificate::Authority, end)),
    ];
    found.into_iter().flatten().collect()
}

/// Of the certificate that the relay showed, in seconds since 1970.
pub(super) fn shown(ssl: &SslRef) -> Option<i64> {
    seconds(&*ssl.peer_certificate()?)
}

/// Nothing where the file cannot be read: who uses it says so.
fn in_file(file: &Path) -> Vec<i64> {
    let pem = std::fs::read(file).unwrap_or_default();
    let certificates = X509::stack_from_pem(&pem).unwrap_or_default();
    let ends = certificates.iter().map(|certificate| seconds(certificate));
    ends.collect::<Option<_>>().unwrap_or_default()
}

fn seconds(certificate: &X509Ref) -> Option<i64> {
    let epoch = Asn1Time::from_unix(0).ok()?;
    let since = epoch.diff(certificate.not_after()).ok()?;
    Some(i64::from(since.days) * 86_400 + i64::from(since.secs))
}
