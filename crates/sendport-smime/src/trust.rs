//! Trust in recipients' certificates: chains (RFC 5280 section 6) and revocation.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use openssl::x509::X509;
use parking_lot::{Mutex, MutexGuard};
use sendport_core::domain::Timestamp;

use super::certificate::{RecipientCertificate, Validity};
use super::chain::{Authorities, Bundle, CaFileError, display_name};
use super::error::RecipientCertificateError;
use super::revocation::{CrlSources, Revocation, RevocationStatus};

/// How long a verdict is cached while `ca_file` and CRLs stay the same: a good one, and a bad one.
const GOOD_FOR: TimeDelta = TimeDelta::hours(1);
const BAD_FOR: TimeDelta = TimeDelta::seconds(60);

/// And one that waits for a CRL.
const PENDING_FOR: TimeDelta = TimeDelta::seconds(1);

/// The cache of verdicts is cleared at this size.
const MOST_VERDICTS: usize = 10_000;

/// The authorities that recipients' certificates have to chain to, and how strictly revocation is
/// checked.
#[derive(Debug)]
pub struct Trust {
    bundle: PathBuf,
    revocation: Revocation,
    crls: CrlSources,
    authorities: Mutex<Authorities>,
    verdicts: Mutex<HashMap<String, CachedVerdict>>,
    /// Authorities whose missing CRL was logged.
    logged: Mutex<HashSet<String>>,
}

/// Of `ca_file`, CRL files and fetched CRLs.
type Generation = (u64, (u64, u64));

/// What is unknown about a certificate that may be used.
type Verdict = Result<Arc<[UnknownRevocation]>, RecipientCertificateError>;

/// The certificate, or one above it, may have been revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownRevocation {
    /// The authority whose CRL is missing.
    pub authority: String,
    /// Why, in a sentence.
    pub why: String,
    /// When to check again, where that makes sense.
    pub retry_in: Option<Duration>,
}

/// Revocation status of a whole chain.
enum ChainStatus {
    /// Not revoked, known until then.
    Good(Timestamp),
    Revoked(String),
    Unknown(Vec<UnknownRevocation>),
}

#[derive(Debug, Clone)]
struct CachedVerdict {
    generation: Generation,
    companions: usize,
    until: Timestamp,
    verdict: Verdict,
}

impl Trust {
    /// Reads `bundle`, the setting `ca_file`.
    ///
    /// # Errors
    /// [`CaFileError`].
    pub fn new(
        bundle: &Path,
        revocation: Revocation,
        crls: CrlSources,
    ) -> Result<Self, CaFileError> {
        let trust = Self {
            bundle: bundle.to_owned(),
            revocation,
            crls,
            authorities: Mutex::default(),
            verdicts: Mutex::default(),
            logged: Mutex::default(),
        };
        let error = trust.authorities().error();
        match error {
            Some(error) => Err(error),
            None => Ok(trust),
        }
    }

    /// Checks that `certificate` is trusted now, before it is used. With [`Revocation::Soft`] an
    /// authority without a CRL is logged once. May read files and takes a millisecond of CPU: not
    /// for the threads of the runtime. Sends nothing over the network.
    ///
    /// # Errors
    /// [`RecipientCertificateError`] naming the certificate.
    pub fn check(
        &self,
        certificate: &RecipientCertificate,
        now: Timestamp,
    ) -> Result<(), RecipientCertificateError> {
        let unknown = self.assess(certificate, now)?;
        for unknown in &*unknown {
            if self.logged().insert(unknown.authority.clone()) {
                let why = &unknown.why;
                tracing::warn!(%why, "certificate used with unknown revocation status");
            }
        }
        Ok(())
    }

    /// The same without a log message; returns what is unknown.
    ///
    /// # Errors
    /// As [`Trust::check`].
    pub fn assess(
        &self,
        certificate: &RecipientCertificate,
        now: Timestamp,
    ) -> Result<Arc<[UnknownRevocation]>, RecipientCertificateError> {
        let (bundle, authorities) = self.authorities().current();
        let generation = (authorities, self.crls.generation());
        let cached = self.verdicts().get(&certificate.sha256).cloned();
        let cached = cached.filter(|cached| {
            cached.generation == generation
                && cached.companions == certificate.companions.len()
                && now < cached.until
        });
        if let Some(cached) = cached {
            return cached.verdict;
        }
        let (verdict, until) = self.verify(&bundle, certificate, now);
        let cached = CachedVerdict {
            generation,
            companions: certificate.companions.len(),
            until,
            verdict: verdict.clone(),
        };
        let mut verdicts = self.verdicts();
        if verdicts.len() >= MOST_VERDICTS {
            verdicts.clear();
        }
        verdicts.insert(certificate.sha256.clone(), cached);
        verdict
    }

    /// How strictly revocation is checked.
    pub fn revocation(&self) -> Revocation {
        self.revocation
    }

    /// Where CRLs come from.
    pub fn crls(&self) -> &CrlSources {
        &self.crls
    }

    /// Authorities and revocation in one line, for `check`.
    pub fn summary(&self) -> String {
        let (bundle, _) = self.authorities().current();
        let revocation = match self.revocation {
            Revocation::Hard => "revocation is checked (hard)",
            Revocation::Soft => "revocation is checked (soft)",
            Revocation::Off => "revocation is not checked",
        };
        format!("{} trusted authorities, {revocation}", bundle.anchors())
    }

    /// Files that cannot be used, in sentences.
    pub fn problems(&self) -> Vec<String> {
        let bundle = self.authorities().error();
        bundle
            .map(|error| error.to_string())
            .into_iter()
            .chain(self.crls.files.problems())
            .collect()
    }

    fn verify(
        &self,
        bundle: &Bundle,
        certificate: &RecipientCertificate,
        now: Timestamp,
    ) -> (Verdict, Timestamp) {
        let sentence = |why: &str| format!("the certificate in {} {why}", certificate.origin);
        let chain = match bundle.chain(certificate, now) {
            Ok(chain) => chain,
            Err(error) => {
                let why = sentence(&format!("is not trusted: {error}"));
                let untrusted = RecipientCertificateError::Untrusted(why);
                return (Err(untrusted), now + BAD_FOR);
            }
        };
        let ends = chain.iter().filter_map(|it| Some(Validity::of(it)?.end));
        let until = ends.fold(now + GOOD_FOR, Timestamp::min);
        if self.revocation == Revocation::Off {
            return (Ok(Arc::default()), until);
        }
        match self.chain_status(&chain, now) {
            ChainStatus::Good(end) => (Ok(Arc::default()), until.min(end)),
            ChainStatus::Revoked(why) => {
                let revoked = RecipientCertificateError::Revoked(sentence(&why));
                (Err(revoked), now + BAD_FOR)
            }
            ChainStatus::Unknown(unknown) => {
                let unknown = unknown.into_iter().map(|it| UnknownRevocation {
                    why: sentence(&it.why),
                    ..it
                });
                self.verdict_on_unknown(unknown.collect(), until, now)
            }
        }
    }

    /// Whether a certificate of the chain was revoked. The anchor is not checked.
    fn chain_status(&self, chain: &[X509], now: Timestamp) -> ChainStatus {
        let (mut until, mut unknown) = (now + GOOD_FOR, Vec::new());
        for (depth, pair) in chain.windows(2).enumerate() {
            let [certificate, authority] = pair else {
                continue;
            };
            let about = match depth {
                0 => String::new(),
                _ => format!(
                    "was issued through {}, which ",
                    display_name(certificate.subject_name())
                ),
            };
            let issuer = display_name(authority.subject_name());
            match self.crls.status(certificate, authority, now) {
                RevocationStatus::Good(end) => {
                    until = until.min(end);
                    self.logged().remove(&issuer);
                }
                RevocationStatus::Revoked(entry) => {
                    return ChainStatus::Revoked(format!("{about}{entry}"));
                }
                RevocationStatus::Unknown(why, retry_in) => unknown.push(UnknownRevocation {
                    authority: issuer,
                    why: format!("{about}may have been revoked: {why}"),
                    retry_in,
                }),
            }
        }
        match unknown.is_empty() {
            true => ChainStatus::Good(until),
            false => ChainStatus::Unknown(unknown),
        }
    }

    /// With [`Revocation::Hard`], a status that time does not change goes before a pending one. A
    /// pending one is cached only briefly, because it may be known in a moment.
    fn verdict_on_unknown(
        &self,
        unknown: Vec<UnknownRevocation>,
        until: Timestamp,
        now: Timestamp,
    ) -> (Verdict, Timestamp) {
        if self.revocation == Revocation::Soft {
            return (Ok(unknown.into()), until.min(now + BAD_FOR));
        }
        let first = unknown.iter().min_by_key(|it| it.retry_in);
        match first.map(|it| (it.why.clone(), it.retry_in)) {
            Some((why, Some(retry_in))) => {
                let pending = RecipientCertificateError::RevocationPending { why, retry_in };
                (Err(pending), now + PENDING_FOR)
            }
            Some((why, None)) => {
                let unknown = RecipientCertificateError::RevocationUnknown(why);
                (Err(unknown), now + BAD_FOR)
            }
            None => (Ok(Arc::default()), until),
        }
    }

    fn logged(&self) -> MutexGuard<'_, HashSet<String>> {
        self.logged.lock()
    }

    fn authorities(&self) -> MutexGuard<'_, Authorities> {
        let authorities = self.authorities.lock();
        let mut authorities = authorities;
        authorities.refresh(&self.bundle);
        authorities
    }

    fn verdicts(&self) -> MutexGuard<'_, HashMap<String, CachedVerdict>> {
        self.verdicts.lock()
    }
}
