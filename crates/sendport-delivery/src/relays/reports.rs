//! Reports of submissions: their effect on the circuit and the limits of the relay, and the next step
//! for the alert.

use std::sync::atomic::Ordering;
use std::time::Duration;

use sendport_core::domain::{
    AUTH_COOLDOWN, AlertId, Fault, Limit, LocalCause, RelayCondition, Reply, SubmissionEnd,
    SubmissionReport,
};
use sendport_smtp::relay::limits::{SubmissionPermit, Usage};
use sendport_smtp::relay::observer::RelayActivity;
use sendport_store::{Event, EventSeverity};
use tokio::time::Instant;

use super::circuit::{Circuit, RelayFault};
use super::entry::{RelayEntry, SubmitPermit};
use super::events::{
    RelayEvent, in_use_again, opened, paused, throttled, throttled_to, unthrottled,
};
use super::registry::RelayRegistry;
use super::verdict::{Verdict, limit_refusal, submission_class, submitted, verdict};

/// The alert that met the limit of a throttled relay waits so much longer than until the next
/// probe, which is another alert's where there is one.
const AFTER_OTHERS: Duration = Duration::from_secs(1);

/// The next step after a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextStep {
    /// The report is final; where the relay was asked for too much, the next attempt may be made
    /// so soon.
    Final(Option<Duration>),
    /// No transaction was begun: try the next relay.
    NextRelay,
    /// No transaction was begun with the hosts of a domain: try the next relay, or this domain after the
    /// time.
    Unreached(Duration),
    /// No transaction was begun, because of a limit: try the next relay, or this one after the time.
    Limited(Duration),
    /// No transaction was begun, because too many were under way: try the same relay again.
    SameRelay,
}

impl RelayRegistry {
    /// Reports the result of a submission to circuit and limits, and returns the next step.
    pub(crate) fn report(
        &self,
        mut permit: SubmitPermit,
        alert: AlertId,
        bytes: usize,
        report: &SubmissionReport,
    ) -> NextStep {
        let trial = std::mem::take(&mut permit.trial);
        let entry = &*permit.entry.clone();
        *entry.sign_of_life() = Instant::now();
        if entry.domain.is_some()
            && let Some(whole) = self.entries.get(entry.relay.name())
        {
            *whole.sign_of_life() = Instant::now();
        }
        let submission = permit.submission.take();
        if is_host_limit(report) {
            if trial {
                entry.circuit().abandoned();
            }
            return NextStep::SameRelay;
        }
        self.observe_submission(entry, report, bytes);
        end(permit.whole.take(), submitted(&self.replies, report, None));
        if let Some(domain) = &entry.domain {
            domain.note(report);
        }
        let not_begun = matches!(report.end, SubmissionEnd::NotBegun { .. });
        let Some((limit, reply)) = limit_refusal(&self.replies, report) else {
            entry.limited().forget(alert);
            self.report_to_circuit(entry, (trial, false), alert, report);
            if not_begun {
                let now = self.ticks.now();
                let turn = |domain| NextStep::Unreached(entry.turn_after_failure(domain, now));
                return entry.domain.as_ref().map_or(NextStep::NextRelay, turn);
            }
            end(submission, submitted(&self.replies, report, None));
            return NextStep::Final(None);
        };
        if let Some(wait) = entry.relay.retry_after_remaining() {
            self.leave_alone(entry, trial, wait, reply);
            end(submission, submitted(&self.replies, report, None));
            let wait = wait + AFTER_OTHERS;
            return match not_begun {
                true => NextStep::Limited(wait),
                false => NextStep::Final(Some(wait)),
            };
        }
        let others_work = !trial && others_work(entry, not_begun, limit);
        let refusal = reply.to_string();
        let learns = Some((limit, &*refusal));
        if not_begun && others_work {
            // The relay refused before MAIL because of the others: it works.
            self.report_to_limits(entry, submission, submitted(&self.replies, report, learns));
            return NextStep::SameRelay;
        }
        let noted = entry.limited().refused(self.ticks.now(), alert);
        self.report_to_circuit(entry, (trial, others_work), alert, report);
        let learns = learns.filter(|_| noted.is_general && !trial && !not_begun);
        self.report_to_limits(entry, submission, submitted(&self.replies, report, learns));
        let wait = noted.wait.max(self.wait_for_limits(entry));
        match not_begun {
            true if entry.domain.is_some() => NextStep::Unreached(wait),
            true => NextStep::Limited(wait),
            false => NextStep::Final(Some(wait)),
        }
    }

    /// The relay said how long it wants to be left alone.
    fn leave_alone(&self, entry: &RelayEntry, trial: bool, wait: Duration, reply: &Reply) {
        let fault = RelayFault {
            at: self.moment(),
            trial,
            reply: reply.to_string(),
            explanation: self.key(reply),
        };
        let is_news = {
            let mut circuit = entry.circuit();
            let is_news = circuit.asked_to_wait(wait, fault);
            entry.report_condition(circuit.condition());
            is_news
        };
        if is_news {
            let (severity, event_type, what) = throttled(&reply.to_string());
            self.announce(severity, event_type, entry, &what);
        }
    }

    /// Reports a message that was refused for a limit to the limits.
    fn report_to_limits(
        &self,
        entry: &RelayEntry,
        submission: Option<SubmissionPermit>,
        submitted: Usage<'_>,
    ) {
        end(submission, submitted);
        entry.relay.shed();
        self.report_throttling(entry);
    }

    /// How long an alert that was refused for a limit waits because of the relay.
    fn wait_for_limits(&self, entry: &RelayEntry) -> Duration {
        let circuit = entry.circuit();
        if circuit.throttle_reason().is_none() {
            drop(circuit);
            return entry.limiter().wait();
        }
        let until_probe = circuit.wait(self.ticks.now()).unwrap_or_default();
        until_probe + AFTER_OTHERS
    }

    fn observe_submission(&self, entry: &RelayEntry, report: &SubmissionReport, bytes: usize) {
        let Some((class, reply)) = submission_class(report) else {
            return;
        };
        let named = match &report.end {
            SubmissionEnd::NotBegun { fault, .. } => *fault,
            _ => None,
        };
        let fault = reply.map(|reply| named.unwrap_or_else(|| self.replies.fault(reply)));
        entry.watch.record(RelayActivity::Submission {
            class,
            fault,
            bytes,
        });
    }

    /// Reports once that a relay is throttled, and once that it no longer is.
    pub(super) fn report_throttling(&self, entry: &RelayEntry) {
        let by = entry.limiter().shown();
        if entry
            .throttled
            .swap(by.throttle_reason.is_some(), Ordering::Relaxed)
            == by.throttle_reason.is_some()
        {
            return;
        }
        if entry.domain.is_none() {
            let throttled = by.throttle_reason.is_some();
            entry.watch.record(RelayActivity::Throttled(throttled));
        }
        let (severity, event_type, what) = match by.throttle_reason {
            None => unthrottled(),
            Some(reply) => throttled_to(&reply, by.connections, by.message_rate.as_deref()),
        };
        self.announce(severity, event_type, entry, &what);
    }

    /// `others_work`: the relay refused for a limit while other messages of this instance were under way.
    fn report_to_circuit(
        &self,
        entry: &RelayEntry,
        (trial, others_work): (bool, bool),
        alert: AlertId,
        report: &SubmissionReport,
    ) {
        let news = {
            let mut circuit = entry.circuit();
            let pause = entry
                .relay
                .cooldown_remaining()
                .map_or(AUTH_COOLDOWN, |rest| rest.min(AUTH_COOLDOWN));
            let verdict = verdict(&self.replies, report, others_work);
            let news = self.judge((&mut circuit, pause), trial, alert, verdict);
            if let Some(rest) = entry.relay.token_cooldown_remaining() {
                circuit.waits_at_least(self.moment(), rest);
            }
            entry.report_condition(circuit.condition());
            news
        };
        if let Some((severity, event_type, what)) = news {
            self.announce(severity, event_type, entry, &what);
        }
    }

    fn judge(
        &self,
        (circuit, pause): (&mut Circuit, Duration),
        trial: bool,
        alert: AlertId,
        verdict: Verdict<'_>,
    ) -> Option<RelayEvent> {
        let now = self.moment();
        let fault = |reply: &Reply| RelayFault {
            at: now,
            trial,
            reply: reply.to_string(),
            explanation: self.key(reply),
        };
        match verdict {
            Verdict::Well => circuit.succeeded(now, trial).then(in_use_again),
            Verdict::Declined(reply) => {
                let led_to = circuit.declined(alert, fault(reply));
                led_to.map(|condition| match condition {
                    RelayCondition::Paused => paused(reply, self.replies.explain(reply)),
                    _ => in_use_again(),
                })
            }
            Verdict::Fault(Fault::Configuration, reply) => {
                let news = circuit.refused(pause, fault(reply));
                news.then(|| paused(reply, self.replies.explain(reply)))
            }
            Verdict::Fault(_, reply) => {
                let news = circuit.failed(fault(reply));
                news.then(|| opened(format!("cannot be used now: {reply}")))
            }
            Verdict::Broke(reply) => {
                let news = circuit.broke(alert, fault(reply));
                news.then(|| opened(format!("broke three alerts in a row: {reply}")))
            }
            Verdict::Limited(reply) => {
                let news = circuit.limited(alert, fault(reply));
                news.then(|| throttled(&reply.to_string()))
            }
            Verdict::Nothing => {
                if trial {
                    circuit.abandoned();
                }
                None
            }
        }
    }

    fn announce(
        &self,
        severity: EventSeverity,
        event_type: &'static str,
        entry: &RelayEntry,
        what: &str,
    ) {
        let relay = entry.relay.name();
        // Strangers make as many of these as they like: no row for each, and no work for an operator.
        if let Some(domain) = &entry.domain {
            let domain = &domain.name;
            tracing::info!(relay, domain, what, "domain state changed");
            return;
        }
        match severity {
            EventSeverity::Information => tracing::info!(relay, what, "relay state changed"),
            EventSeverity::Warning => tracing::warn!(relay, what, "relay state changed"),
            EventSeverity::Error => tracing::error!(relay, what, "relay state changed"),
        }
        let event = Event {
            severity,
            event_type,
            instance: None,
            alert: None,
            send_port: None,
            relay: Some(relay.to_owned()),
            message: format!("relay {relay} {what}"),
        };
        // Fails only once the worker that writes events has ended.
        let _ = self.events.send(event);
    }

    fn key(&self, reply: &Reply) -> Option<String> {
        self.replies.explain(reply).map(|entry| entry.key.clone())
    }
}

fn end(submission: Option<SubmissionPermit>, submitted: Usage<'_>) {
    if let Some(submission) = submission {
        submission.end(submitted);
    }
}

/// Our own limit of a mail host kept the message back: that says nothing about its domain.
fn is_host_limit(report: &SubmissionReport) -> bool {
    let SubmissionEnd::NotBegun { reply, .. } = &report.end else {
        return false;
    };
    reply.local == Some(LocalCause::HostLimit)
}

/// A refusal for `limit` while other messages of this instance are under way.
fn others_work(entry: &RelayEntry, before_mail: bool, limit: Limit) -> bool {
    match limit {
        Limit::Connections => entry.limiter().others_work(before_mail),
        _ => entry.limiter().took_some_lately(),
    }
}
