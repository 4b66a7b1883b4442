//! One leased alert: render → build → secure → submit → outcome.
//!
//! In comes a `Lease<Alert>`, out goes an [`Outcome`]; of the database it knows attachments alone.
//! Every failure is a decision about recipients, never an error of the service.

mod audit_copies;
mod compose;
mod memory_budget;
mod preparation;
mod preview;
mod submit;
mod template_cache;
mod window;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::RwLock;
use tokio_util::sync::CancellationToken;

use crate::delivery::NotComposed;
use crate::delivery::protection::CertificateCache;
pub use crate::delivery::protection::NotSecured;
use crate::delivery::protection::securing::Certificates;
use crate::delivery::recipients::receipt;
use crate::delivery::recipients::recipient_set::{Roll, Rules};
use crate::delivery::relays::{Expected, RelayRegistry};
pub use compose::{Draft, Sources};
use memory_budget::{Place, Room};
pub use preview::{Preview, PreviewCopy, PreviewReader, PreviewTexts, preview};
use submit::{Job, Submitted};
pub use template_cache::TemplateCache;

use crate::clock::Clock;
use crate::delivery::audit::Auditor;
use crate::delivery::digest;
use crate::delivery::send_port::{Refusal, SendPort};
use crate::domain::{
    Alert, AlertId, Decision, Envelope, ForwardPath, Lease, LeaseToken, MOST_RECIPIENTS, Outcome,
    OutcomeKind, SubmissionEnd, SubmissionIntent, has_too_many_recipients,
};
use crate::relay::FinalDotGate;
use crate::replies::ReplyTable;
use crate::smime::SecuredMessage;
use crate::store::attachments::AttachmentSource;

/// How long an alert waits that the database did not hand out something for.
const STORE_WAIT: Duration = Duration::from_secs(5);

/// How long one waits that this instance has no send port for.
const OTHERS_WAIT: Duration = Duration::from_secs(60);

/// How long an alert waits whose time ran out before it was begun: the sweep ends it, and keeps
/// what the relay last said.
const EXPIRED_WAIT: Duration = Duration::from_secs(10);

/// What a dispatcher is made of.
pub struct Parts {
    /// By name.
    pub send_ports: BTreeMap<String, SendPort>,
    /// All relays with their circuits.
    pub board: Arc<RelayRegistry>,
    /// Who keeps copies, by the name of the send port; most have none.
    pub auditors: BTreeMap<String, Auditor>,
    /// What is read while a message is made.
    pub contents: Arc<dyn AttachmentSource>,
    /// The templates.
    pub templates: Arc<TemplateCache>,
    /// The recipients' certificates.
    pub certificates: Arc<CertificateCache>,
    /// The table of replies.
    pub replies: Arc<ReplyTable>,
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
    /// Says whether the lease still stands, and notes what is about to be handed over.
    pub journal: Arc<dyn Journal>,
    /// A random number in 0 to 1, for the jitter of delays.
    pub chance: Box<dyn Fn() -> f64 + Send + Sync>,
    /// Cancelled when the service stops: what is not yet begun is released.
    pub stop: CancellationToken,
}

/// Asked right before each final dot, or what takes its place, and told what may end the process.
pub trait Journal: Send + Sync {
    /// Notes the attempt. False: the lease is not certain, or the note could not be written;
    /// the dot must not be sent.
    fn before_final_dot(&self, note: &SubmissionIntent) -> bool;

    /// Notes that the message of an alert is being made.
    fn preparing(&self, alert: AlertId, token: LeaseToken);

    /// Notes that it is made, or will not be.
    fn prepared(&self, alert: AlertId);

    /// A process died while it made the message of this alert, and perhaps of others.
    fn is_suspect(&self, alert: AlertId) -> bool;
}

/// The journal and the note of one submission.
struct Gate<'a> {
    journal: &'a dyn Journal,
    note: SubmissionIntent,
}

impl FinalDotGate for Gate<'_> {
    fn may_send_final_dot(&self) -> bool {
        self.journal.before_final_dot(&self.note)
    }
}

/// Works on leased alerts, any number of them at the same time.
pub struct Dispatcher {
    parts: Parts,
    room: Room,
    /// Whose messages are made.
    turns: RwLock<()>,
}

/// A message that is ready, and the version of the template that it was made from.
struct Composed {
    message: SecuredMessage,
    /// Before protection, where an audit wants them.
    octets_before: Option<Vec<u8>>,
    template_version: Option<String>,
    _place: Place,
}

impl Dispatcher {
    /// A dispatcher.
    pub fn new(parts: Parts) -> Self {
        Self {
            parts,
            room: Room::new(),
            turns: RwLock::default(),
        }
    }

    /// Works on one alert until something is decided. Bounded by the relay's time-outs. It is
    /// `expected` until it begins.
    pub async fn dispatch(&self, lease: Lease<Alert>, expected: Expected) -> Outcome {
        self.dispatch_in(None, lease, expected).await
    }

    /// The same for an alert whose texts were left out as too long: they are read when there is
    /// room for so many octets.
    pub async fn dispatch_large(
        &self,
        lease: Lease<Alert>,
        octets: u64,
        expected: Expected,
    ) -> Outcome {
        let token = lease.token;
        let kind = match self.whole(&lease, octets).await {
            Ok((place, value)) => {
                let lease = Lease { token, value };
                return self.dispatch_in(Some(place), lease, expected).await;
            }
            Err(why) => match waiting(why, Duration::ZERO) {
                Ok(kind) => kind,
                Err(refusal) => decided(Decision::failed(refusal.reason)),
            },
        };
        Outcome {
            alert: lease.value.id,
            token,
            kind,
        }
    }

    async fn dispatch_in(
        &self,
        place: Option<Place>,
        mut lease: Lease<Alert>,
        expected: Expected,
    ) -> Outcome {
        let kind = match self.parts.send_ports.get(&lease.value.send_port) {
            Some(port) => {
                port.resolve_macros(&mut lease.value);
                self.work(place, &lease, port, expected).await
            }
            None => unknown_port(&lease.value.send_port),
        };
        Outcome {
            alert: lease.value.id,
            token: lease.token,
            kind,
        }
    }

    async fn work(
        &self,
        place: Option<Place>,
        lease: &Lease<Alert>,
        port: &SendPort,
        expected: Expected,
    ) -> OutcomeKind {
        let alert = &lease.value;
        if let Err(refusal) = few_enough(alert) {
            return decided(Decision::failed(refusal.reason));
        }
        let now = self.parts.clock.now();
        let mut rules = Rules {
            port,
            replies: &self.parts.replies,
            age: (now - alert.created_at).to_std().unwrap_or_default(),
            chance: (self.parts.chance)(),
            slowed_for: None,
        };
        if let Some(why) = expiry(alert, &rules, now) {
            return released(EXPIRED_WAIT, Some(why));
        }
        let mut roll = Roll::call(alert, &rules);
        if let Some(waiting) = window::wait_for(alert, port, now) {
            return waiting;
        }
        let certificates = &self.parts.certificates;
        let found = Certificates::of_those_waiting(alert, port, certificates, &mut roll, now).await;
        let certificates = match found {
            Ok(certificates) => certificates,
            Err(why) => return refused_or_waiting(why, roll, port),
        };
        let envelope = envelope(alert, port, certificates.together(roll.forward_paths()));
        if certificates.leave_nobody(&envelope.forward_paths) {
            return decided(roll.into_decision(None, port.in_doubt, None));
        }
        let composed = self.compose(place, lease, port, &envelope, &certificates);
        let composed = match composed.await {
            Ok(composed) => composed,
            Err(why) => return refused_or_waiting(why, roll, port),
        };
        if envelope.forward_paths.is_empty() {
            let version = composed.template_version;
            return decided(roll.into_decision(None, port.in_doubt, version));
        }
        let job = Job {
            lease,
            port,
            envelope: &envelope,
            composed: &composed,
        };
        let submitted = self.submit(&job, expected).await;
        self.judged(submitted, &job, roll, &mut rules)
    }

    /// What a submission means for the alert.
    fn judged(
        &self,
        submitted: Submitted,
        job: &Job<'_>,
        mut roll: Roll,
        rules: &mut Rules<'_>,
    ) -> OutcomeKind {
        let (alert, port, composed) = (&job.lease.value, job.port, job.composed);
        match submitted {
            Submitted::Reported(it) if it.report.end != SubmissionEnd::Fenced => {
                rules.slowed_for = it.slowed_for;
                roll.apply(&it.relay, &it.carried, &it.report, rules);
                roll.remark(receipt::remark(alert, port, &it.report.facts));
                let attempt = roll.attempt(it.key, &it.relay, it.report, &composed.message);
                let version = composed.template_version.clone();
                let mut decision = roll.into_decision(attempt, port.in_doubt, version);
                window::fit(&mut decision, alert, port, self.parts.clock.now());
                decided(decision)
            }
            Submitted::Reported(_) => released(Duration::ZERO, None),
            Submitted::NotYet(retry_in, reason) => released(retry_in, reason),
            Submitted::NotKept(why) => audit_copies::wait_for_audit(port, &why),
        }
    }
}

fn envelope(alert: &Alert, port: &SendPort, forward_paths: Vec<ForwardPath>) -> Envelope {
    Envelope {
        reverse_path: port.return_path.clone(),
        forward_paths,
        dsn: receipt::request(alert, port),
    }
}

/// What becomes of an alert that there is no message of.
fn refused_or_waiting(why: NotComposed, mut roll: Roll, port: &SendPort) -> OutcomeKind {
    waiting(why, port.retry.first_delay).unwrap_or_else(|refusal| {
        roll.refuse(&refusal);
        decided(roll.into_decision(None, port.in_doubt, None))
    })
}

/// What is done with an alert that cannot be composed now; the error is why it never can be.
/// `delay`: between two looks at what an operator has to mend.
fn waiting(why: NotComposed, delay: Duration) -> Result<OutcomeKind, Refusal> {
    match why {
        NotComposed::Never(refusal) => Err(refusal),
        // It goes on as soon as the database hands out what it needs.
        NotComposed::NotNow { what, error } => {
            let why = format!("waits for {what}: {error}");
            Ok(released(STORE_WAIT, Some(why)))
        }
        NotComposed::NotYet(retry_in, reason) => Ok(released(retry_in, reason)),
        NotComposed::Unprotected { why, retry_in } => {
            let soon = retry_in.map_or(delay, |rest| rest.min(delay));
            Ok(wait_for_protection(soon, &why))
        }
    }
}

/// Given back for a while: an operator has to do something, and nothing was submitted.
fn wait_for_protection(delay: Duration, why: &str) -> OutcomeKind {
    let why = format!("waits for its protection: {why}");
    released(delay.max(Duration::from_secs(1)), Some(why))
}

/// A look at what the store took for one of ours and is not: never at once again.
fn unknown_port(name: &str) -> OutcomeKind {
    let why = format!("waits for an instance that has a send port named '{name}'");
    released(OTHERS_WAIT, Some(why))
}

fn decided(decision: Decision) -> OutcomeKind {
    OutcomeKind::Decided(Box::new(decision))
}

/// Mostly due again at once: a send port that cannot send now is not asked for work, and
/// another instance may be able to.
fn released(retry_in: Duration, reason: Option<String>) -> OutcomeKind {
    OutcomeKind::Released { retry_in, reason }
}

/// Its lists are not read, and nothing is said about each of its recipients.
fn few_enough(alert: &Alert) -> Result<(), Refusal> {
    if !has_too_many_recipients(alert) {
        return Ok(());
    }
    let why = format!(
        "ToRecipients, CcRecipients and BccRecipients hold more than {MOST_RECIPIENTS} recipients; insert several alerts"
    );
    Err(Refusal::new("unreadable-row", why))
}

/// A take-over spends an attempt of the alert too: one that kills whoever works on it ends
/// here. Transactions for some of the recipients are not held against those who still wait.
fn attempts_left(alert: &Alert, port: &SendPort) -> Result<(), Refusal> {
    let spent: u32 = alert.recipients.iter().map(|r| r.attempt_count).sum();
    let waiting = alert.recipients.iter().filter(|r| r.status.is_waiting());
    let own = waiting.map(|r| r.attempt_count).max().unwrap_or_default();
    let of_others = spent - own;
    if alert.attempt_count < port.retry.attempts.saturating_add(of_others) {
        return Ok(());
    }
    Err(Refusal::new(
        "attempts-exhausted",
        format!(
            "all {} attempts are spent; the ends of some were not seen",
            port.retry.attempts
        ),
    ))
}

fn expiry(alert: &Alert, rules: &Rules<'_>, now: crate::domain::Timestamp) -> Option<String> {
    if let Some(at) = alert.expires_at.filter(|at| *at <= now) {
        return Some(format!(
            "expired: ExpiresAt was {}",
            at.format("%Y-%m-%dT%H:%M:%SZ")
        ));
    }
    (rules.age >= rules.port.retry.max_age).then(|| {
        format!(
            "expired: older than the send port's max_age of {} s",
            rules.port.retry.max_age.as_secs()
        )
    })
}

#[cfg(test)]
#[path = "dispatch_tests.rs"]
mod tests;
