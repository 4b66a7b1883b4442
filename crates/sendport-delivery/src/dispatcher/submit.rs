//! Submits one message over the first available relay.

use std::borrow::Cow;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sendport_core::domain::{
    Alert, AttemptKey, Command, EnhancedStatusCode, Envelope, ForwardPath, Lease, LocalCause,
    Reply, SessionFacts, SubmissionEnd, SubmissionIntent, SubmissionReport, Timestamp,
};
use sendport_smime::SecuredMessage;
use sendport_smtp::relay::Relay;
use tracing::{Instrument, Span};

use super::gate::LeaseGate;
use super::{Dispatcher, ReadyMessage, digest};
use crate::audit::AuditError;
use crate::relays::domains::BlockedDomain;
use crate::relays::entry::{PROMPT, StartReservation, SubmitPermit, Unavailable};
use crate::relays::reports::NextStep;
use crate::send_port::SendPort;

/// How often in a row a relay may refuse for too much at a time before anything is begun.
const ASKED_AGAIN: u32 = 3;

/// The pause of a relay that does not reply, or refuses for a limit repeatedly.
const REST: Duration = Duration::from_secs(1);

/// The available relays do not offer SMTPUTF8; those that may offer it are unavailable.
const NO_SMTPUTF8: &str =
    "waits for a relay that may offer SMTPUTF8, which an address that is not ASCII needs";

/// The same of 8BITMIME.
const NO_8BITMIME: &str =
    "waits for a relay that may offer 8BITMIME, which bytes above 127 in the message need";

/// The same of a message that Microsoft Graph cannot take for these recipients.
const NOT_OVER_GRAPH: &str = "waits for a relay over SMTP: for Microsoft Graph the message is too large, or its header \
                              names others than the recipients that are due and is signed or not ours";

/// A message to submit.
pub(super) struct SubmitJob<'a> {
    pub(super) lease: &'a Lease<Alert>,
    pub(super) port: &'a SendPort,
    pub(super) envelope: &'a Envelope,
    /// It has the recipients of some domains alone.
    pub(super) is_part: bool,
    /// The envelope is that of a client whose message is passed on.
    pub(super) is_passed_on: bool,
    pub(super) composed: &'a ReadyMessage,
}

/// The result of a [`SubmitJob`].
pub(super) enum SubmitResult {
    /// A relay accepted or refused the transaction, or refused it for a limit.
    Transaction(Box<RelayAttempt>),
    /// No relay was available, or the service stops: due again after this, and the reason.
    Deferred(Duration, Option<String>),
    /// The domains of all recipients, or that of some, cannot be used now.
    Blocked(Vec<BlockedDomain>),
    /// The audit copy could not be kept; the reason in a sentence.
    AuditFailed(AuditError),
}

/// A transaction, or a refusal for a limit before one was begun.
pub(super) struct RelayAttempt {
    pub(super) key: AttemptKey,
    pub(super) relay: String,
    /// The forward-paths that were part of it.
    pub(super) carried: Vec<ForwardPath>,
    pub(super) report: SubmissionReport,
    /// What was submitted, if that is not the message of the job.
    pub(super) changed: Option<SecuredMessage>,
    /// Nothing was begun, because the database did not say whether the alert may be sent; why.
    pub(super) unknown: Option<Arc<str>>,
    /// If the relay refused for a limit, when it may be used again.
    pub(super) throttled_for: Option<Duration>,
    /// The recipients of other domains wait for a transaction of their own, at once.
    pub(super) of_one_domain: bool,
}

/// One transaction that is to be carried out.
#[derive(Clone, Copy)]
struct Transaction<'a> {
    job: &'a SubmitJob<'a>,
    carried: &'a Envelope,
    message: &'a SecuredMessage,
    /// Recipients of other domains wait for its end.
    others_wait: bool,
}

/// The result of a transaction.
struct Submitted {
    key: AttemptKey,
    report: SubmissionReport,
    /// See [`RelayAttempt::unknown`].
    unknown: Option<Arc<str>>,
}

/// The next step after one relay was asked.
enum Step {
    Done(SubmitResult),
    NextRelay,
    /// No mail host of these domains took a connection: the next relay gets their recipients alone.
    Unreached(Vec<BlockedDomain>),
    /// It refused before MAIL, for a limit.
    Limited(Box<RelayAttempt>),
    /// It cannot take this message, and another one may: the reason to wait for that one.
    NextForExtension(&'static str),
    SameRelay,
}

impl Dispatcher {
    /// The alert is `expected` until it begins.
    pub(super) async fn submit(
        &self,
        job: &SubmitJob<'_>,
        expected: StartReservation,
    ) -> SubmitResult {
        let mut expected = Some(expected);
        let (mut rest, mut why, mut passed_over) = (Duration::ZERO, None, false);
        let (mut limited, mut blocked, mut narrowed) = (None, None, None);
        let relays = digest::relay_order(&job.lease.value, &job.port.relays);
        let last = relays.len().saturating_sub(1);
        for (index, name) in relays.into_iter().enumerate() {
            let job = &SubmitJob {
                envelope: narrowed.as_ref().unwrap_or(job.envelope),
                is_part: narrowed.is_some(),
                ..*job
            };
            for asked in 1.. {
                let permit = tokio::select! {
                    biased;
                    () = self.parts.stop.cancelled() => return SubmitResult::Deferred(Duration::ZERO, None),
                    permit = self.parts.registry.acquire_for(name, index < last, job.envelope) => permit,
                };
                let step = match permit {
                    Ok(permit) => {
                        expected = None;
                        self.over(permit, job, index < last || passed_over).await
                    }
                    Err(Unavailable::Full(wait)) => {
                        return SubmitResult::Deferred(wait, Some(full(name)));
                    }
                    Err(Unavailable::Stalled) => {
                        rest = REST;
                        Step::NextRelay
                    }
                    Err(Unavailable::Unwell) => Step::NextRelay,
                    Err(Unavailable::Domains(domains)) => {
                        match unreached_paths(&domains).is_empty() {
                            true => return all_in_use(&domains),
                            false => Step::Unreached(domains),
                        }
                    }
                };
                match step {
                    Step::Done(submitted) => return submitted,
                    Step::NextRelay => {
                        passed_over = true;
                        break;
                    }
                    Step::Unreached(domains) => {
                        narrowed = Some(job.envelope.with_only(unreached_paths(&domains)));
                        (blocked, passed_over) = (Some(domains), true);
                        break;
                    }
                    Step::Limited(refusal) => {
                        (limited, passed_over) = (Some(refusal), true);
                        break;
                    }
                    Step::NextForExtension(reason) => {
                        (rest, why) = (job.port.retry.first_delay, Some(reason.to_owned()));
                        break;
                    }
                    Step::SameRelay if asked < ASKED_AGAIN => {}
                    Step::SameRelay => return SubmitResult::Deferred(REST, Some(full(name))),
                }
            }
        }
        drop(expected);
        match (limited, blocked) {
            (Some(limited), _) => SubmitResult::Transaction(limited),
            (None, Some(blocked)) => SubmitResult::Blocked(blocked),
            (None, None) => SubmitResult::Deferred(rest, why),
        }
    }

    /// Submits over one relay. `another`: there is a relay that was not asked.
    async fn over(&self, mut permit: SubmitPermit, job: &SubmitJob<'_>, another: bool) -> Step {
        let registry = &self.parts.registry;
        let domain = permit.only.take();
        let of_domain = domain
            .as_ref()
            .map(|it| job.envelope.with_only(it.paths.clone()));
        let envelope = of_domain.as_ref().unwrap_or(job.envelope);
        let carried = envelope.with_at_most(permit.entry.limiter().recipients_limit());
        let relay = &*permit.relay.clone();
        let name = relay.name();
        let transaction = Transaction {
            job,
            carried: &carried,
            message: &job.composed.message,
            others_wait: permit.entry.domain.is_some()
                && envelope.forward_paths.len() < job.envelope.forward_paths.len(),
        };
        let (submitted, changed) = match self.submit_over(&mut permit, transaction).await {
            Ok(submitted) => submitted,
            Err(why) => return Step::Done(SubmitResult::AuditFailed(why)),
        };
        let Submitted {
            key,
            report,
            unknown,
        } = submitted;
        let sent = changed.as_ref().unwrap_or(&job.composed.message);
        let bytes = sent.bytes().len();
        let after = registry.report(permit, job.lease.value.id, bytes, &report);
        let reported = |report: SubmissionReport, throttled_for| {
            Box::new(RelayAttempt {
                key,
                relay: name.to_owned(),
                // The server announced its maximum, and the session kept to it.
                carried: report
                    .facts
                    .limits
                    .offered(&carried)
                    .into_owned()
                    .forward_paths,
                report,
                changed,
                unknown,
                throttled_for,
                of_one_domain: domain.is_some() || job.is_part,
            })
        };
        match after {
            NextStep::Final(_) if another && report.wants_smtp_utf8() => {
                Step::NextForExtension(NO_SMTPUTF8)
            }
            NextStep::Final(_) if another && report.wants_8bitmime() => {
                Step::NextForExtension(NO_8BITMIME)
            }
            NextStep::Final(_) if another && report.wants_another_relay() => {
                Step::NextForExtension(NOT_OVER_GRAPH)
            }
            NextStep::Final(throttled_for) => {
                Step::Done(SubmitResult::Transaction(reported(report, throttled_for)))
            }
            NextStep::Limited(wait) => Step::Limited(reported(report, Some(wait))),
            NextStep::Unreached(wait) => unreached(domain, report.end, wait),
            // The relay that a domain is routed to is tried again with its next trial.
            NextStep::NextRelay => {
                let wait = registry.wait(&[name.to_owned()]).unwrap_or_default();
                unreached(domain, report.end, wait.max(REST))
            }
            NextStep::SameRelay => Step::SameRelay,
        }
    }

    /// The transaction with the message in the form that the relay takes; that form, if it is another one.
    async fn submit_over(
        &self,
        permit: &mut SubmitPermit,
        transaction: Transaction<'_>,
    ) -> Result<(Submitted, Option<SecuredMessage>), AuditError> {
        let relay = &*permit.relay.clone();
        let job = transaction.job;
        let by_header = job
            .composed
            .for_relay_by_header(relay, job, transaction.carried);
        if let Some((message, change)) = by_header {
            let fitted = Transaction {
                message: &message,
                ..transaction
            };
            let mut submitted = permit.carry_out(self.transact(relay, &fitted)).await?;
            change.note(&mut submitted.report);
            return Ok((submitted, Some(message)));
        }
        let submitted = permit.carry_out(self.transact(relay, &transaction));
        let mut submitted = submitted.await?;
        let changed = job
            .composed
            .for_relay_without_8bitmime(job.port, &mut submitted.report);
        if let Some(message) = &changed {
            let again = Transaction {
                message,
                ..transaction
            };
            submitted = permit.carry_out(self.transact(relay, &again)).await?;
        }
        Ok((submitted, changed))
    }

    /// One transaction, after its audit copies are kept. Its key is its own: a copy names its relay, and contains what
    /// was submitted to it.
    async fn transact(
        &self,
        relay: &dyn Relay,
        transaction: &Transaction<'_>,
    ) -> Result<Submitted, AuditError> {
        let &Transaction {
            job,
            carried,
            message,
            others_wait,
        } = transaction;
        let key = AttemptKey::fresh();
        let carried = &*self.with_return_path(job, (key, relay.name()), carried);
        let before = job.composed.bytes_before.as_deref();
        let copies = self.keep_copies(job.lease, (key, relay.name()), carried, (before, message));
        copies.await?;
        let gate = LeaseGate {
            submit_guard: &*self.parts.submit_guard,
            requests: &self.requests,
            alert: &job.lease.value,
            note: self.note(job, (key, relay.name()), message),
            unknown: OnceLock::new(),
            reached: AtomicBool::new(false),
        };
        let submission = relay.submit(carried, message, &gate);
        let report = tokio::select! {
            biased;
            report = submission.instrument(attempt_span(&gate.note)) => report,
            () = gate.unreached_after(PROMPT), if others_wait => {
                not_prompt(carried, gate.note.started_at, self.parts.clock.now())
            }
        };
        Ok(Submitted {
            key,
            report,
            unknown: gate.unknown.into_inner(),
        })
    }

    /// The envelope with a return path of this transaction, where the send port makes one.
    fn with_return_path<'e>(
        &self,
        job: &SubmitJob<'_>,
        (key, relay): (AttemptKey, &str),
        carried: &'e Envelope,
    ) -> Cow<'e, Envelope> {
        let tokens = job.port.return_path_tokens.as_ref();
        let Some(tokens) = tokens.filter(|_| !job.is_passed_on) else {
            return Cow::Borrowed(carried);
        };
        let transaction = (job.lease.value.id, key);
        match tokens.reverse_path(transaction, relay, self.parts.clock.now()) {
            Ok(Some(reverse_path)) => Cow::Owned(Envelope {
                reverse_path,
                ..carried.clone()
            }),
            Ok(None) => Cow::Borrowed(carried),
            Err(error) => {
                tracing::error!(%error, "return path has no token, reports of this message prove nothing");
                Cow::Borrowed(carried)
            }
        }
    }

    fn note(
        &self,
        job: &SubmitJob<'_>,
        (key, relay): (AttemptKey, &str),
        message: &SecuredMessage,
    ) -> SubmissionIntent {
        let lease = job.lease;
        SubmissionIntent {
            alert: lease.value.id,
            token: lease.token,
            send_port: lease.value.send_port.clone(),
            key,
            number: lease.value.attempt_count + 1,
            relay: relay.to_owned(),
            started_at: self.parts.clock.now(),
            message_id: message.message_id().to_owned(),
            size_bytes: message.bytes().len() as u64,
            protection: message.protection().to_owned(),
            protected: Box::new(message.protected().clone()),
            template_version: job.composed.template_version.clone(),
            redirect_to: lease
                .value
                .redirect
                .as_ref()
                .map(|it| it.to.text().to_owned()),
            facts: Box::default(),
            replies: Vec::new(),
        }
    }
}

/// The span of a transaction, beside that of the alert.
fn attempt_span(note: &SubmissionIntent) -> Span {
    tracing::error_span!(
        "attempt",
        relay = note.relay,
        attempt = note.number,
        message_id = note.message_id
    )
}

/// The mail hosts of a domain let the recipients of other domains wait too long.
fn not_prompt(carried: &Envelope, started_at: Timestamp, ended_at: Timestamp) -> SubmissionReport {
    let domain = carried.forward_paths.first();
    let what = format!(
        "no mail host of {} took the session within {} s; the other recipients of the alert are tried first",
        domain.map_or("the domain", |path| path.address.domain()),
        PROMPT.as_secs()
    );
    let status = EnhancedStatusCode::new(4, 4, 1);
    let reply = Reply::local(Command::Connect, 451, status, what);
    SubmissionReport {
        started_at,
        ended_at,
        facts: SessionFacts::default(),
        replies: Vec::new(),
        end: SubmissionEnd::NotBegun {
            reply: reply.because(LocalCause::MailHostsUnreachable),
            fault: None,
        },
    }
}

/// The domain whose hosts took no connection; without one, the next relay may take the message.
fn unreached(domain: Option<BlockedDomain>, end: SubmissionEnd, wait: Duration) -> Step {
    match (domain, end) {
        (Some(domain), SubmissionEnd::NotBegun { reply, .. }) => {
            Step::Unreached(vec![BlockedDomain {
                reply: Some(reply),
                wait,
                ..domain
            }])
        }
        _ => Step::NextRelay,
    }
}

/// The recipients of those that cannot be reached. One that works is waited for, and does not go to the next
/// relay.
fn unreached_paths(domains: &[BlockedDomain]) -> Vec<ForwardPath> {
    let down = domains.iter().filter(|domain| domain.reply.is_some());
    down.flat_map(|domain| domain.paths.clone()).collect()
}

/// Nothing is wrong with any of the domains.
fn all_in_use(domains: &[BlockedDomain]) -> SubmitResult {
    let soonest = domains.iter().min_by_key(|domain| domain.wait);
    let why = soonest.map(|it| format!("{} for {}", full(&it.relay), it.domain));
    SubmitResult::Deferred(soonest.map_or(REST, |it| it.wait), why)
}

fn full(relay: &str) -> String {
    format!("waits for the limits of relay {relay}")
}
