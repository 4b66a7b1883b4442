//! One leased alert: render → build → secure → submit → outcome.
//!
//! The input is a `Lease<Alert>`, the result an [`Outcome`]; it reads attachments alone from the database, and stores
//! the files that an alert names.
//! Every failure is a decision about recipients, never an error of the service.

mod audit_copies;
mod compose;
mod files;
mod gate;
mod header_recipients;
mod memory_budget;
mod preparation;
mod preview;
mod received;
mod request_reader;
mod seven_bit;
mod submit;
mod template_cache;
mod window;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::RwLock;
use tokio_util::sync::CancellationToken;

use crate::ComposeError;
use crate::protection::CertificateCache;
pub use crate::protection::ProtectionError;
use crate::protection::securing::Certificates;
use crate::recipients::receipt;
use crate::recipients::recipient_set::{RecipientSet, Rules};
use crate::relays::{RelayRegistry, StartReservation};
pub use compose::{Draft, Sources};
pub use gate::SubmitGuard;
use memory_budget::{MemoryBudget, MemoryPermit};
pub use preview::{Preview, PreviewCopy, PreviewReader, PreviewTexts, preview};
use received::Received;
use request_reader::RequestReader;
use submit::{SubmitJob, SubmitResult};
pub use template_cache::TemplateCache;

use sendport_core::clock::Clock;
use sendport_core::clock::utc_text;
use sendport_core::domain::{
    Alert, Decision, Envelope, ForwardPath, Lease, MOST_RECIPIENTS, Outcome, OutcomeKind,
    StoredMessage, SubmissionEnd, Timestamp, has_too_many_recipients,
};
use sendport_core::replies::ReplyTable;
use sendport_smime::SecuredMessage;
use sendport_store::attachments::{AttachmentSource, FileStore};
use sendport_store::operator_requests::OperatorRequests;
use sendport_store::received::ReceivedSource;

use crate::audit::Auditor;
use crate::digest;
use crate::send_port::{Refusal, SendPort};

/// The wait of an alert if the database did not return something.
const STORE_WAIT: Duration = Duration::from_secs(5);

/// The wait of an alert for a send port that this instance does not have.
const OTHERS_WAIT: Duration = Duration::from_secs(60);

/// The wait of an alert that expired before it was begun: the sweep ends it, and keeps
/// the last reply of the relay.
const EXPIRED_WAIT: Duration = Duration::from_secs(10);

/// The dependencies of a dispatcher.
pub struct DispatcherDependencies {
    /// By name.
    pub send_ports: BTreeMap<String, SendPort>,
    /// All relays with their circuits.
    pub registry: Arc<RelayRegistry>,
    /// By the name of the send port; most send ports have none.
    pub auditors: BTreeMap<String, Auditor>,
    /// Attachments, read while a message is made.
    pub contents: Arc<dyn AttachmentSource>,
    /// Messages that clients submitted whole.
    pub received: Arc<dyn ReceivedSource>,
    /// Stores the files that an alert names.
    pub files: Arc<dyn FileStore>,
    /// What operators want of an alert, read right before its transaction.
    pub requests: Arc<dyn OperatorRequests>,
    /// The templates.
    pub templates: Arc<TemplateCache>,
    /// The recipients' certificates.
    pub certificates: Arc<CertificateCache>,
    /// The table of replies.
    pub replies: Arc<ReplyTable>,
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
    /// Checks that the lease is valid, and notes the submission.
    pub submit_guard: Arc<dyn SubmitGuard>,
    /// A random number in 0 to 1, for the jitter of delays.
    pub chance: Box<dyn Fn() -> f64 + Send + Sync>,
    /// Cancelled when the service stops: alerts that are not begun are released.
    pub stop: CancellationToken,
}

/// Processes leased alerts, any number of them at the same time.
pub struct Dispatcher {
    parts: DispatcherDependencies,
    memory: MemoryBudget,
    requests: RequestReader,
    /// Held shared while a message is built, and exclusively for a suspect.
    preparing: RwLock<()>,
}

/// A message that is ready, and the version of the template that it was made from.
struct ReadyMessage {
    message: SecuredMessage,
    /// The message before protection, if an audit keeps it.
    bytes_before: Option<Vec<u8>>,
    template_version: Option<String>,
    _memory: MemoryPermit,
}

impl Dispatcher {
    /// A dispatcher.
    pub fn new(parts: DispatcherDependencies) -> Self {
        Self {
            requests: RequestReader::new(parts.requests.clone()),
            parts,
            memory: MemoryBudget::new(),
            preparing: RwLock::default(),
        }
    }

    /// Works on one alert until it is decided. Bounded by the relay's time-outs. The alert is
    /// `expected` until it begins.
    pub async fn dispatch(&self, lease: Lease<Alert>, expected: StartReservation) -> Outcome {
        self.dispatch_in(None, lease, expected).await
    }

    /// The same for an alert whose texts are too long and not read yet: they are read when there is
    /// memory for so many bytes.
    pub async fn dispatch_large(
        &self,
        lease: Lease<Alert>,
        bytes: u64,
        expected: StartReservation,
    ) -> Outcome {
        let token = lease.token;
        let kind = match self.whole(&lease, bytes).await {
            Ok((memory_permit, value)) => {
                let lease = Lease { token, value };
                return self.dispatch_in(Some(memory_permit), lease, expected).await;
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
        memory_permit: Option<MemoryPermit>,
        mut lease: Lease<Alert>,
        expected: StartReservation,
    ) -> Outcome {
        let kind = match self.parts.send_ports.get(&lease.value.send_port) {
            Some(port) => {
                port.resolve_macros(&mut lease.value);
                self.work(memory_permit, &lease, port, expected).await
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
        memory_permit: Option<MemoryPermit>,
        lease: &Lease<Alert>,
        port: &SendPort,
        expected: StartReservation,
    ) -> OutcomeKind {
        let alert = &lease.value;
        if let Err(refusal) = few_enough(alert) {
            return decided(Decision::failed(refusal.reason));
        }
        let now = self.parts.clock.now();
        let mut rules = Rules {
            port,
            replies: &self.parts.replies,
            age: (now - alert.queued_since()).to_std().unwrap_or_default(),
            chance: (self.parts.chance)(),
            throttled_for: None,
            of_one_domain: false,
        };
        if let Some(why) = expiry(alert, &rules, now) {
            return released(EXPIRED_WAIT, Some(why));
        }
        let mut recipients = RecipientSet::load(alert, &rules);
        // As early as possible, before a file is replaced or deleted.
        if let Err(why) = self.store_files(lease, port).await {
            return refused_or_waiting(why, recipients, port);
        }
        if let Some(waiting) = window::wait_for(alert, port, now) {
            return waiting;
        }
        if let Err(why) = recipients.redirect(alert, port) {
            return refused_or_waiting(why, recipients, port);
        }
        let received = match self.received(lease, port).await {
            Ok(received) => received,
            Err(why) => return refused_or_waiting(why, recipients, port),
        };
        let passed_on = received.as_ref().and_then(Received::envelope);
        let wanted =
            received::protection_of(alert, port, received.as_ref().and_then(Received::draft));
        let cache = &self.parts.certificates;
        let found =
            Certificates::of_those_waiting(alert, (port, wanted), cache, &mut recipients, now)
                .await;
        let certificates = match found {
            Ok(certificates) => certificates,
            Err(why) => return refused_or_waiting(why, recipients, port),
        };
        let forward_paths = certificates.together(recipients.forward_paths());
        let is_passed_on = passed_on.is_some();
        let envelope = envelope(alert, port, passed_on, forward_paths);
        if certificates.all_refused(&envelope.forward_paths) {
            return decided(recipients.into_decision(None, port.in_doubt, None));
        }
        let parts = (&envelope, received);
        let composed = self.composed(memory_permit, (lease, port), parts, &certificates);
        let composed = match composed.await {
            Ok(composed) => composed,
            Err(why) => return refused_or_waiting(why, recipients, port),
        };
        if envelope.forward_paths.is_empty() {
            let version = composed.template_version;
            return decided(recipients.into_decision(None, port.in_doubt, version));
        }
        let job = SubmitJob {
            lease,
            port,
            envelope: &envelope,
            is_part: false,
            is_passed_on,
            composed: &composed,
        };
        let submitted = self.submit(&job, expected).await;
        self.judged(submitted, &job, recipients, &mut rules)
    }

    /// The outcome of an alert after a submission.
    fn judged(
        &self,
        submitted: SubmitResult,
        job: &SubmitJob<'_>,
        mut recipients: RecipientSet,
        rules: &mut Rules<'_>,
    ) -> OutcomeKind {
        let (alert, port, composed) = (&job.lease.value, job.port, job.composed);
        match submitted {
            SubmitResult::Transaction(it) if it.report.end != SubmissionEnd::Fenced => {
                rules.throttled_for = it.throttled_for;
                rules.of_one_domain = it.of_one_domain;
                recipients.apply(&it.relay, &it.carried, &it.report, rules);
                recipients.remark(receipt::remark(alert, port, &it.report.facts));
                let sent = it.changed.as_ref().unwrap_or(&composed.message);
                let attempt = recipients.attempt(it.key, &it.relay, it.report, sent);
                let version = composed.template_version.clone();
                let mut decision = recipients.into_decision(attempt, port.in_doubt, version);
                window::fit(&mut decision, alert, port, self.parts.clock.now());
                decided(decision)
            }
            SubmitResult::Transaction(it) => match it.unknown {
                Some(why) => released(
                    STORE_WAIT,
                    Some(format!("waits for the requests of operators: {why}")),
                ),
                None => released(Duration::ZERO, None),
            },
            SubmitResult::Deferred(retry_in, reason) => released(retry_in, reason),
            SubmitResult::Blocked(domains) => {
                recipients.wait_for(&domains, rules.replies);
                let version = composed.template_version.clone();
                let mut decision = recipients.into_decision(None, port.in_doubt, version);
                window::fit(&mut decision, alert, port, self.parts.clock.now());
                decided(decision)
            }
            SubmitResult::AuditFailed(why) => audit_copies::wait_for_audit(port, &why),
        }
    }
}

/// The envelope of the message: that of a client whose message is passed on, or the send port's.
fn envelope(
    alert: &Alert,
    port: &SendPort,
    passed_on: Option<&StoredMessage>,
    forward_paths: Vec<ForwardPath>,
) -> Envelope {
    if let Some(stored) = passed_on {
        return received::envelope(alert, port, stored, forward_paths);
    }
    Envelope {
        reverse_path: port.return_path.clone(),
        forward_paths,
        dsn: receipt::request(alert, port),
    }
}

/// The outcome of an alert without a message.
fn refused_or_waiting(
    why: ComposeError,
    mut recipients: RecipientSet,
    port: &SendPort,
) -> OutcomeKind {
    waiting(why, port.retry.first_delay).unwrap_or_else(|refusal| {
        recipients.refuse(&refusal);
        decided(recipients.into_decision(None, port.in_doubt, None))
    })
}

/// The outcome of an alert that cannot be composed now; the error is why it never can be.
/// `delay`: between two checks of what an operator has to correct.
fn waiting(why: ComposeError, delay: Duration) -> Result<OutcomeKind, Refusal> {
    match why {
        ComposeError::Never(refusal) => Err(refusal),
        // It continues as soon as the database returns the data.
        ComposeError::NotNow { what, error } => {
            let why = format!("waits for {what}: {error}");
            Ok(released(STORE_WAIT, Some(why)))
        }
        ComposeError::Deferred(retry_in, reason) => Ok(released(retry_in, reason)),
        ComposeError::Unprotected { why, retry_in } => {
            let soon = retry_in.map_or(delay, |rest| rest.min(delay));
            Ok(wait_for_protection(soon, &why))
        }
    }
}

/// Released for a while: an operator has to act, and nothing was submitted.
fn wait_for_protection(delay: Duration, why: &str) -> OutcomeKind {
    let why = format!("waits for its protection: {why}");
    released(delay.max(Duration::from_secs(1)), Some(why))
}

/// Released: the store returned an alert for a send port that this instance does not have.
fn unknown_port(name: &str) -> OutcomeKind {
    let why = format!("waits for an instance that has a send port named '{name}'");
    released(OTHERS_WAIT, Some(why))
}

fn decided(decision: Decision) -> OutcomeKind {
    OutcomeKind::Decided(Box::new(decision))
}

/// Mostly due again at once: no work is claimed for a send port that cannot send now, and
/// another instance may be able to send it.
fn released(retry_in: Duration, reason: Option<String>) -> OutcomeKind {
    OutcomeKind::Released { retry_in, reason }
}

/// Its lists are not read, and its recipients have no rows.
fn few_enough(alert: &Alert) -> Result<(), Refusal> {
    if !has_too_many_recipients(alert) {
        return Ok(());
    }
    let why = format!(
        "ToRecipients, CcRecipients and BccRecipients hold more than {MOST_RECIPIENTS} recipients; insert several alerts"
    );
    Err(Refusal::new("unreadable-row", why))
}

/// A take-over counts as an attempt of the alert too: an alert that kills each process that works on it ends
/// here. Transactions for some recipients do not count for those that still wait.
fn attempts_left(alert: &Alert, port: &SendPort) -> Result<(), Refusal> {
    let spent: u32 = alert.recipients.iter().map(|r| r.attempt_count).sum();
    let waiting = alert.recipients.iter().filter(|r| r.status.is_waiting());
    let own = waiting.map(|r| r.attempt_count).max().unwrap_or_default();
    let of_others = spent - own;
    let attempts = alert.attempt_count.saturating_sub(alert.attempts_before);
    if attempts < port.retry.attempts.saturating_add(of_others) {
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

fn expiry(alert: &Alert, rules: &Rules<'_>, now: Timestamp) -> Option<String> {
    // A requeue knows better than an ExpiresAt that lay before it.
    let in_force = |at: &Timestamp| alert.requeued_at.is_none_or(|requeued| requeued < *at);
    if let Some(at) = alert.expires_at.filter(|at| *at <= now && in_force(at)) {
        return Some(format!("expired: ExpiresAt was {}", utc_text(at)));
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
