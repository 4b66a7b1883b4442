//! Whether certificates were taken back (RFC 5280 section 5): lists of revoked certificates (CRL)
//! from files and from URLs. OCSP is not asked.

mod crl;
mod crl_cache;
mod files;

use std::sync::Arc;
use std::time::Duration;

use openssl::x509::store::X509StoreBuilder;
use openssl::x509::verify::X509VerifyFlags;
use openssl::x509::{X509, X509Ref};
use serde::{Deserialize, Serialize};

pub(super) use crl::Crl;
pub use crl_cache::{CrlCache, FetchOutcome};
pub use files::CrlFiles;

use super::certificate::shown;
use super::chain::{Refused, named, verified};
use sendport_core::domain::Timestamp;

/// How soon files of lists are looked at again by who waits for them.
const FILES_LATER: Duration = Duration::from_secs(30);

/// What becomes of certificates of which nobody knows whether they were revoked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Revocation {
    /// They are not used.
    Hard,
    /// They are used.
    #[default]
    Soft,
    /// Nobody asks.
    Off,
}

/// Where lists come from.
#[derive(Debug, Default)]
pub struct CrlSources {
    /// On this machine.
    pub files: CrlFiles,
    /// `crl_urls`.
    pub urls: Vec<String>,
    /// The certificates' own cRLDistributionPoints (RFC 5280 section 4.2.1.13) are asked, too.
    pub distribution_points: bool,
    /// What came from URLs.
    pub cache: Arc<CrlCache>,
}

/// What is known of one certificate.
pub(super) enum Known {
    /// It stands in no list, until when that is sure.
    Good(Timestamp),
    /// In words: when and why.
    Revoked(String),
    /// Why nothing is known, and when to ask again where that makes sense.
    Nothing(String, Option<Duration>),
}

impl CrlSources {
    /// Counts the changes of what is there.
    pub(super) fn generation(&self) -> (u64, u64) {
        (self.files.generation(), self.cache.generation())
    }

    /// Has the lists of the configuration fetched.
    pub fn want_urls(&self, now: Timestamp) {
        for url in &self.urls {
            self.cache.want(url, None, now);
        }
    }

    /// What the lists say of `certificate`, which `authority` issued. Its own distribution points
    /// are wanted from now on.
    pub(super) fn know(&self, certificate: &X509, authority: &X509, now: Timestamp) -> Known {
        let points = match self.distribution_points {
            true => distribution_points(certificate),
            false => Vec::new(),
        };
        for url in &points {
            self.cache.want(url, Some(authority), now);
        }
        self.want_urls(now);
        let lists = self.files.lists().into_iter().chain(self.cache.lists());
        let of_it: Vec<_> = lists
            .filter(|list| list.is_of(authority.subject_name()))
            .collect();
        let signed: Vec<_> = of_it
            .iter()
            .filter(|list| list.is_signed_by(authority))
            .cloned()
            .collect();
        match says(&signed, certificate, authority, now) {
            Ok(known) => known,
            Err(why) => {
                let strange = of_it.iter().find(|list| !list.is_signed_by(authority));
                let why = match strange.filter(|_| signed.is_empty()) {
                    Some(list) => format!("the list in {} is signed by somebody else", list.origin),
                    None => why,
                };
                self.unknown(&points, authority, &why, of_it.is_empty(), now)
            }
        }
    }

    /// Whether waiting helps: a URL may answer, a file may be replaced.
    fn unknown(
        &self,
        points: &[String],
        authority: &X509Ref,
        why: &str,
        no_list: bool,
        now: Timestamp,
    ) -> Known {
        let urls = points.iter().chain(&self.urls);
        let prospects: Vec<_> = urls
            .filter_map(|url| self.cache.prospect(url, authority, now))
            .collect();
        let retry_in = prospects.iter().map(|(_, rest)| *rest).min();
        let files = (!no_list).then_some(FILES_LATER);
        let said: Vec<_> = prospects.into_iter().map(|(why, _)| why).collect();
        let said = match said.is_empty() {
            true => String::new(),
            false => format!(" ({})", said.join("; ")),
        };
        let issuer = named(authority.subject_name());
        let whole = format!("{why}; its issuer is {issuer}{said}");
        Known::Nothing(whole, retry_in.or(files))
    }
}

/// What lists that its authority signed say.
///
/// # Errors
/// Why they say nothing, in words.
fn says(
    lists: &[Arc<Crl>],
    certificate: &X509,
    authority: &X509,
    now: Timestamp,
) -> Result<Known, String> {
    if lists.is_empty() {
        return Err("there is no list of revoked certificates (CRL) of its issuer".to_owned());
    }
    let in_time = |list: &&Arc<Crl>| list.begin <= now && now < list.end;
    let until = lists.iter().filter(in_time).map(|list| list.end).min();
    // One that ended is still right about whom it names, unless a newer one forgives.
    let mut asked = lists.iter().filter(|it| until.is_none() || in_time(it));
    if let Some(entry) = asked.find_map(|list| list.entry(certificate)) {
        return Ok(Known::Revoked(entry));
    }
    let (Some(until), true) = (until, is_covered(lists, certificate, authority, now)?) else {
        let last = lists.iter().max_by_key(|list| list.end);
        let end = last.map(|list| (shown(list.end).to_string(), list.origin.as_str()));
        let (end, origin) = end.unwrap_or_default();
        return Err(format!("the list in {origin} ended at {end}"));
    };
    Ok(Known::Good(until))
}

/// Whether OpenSSL finds one that is for this certificate: in time, and in scope
/// (issuingDistributionPoint, RFC 5280 section 5.2.5). False where they are out of time.
fn is_covered(
    lists: &[Arc<Crl>],
    certificate: &X509,
    authority: &X509,
    now: Timestamp,
) -> Result<bool, String> {
    let failed = |error: openssl::error::ErrorStack| format!("OpenSSL failed: {error}");
    let mut store = X509StoreBuilder::new().map_err(failed)?;
    store.add_cert(authority.clone()).map_err(failed)?;
    for list in lists {
        sendport_x509::add_revocations(&mut store, &list.list).map_err(failed)?;
    }
    let flags = X509VerifyFlags::CRL_CHECK | X509VerifyFlags::PARTIAL_CHAIN;
    match verified(store, flags, certificate, &[], None, now) {
        Ok(_) => Ok(true),
        Err(refusal) if refusal.is_list_out_of_time() => Ok(false),
        Err(Refused(_, why)) => Err(format!("the lists of its issuer do not say so: {why}")),
    }
}

/// Where a certificate says that its list is, over HTTP.
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

/// `http` and `https`: nothing else is fetched.
pub fn is_http(url: &str) -> bool {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|it| {
        ["http", "https"]
            .iter()
            .any(|ok| it.eq_ignore_ascii_case(ok))
    })
}
