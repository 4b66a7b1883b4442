//! Whose certificates are believed: chains (RFC 5280 section 6), and whether they were revoked.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use openssl::x509::X509;
use parking_lot::{Mutex, MutexGuard};

use super::certificate::{RecipientCertificate, RecipientCertificateError, Validity};
use super::chain::{Authorities, Bundle, named};
use super::revocation::{CrlSources, Known, Revocation};
use sendport_core::domain::Timestamp;

/// How long a judgement stands where nothing changes: while all is well, and else.
const GOOD_FOR: TimeDelta = TimeDelta::hours(1);
const BAD_FOR: TimeDelta = TimeDelta::seconds(60);

/// And while something is under way.
const AWAITED_FOR: TimeDelta = TimeDelta::seconds(1);

/// More verdicts than this are not kept.
const MOST_JUDGEMENTS: usize = 10_000;

/// Who vouches for recipients' certificates, and how far that is asked.
#[derive(Debug)]
pub struct Trust {
    bundle: PathBuf,
    revocation: Revocation,
    crls: CrlSources,
    authorities: Mutex<Authorities>,
    verdicts: Mutex<HashMap<String, CachedVerdict>>,
    said: Mutex<HashSet<String>>,
}

/// Of which files and lists it came.
type Generation = (u64, (u64, u64));

/// What is not known of a certificate that may be used.
type Verdict = Result<Arc<[UnknownRevocation]>, RecipientCertificateError>;

/// That a certificate, or one above it, may have been revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownRevocation {
    /// Whose list is missing.
    pub authority: String,
    /// In a sentence.
    pub why: String,
    /// When to ask again, where that makes sense.
    pub retry_in: Option<Duration>,
}

/// What the lists say of a chain.
enum Answer {
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
    /// # Errors
    /// `bundle` (`ca_file`) cannot be read, in a sentence.
    pub fn new(bundle: &Path, revocation: Revocation, crls: CrlSources) -> Result<Self, String> {
        let trust = Self {
            bundle: bundle.to_owned(),
            revocation,
            crls,
            authorities: Mutex::default(),
            verdicts: Mutex::default(),
            said: Mutex::default(),
        };
        let problem = trust.authorities().problem();
        match problem {
            Some(problem) => Err(problem),
            None => Ok(trust),
        }
    }

    /// Whether `certificate` is believed now, wherever it came from, to be used: with `soft` the
    /// log says once of each authority that its list is missing. May read files and takes a
    /// millisecond of a processor, so it may take its time; it asks nobody over the network.
    ///
    /// # Errors
    /// [`RecipientCertificateError`] naming the certificate.
    pub fn judge(
        &self,
        certificate: &RecipientCertificate,
        now: Timestamp,
    ) -> Result<(), RecipientCertificateError> {
        let doubts = self.opinion(certificate, now)?;
        for doubt in &*doubts {
            if self.said.lock().insert(doubt.authority.clone()) {
                let why = &doubt.why;
                tracing::warn!(%why, "certificate used with unknown revocation status");
            }
        }
        Ok(())
    }

    /// The same before it is used, and what is not known of it.
    ///
    /// # Errors
    /// As [`Trust::judge`].
    pub fn opinion(
        &self,
        certificate: &RecipientCertificate,
        now: Timestamp,
    ) -> Result<Arc<[UnknownRevocation]>, RecipientCertificateError> {
        let (bundle, authorities) = self.authorities().current();
        let generation = (authorities, self.crls.generation());
        let known = self.verdicts.lock().get(&certificate.sha256).cloned();
        let known = known.filter(|known| {
            known.generation == generation
                && known.companions == certificate.companions.len()
                && now < known.until
        });
        if let Some(known) = known {
            return known.verdict;
        }
        let (verdict, until) = self.decide(&bundle, certificate, now);
        let judgement = CachedVerdict {
            generation,
            companions: certificate.companions.len(),
            until,
            verdict: verdict.clone(),
        };
        let mut verdicts = self.verdicts.lock();
        if verdicts.len() >= MOST_JUDGEMENTS {
            verdicts.clear();
        }
        verdicts.insert(certificate.sha256.clone(), judgement);
        verdict
    }

    /// How far is asked whether certificates were revoked.
    pub fn revocation(&self) -> Revocation {
        self.revocation
    }

    /// Where lists of revoked certificates come from.
    pub fn crls(&self) -> &CrlSources {
        &self.crls
    }

    /// What is believed, in words.
    pub fn facts(&self) -> String {
        let (bundle, _) = self.authorities().current();
        let revocation = match self.revocation {
            Revocation::Hard => "revocation is asked (hard)",
            Revocation::Soft => "revocation is asked (soft)",
            Revocation::Off => "revocation is not asked",
        };
        format!("{} authorities believed, {revocation}", bundle.anchors())
    }

    /// Files that cannot be used, in sentences.
    pub fn problems(&self) -> Vec<String> {
        let bundle = self.authorities().problem();
        bundle
            .into_iter()
            .chain(self.crls.files.problems())
            .collect()
    }

    fn decide(
        &self,
        bundle: &Bundle,
        certificate: &RecipientCertificate,
        now: Timestamp,
    ) -> (Verdict, Timestamp) {
        let place = |why: &str| format!("the certificate in {} {why}", certificate.origin);
        let chain = match bundle.chain(certificate, now) {
            Ok(chain) => chain,
            Err(why) => {
                let why = place(&format!("is not trusted: {why}"));
                return (
                    Err(RecipientCertificateError::Untrusted(why)),
                    now + BAD_FOR,
                );
            }
        };
        let ends = chain.iter().filter_map(|it| Some(Validity::of(it)?.end));
        let until = ends.fold(now + GOOD_FOR, Timestamp::min);
        if self.revocation == Revocation::Off {
            return (Ok(Arc::default()), until);
        }
        match self.ask(&chain, now) {
            Answer::Good(end) => (Ok(Arc::default()), until.min(end)),
            Answer::Revoked(why) => (
                Err(RecipientCertificateError::Revoked(place(&why))),
                now + BAD_FOR,
            ),
            Answer::Unknown(doubts) => {
                let doubts = doubts.into_iter().map(|doubt| UnknownRevocation {
                    why: place(&doubt.why),
                    ..doubt
                });
                self.weigh(doubts.collect(), until, now)
            }
        }
    }

    /// Whether somebody in the chain was revoked; the anchor is believed as it stands.
    fn ask(&self, chain: &[X509], now: Timestamp) -> Answer {
        let (mut until, mut doubts) = (now + GOOD_FOR, Vec::new());
        for (depth, pair) in chain.windows(2).enumerate() {
            let [certificate, authority] = pair else {
                continue;
            };
            let about = match depth {
                0 => String::new(),
                _ => format!("is of {}, which ", named(certificate.subject_name())),
            };
            let issuer = named(authority.subject_name());
            match self.crls.know(certificate, authority, now) {
                Known::Good(end) => {
                    until = until.min(end);
                    self.said.lock().remove(&issuer);
                }
                Known::Revoked(entry) => return Answer::Revoked(format!("{about}{entry}")),
                Known::Nothing(why, retry_in) => doubts.push(UnknownRevocation {
                    authority: issuer,
                    why: format!("{about}may have been revoked: {why}"),
                    retry_in,
                }),
            }
        }
        match doubts.is_empty() {
            true => Answer::Good(until),
            false => Answer::Unknown(doubts),
        }
    }

    /// What doubts mean: with `hard` one that time does not heal before one that it does, of
    /// which nothing is kept, because it may be gone in a moment.
    fn weigh(
        &self,
        doubts: Vec<UnknownRevocation>,
        until: Timestamp,
        now: Timestamp,
    ) -> (Verdict, Timestamp) {
        if self.revocation == Revocation::Soft {
            return (Ok(doubts.into()), until.min(now + BAD_FOR));
        }
        let first = doubts.iter().min_by_key(|doubt| doubt.retry_in);
        match first.map(|doubt| (doubt.why.clone(), doubt.retry_in)) {
            Some((why, Some(retry_in))) => {
                let awaited = RecipientCertificateError::Awaited { why, retry_in };
                (Err(awaited), now + AWAITED_FOR)
            }
            Some((why, None)) => (
                Err(RecipientCertificateError::RevocationUnknown(why)),
                now + BAD_FOR,
            ),
            None => (Ok(Arc::default()), until),
        }
    }

    fn authorities(&self) -> MutexGuard<'_, Authorities> {
        let mut known = self.authorities.lock();
        known.look(&self.bundle);
        known
    }
}
