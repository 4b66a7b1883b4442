//! The certificate of a client, which can authenticate a user.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::ssl::{Ssl, SslRef, SslVerifyMode};
use openssl::x509::X509Ref;

use crate::settings::UserRule;

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientCertificate {
    sha256: Vec<u8>,
    /// DNS names, email addresses and common names. Empty unless an authority in `client_ca_file` issued it.
    names: Vec<String>,
}

/// Accepts every certificate, and notes whether the authorities vouch for it: a fingerprint needs no authority.
pub(super) fn note_trust(ssl: &mut Ssl) -> Arc<AtomicBool> {
    let is_trusted = Arc::new(AtomicBool::new(true));
    if ssl.verify_mode() != SslVerifyMode::NONE {
        let noted = Arc::clone(&is_trusted);
        ssl.set_verify_callback(SslVerifyMode::PEER, move |good, _| {
            if !good {
                noted.store(false, Ordering::Relaxed);
                // What OpenSSL noted would fail the next call for any connection of this thread.
                drop(ErrorStack::get());
            }
            true
        });
    }
    is_trusted
}

impl ClientCertificate {
    pub(super) fn of(ssl: &SslRef, is_trusted: &AtomicBool) -> Result<Option<Self>, ErrorStack> {
        let Some(certificate) = ssl.peer_certificate() else {
            return Ok(None);
        };
        let names = match is_trusted.load(Ordering::Relaxed) {
            true => names(&certificate),
            false => Vec::new(),
        };
        Ok(Some(Self {
            sha256: certificate.digest(MessageDigest::sha256())?.to_vec(),
            names,
        }))
    }

    /// The user that it authenticates.
    pub(crate) fn user<'a>(&self, users: &'a BTreeMap<String, UserRule>) -> Option<&'a str> {
        let matches = |rule: &UserRule| {
            let by_fingerprint = rule
                .certificate_sha256
                .iter()
                .any(|it| it.0[..] == self.sha256);
            let is_named =
                |name: &String| self.names.iter().any(|it| it.eq_ignore_ascii_case(name));
            by_fingerprint || rule.certificate_name.as_ref().is_some_and(is_named)
        };
        let user = users.iter().find(|(_, rule)| matches(rule));
        user.map(|(name, _)| &**name)
    }
}

fn names(certificate: &X509Ref) -> Vec<String> {
    let alternative = certificate.subject_alt_names().into_iter().flatten();
    let alternative = alternative.filter_map(|name| {
        let name = name.dnsname().or_else(|| name.email())?;
        Some(name.to_owned())
    });
    let common = certificate.subject_name().entries_by_nid(Nid::COMMONNAME);
    let common = common.filter_map(|entry| entry.data().to_string().ok());
    alternative.chain(common).collect()
}
