//! The certificates that a server sent, in readable form.

use openssl::ssl::SslRef;
use openssl::x509::X509Ref;

use super::not_after::since_1970;
use super::pin::pins_of;
use super::verify_failure::{alternative_names, common_name};
use crate::observer::PeerCertificate;

/// The server's own first. Also after a failed handshake, if the certificates came before.
pub(super) fn received(ssl: &SslRef) -> Vec<PeerCertificate> {
    let chain = ssl.peer_cert_chain().into_iter().flatten();
    let shown: Vec<_> = chain.map(described).collect();
    match (shown.is_empty(), ssl.peer_certificate()) {
        // A resumed session has no chain.
        (true, Some(own)) => vec![described(&own)],
        _ => shown,
    }
}

fn described(certificate: &X509Ref) -> PeerCertificate {
    let pin = pins_of(certificate).map(|[_, key]| key.to_string());
    PeerCertificate {
        subject: common_name(certificate.subject_name()),
        names: alternative_names(certificate),
        issuer: common_name(certificate.issuer_name()),
        not_before: since_1970(certificate.not_before()).unwrap_or_default(),
        not_after: since_1970(certificate.not_after()).unwrap_or_default(),
        pin: pin.unwrap_or_default(),
    }
}
