//! Revocation of certificates (RFC 5280 section 5): CRLs from files and from URLs. OCSP is not
//! supported.

mod crl;
mod crl_cache;
mod files;

use std::sync::Arc;
use std::time::Duration;

use openssl::error::ErrorStack;
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::verify::X509VerifyFlags;
use openssl::x509::{X509, X509Ref};
use serde::{Deserialize, Serialize};

pub(super) use crl::Crl;
pub use crl_cache::{CrlCache, FetchOutcome};
pub use files::CrlFiles;

use sendport_core::domain::Timestamp;

use super::certificate::shown;
use super::chain::{ChainError, display_name, verify};

/// When an alert that waits for a CRL file is tried again.
const FILES_RETRY: Duration = Duration::from_secs(30);

/// What happens to certificates whose revocation is unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Revocation {
    /// They are not used.
    Hard,
    /// They are used.
    #[default]
    Soft,
    /// Revocation is not checked.
    Off,
}

/// Where CRLs come from.
#[derive(Debug, Default)]
pub struct CrlSources {
    /// `crl_files` and `crl_folder`.
    pub files: CrlFiles,
    /// `crl_urls`.
    pub urls: Vec<String>,
    /// Also the certificates' own cRLDistributionPoints (RFC 5280 section 4.2.1.13).
    pub distribution_points: bool,
    /// CRLs fetched from URLs.
    pub cache: Arc<CrlCache>,
}

/// Revocation status of one certificate.
pub(super) enum RevocationStatus {
    /// Not revoked; valid until then.
    Good(Timestamp),
    /// When and why, in words.
    Revoked(String),
    /// Why, and when to check again where that makes sense.
    Unknown(String, Option<Duration>),
}

/// Why CRLs that an authority signed do not answer.
#[derive(Debug, Clone, thiserror::Error)]
enum NoAnswer {
    #[error("there is no list of revoked certificates (CRL) of its issuer")]
    NoCrl,
    #[error("the list in {origin} expired at {}", shown(*.end))]
    Expired { origin: String, end: Timestamp },
    #[error("the list in {0} is not signed by the certificate's issuer")]
    WrongSigner(String),
    #[error("the lists of its issuer do not cover it: {0}")]
    NotCovered(#[source] ChainError),
    #[error("OpenSSL failed: {0}")]
    OpenSsl(#[from] ErrorStack),
}

impl CrlSources {
    /// Counts changes of the CRLs.
    pub(super) fn generation(&self) -> (u64, u64) {
        (self.files.generation(), self.cache.generation())
    }

    /// Requests the CRLs of the configuration.
    pub fn request_urls(&self, now: Timestamp) {
        for url in &self.urls {
            self.cache.request(url, None, now);
        }
    }

    /// The status of `certificate`, which `authority` issued. Requests the CRLs of its
    /// distribution points.
    pub(super) fn status(
        &self,
        certificate: &X509,
        authority: &X509,
        now: Timestamp,
    ) -> RevocationStatus {
        let points = match self.distribution_points {
            true => distribution_points(certificate),
            false => Vec::new(),
        };
        for url in &points {
            self.cache.request(url, Some(authority), now);
        }
        self.request_urls(now);
        let lists = self.files.lists().into_iter().chain(self.cache.lists());
        let issued: Vec<_> = lists
            .filter(|list| list.is_issued_by(authority.subject_name()))
            .collect();
        let signed: Vec<_> = issued
            .iter()
            .filter(|list| list.is_signed_by(authority))
            .cloned()
            .collect();
        let why = match lookup(&signed, certificate, authority, now) {
            Ok(status) => return status,
            Err(why) => why,
        };
        let why = match issued.first().filter(|_| signed.is_empty()) {
            Some(list) => NoAnswer::WrongSigner(list.origin.clone()),
            None => why,
        };
        self.unknown(&points, authority, &why, issued.is_empty(), now)
    }

    /// Says when to check again: a URL may answer, or a file may be replaced.
    fn unknown(
        &self,
        points: &[String],
        authority: &X509Ref,
        why: &NoAnswer,
        no_list: bool,
        now: Timestamp,
    ) -> RevocationStatus {
        let urls = points.iter().chain(&self.urls);
        let pending: Vec<_> = urls
            .filter_map(|url| self.cache.pending(url, authority, now))
            .collect();
        let retry_in = pending.iter().map(|(_, rest)| *rest).min();
        let files = (!no_list).then_some(FILES_RETRY);
        let fetches: Vec<_> = pending.into_iter().map(|(why, _)| why).collect();
        let fetches = match fetches.is_empty() {
            true => String::new(),
            false => format!(" ({})", fetches.join("; ")),
        };
        let issuer = display_name(authority.subject_name());
        let why = format!("{why}; its issuer is {issuer}{fetches}");
        RevocationStatus::Unknown(why, retry_in.or(files))
    }
}

/// The answer of CRLs that the certificate's authority signed.
fn lookup(
    lists: &[Arc<Crl>],
    certificate: &X509,
    authority: &X509,
    now: Timestamp,
) -> Result<RevocationStatus, NoAnswer> {
    let is_current = |list: &&Arc<Crl>| list.begin <= now && now < list.end;
    let until = lists.iter().filter(is_current).map(|list| list.end).min();
    // An expired CRL still proves a revocation, unless a current one lacks the entry.
    let mut consulted = lists.iter().filter(|it| until.is_none() || is_current(it));
    if let Some(entry) = consulted.find_map(|list| list.entry(certificate)) {
        return Ok(RevocationStatus::Revoked(entry));
    }
    let last = lists.iter().max_by_key(|list| list.end);
    let last = last.ok_or(NoAnswer::NoCrl)?;
    match (until, is_covered(lists, certificate, authority, now)?) {
        (Some(until), true) => Ok(RevocationStatus::Good(until)),
        _ => Err(NoAnswer::Expired {
            origin: last.origin.clone(),
            end: last.end,
        }),
    }
}

/// Whether OpenSSL finds a CRL for this certificate: current, and in scope
/// (issuingDistributionPoint, RFC 5280 section 5.2.5). False where they are not current.
fn is_covered(
    lists: &[Arc<Crl>],
    certificate: &X509,
    authority: &X509,
    now: Timestamp,
) -> Result<bool, NoAnswer> {
    let mut store = X509StoreBuilder::new()?;
    store.add_cert(authority.clone())?;
    for list in lists {
        sendport_x509::add_revocations(&mut store, &list.list)?;
    }
    let flags = X509VerifyFlags::CRL_CHECK | X509VerifyFlags::PARTIAL_CHAIN;
    match verify(store, flags, certificate, &[], None, now) {
        Ok(_) => Ok(true),
        Err(error) if error.is_crl_out_of_time() => Ok(false),
        Err(error) => Err(NoAnswer::NotCovered(error)),
    }
}

/// The HTTP URLs of cRLDistributionPoints.
fn distribution_points(certificate: &X509Ref) -> Vec<String> {
    let points = certificate.crl_distribution_points();
    let names = points
        .iter()
        .flatten()
        .filter_map(|point| point.distpoint()?.fullname());
    let urls = names.flatten().filter_map(|name| name.uri());
    let over_http = urls.filter(|url| is_http(url));
    over_http.map(str::to_owned).collect()
}

/// The scheme is `http` or `https`; no other is fetched.
pub fn is_http(url: &str) -> bool {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|it| {
        ["http", "https"]
            .iter()
            .any(|ok| it.eq_ignore_ascii_case(ok))
    })
}
