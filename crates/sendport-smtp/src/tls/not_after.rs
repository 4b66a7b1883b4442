//! When certificates expire (RFC 5280 section 4.1.2.5).

use std::path::Path;

use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::ssl::SslRef;
use openssl::x509::{X509, X509Ref};
use sendport_oauth2::settings::OAuth2Config;

use crate::relay::observer::CertificateRole;
use crate::settings::relay::SmtpRelay;

/// The configured certificates, read from their files.
pub(super) fn configured(config: &SmtpRelay) -> Vec<(CertificateRole, i64)> {
    let client = config.client_certificate_file.as_deref();
    // The client certificate comes first, then its chain.
    let client = client.and_then(|file| in_file(file).first().copied());
    let application = application_file(config);
    let application = application.and_then(|file| in_file(file).first().copied());
    let authorities = config.ca_file.as_deref();
    let authority = authorities.and_then(|file| in_file(file).into_iter().min());
    let found = [
        client.map(|end| (CertificateRole::Client, end)),
        authority.map(|end| (CertificateRole::Authority, end)),
        application.map(|end| (CertificateRole::Application, end)),
    ];
    found.into_iter().flatten().collect()
}

/// Expiry of the relay's certificate, in seconds since 1970.
pub(super) fn of_peer(ssl: &SslRef) -> Option<i64> {
    seconds(&*ssl.peer_certificate()?)
}

/// Expiry of the certificate that signs OAuth2 assertions. Reads the file: it may have been
/// replaced.
pub(crate) fn of_application(config: &SmtpRelay) -> Option<i64> {
    in_file(application_file(config)?).first().copied()
}

fn application_file(config: &SmtpRelay) -> Option<&Path> {
    match config.auth.oauth2.as_ref()? {
        OAuth2Config::ClientCredentials(request) | OAuth2Config::RefreshToken(request) => {
            request.certificate_file.as_deref()
        }
        OAuth2Config::File(_) | OAuth2Config::Command(_) => None,
    }
}

/// Empty where the file cannot be read: its user reports that.
fn in_file(file: &Path) -> Vec<i64> {
    let pem = sendport_core::regular_file::read(file).unwrap_or_default();
    let certificates = X509::stack_from_pem(&pem).unwrap_or_default();
    let ends = certificates.iter().map(|certificate| seconds(certificate));
    ends.collect::<Option<_>>().unwrap_or_default()
}

fn seconds(certificate: &X509Ref) -> Option<i64> {
    since_1970(certificate.not_after())
}

/// A moment in seconds since 1970.
pub(super) fn since_1970(moment: &Asn1TimeRef) -> Option<i64> {
    let epoch = Asn1Time::from_unix(0).ok()?;
    let since = epoch.diff(moment).ok()?;
    Some(i64::from(since.days) * 86_400 + i64::from(since.secs))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use openssl::pkey::PKey;
    use openssl::x509::X509Builder;

    use super::*;

    fn pem(not_after: i64) -> Vec<u8> {
        let key = PKey::generate_ed25519().unwrap();
        let mut builder = X509Builder::new().unwrap();
        let end = Asn1Time::from_unix(not_after).unwrap();
        builder.set_not_after(&end).unwrap();
        builder
            .set_not_before(&Asn1Time::from_unix(0).unwrap())
            .unwrap();
        builder.set_pubkey(&key).unwrap();
        let digest = openssl::hash::MessageDigest::null();
        builder.sign(&key, digest).unwrap();
        builder.build().to_pem().unwrap()
    }

    #[test]
    fn takes_the_first_certificate_of_a_chain_and_the_first_authority_that_expires() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        for end in [2_000_000_000, 1_900_000_001, 4_102_444_800] {
            file.write_all(&pem(end)).unwrap();
        }
        let path = file.path().display();
        let text = format!(
            "host = 'h'\nca_file = '{path}'\nclient_certificate_file = '{path}'\n\
             [auth.oauth2]\nsource = 'client_credentials'\nclient_id = 'c'\ncertificate_file = '{path}'\n"
        );
        let smtp: SmtpRelay = toml::from_str(&text).unwrap();
        let expected = [
            (CertificateRole::Client, 2_000_000_000),
            (CertificateRole::Authority, 1_900_000_001),
            (CertificateRole::Application, 2_000_000_000),
        ];
        assert_eq!(configured(&smtp), expected);
        std::fs::write(file.path(), pem(1_800_000_000)).unwrap();
        assert_eq!(of_application(&smtp), Some(1_800_000_000));
        std::fs::write(file.path(), "no certificate").unwrap();
        assert_eq!((of_application(&smtp), configured(&smtp)), (None, vec![]));
    }
}
