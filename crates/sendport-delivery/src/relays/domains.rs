//! The domains of a relay that submits to the mail hosts of each recipient's domain: each has its own
//! circuit and limits, so that none of them holds up another.
//!
//! Few tasks wait for a domain, and shortly, and none for one that failed: what cannot be submitted now is due
//! again later, so that the tasks of a send port are free for other domains.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lru::LruCache;
use parking_lot::Mutex;
use sendport_core::domain::{
    Envelope, ForwardPath, RelayCondition, Reply, SubmissionEnd, SubmissionReport, Timestamp,
};
use sendport_smtp::relay::PerDomain;
use sendport_smtp::relay::limits::ConcurrencyPermit;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::circuit::{Admission, Circuit};
use super::entry::{RelayEntry, SubmitPermit, Unavailable};
use super::registry::RelayRegistry;

/// Domains whose state is kept.
const MOST_DOMAINS: NonZeroUsize = NonZeroUsize::new(1000).expect("not 0");

/// Alerts for a domain that cannot be reached are due one after the other, so far apart: they must not
/// keep the tasks busy.
const SPACING: Duration = Duration::from_millis(100);

/// The same for one that nothing is known of.
const SHORT_SPACING: Duration = Duration::from_millis(20);

/// The same for a domain all of whose permits are in use: by how long its messages take, within these.
const SHORTEST_SPACING: Duration = Duration::from_millis(2);
const LONGEST_SPACING: Duration = Duration::from_secs(2);

/// The wait while all permits of a domain are in use.
const BUSY: Duration = Duration::from_secs(1);

/// Tasks that wait for a permit of a domain that works, and for the first results of all others; and how long.
const MOST_WAITING: usize = 64;
const MOST_WAITING_FOR_RESULTS: usize = 32;
const PATIENCE: Duration = Duration::from_secs(2);

/// The wait after that.
const FIRST_RESULT: Duration = Duration::from_secs(2);

/// The wait while another alert tries a domain that failed, or others that did.
const TRIAL: Duration = Duration::from_secs(5);

/// So many times `max_connections` messages may take long, beside those that do not.
const SLOW_MESSAGES: usize = 5;

/// The domains of one relay.
pub(crate) struct Domains {
    settings: PerDomain,
    entries: Mutex<LruCache<String, Arc<RelayEntry>>>,
    /// For domains that nothing is known of: they use half of the connections at most, because all of them
    /// may hang.
    unknown: Arc<Semaphore>,
    /// Permits to wait for their first results.
    waiting: Semaphore,
    /// For the trials of those that failed: a quarter.
    failed: Arc<Semaphore>,
    /// For messages that take long: they count in no other number of the relay, because a few domains that
    /// hang must not use up what the others need.
    slow: Arc<Semaphore>,
}

/// What the last submission said of a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// It was answered.
    Working,
    Unknown,
    Failed,
}

/// What the entry of a domain has beside that of a relay.
pub(crate) struct DomainState {
    pub(crate) name: String,
    standing: Mutex<Standing>,
    /// A submission ended.
    judged: Notify,
    /// The reply that says why it cannot be reached.
    failure: Mutex<Option<Reply>>,
    /// Permits to wait for a permit of the domain.
    waiting: Semaphore,
    /// How long its messages took lately.
    took: Mutex<Duration>,
    /// When the alert is due that had to wait last.
    last_turn: Mutex<Option<Instant>>,
}

/// A domain that nothing can be submitted to now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BlockedDomain {
    pub(crate) relay: String,
    pub(crate) domain: String,
    /// The recipients of the domain.
    pub(crate) paths: Vec<ForwardPath>,
    /// Why; `None` while all of its permits are in use.
    pub(crate) reply: Option<Reply>,
    /// When the alert may be tried again.
    pub(crate) wait: Duration,
}

impl Domains {
    pub(crate) fn new(settings: PerDomain, connections: u32) -> Self {
        let part = |divisor| usize::try_from(connections / divisor).unwrap_or(usize::MAX);
        let permits = |divisor| Arc::new(Semaphore::new(part(divisor).max(1)));
        Self {
            settings,
            entries: Mutex::new(LruCache::new(MOST_DOMAINS)),
            unknown: permits(2),
            waiting: Semaphore::new(MOST_WAITING_FOR_RESULTS),
            failed: permits(4),
            slow: Arc::new(Semaphore::new(part(1).max(1) * SLOW_MESSAGES)),
        }
    }

    /// The entry of a domain; a new one is closed.
    fn entry(&self, name: &str, of: &RelayEntry, now: Timestamp) -> Arc<RelayEntry> {
        let mut entries = self.entries.lock();
        let made = || {
            let circuit =
                Circuit::with_waits(now, self.settings.first_wait, self.settings.longest_wait);
            let state = DomainState {
                name: name.to_owned(),
                standing: Mutex::new(Standing::Unknown),
                judged: Notify::new(),
                failure: Mutex::default(),
                waiting: Semaphore::new(MOST_WAITING),
                took: Mutex::default(),
                last_turn: Mutex::default(),
            };
            Arc::new(of.for_domain(state, circuit, self.settings.limits.clone()))
        };
        entries.get_or_insert(name.to_owned(), made).clone()
    }

    /// The entries.
    pub(crate) fn all(&self) -> Vec<Arc<RelayEntry>> {
        let entries = self.entries.lock();
        entries.iter().map(|(_, entry)| entry.clone()).collect()
    }

    /// What is known of a domain.
    fn standing(&self, name: &str) -> Standing {
        let entries = self.entries.lock();
        let state = entries.peek(name).and_then(|entry| entry.domain.as_ref());
        state.map_or(Standing::Unknown, |state| *state.standing.lock())
    }

    /// The names of those that cannot be reached or do not answer, in alphabetical order.
    pub(crate) fn unreachable(&self) -> Vec<String> {
        let is_open = |entry: &Arc<RelayEntry>| {
            let condition = entry.circuit().condition();
            let state = entry.domain.as_ref();
            let may_hang = state.is_some_and(|it| *it.standing.lock() != Standing::Working);
            condition != RelayCondition::Closed || (may_hang && entry.silent_since().is_some())
        };
        let open = self.all().into_iter().filter(is_open);
        let mut names: Vec<_> = open
            .filter_map(|entry| entry.domain.as_ref().map(|it| it.name.clone()))
            .collect();
        names.sort();
        names
    }
}

impl DomainState {
    /// Notes the result of a submission.
    pub(crate) fn note(&self, report: &SubmissionReport) {
        self.learn(report);
        self.judged.notify_waiters();
    }

    fn learn(&self, report: &SubmissionReport) {
        let failure = match &report.end {
            SubmissionEnd::NotBegun { reply, .. } => Some(reply.clone()),
            SubmissionEnd::Fenced => return,
            _ if report.facts.remote_address.is_none() => return,
            _ => {
                let mut replies = report.replies.iter().rev().map(|it| &it.reply);
                replies.find(|reply| !reply.is_positive()).cloned()
            }
        };
        let took = (report.ended_at - report.started_at).to_std();
        let mut average = self.took.lock();
        *average = (*average * 3 + took.unwrap_or_default()) / 4;
        drop(average);
        *self.standing.lock() = match report.end {
            SubmissionEnd::Answered => Standing::Working,
            _ => Standing::Failed,
        };
        *self.failure.lock() = failure;
    }

    /// Waits shortly for the first result of the domain, while another task is about to have it.
    async fn wait_for_first_result(&self, domains: &Domains, entry: &RelayEntry) {
        let judged = self.judged.notified();
        let is_open = *self.standing.lock() == Standing::Unknown && entry.limiter().is_in_use();
        if is_open && let Ok(_waiting) = domains.waiting.try_acquire() {
            let _in_time = tokio::time::timeout(PATIENCE, judged).await;
        }
    }

    /// Waits shortly for a permit, where the domain works and not too many tasks wait already.
    async fn wait_for_permit(&self, entry: &RelayEntry) -> Option<ConcurrencyPermit> {
        if *self.standing.lock() != Standing::Working {
            return None;
        }
        let _waiting = self.waiting.try_acquire().ok()?;
        let permit = tokio::time::timeout(PATIENCE, entry.limiter().acquire()).await;
        permit.ok().flatten()
    }

    /// The wait of an alert for one of so many permits.
    fn turn_for_permit(&self, now: Instant, earliest: Duration, permits: u32) -> Duration {
        let spacing = *self.took.lock() / permits.max(1);
        let spacing = spacing.clamp(SHORTEST_SPACING, LONGEST_SPACING);
        self.turn(now, earliest, spacing)
    }

    /// The wait of an alert that may be tried in `earliest`, behind those that wait already.
    fn turn(&self, now: Instant, earliest: Duration, spacing: Duration) -> Duration {
        let mut last = self.last_turn.lock();
        let behind = last.map_or(now, |last| last + spacing);
        let turn = behind.max(now + earliest);
        *last = Some(turn);
        turn.saturating_duration_since(now)
    }
}

impl RelayEntry {
    /// When an alert for this domain, which cannot be reached, may be tried again.
    pub(crate) fn turn_after_failure(&self, state: &DomainState, now: Instant) -> Duration {
        let wait = self.circuit().wait(now).unwrap_or(TRIAL);
        state.turn(now, wait.max(SPACING), SPACING)
    }
}

impl RelayRegistry {
    /// As [`RelayRegistry::acquire`], where the relay submits to each domain's own hosts for the first
    /// domain of `envelope` that can be used now.
    ///
    /// # Errors
    /// [`Unavailable`]: the relay must not be used now, or none of the domains.
    pub(crate) async fn acquire_for(
        &self,
        name: &str,
        another: bool,
        envelope: &Envelope,
    ) -> Result<SubmitPermit, Unavailable> {
        let entry = self.entries.get(name).ok_or(Unavailable::Unwell)?;
        let Some(domains) = &entry.domains else {
            return self.acquire(name, another).await;
        };
        let mut blocked = Vec::new();
        let mut wanted = by_domain(envelope);
        // Those that may hang come last.
        wanted.sort_by_key(|(domain, _)| match entry.relay.other_relay(domain) {
            Some(_) => Standing::Working,
            None => domains.standing(domain),
        });
        for (domain, paths) in wanted {
            let found = match entry.relay.other_relay(&domain) {
                Some(other) => self.acquire_other(other, another).await,
                None => self.acquire_domain(domains, &domain, entry).await,
            };
            match found {
                Ok(mut permit) => {
                    if permit.entry.domain.is_some() {
                        permit.whole = Some(entry.begin(entry.acquire(another).await?)?);
                    }
                    permit.only = Some(BlockedDomain {
                        relay: permit.entry.relay.name().to_owned(),
                        domain,
                        paths,
                        reply: None,
                        wait: Duration::ZERO,
                    });
                    return Ok(permit);
                }
                Err((reply, wait)) => blocked.push(BlockedDomain {
                    relay: name.to_owned(),
                    domain,
                    paths,
                    reply,
                    wait,
                }),
            }
        }
        Err(Unavailable::Domains(blocked))
    }

    /// The relay that a domain is routed to.
    async fn acquire_other(
        &self,
        name: &str,
        another: bool,
    ) -> Result<SubmitPermit, (Option<Reply>, Duration)> {
        let permit = self.acquire(name, another).await;
        permit.map_err(|why| match why {
            Unavailable::Full(wait) => (None, wait),
            _ => {
                let wait = self.wait(&[name.to_owned()]).unwrap_or(TRIAL);
                (None, wait.max(BUSY))
            }
        })
    }

    /// A permit for one domain; else why there is none, and when to try again.
    async fn acquire_domain(
        &self,
        domains: &Domains,
        domain: &str,
        of: &RelayEntry,
    ) -> Result<SubmitPermit, (Option<Reply>, Duration)> {
        let moment = self.moment();
        let now = moment.instant;
        let entry = domains.entry(domain, of, moment.utc);
        let Some(state) = &entry.domain else {
            return Err((None, BUSY));
        };
        let unreachable = || {
            let reply = state.failure.lock().clone();
            (reply, entry.turn_after_failure(state, now))
        };
        let allowance = entry.circuit().allowance(now);
        if allowance == Some(0) {
            return Err(unreachable());
        }
        let permits = domains.settings.connections();
        let busy = || match *state.standing.lock() {
            Standing::Working => (None, state.turn_for_permit(now, BUSY, permits)),
            Standing::Unknown => (None, state.turn(now, FIRST_RESULT, SHORT_SPACING)),
            Standing::Failed => (None, state.turn(now, TRIAL, SPACING)),
        };
        state.wait_for_first_result(domains, &entry).await;
        let permit = match entry.limiter().try_acquire() {
            Some(permit) => permit,
            None => state.wait_for_permit(&entry).await.ok_or_else(busy)?,
        };
        let share = share(domains, &entry, state).ok_or_else(busy)?;
        let submission = entry.begin(permit).map_err(|why| match why {
            Unavailable::Full(wait) => (None, state.turn_for_permit(now, wait, permits)),
            _ => busy(),
        })?;
        let begun = entry.begin_at_circuit(now).ok_or_else(unreachable)?;
        Ok(SubmitPermit {
            relay: entry.relay.clone(),
            trial: begun == Admission::Trial,
            submission: Some(submission),
            whole: None,
            only: None,
            share,
            slow: Some(domains.slow.clone()),
            entry,
        })
    }
}

/// A domain that is not known to work is used by one task at a time, and all of these together use a part of
/// the connections. The outer `None`: there is no room.
fn share(
    domains: &Domains,
    entry: &RelayEntry,
    state: &DomainState,
) -> Option<Option<OwnedSemaphorePermit>> {
    let permits = match *state.standing.lock() {
        Standing::Working => return Some(None),
        Standing::Unknown => &domains.unknown,
        Standing::Failed => &domains.failed,
    };
    let is_alone = entry.limiter().is_idle();
    let permit = is_alone.then(|| permits.clone().try_acquire_owned());
    permit?.ok().map(Some)
}

/// The forward-paths of each domain, in the order of their first ones.
fn by_domain(envelope: &Envelope) -> Vec<(String, Vec<ForwardPath>)> {
    let mut found: Vec<(String, Vec<ForwardPath>)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for path in &envelope.forward_paths {
        let domain = path.address.domain().to_lowercase();
        let place = *places.entry(domain).or_insert_with_key(|domain| {
            found.push((domain.clone(), Vec::new()));
            found.len() - 1
        });
        found[place].1.push(path.clone());
    }
    found
}

#[cfg(test)]
#[path = "domains_tests.rs"]
mod tests;
