//! Whose certificates are believed: chains (RFC 5280 section 6), and whether they were revoked.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::stack::Stack;
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::verify::{X509VerifyFlags, X509VerifyParam};
use openssl::x509::{
    X509, X509NameRef, X509PurposeId, X509Ref, X509StoreContext, X509VerifyResult,
};

use super::certificate::{KeyKind, NoCertificate, RecipientCertificate, Validity};
use super::revocation::{CrlSources, Known, Revocation};
use super::stamped::Stamped;
use crate::domain::Timestamp;

/// How long a judgement stands where nothing changes: while all is well, and else.
const GOOD_FOR: TimeDelta = TimeDelta::hours(1);
const BAD_FOR: TimeDelta = TimeDelta::seconds(60);

/// More judgements than this are not kept.
const MOST_JUDGEMENTS: usize = 10_000;

/// Numbers of OpenSSL's `X509_V_ERR_CRL_NOT_YET_VALID` and `X509_V_ERR_CRL_HAS_EXPIRED`.
const LIST_OUT_OF_TIME: [i32; 2] = [11, 12];

/// Who vouches for recipients' certificates, and how far that is asked.
#[derive(Debug)]
pub struct Trust {
    bundle: PathBuf,
    revocation: Revocation,
    crls: CrlSources,
    authorities: Mutex<Authorities>,
    judgements: Mutex<HashMap<[u8; 32], Judgement>>,
    said: Mutex<HashSet<String>>,
}

/// What `ca_file` held last that could be read.
#[derive(Debug, Default)]
struct Authorities {
    stamped: Stamped<Vec<X509>>,
    bundle: Arc<Bundle>,
    generation: u64,
    problem: Option<String>,
}

/// Who is believed, and who only stands between them and others.
#[derive(Debug, Default)]
struct Bundle {
    anchors: Vec<X509>,
    links: Vec<X509>,
}

/// Of which files and lists it came.
type Generation = (u64, (u64, u64));

#[derive(Debug, Clone)]
struct Judgement {
    generation: Generation,
    companions: usize,
    until: Timestamp,
    verdict: Result<(), NoCertificate>,
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
            judgements: Mutex::default(),
            said: Mutex::default(),
        };
        let problem = trust.authorities().problem.clone();
        match problem {
            Some(problem) => Err(problem),
            None => Ok(trust),
        }
    }

    /// Whether `certificate` is believed now, wherever it came from. May read files and takes
    /// a millisecond of a processor, so it may take its time; it asks nobody over the network.
    ///
    /// # Errors
    /// [`NoCertificate`] naming the certificate.
    pub fn judge(
        &self,
        certificate: &RecipientCertificate,
        now: Timestamp,
    ) -> Result<(), NoCertificate> {
        let (bundle, authorities) = {
            let known = self.authorities();
            (known.bundle.clone(), known.generation)
        };
        let generation = (authorities, self.crls.generation());
        let known = self.judgements().get(&certificate.fingerprint).cloned();
        let known = known.filter(|known| {
            known.generation == generation
                && known.companions == certificate.companions.len()
                && now < known.until
        });
        if let Some(known) = known {
            return known.verdict;
        }
        let (verdict, until) = self.decide(&bundle, certificate, now);
        let mut judgements = self.judgements();
        if judgements.len() >= MOST_JUDGEMENTS {
            judgements.clear();
        }
        let judgement = Judgement {
            generation,
            companions: certificate.companions.len(),
            until,
            verdict: verdict.clone(),
        };
        judgements.insert(certificate.fingerprint, judgement);
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
        let bundle = self.authorities().bundle.clone();
        let revocation = match self.revocation {
            Revocation::Hard => "revocation is asked (hard)",
            Revocation::Soft => "revocation is asked (soft)",
            Revocation::Off => "revocation is not asked",
        };
        format!(
            "{} authorities believed, {revocation}",
            bundle.anchors.len()
        )
    }

    /// Files that cannot be used, in sentences.
    pub fn problems(&self) -> Vec<String> {
        let bundle = self.authorities().problem.clone();
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
    ) -> (Result<(), NoCertificate>, Timestamp) {
        let place = |why: &str| format!("the certificate in {} {why}", certificate.origin);
        let chain = match bundle.chain(certificate, now) {
            Ok(chain) => chain,
            Err(why) => {
                let why = place(&format!("is not trusted: {why}"));
                return (Err(NoCertificate::Untrusted(why)), now + BAD_FOR);
            }
        };
        let ends = chain.iter().filter_map(|it| Some(Validity::of(it)?.end));
        let until = ends.fold(now + GOOD_FOR, Timestamp::min);
        if self.revocation == Revocation::Off {
            return (Ok(()), until);
        }
        match self.ask(&chain, until, now) {
            Ok(until) => (Ok(()), until),
            Err(why) => (Err(why.placed(&place)), now + why.stands_for()),
        }
    }

    /// Whether somebody in the chain was revoked; the anchor is believed as it stands.
    fn ask(&self, chain: &[X509], until: Timestamp, now: Timestamp) -> Result<Timestamp, Doubt> {
        let mut until = until;
        let mut doubt = None;
        for (depth, pair) in chain.windows(2).enumerate() {
            let [certificate, authority] = pair else {
                continue;
            };
            let about = match depth {
                0 => String::new(),
                _ => format!("is of {}, which ", named(certificate.subject_name())),
            };
            match self.crls.know(certificate, authority, now) {
                Known::Good(end) => {
                    until = until.min(end);
                    self.said().remove(&named(authority.subject_name()));
                }
                Known::Revoked(entry) => return Err(Doubt::Revoked(format!("{about}{entry}"))),
                Known::Nothing(why, retry_in) => {
                    let why = format!("{about}may have been revoked: {why}");
                    until = until.min(now + BAD_FOR);
                    doubt = match self.revocation {
                        Revocation::Hard => Doubt::worse(doubt, Doubt::Unknown(why, retry_in)),
                        _ => self.note(authority, &why),
                    };
                }
            }
        }
        doubt.map_or(Ok(until), Err)
    }

    /// Once for each authority whose list is missing.
    fn note(&self, authority: &X509Ref, why: &str) -> Option<Doubt> {
        if self.said().insert(named(authority.subject_name())) {
            tracing::warn!(%why, "a certificate is used that may have been revoked");
        }
        None
    }

    fn said(&self) -> MutexGuard<'_, HashSet<String>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn authorities(&self) -> MutexGuard<'_, Authorities> {
        let known = self.authorities.lock();
        let mut known = known.unwrap_or_else(PoisonError::into_inner);
        if !known.stamped.is_fresh() {
            known.look(&self.bundle);
        }
        known
    }

    fn judgements(&self) -> MutexGuard<'_, HashMap<[u8; 32], Judgement>> {
        self.judgements
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Authorities {
    /// What cannot be read does not replace what could.
    fn look(&mut self, file: &Path) {
        let changed = self.stamped.look([file.to_owned()], read);
        let missing = || {
            Err(format!(
                "ca_file '{}': there is no such file",
                file.display()
            ))
        };
        let held = self.stamped.held().next().cloned();
        match held.unwrap_or_else(missing) {
            Ok(certificates) => {
                self.problem = None;
                if changed {
                    self.bundle = Arc::new(Bundle::new(certificates));
                    self.generation += 1;
                }
            }
            Err(why) => self.problem = Some(why),
        }
    }
}

fn read(file: &Path) -> Result<Vec<X509>, String> {
    let shown = file.display();
    let pem = fs::read(file).map_err(|error| format!("ca_file '{shown}': {error}"))?;
    let found = X509::stack_from_pem(&pem).unwrap_or_default();
    match found.is_empty() {
        true => Err(format!(
            "ca_file '{shown}': expected certificates of authorities in PEM, found none"
        )),
        false => Ok(found),
    }
}

impl Bundle {
    /// Whose issuer stands in the same file is a link to it, and believed through it alone;
    /// everybody else is an anchor, a root or not.
    fn new(certificates: Vec<X509>) -> Self {
        let all = certificates.clone();
        let is_link = |it: &X509| {
            let issuers = all.iter().filter(|other| issued(other, it));
            !issued(it, it) && issuers.count() > 0
        };
        let (links, anchors) = certificates.into_iter().partition(is_link);
        Self { anchors, links }
    }

    /// From the certificate to an anchor.
    ///
    /// # Errors
    /// OpenSSL's reason, in words.
    fn chain(
        &self,
        certificate: &RecipientCertificate,
        now: Timestamp,
    ) -> Result<Vec<X509>, String> {
        let failed = |error: ErrorStack| format!("OpenSSL failed: {error}");
        let mut store = X509StoreBuilder::new().map_err(failed)?;
        for anchor in &self.anchors {
            store.add_cert(anchor.clone()).map_err(failed)?;
        }
        let between = self.links.iter().chain(&*certificate.companions);
        let between: Vec<_> = between.cloned().collect();
        // OpenSSL's purpose asks for keyEncipherment, which keys on curves do not have.
        let purpose = match certificate.kind() {
            Some(KeyKind::Rsa) => Some(X509PurposeId::SMIME_ENCRYPT),
            _ => None,
        };
        let chain = verified(
            store,
            X509VerifyFlags::PARTIAL_CHAIN,
            &certificate.certificate,
            &between,
            purpose,
            now,
        );
        let chain = chain.map_err(|Refused(_, why)| why)?;
        let not_for_mail = chain.iter().find(|it| !sendport_cms::usage(it).email);
        match not_for_mail {
            None => Ok(chain),
            Some(link) => Err(format!(
                "{} is not for mail: its extendedKeyUsage lacks emailProtection",
                named(link.subject_name())
            )),
        }
    }
}

fn issued(issuer: &X509, subject: &X509) -> bool {
    issuer.issued(subject) == X509VerifyResult::OK
}

/// What OpenSSL found wrong, and the same in words.
pub(super) struct Refused(pub(super) i32, pub(super) String);

impl Refused {
    pub(super) fn is_list_out_of_time(&self) -> bool {
        LIST_OUT_OF_TIME.contains(&self.0)
    }
}

impl From<ErrorStack> for Refused {
    fn from(error: ErrorStack) -> Self {
        Self(-1, format!("OpenSSL failed: {error}"))
    }
}

/// The chain of a certificate up to somebody in `store`, as of `now`.
pub(super) fn verified(
    mut store: X509StoreBuilder,
    flags: X509VerifyFlags,
    certificate: &X509Ref,
    between: &[X509],
    purpose: Option<X509PurposeId>,
    now: Timestamp,
) -> Result<Vec<X509>, Refused> {
    let mut parameters = X509VerifyParam::new()?;
    parameters.set_flags(flags)?;
    parameters.set_time(now.timestamp());
    if let Some(purpose) = purpose {
        parameters.set_purpose(purpose)?;
    }
    store.set_param(&parameters)?;
    let mut untrusted = Stack::new()?;
    for link in between {
        untrusted.push(link.clone())?;
    }
    let mut context = X509StoreContext::new()?;
    let found = context.init(&store.build(), certificate, &untrusted, |it| {
        if it.verify_cert()? {
            let chain = it.chain().into_iter().flatten();
            return Ok(Ok(chain.map(ToOwned::to_owned).collect()));
        }
        let about = it.current_cert().map(|at| named(at.subject_name()));
        Ok(Err((it.error(), about)))
    })?;
    found.map_err(|(error, about)| {
        let about = about.map(|name| format!(" ({name})")).unwrap_or_default();
        Refused(error.as_raw(), format!("{}{about}", error.error_string()))
    })
}

/// Its common name, or what else names it.
pub(super) fn named(name: &X509NameRef) -> String {
    let entries = [
        Nid::COMMONNAME,
        Nid::ORGANIZATIONALUNITNAME,
        Nid::ORGANIZATIONNAME,
    ];
    let mut found = entries.iter().filter_map(|kind| {
        let text = name.entries_by_nid(*kind).next()?.data().to_string();
        text.ok().map(|text| format!("'{text}'"))
    });
    found
        .next()
        .unwrap_or_else(|| "somebody without a name".to_owned())
}

/// Why a chain that ends well is not used.
#[derive(Debug, Clone)]
enum Doubt {
    Revoked(String),
    Unknown(String, Option<Duration>),
}

impl Doubt {
    /// The one that time does not heal.
    fn worse(before: Option<Self>, other: Self) -> Option<Self> {
        match before {
            Some(Self::Unknown(why, None)) => Some(Self::Unknown(why, None)),
            Some(before) if matches!(other, Self::Unknown(_, Some(_))) => Some(before),
            _ => Some(other),
        }
    }

    fn placed(&self, place: &impl Fn(&str) -> String) -> NoCertificate {
        match self {
            Self::Revoked(why) => NoCertificate::Revoked(place(why)),
            Self::Unknown(why, None) => NoCertificate::RevocationUnknown(place(why)),
            Self::Unknown(why, Some(retry_in)) => NoCertificate::Awaited {
                why: place(why),
                retry_in: *retry_in,
            },
        }
    }

    /// Nothing is kept of what may be different in a moment.
    fn stands_for(&self) -> TimeDelta {
        match self {
            Self::Unknown(_, Some(_)) => TimeDelta::seconds(1),
            _ => BAD_FOR,
        }
    }
}
