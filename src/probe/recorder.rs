//! Turns the steps of a session into events, and passes each on at once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sendport_core::clock::Clock;
use sendport_core::domain::{Fault, Reply, Timestamp};
use sendport_core::replies::ReplyTable;
use sendport_smtp::observer::{PeerCertificate, SessionObserver, Step};
use sendport_smtp::reply_parser::ServerReply;
use tokio::time::Instant;

use super::event::{Certificate, Event, EventKind, Explanation, Refusal, ReplyLine, Warning};
use super::{Phase, extensions, warnings};

/// Instead of an explanation: the commands were pipelined, and one refusal explains all.
const BEHIND_MAIL: &str = "follows from the refusal of MAIL, and says nothing about the recipient";

/// Receives each event at once.
pub type Listener = Box<dyn Fn(&Event) + Send + Sync>;

/// Records one session.
pub struct Recorder {
    replies: Arc<ReplyTable>,
    listener: Listener,
    /// A reply that takes longer gets a warning.
    slow: Duration,
    now: Timestamp,
    begun: Instant,
    pub(super) state: Mutex<State>,
}

/// What the session has shown so far.
#[derive(Default)]
pub(super) struct State {
    /// The current step.
    phase: Option<Phase>,
    /// When the current wait began.
    mark: Option<Instant>,
    /// Commands without a reply yet.
    asked: VecDeque<PendingCommand>,
    encrypted: bool,
    offers_starttls: bool,
    /// `MAIL` was refused, and so are the commands after it.
    mail_refused: bool,
    pub(super) last_reply: Option<Phase>,
    pub(super) certificates: Vec<Certificate>,
    pub(super) extensions: Vec<ReplyLine>,
    pub(super) events: Vec<Event>,
    pub(super) refusals: Vec<(Reply, Refusal)>,
    pub(super) warnings: Vec<Warning>,
}

/// A command that waits for its reply.
struct PendingCommand {
    phase: Phase,
    line: String,
    since: Instant,
}

impl Recorder {
    /// For one session.
    pub fn new(
        replies: Arc<ReplyTable>,
        clock: &dyn Clock,
        slow: Duration,
        listener: Listener,
    ) -> Self {
        Self {
            replies,
            listener,
            slow,
            now: clock.now(),
            begun: Instant::now(),
            state: Mutex::default(),
        }
    }

    /// The step that a reply to a command belongs to: `CONNECT` is the step of three commands.
    pub(super) fn phase_of(&self, reply: &Reply) -> Phase {
        let under_way = self.state.lock().phase;
        match (Phase::of(reply.command), under_way) {
            (Phase::Connect, None) => Phase::Resolve,
            (Phase::Connect, Some(phase @ (Phase::Resolve | Phase::Tls))) => phase,
            (Phase::Starttls, Some(Phase::Tls)) => Phase::Tls,
            (phase, _) => phase,
        }
    }

    /// A step failed with `reply`. A reply that was already recorded is not repeated.
    pub(super) fn refused(&self, reply: &Reply, recipient: Option<&str>, fault: Option<Fault>) {
        let phase = self.phase_of(reply);
        let mut state = self.state.lock();
        if state.refusals.iter().any(|(heard, _)| heard == reply) {
            return;
        }
        let since = state.asked.pop_front().map(|asked| asked.since);
        let took = since.or(state.mark).filter(|_| reply.code == 0);
        let refusal = Refusal {
            explanation: self.explanation(reply, fault),
            ..Refusal::new(phase, recipient.map(str::to_owned), reply)
        };
        state.refusals.push((reply.clone(), refusal.clone()));
        self.push(&mut state, phase, took, EventKind::Refusal { refusal });
    }

    /// Adds a warning.
    pub(super) fn warn(&self, phase: Phase, warning: Warning) {
        self.add_warning(&mut self.state.lock(), phase, warning);
    }

    fn explanation(&self, reply: &Reply, fault: Option<Fault>) -> Option<Explanation> {
        let entry = self.replies.explain(reply)?;
        Some(Explanation::of(entry, fault))
    }

    fn push(&self, state: &mut State, phase: Phase, since: Option<Instant>, what: EventKind) {
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let passed = self.begun.elapsed();
        let event = Event {
            phase,
            at: self.now + passed,
            at_ms: millis(passed),
            took_ms: since.map(|since| millis(since.elapsed())),
            what,
        };
        (self.listener)(&event);
        state.events.push(event);
    }

    fn add_warning(&self, state: &mut State, phase: Phase, warning: Warning) {
        if state.warnings.contains(&warning) {
            return;
        }
        state.warnings.push(warning.clone());
        self.push(state, phase, None, EventKind::Warning(warning));
    }

    fn note(&self, state: &mut State, phase: Phase, since: Option<Instant>, text: String) {
        self.push(state, phase, since, EventKind::Note { text });
    }

    /// A wait begins.
    fn begin(&self, state: &mut State, phase: Phase, text: String) {
        state.phase = Some(phase);
        state.mark = Some(Instant::now());
        self.note(state, phase, None, text);
    }

    fn command_sent(&self, state: &mut State, line: String) {
        let phase = Phase::of_line(&line).or(state.phase).unwrap_or(Phase::Auth);
        state.phase = Some(phase);
        state.mail_refused &= phase != Phase::Mail;
        let mechanism = line.strip_prefix("AUTH ").map(|rest| {
            let end = rest.find(' ').unwrap_or(rest.len());
            rest[..end].to_owned()
        });
        state.asked.push_back(PendingCommand {
            phase,
            line: line.clone(),
            since: Instant::now(),
        });
        self.push(state, phase, None, EventKind::Command { line });
        if let Some(mechanism) = mechanism.filter(|_| !state.encrypted) {
            self.add_warning(state, phase, warnings::of_cleartext_auth(&mechanism));
        }
    }

    fn reply_received(&self, state: &mut State, reply: ServerReply) {
        let asked = state.asked.pop_front();
        let phase = asked.as_ref().map_or(Phase::Quit, |asked| asked.phase);
        let since = asked.as_ref().map(|asked| asked.since);
        let lines = reply_lines(&reply, phase);
        if phase == Phase::Ehlo && reply.code < 400 {
            state.extensions = lines[1.min(lines.len())..].to_vec();
        }
        state.last_reply = Some(phase);
        self.push(state, phase, since, EventKind::Reply { lines });
        if let Some(took) = since.map(|since| since.elapsed())
            && took > self.slow
        {
            self.add_warning(state, phase, warnings::of_slow_reply(took));
        }
        self.check_reply(state, phase, &reply);
        let asked = asked.map_or(String::new(), |asked| asked.line);
        if asked.starts_with("EHLO") && matches!(reply.code, 500 | 502 | 504) {
            let text = "the server does not support EHLO; HELO follows, which offers no extensions";
            self.note(state, phase, None, text.to_owned());
        } else if phase == Phase::Rcpt && state.mail_refused {
            self.note(state, phase, None, BEHIND_MAIL.to_owned());
        } else if reply.code >= 400 {
            state.mail_refused |= phase == Phase::Mail;
            self.reply_refused(state, phase, recipient_of(&asked), reply);
        }
    }

    fn reply_refused(
        &self,
        state: &mut State,
        phase: Phase,
        recipient: Option<String>,
        reply: ServerReply,
    ) {
        let reply = reply.into_reply(command_of(phase));
        let refusal = Refusal {
            explanation: self.explanation(&reply, None),
            ..Refusal::new(phase, recipient, &reply)
        };
        state.refusals.push((reply, refusal.clone()));
        self.push(state, phase, None, EventKind::Refusal { refusal });
    }

    /// Adds the warnings about a reply.
    fn check_reply(&self, state: &mut State, phase: Phase, reply: &ServerReply) {
        let found = match phase {
            Phase::Greeting => warnings::of_greeting(reply.first_line()),
            Phase::Ehlo if !state.encrypted => {
                let offers = |line: &String| line.eq_ignore_ascii_case("STARTTLS");
                state.offers_starttls |= reply.lines.iter().skip(1).any(offers);
                let lines = reply.lines.iter().skip(1);
                lines
                    .filter_map(|line| warnings::of_cleartext_auth_offer(line))
                    .collect()
            }
            _ => Vec::new(),
        };
        for warning in found {
            self.add_warning(state, phase, warning);
        }
    }

    fn certificates_received(&self, state: &mut State, chain: Vec<PeerCertificate>) {
        let chain: Vec<_> = chain.into_iter().map(|it| self.certificate(it)).collect();
        state.certificates.clone_from(&chain);
        let of_dates = |it| warnings::of_certificate(it, self.now);
        let ending: Vec<_> = chain.iter().filter_map(of_dates).collect();
        if !chain.is_empty() {
            self.push(state, Phase::Tls, None, EventKind::Certificates { chain });
        }
        for warning in ending {
            self.add_warning(state, Phase::Tls, warning);
        }
    }

    fn certificate(&self, shown: PeerCertificate) -> Certificate {
        let moment = |seconds| Timestamp::from_timestamp(seconds, 0).unwrap_or_default();
        let not_after = moment(shown.not_after);
        Certificate {
            subject: shown.subject,
            names: shown.names,
            issuer: shown.issuer,
            not_before: moment(shown.not_before),
            not_after,
            days_left: (not_after - self.now).num_seconds().div_euclid(86_400),
            pin: shown.pin,
        }
    }

    fn handshake_completed(
        &self,
        state: &mut State,
        version: &str,
        cipher: &str,
        checked: Option<&str>,
    ) {
        state.encrypted = true;
        let since = state.mark;
        // With implicit TLS the wait for the greeting begins now.
        if let Some(greeting) = state.asked.front_mut() {
            greeting.since = Instant::now();
        }
        let checked = checked.map_or(String::new(), |how| format!("; {how}"));
        let text = format!("{version}, {cipher}{checked}");
        self.note(state, Phase::Tls, since, text);
        if let Some(warning) = warnings::of_tls_version(version) {
            self.add_warning(state, Phase::Tls, warning);
        }
    }

    /// The server does not offer DSN (RFC 3461).
    pub(super) fn lacks_dsn(&self) -> bool {
        let state = self.state.lock();
        let offers =
            |line: &ReplyLine| line.text[4.min(line.text.len())..].eq_ignore_ascii_case("DSN");
        let begun = state.last_reply.is_some_and(|phase| phase >= Phase::Mail);
        begun && !state.extensions.iter().any(offers)
    }

    /// Adds the warnings about the session as a whole.
    pub(super) fn check_session(&self, checks_certificate: bool) {
        let mut state = self.state.lock();
        let greeted = state.last_reply.is_some_and(|phase| phase >= Phase::Ehlo);
        if greeted && !state.encrypted {
            let warning = warnings::of_unencrypted_session(state.offers_starttls);
            self.add_warning(&mut state, Phase::Ehlo, warning);
        }
        if state.encrypted && !checks_certificate {
            let warning = warnings::of_unchecked_certificate();
            self.add_warning(&mut state, Phase::Tls, warning);
        }
    }
}

impl SessionObserver for Recorder {
    fn on_step(&self, step: Step) {
        let state = &mut *self.state.lock();
        match step {
            Step::Resolving(name) => {
                self.begin(state, Phase::Resolve, format!("looking up {name}"));
            }
            Step::Resolved(addresses) => {
                let text = listed(addresses.iter().map(|address| address.ip().to_string()));
                self.note(state, Phase::Resolve, state.mark, text);
            }
            Step::Connecting(address) => {
                self.begin(state, Phase::Connect, format!("trying {address}"));
            }
            Step::ConnectFailed(_, why) => self.note(state, Phase::Connect, state.mark, why),
            Step::Connected { remote, local } => {
                let from = local.map_or(String::new(), |local| format!(" from {local}"));
                let text = format!("connected to {remote}{from}");
                self.note(state, Phase::Connect, state.mark, text);
                state.asked.clear();
                state.encrypted = false;
                state.asked.push_back(PendingCommand {
                    phase: Phase::Greeting,
                    line: String::new(),
                    since: Instant::now(),
                });
            }
            Step::HandshakeStarted => self.begin(state, Phase::Tls, "TLS handshake".to_owned()),
            Step::CertificatesReceived(chain) => self.certificates_received(state, chain),
            Step::HandshakeCompleted {
                version,
                cipher,
                checked,
            } => self.handshake_completed(state, &version, &cipher, checked.as_deref()),

            Step::CommandSent(line) => self.command_sent(state, line),
            Step::ContentSent(bytes) => {
                state.phase = Some(Phase::Content);
                self.command_sent(
                    state,
                    format!("(content of {bytes} bytes, and the final dot)"),
                );
            }
            Step::ChunkSent(command) => {
                state.phase = Some(Phase::Content);
                self.command_sent(state, format!("{command} (and the content)"));
            }
            Step::ReplyReceived(reply) => self.reply_received(state, reply),
        }
    }
}

fn command_of(phase: Phase) -> sendport_core::domain::Command {
    use sendport_core::domain::Command;
    match phase {
        Phase::Quit => Command::Quit,
        phase => phase.command(),
    }
}

fn listed(addresses: impl Iterator<Item = String>) -> String {
    let addresses: Vec<_> = addresses.collect();
    match addresses.is_empty() {
        true => "no address".to_owned(),
        false => addresses.join(", "),
    }
}

/// The lines as the server sent them, as far as known: each line gets the enhanced code of the reply.
fn reply_lines(reply: &ServerReply, phase: Phase) -> Vec<ReplyLine> {
    let enhanced = reply
        .enhanced
        .map_or(String::new(), |code| format!("{code} "));
    let last = reply.lines.len().saturating_sub(1);
    let line = |(at, line): (usize, &String)| {
        let mark = if at == last { ' ' } else { '-' };
        let offers = phase == Phase::Ehlo && at > 0 && reply.code < 400;
        ReplyLine {
            text: format!("{}{mark}{enhanced}{line}", reply.code),
            meaning: offers.then(|| extensions::meaning(line)),
        }
    };
    reply.lines.iter().enumerate().map(line).collect()
}

/// Of `RCPT TO:<address> ..`.
fn recipient_of(line: &str) -> Option<String> {
    let path = line.strip_prefix("RCPT TO:<")?;
    Some(path.rsplit_once('>')?.0.to_owned())
}
