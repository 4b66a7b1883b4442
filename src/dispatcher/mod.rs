//! One leased alert: render → build → secure → submit → outcome.
//!
//! In comes a `Lease<Alert>`, out goes an [`Outcome`]; nothing in here touches the database.
//! Every failure is a decision about recipients, never an error of the service.

mod board;
mod copies;
mod reach;
mod receipt;
mod roll;
mod window;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use board::RelayBoard;
use roll::{Roll, Rules};

use crate::audit::Auditor;
use crate::clock::Clock;
use crate::digest;
use crate::domain::{
    Alert, AttemptKey, Decision, DotNote, Envelope, Lease, Outcome, OutcomeKind, SecuredMessage,
    SubmissionEnd, SubmissionReport,
};
use crate::mime;
use crate::relay::FinalDotGate;
use crate::replies::ReplyTable;
use crate::send_port::{Refusal, SendPort};
use crate::smime;
use crate::template::TemplateSet;

/// What a dispatcher is made of.
pub struct Parts {
    /// By name.
    pub send_ports: BTreeMap<String, SendPort>,
    /// All relays with their circuits.
    pub board: Arc<RelayBoard>,
    /// Who keeps copies, by the name of the send port; most have none.
    pub auditors: BTreeMap<String, Auditor>,
    /// The templates.
    pub templates: Arc<TemplateSet>,
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

/// Asked right before each final dot.
pub trait Journal: Send + Sync {
    /// Notes the attempt. False: the lease is not certain, or the note could not be written;
    /// the dot must not be sent.
    fn before_final_dot(&self, note: &DotNote) -> bool;
}

/// The journal and the note of one submission.
struct Gate<'a> {
    journal: &'a dyn Journal,
    note: DotNote,
}

impl FinalDotGate for Gate<'_> {
    fn may_send_final_dot(&self) -> bool {
        self.journal.before_final_dot(&self.note)
    }
}

/// Works on leased alerts, any number of them at the same time.
pub struct Dispatcher {
    parts: Parts,
}

/// A message that is ready, and the version of the template that it was made from.
struct Composed {
    message: SecuredMessage,
    /// Before protection, where an audit wants them.
    octets_before: Option<Vec<u8>>,
    template_version: Option<String>,
}

/// The transaction that a relay took up.
struct Begun {
    key: AttemptKey,
    relay: String,
    /// So many of the forward-paths were part of it.
    carried: usize,
    report: SubmissionReport,
}

/// `None` where no relay could be asked, or the service stops; an error where the audit copy
/// could not be kept, with the reason in a sentence.
type Submitted = Result<Option<Begun>, String>;

impl Dispatcher {
    /// A dispatcher.
    pub fn new(parts: Parts) -> Self {
        Self { parts }
    }

    /// Works on one alert until something is decided. Bounded by the relay's time-outs.
    pub async fn dispatch(&self, lease: Lease<Alert>) -> Outcome {
        let alert = &lease.value;
        let kind = match self.parts.send_ports.get(&alert.send_port) {
            Some(port) => self.work(&lease, port).await,
            None => released(),
        };
        Outcome {
            alert: alert.id,
            token: lease.token,
            kind,
        }
    }

    async fn work(&self, lease: &Lease<Alert>, port: &SendPort) -> OutcomeKind {
        let alert = &lease.value;
        let now = self.parts.clock.now();
        let rules = Rules {
            port,
            replies: &self.parts.replies,
            age: (now - alert.created_at).to_std().unwrap_or_default(),
            chance: (self.parts.chance)(),
        };
        let mut roll = Roll::call(alert, &rules);
        if let Some(why) = expiry(alert, &rules, now) {
            roll.expire(&why);
            return decided(roll.into_decision(None, port.in_doubt, None));
        }
        if let Some(waiting) = window::wait_for(alert, port, now) {
            return waiting;
        }
        let composed = match attempts_left(alert, port).and_then(|()| self.compose(alert, port)) {
            Ok(composed) => composed,
            Err(refusal) => {
                roll.refuse(&refusal);
                return decided(roll.into_decision(None, port.in_doubt, None));
            }
        };
        let version = composed.template_version.clone();
        let envelope = Envelope {
            reverse_path: port.return_path.clone(),
            forward_paths: roll.forward_paths(),
            dsn: receipt::request(alert, port),
        };
        if envelope.forward_paths.is_empty() {
            return decided(roll.into_decision(None, port.in_doubt, version));
        }
        match self.submit(lease, port, &envelope, &composed).await {
            Ok(Some(begun)) if begun.report.end == SubmissionEnd::Fenced => released(),
            Ok(Some(begun)) => {
                let Begun {
                    key, relay, report, ..
                } = begun;
                let carried = &envelope.forward_paths[..begun.carried];
                roll.apply(&relay, carried, &report, &rules);
                roll.remark(receipt::remark(alert, port, &report.facts));
                let attempt = roll.attempt(key, &relay, report, &composed.message);
                let mut decision = roll.into_decision(Some(attempt), port.in_doubt, version);
                window::fit(&mut decision, alert, port, self.parts.clock.now());
                decided(decision)
            }
            Ok(None) => released(),
            Err(why) => copies::wait_for_audit(port, &why),
        }
    }

    fn compose(&self, alert: &Alert, port: &SendPort) -> Result<Composed, Refusal> {
        port.check_principal(alert)?;
        let from = port.decide_from(alert)?;
        let protection = port.decide_protection(alert)?;
        let rendered = self
            .parts
            .templates
            .render(alert)
            .map_err(|error| Refusal::new(error.explanation(), error.to_string()))?;
        let settings = mime::MessageSettings {
            from,
            message_id_domain: port.message_id_domain.clone(),
            headers: port.headers.clone(),
        };
        let message = mime::build_message(&rendered, &settings)
            .map_err(|error| Refusal::new(error.explanation(), error.to_string()))?;
        let octets_before = self.octets_before(&message, port);
        let message = smime::secure(message, protection)
            .map_err(|error| Refusal::new("protection-not-available", error.to_string()))?;
        Ok(Composed {
            message,
            octets_before,
            template_version: rendered.template_version,
        })
    }

    /// `None` where no relay can be asked, or the service stops.
    async fn submit(
        &self,
        lease: &Lease<Alert>,
        port: &SendPort,
        envelope: &Envelope,
        composed: &Composed,
    ) -> Submitted {
        for name in digest::relay_order(&lease.value, &port.relays) {
            let turn = tokio::select! {
                biased;
                () = self.parts.stop.cancelled() => return Ok(None),
                turn = self.parts.board.take_turn(name) => turn,
            };
            let Some(turn) = turn else { continue };
            // A key for each relay: a copy names the one that it was kept for.
            let key = AttemptKey::random();
            let carried = envelope.with_at_most(self.parts.board.recipients_limit(name));
            self.keep_copies(lease, key, name, &carried, composed)
                .await?;
            let message = &composed.message;
            let gate = Gate {
                journal: &*self.parts.journal,
                note: self.note(lease, key, name, message),
            };
            let report = turn.relay.submit(&carried, message, &gate).await;
            self.parts.board.report(turn, lease.value.id, &report);
            if !matches!(report.end, SubmissionEnd::NotBegun { .. }) {
                return Ok(Some(Begun {
                    key,
                    relay: name.to_owned(),
                    carried: carried.forward_paths.len(),
                    report,
                }));
            }
        }
        Ok(None)
    }
}

impl Dispatcher {
    fn note(
        &self,
        lease: &Lease<Alert>,
        key: AttemptKey,
        relay: &str,
        message: &SecuredMessage,
    ) -> DotNote {
        DotNote {
            alert: lease.value.id,
            token: lease.token,
            send_port: lease.value.send_port.clone(),
            key,
            number: lease.value.attempt_count + 1,
            relay: relay.to_owned(),
            started_at: self.parts.clock.now(),
            message_id: message.message_id().to_owned(),
            size_octets: message.octets().len() as u64,
            protection: message.protection().to_owned(),
        }
    }
}

fn decided(decision: Decision) -> OutcomeKind {
    OutcomeKind::Decided(Box::new(decision))
}

/// Due again at once: a send port that cannot send now is not asked for work, and another
/// instance may be able to.
fn released() -> OutcomeKind {
    OutcomeKind::Released {
        retry_in: Duration::ZERO,
        reason: None,
    }
}

/// A take-over spends an attempt of the alert too: one that kills whoever works on it ends
/// here. Transactions for some of the recipients are not held against the others.
fn attempts_left(alert: &Alert, port: &SendPort) -> Result<(), Refusal> {
    let tries = || alert.recipients.iter().map(|r| r.attempt_count);
    let of_others = tries().sum::<u32>() - tries().max().unwrap_or_default();
    if alert.attempt_count < port.retry.attempts.saturating_add(of_others) {
        return Ok(());
    }
    Err(Refusal::new(
        "attempts-spent",
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
