//! One session with an SMTP server, shown and explained while it runs: a replacement for telnet.
//!
//! Takes an [`SmtpRelay`], as the service would use it, and a [`Plan`]; gives events while the session
//! runs and a [`Report`] at the end. The session is that of [`sendport_smtp`], observed by a
//! [`Recorder`]; the table of replies explains refusals.

mod dialogue_log;
mod event;
mod extensions;
mod message;
mod phase;
mod recorder;
mod warnings;

use serde::Serialize;

pub use dialogue_log::dialogue_lines;
pub use event::{Certificate, Event, EventKind, Explanation, Refusal, ReplyLine, Warning};
pub use phase::Phase;
pub use recorder::{Listener, Recorder};
pub use warnings::{SLOW, SOON_DAYS};

use sendport_core::domain::{
    Address, Command, DsnRequest, DsnReturn, Envelope, ForwardPath, Notify, Reply, ReversePath,
    SessionFacts, SubmissionEnd, SubmissionReport, Timestamp,
};
use sendport_smime::SmimeError;
use sendport_smtp::SmtpRelay;
use sendport_smtp::relay::{Relay, SessionError};
use sendport_smtp::settings::relay::SmtpRelay as SmtpConfig;

/// The last step, and its data.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The last step; [`Phase::Content`] submits a message.
    pub until: Phase,
    /// Reverse-path, and From of the message.
    pub from: ReversePath,
    /// Forward-paths.
    pub to: Vec<Address>,
    /// `NOTIFY`, where the server offers DSN.
    pub notify: Option<Notify>,
    /// Least size of the message in bytes, as in `SIZE`.
    pub size: usize,
    /// The part after the `@` of the Message-ID.
    pub host: String,
    /// The certificate is verified.
    pub checks_certificate: bool,
}

impl Plan {
    /// For a session of this section without a mail transaction.
    pub fn up_to_authentication(section: &SmtpConfig) -> Self {
        Self {
            until: Phase::Auth,
            from: ReversePath(None),
            to: Vec::new(),
            notify: None,
            size: 0,
            host: String::new(),
            checks_certificate: checks_certificate(section),
        }
    }
}

/// With its chain, or with a pin.
fn checks_certificate(section: &SmtpConfig) -> bool {
    section.checks_chain() || !section.pin_sha256.is_empty()
}

/// The result of a session.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The first step that failed.
    pub failed: Option<Phase>,
    /// What is known about the server.
    pub server: Server,
    /// The extensions that it offered last, with their meaning.
    pub extensions: Vec<ReplyLine>,
    /// Its certificates, its own first.
    pub certificates: Vec<Certificate>,
    /// Recipients that it accepted.
    pub accepted: Vec<String>,
    /// It accepted the message.
    pub sent: bool,
    /// Of the message that it accepted, or may have accepted: look for it in the server's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// Every refusal with its explanation.
    pub refusals: Vec<Refusal>,
    /// What is unsafe, or will be.
    pub warnings: Vec<Warning>,
    /// All events in order.
    pub events: Vec<Event>,
}

impl Report {
    /// The whole message was sent, and whether it was accepted is unknown.
    pub fn in_doubt(&self) -> bool {
        !self.sent && self.message_id.is_some()
    }
}

/// Facts of the session.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Server {
    /// The name in its greeting.
    pub name: Option<String>,
    /// `address:port`.
    pub address: Option<String>,
    /// With TLS.
    pub tls_version: Option<String>,
    /// With TLS.
    pub tls_cipher: Option<String>,
    /// After an authentication.
    pub auth_mechanism: Option<String>,
}

/// Carries the plan out over `relay`, which `recorder` already observes.
///
/// # Errors
/// [`SmimeError`] where the message could not be made.
pub async fn run(
    relay: &SmtpRelay,
    recorder: &Recorder,
    plan: &Plan,
    now: Timestamp,
) -> Result<Report, SmimeError> {
    let result = match plan.until.command() {
        until @ (Command::Mail | Command::Rcpt | Command::Data | Command::EndOfData) => {
            let outcome = transaction(relay, recorder, plan, until, now).await?;
            relay.close().await;
            outcome
        }
        until => session(relay.dry_run_session(until).await, recorder),
    };
    let handshake_failed = matches!(result.failed, Some(Phase::Tls | Phase::Starttls));
    if plan.until > Phase::Ehlo && !handshake_failed {
        recorder.check_session(plan.checks_certificate);
    }
    Ok(report(recorder, result))
}

/// The result of a session or transaction.
#[derive(Default)]
struct SessionResult {
    facts: SessionFacts,
    failed: Option<Phase>,
    accepted: Vec<String>,
    /// The message was accepted.
    sent: bool,
    /// Message-ID of the message that was accepted, or may have been.
    message_id: Option<String>,
}

fn session(opened: Result<SessionFacts, SessionError>, recorder: &Recorder) -> SessionResult {
    match opened {
        Ok(facts) => SessionResult {
            facts,
            ..SessionResult::default()
        },
        Err(SessionError { reply, fault }) => {
            let phase = recorder.phase_of(&reply);
            recorder.refused(&reply, None, fault);
            SessionResult {
                failed: Some(phase),
                ..SessionResult::default()
            }
        }
    }
}

async fn transaction(
    relay: &SmtpRelay,
    recorder: &Recorder,
    plan: &Plan,
    until: Command,
    now: Timestamp,
) -> Result<SessionResult, SmimeError> {
    let parts = message::ProbeMessage {
        from: plan.from.as_str(),
        to: &plan.to,
        host: &plan.host,
        size: plan.size,
        now,
    };
    let message = message::message(&parts)?;
    let envelope = envelope(plan, message.message_id());
    let report = relay.dry_run_transaction(&envelope, &message, until).await;
    if plan.notify.is_some() && recorder.lacks_dsn() {
        recorder.warn(Phase::Mail, warnings::of_notify_not_offered());
    }
    Ok(result_of(report, recorder, &envelope, message.message_id()))
}

fn envelope(plan: &Plan, message_id: &str) -> Envelope {
    let path = |(ordinal, address): (u32, &Address)| ForwardPath {
        ordinal,
        address: address.clone(),
    };
    Envelope {
        reverse_path: plan.from.clone(),
        forward_paths: (0..).zip(&plan.to).map(path).collect(),
        dsn: plan.notify.clone().map(|notify| DsnRequest {
            envelope_id: message_id.trim_matches(['<', '>'].as_slice()).to_owned(),
            notify: Some(notify),
            returns: Some(DsnReturn::Headers),
            ..DsnRequest::default()
        }),
    }
}

fn result_of(
    report: SubmissionReport,
    recorder: &Recorder,
    envelope: &Envelope,
    message_id: &str,
) -> SessionResult {
    if let SubmissionEnd::NotBegun { reply, fault } = report.end {
        return session(Err(SessionError { reply, fault }), recorder);
    }
    let address = |ordinal: Option<u32>| {
        let mut paths = envelope.forward_paths.iter();
        let path = paths.find(|path| Some(path.ordinal) == ordinal)?;
        Some(path.address.to_string())
    };
    let mut result = SessionResult {
        facts: report.facts,
        ..SessionResult::default()
    };
    for answered in &report.replies {
        let (reply, recipient) = (&answered.reply, address(answered.ordinal));
        let ended = reply.command == Command::EndOfData;
        result.sent |= ended && reply.is_success();
        if ended && (result.sent || reply.code == 0) {
            result.message_id = Some(message_id.to_owned());
        }
        if is_refusal(reply) {
            result.failed = result.failed.or(Some(recorder.phase_of(reply)));
            recorder.refused(reply, recipient.as_deref(), None);
            continue;
        }
        result.accepted.extend(recipient);
    }
    result
}

/// Only `DATA` is answered with 3yz (RFC 5321 section 4.3.2); to any other command it is a refusal.
fn is_refusal(reply: &Reply) -> bool {
    match reply.command {
        Command::Data => !reply.is_positive(),
        _ => !reply.is_success(),
    }
}

fn report(recorder: &Recorder, result: SessionResult) -> Report {
    let (state, facts) = (recorder.state.lock(), result.facts);
    Report {
        failed: result.failed,
        server: Server {
            name: facts.server_name,
            address: facts.remote_address,
            tls_version: facts.tls_version,
            tls_cipher: facts.tls_cipher,
            auth_mechanism: facts.auth_mechanism,
        },
        extensions: state.extensions.clone(),
        certificates: state.certificates.clone(),
        accepted: result.accepted,
        sent: result.sent,
        message_id: result.message_id,
        refusals: state.refusals.iter().map(|(_, it)| it.clone()).collect(),
        warnings: state.warnings.clone(),
        events: state.events.clone(),
    }
}

/// Whether the server accepts an external recipient from an unauthenticated client. Sends nothing.
/// True where it does; `None` where the session ended before.
///
/// # Errors
/// [`SmimeError`] where the message could not be made.
pub async fn is_open_relay(
    relay: &SmtpRelay,
    recorder: &Recorder,
    plan: &Plan,
    now: Timestamp,
) -> Result<(Report, Option<bool>), SmimeError> {
    let mut report = run(relay, recorder, plan, now).await?;
    let answer = match report.failed {
        None => Some(true),
        Some(Phase::Rcpt | Phase::Mail) => Some(false),
        Some(_) => None,
    };
    if answer == Some(true) {
        let external = plan.to.first().map_or("", Address::as_str);
        let warning = warnings::of_open_relay(external);
        recorder.warn(Phase::Rcpt, warning.clone());
        report.warnings.push(warning);
    }
    Ok((report, answer))
}
