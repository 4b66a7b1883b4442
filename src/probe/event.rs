//! The events of a probe.

use sendport_core::domain::{Fault, Reply, Timestamp};
use sendport_core::replies::Entry;
use serde::Serialize;

use super::Phase;

/// Something happened.
#[derive(Debug, Clone, Serialize)]
pub struct Event {
    /// In which step.
    pub phase: Phase,
    /// When, by this host's clock.
    pub at: Timestamp,
    /// Milliseconds since the beginning.
    pub at_ms: u64,
    /// Milliseconds of waiting.
    pub took_ms: Option<u64>,
    /// What.
    #[serde(flatten)]
    pub what: EventKind,
}

/// What happened.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EventKind {
    /// On this side, or below SMTP.
    Note {
        /// A sentence.
        text: String,
    },
    /// A command line was written; its secrets are redacted.
    Command {
        /// Without its end.
        line: String,
    },
    /// A reply was received.
    Reply {
        /// Its lines.
        lines: Vec<ReplyLine>,
    },
    /// The server sent its certificates, its own first.
    Certificates {
        /// The chain.
        chain: Vec<Certificate>,
    },
    /// The step was refused, or failed.
    Refusal {
        /// Which, and why.
        refusal: Refusal,
    },
    /// Something is unsafe.
    Warning(Warning),
}

/// A line of a reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReplyLine {
    /// As the server sent it.
    pub text: String,
    /// The meaning of an offered extension.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meaning: Option<String>,
}

/// A certificate of the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Certificate {
    /// Common name of its subject.
    pub subject: String,
    /// Its alternative names.
    pub names: Vec<String>,
    /// Common name of its issuer.
    pub issuer: String,
    /// Valid from.
    pub not_before: Timestamp,
    /// Valid until.
    pub not_after: Timestamp,
    /// Whole days left; negative where it has expired.
    pub days_left: i64,
    /// What `pin_sha256` may hold for it.
    pub pin: String,
}

/// A refusal with its explanation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// In which step.
    pub phase: Phase,
    /// The recipient, where one was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// Reply code; 0 where no reply came.
    pub code: u16,
    /// Enhanced status code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enhanced: Option<String>,
    /// The text of the reply, or what happened instead.
    pub text: String,
    /// From the table of replies.
    #[serde(flatten)]
    pub explanation: Option<Explanation>,
}

/// Cause and advice, from the table of replies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Which entry of the table.
    pub key: String,
    /// The party at fault.
    pub fault: Fault,
    /// Why a server replies this.
    pub cause: String,
    /// What to do.
    pub advice: String,
}

/// Something that is unsafe, or will be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// Its key, for programs.
    pub key: &'static str,
    /// A sentence.
    pub text: String,
}

/// A probe does not try again, and writes to no database.
const IN_DOUBT: &str = "A probe sends its message once. Look for the Message-ID in the server's log or message tracking.";

impl Refusal {
    pub(super) fn new(phase: Phase, recipient: Option<String>, reply: &Reply) -> Self {
        Self {
            phase,
            recipient,
            code: reply.code,
            enhanced: reply.enhanced.map(|code| code.to_string()),
            text: reply.text.clone(),
            explanation: None,
        }
    }

    /// The reply as one line.
    pub fn reply(&self) -> String {
        let code = (self.code != 0).then(|| self.code.to_string());
        let text = Some(self.text.clone()).filter(|text| !text.is_empty());
        let parts = [code, self.enhanced.clone(), text];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

impl Explanation {
    /// `fault`: where the session knows better than the table.
    pub(super) fn of(entry: &Entry, fault: Option<Fault>) -> Self {
        Self {
            key: entry.key.clone(),
            fault: fault.unwrap_or(entry.fault),
            cause: entry.cause.clone(),
            advice: match entry.key.as_str() {
                // The entry says what the service does.
                "in-doubt" => IN_DOUBT.to_owned(),
                _ => entry.advice.clone(),
            },
        }
    }
}
