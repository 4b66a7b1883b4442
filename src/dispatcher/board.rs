//! The relays of this instance with their circuits: who can be asked now.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::clock::Clock;
use crate::domain::{
    AlertId, Command, Fault, RelayCondition, RelayState, Reply, SubmissionEnd, SubmissionReport,
};
use crate::relay::Relay;
use crate::relay::circuit::{Begun, Circuit, Moment};
use crate::replies::ReplyTable;
use crate::store::{Event, EventSeverity};

/// One relay, its circuit, and as many seats as it has connections.
struct Seat {
    relay: Arc<dyn Relay>,
    circuit: Mutex<Circuit>,
    connections: Arc<Semaphore>,
}

impl Seat {
    fn circuit(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A relay that may be asked now. Give it back with [`RelayBoard::report`]; dropped without
/// a report, its trial is given back.
pub(super) struct Turn<'a> {
    seat: &'a Seat,
    pub(super) relay: &'a Arc<dyn Relay>,
    /// It holds the single trial of its circuit, until it is reported.
    trial: bool,
    _connection: OwnedSemaphorePermit,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.trial {
            self.seat.circuit().abandoned();
        }
    }
}

/// All relays of this instance.
pub struct RelayBoard {
    seats: BTreeMap<String, Seat>,
    replies: Arc<ReplyTable>,
    clock: Arc<dyn Clock>,
    events: mpsc::UnboundedSender<Event>,
}

impl RelayBoard {
    /// A board of relays. What changes their circuits goes to `events`.
    pub fn new(
        relays: Vec<Arc<dyn Relay>>,
        replies: Arc<ReplyTable>,
        clock: Arc<dyn Clock>,
        events: mpsc::UnboundedSender<Event>,
    ) -> Self {
        let now = clock.now();
        let seat = |relay: Arc<dyn Relay>| {
            let connections = relay.limiter().connections() as usize;
            let seat = Seat {
                circuit: Mutex::new(Circuit::new(now)),
                connections: Arc::new(Semaphore::new(connections)),
                relay,
            };
            (seat.relay.name().to_owned(), seat)
        };
        Self {
            seats: relays.into_iter().map(seat).collect(),
            replies,
            clock,
            events,
        }
    }

    /// Most recipients of one mail transaction over a relay; `None`: any number.
    pub fn recipients_limit(&self, relay: &str) -> Option<usize> {
        self.seats.get(relay)?.relay.limiter().recipients_limit()
    }

    /// How many alerts may be begun now over any of `relays`: `None` is any number.
    pub fn allowance(&self, relays: &[String]) -> Option<u32> {
        let now = Instant::now();
        let allowances = relays.iter().filter_map(|name| self.seats.get(name));
        allowances
            .map(|seat| seat.circuit().allowance(now))
            .try_fold(0_u32, |sum, one| Some(sum.saturating_add(one?)))
    }

    /// How long until one of `relays` may be tried again.
    pub fn wait(&self, relays: &[String]) -> Option<Duration> {
        let now = Instant::now();
        let waits = relays.iter().filter_map(|name| self.seats.get(name));
        waits.filter_map(|seat| seat.circuit().wait(now)).min()
    }

    /// Takes a turn at a relay: waits for one of its connections, then asks its circuit.
    /// `None`: it may not be asked now.
    pub(super) async fn take_turn(&self, name: &str) -> Option<Turn<'_>> {
        let seat = self.seats.get(name)?;
        if seat.circuit().allowance(Instant::now()) == Some(0) {
            return None;
        }
        let connection = seat.connections.clone().acquire_owned().await.ok()?;
        // The guard has to be gone before a turn is made: dropping a turn locks the circuit.
        let begun = seat.circuit().try_begin(Instant::now());
        begun.map(|kind| Turn {
            relay: &seat.relay,
            seat,
            trial: kind == Begun::Trial,
            _connection: connection,
        })
    }

    /// Tells the circuit what came of a turn.
    pub(super) fn report(&self, mut turn: Turn<'_>, alert: AlertId, report: &SubmissionReport) {
        let trial = std::mem::take(&mut turn.trial);
        let now = Moment {
            instant: Instant::now(),
            utc: self.clock.now(),
        };
        let mut circuit = turn.seat.circuit();
        let news = match self.verdict(report) {
            Verdict::Well => circuit.succeeded(now, trial).then(in_use_again),
            Verdict::Declined(reply) => {
                let explanation = self.key(reply);
                let led_to = circuit.declined(now, trial, alert, reply.to_string(), explanation);
                led_to.map(|condition| match condition {
                    RelayCondition::Paused => paused(reply),
                    _ => in_use_again(),
                })
            }
            Verdict::Fault(Fault::Configuration, reply) => {
                let explanation = self.key(reply);
                circuit
                    .refused(now, reply.to_string(), explanation)
                    .then(|| paused(reply))
            }
            Verdict::Fault(_, reply) => {
                let explanation = self.key(reply);
                circuit
                    .failed(now, trial, reply.to_string(), explanation)
                    .then(|| {
                        (
                            EventSeverity::Warning,
                            "relay-opened",
                            format!("cannot be used now: {reply}"),
                        )
                    })
            }
            Verdict::Broke(reply) => {
                let explanation = self.key(reply);
                circuit
                    .broke(now, trial, alert, reply.to_string(), explanation)
                    .then(|| {
                        (
                            EventSeverity::Warning,
                            "relay-opened",
                            format!("broke three alerts in a row: {reply}"),
                        )
                    })
            }
            Verdict::Nothing => {
                if trial {
                    circuit.abandoned();
                }
                None
            }
        };
        drop(circuit);
        if let Some((severity, event_type, what)) = news {
            self.announce(severity, event_type, turn.relay.name(), &what);
        }
    }

    fn announce(&self, severity: EventSeverity, event_type: &'static str, relay: &str, what: &str) {
        match severity {
            EventSeverity::Information => tracing::info!(relay, what, "relay changed"),
            EventSeverity::Warning => tracing::warn!(relay, what, "relay changed"),
            EventSeverity::Error => tracing::error!(relay, what, "relay changed"),
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
        // Only fails when the driver that writes events is gone, and then nobody asks.
        let _ = self.events.send(event);
    }

    fn key(&self, reply: &Reply) -> Option<String> {
        self.replies.explain(reply).map(|entry| entry.key.clone())
    }

    fn verdict<'r>(&self, report: &'r SubmissionReport) -> Verdict<'r> {
        match &report.end {
            SubmissionEnd::NotBegun { reply, fault } => {
                let fault = fault.unwrap_or_else(|| self.replies.fault(reply));
                Verdict::Fault(fault, reply)
            }
            SubmissionEnd::Answered if !was_asked(report) => Verdict::Nothing,
            SubmissionEnd::Answered => match self.configuration_fault(report) {
                Some(reply) => Verdict::Declined(reply),
                None => goodbye(report).map_or(Verdict::Well, Verdict::Broke),
            },
            SubmissionEnd::Broken | SubmissionEnd::InDoubt => match report.replies.last() {
                Some(last) => Verdict::Broke(&last.reply),
                None => Verdict::Nothing,
            },
            SubmissionEnd::Fenced => Verdict::Nothing,
        }
    }

    /// A refusal that the table calls configuration: of MAIL or the content, or of every RCPT.
    fn configuration_fault<'r>(&self, report: &'r SubmissionReport) -> Option<&'r Reply> {
        let is_configuration = |reply: &Reply| {
            !reply.is_success() && self.replies.fault(reply) == Fault::Configuration
        };
        let whole = [Command::Mail, Command::Data, Command::EndOfData];
        let refused = whole
            .into_iter()
            .filter_map(|command| report.reply_to(command));
        if let Some(reply) = refused.into_iter().find(|reply| is_configuration(reply)) {
            return Some(reply);
        }
        let mut of_recipients = report
            .replies
            .iter()
            .filter(|r| r.ordinal.is_some())
            .map(|r| &r.reply);
        let first = of_recipients.next()?;
        (is_configuration(first) && of_recipients.all(is_configuration)).then_some(first)
    }

    /// What `RelayState` shows.
    pub fn states(&self) -> Vec<RelayState> {
        let state = |(name, seat): (&String, &Seat)| {
            let circuit = seat.circuit();
            RelayState {
                relay: name.clone(),
                condition: circuit.condition(),
                since: circuit.since(),
                retry_at: circuit.retry_at(),
                reply: circuit.reply().map(str::to_owned),
                explanation: circuit.explanation().map(str::to_owned),
                connections: None,
                message_rate: None,
                slowed_by: None,
            }
        };
        self.seats.iter().map(state).collect()
    }

    /// Whether any relay is not in use: its state should be shown soon.
    pub fn is_troubled(&self) -> bool {
        self.seats
            .values()
            .any(|seat| seat.circuit().condition() != RelayCondition::Closed)
    }

    /// Says goodbye to every relay.
    pub async fn close(&self) {
        for seat in self.seats.values() {
            seat.relay.close().await;
        }
    }
}

/// What a report says about the relay's health.
enum Verdict<'r> {
    Well,
    Fault(Fault, &'r Reply),
    /// It answered, and what it said of this alert is the configuration's fault.
    Declined(&'r Reply),
    Broke(&'r Reply),
    Nothing,
}

/// False where the message or all its recipients were refused here, without a connection.
fn was_asked(report: &SubmissionReport) -> bool {
    report.facts.remote_address.is_some() || report.is_accepted()
}

/// 421 ends the connection wherever it comes (RFC 5321 section 3.8), after the final dot too.
fn goodbye(report: &SubmissionReport) -> Option<&Reply> {
    let last = report.replies.last().map(|last| &last.reply);
    last.filter(|reply| reply.code == 421)
}

/// How grave a change of a circuit is, its type and its words.
type News = (EventSeverity, &'static str, String);

fn in_use_again() -> News {
    let what = "is in use again".to_owned();
    (EventSeverity::Information, "relay-closed", what)
}

fn paused(reply: &Reply) -> News {
    let what = format!("is paused, a person has to mend it: {reply}");
    (EventSeverity::Error, "relay-paused", what)
}

#[cfg(test)]
#[path = "board_tests.rs"]
mod tests;
