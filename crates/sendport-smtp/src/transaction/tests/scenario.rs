//! What happens on one relay: the mails, and what the network or the server does to replies.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use sendport_core::domain::Message;
use sendport_core::domain::{Command, CommandReply, Envelope, ForwardPath, ReversePath};
use sendport_smime::{ProtectionPlan, SecuredMessage, secure};

/// What the server offers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offers {
    pub(super) pipelining: bool,
    pub(super) chunking: bool,
    /// ENHANCEDSTATUSCODES.
    pub(super) codes: bool,
    /// It says them, too.
    pub(super) says_codes: bool,
}

impl Offers {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..12).map(|n| Self {
            pipelining: n & 1 != 0,
            chunking: n & 2 != 0,
            codes: n >= 4,
            says_codes: n >= 8,
        })
    }
}

/// One mail of an honest server's day.
#[derive(Debug, Clone)]
pub(super) struct Mail {
    pub(super) pause: Duration,
    sender_refused: bool,
    recipients_refused: Vec<bool>,
    refused: bool,
    large: bool,
}

/// What the client is given.
pub(super) struct ToSend {
    pub(super) envelope: Envelope,
    pub(super) content: SecuredMessage,
}

impl Mail {
    /// Whether an honest server takes it.
    pub(super) fn is_taken(&self) -> bool {
        let somebody = self.recipients_refused.iter().any(|refused| !refused);
        !self.sender_refused && somebody && !self.refused
    }

    /// No reply refuses for good what an honest server takes.
    pub(super) fn refuses_all_of(&self, replies: &[CommandReply]) -> bool {
        replies.iter().all(|it| match it.reply.command {
            _ if it.reply.code < 500 || self.sender_refused => true,
            Command::Rcpt => it
                .ordinal
                .is_some_and(|n| self.recipients_refused[n as usize]),
            Command::Data => self.recipients_refused.iter().all(|&refused| refused),
            Command::EndOfData => self.refused,
            _ => false,
        })
    }

    /// It contains what the server does with it.
    pub(super) fn to_send(&self, id: usize) -> ToSend {
        let word = |refused| if refused { "bad" } else { "good" };
        let sender = format!("{}@example.test", word(self.sender_refused));
        let recipients = (0..).zip(&self.recipients_refused);
        let filler = "0123456789\r\n".repeat(if self.large { 40 } else { 1 });
        let text = format!(
            "Subject: {}\r\n\r\n{filler}{}",
            word(self.refused),
            end_of(id)
        );
        ToSend {
            envelope: Envelope {
                reverse_path: ReversePath(Some(sender.parse().expect("an address"))),
                forward_paths: recipients
                    .map(|(ordinal, &refused)| ForwardPath {
                        ordinal,
                        address: format!("{}{ordinal}@example.test", word(refused))
                            .parse()
                            .expect("an address"),
                    })
                    .collect(),
                dsn: None,
            },
            content: secure(
                Message {
                    message_id: String::new(),
                    bytes: text.into_bytes(),
                },
                &ProtectionPlan::Unprotected,
            )
            .expect("needs nothing"),
        }
    }
}

/// The last line of a mail.
pub(super) fn end_of(id: usize) -> String {
    format!("end of {id}\r\n")
}

/// What happens at one of the server's replies.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    /// Counted over all connections.
    pub(super) at: usize,
    pub(super) what: What,
    pub(super) delay: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// Another reply comes first, and this one after the delay.
    Before(&'static str),
    /// Another reply comes behind it, after the delay.
    Behind(&'static str),
    /// It does not come.
    Deleted,
    /// It comes after the delay.
    Late,
    /// It comes in two parts, the delay between them.
    Torn,
    /// The connection ends instead.
    Closed,
}

/// One relay's day.
#[derive(Debug, Clone)]
pub(super) struct Scenario {
    pub(super) mails: Vec<Mail>,
    pub(super) faults: Vec<Fault>,
    /// Each reply takes so long.
    pub(super) latency: Duration,
}

impl Scenario {
    /// One reply more or less, no slower than a time-out; an invented one that looks like the
    /// one to EHLO cannot be distinguished from it.
    pub(super) fn is_nearly_honest(&self) -> bool {
        match &self.faults[..] {
            [one] => one.delay < Duration::from_secs(60) && !self.invents("250-"),
            _ => false,
        }
    }

    /// A reply that begins so is inserted.
    pub(super) fn invents(&self, start: &str) -> bool {
        let spare = |fault: &Fault| match fault.what {
            What::Before(reply) | What::Behind(reply) => Some(reply),
            _ => None,
        };
        let mut spares = self.faults.iter().filter_map(spare);
        spares.any(|reply| reply.starts_with(start))
    }
}

/// What was seen where nothing was asked, and what looks like it.
const SPARE: &[&str] = &[
    "250 ok",
    "250 2.0.0 ok",
    "250 2.1.5 ok",
    "250 2.1.0 ok",
    "250-two\r\n250 lines",
    "354 go",
    "221 2.0.0 bye",
    "421 4.4.2 idle for too long",
    "450 4.1.1 greylisted",
    "451 4.7.0 Timeout waiting for client input",
    "502 5.5.1 not implemented",
    "503 5.5.1 bad sequence",
    "550 5.1.1 unknown",
    "550 no",
    "554 5.4.7 idle too long",
    "garbage",
];

fn delays() -> impl Strategy<Value = Duration> {
    let millis = select(vec![0, 0, 1, 50, 1_000, 30_000, 70_000]);
    millis.prop_map(Duration::from_millis)
}

/// A success does the most harm.
fn spares() -> impl Strategy<Value = &'static str> {
    prop_oneof![select(&SPARE[..4]), select(SPARE)]
}

fn faults() -> impl Strategy<Value = Fault> {
    let what = prop_oneof![
        4 => spares().prop_map(What::Before),
        4 => spares().prop_map(What::Behind),
        2 => Just(What::Deleted),
        4 => Just(What::Late),
        1 => Just(What::Torn),
        1 => Just(What::Closed),
    ];
    (0_usize..12, what, delays()).prop_map(|(at, what, delay)| Fault { at, what, delay })
}

fn mails() -> impl Strategy<Value = Mail> {
    let seldom = || prop::bool::weighted(0.15);
    let recipients = vec(prop::bool::weighted(0.25), 1..4);
    let refused = prop::bool::weighted(0.4);
    (delays(), seldom(), recipients, refused, seldom()).prop_map(
        |(pause, sender_refused, recipients_refused, refused, large)| Mail {
            pause,
            sender_refused,
            recipients_refused,
            refused,
            large,
        },
    )
}

/// All that can happen.
pub(super) fn scenarios() -> impl Strategy<Value = Scenario> {
    let latency = select(vec![0, 20]).prop_map(Duration::from_millis);
    (vec(mails(), 1..4), vec(faults(), 0..4), latency).prop_map(|(mails, faults, latency)| {
        Scenario {
            mails,
            faults,
            latency,
        }
    })
}
