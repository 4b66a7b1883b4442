//! What happened in one mail transaction, and what follows from it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    AlertId, AlertStatus, Command, EnhancedStatusCode, Fault, LeaseToken, LocalCause,
    RecipientAddress, RecipientKind, RecipientStatus, Reply, ServerLimits, Timestamp,
    alert::word_enum,
};

/// Names one attempt, so that writing it twice writes it once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AttemptKey(pub Uuid);

impl AttemptKey {
    /// A key that no other attempt has: version 7 (RFC 9562), because what grows with time is
    /// written to the end of an index, and not to a page of its own each time.
    pub fn fresh() -> Self {
        Self(Uuid::now_v7())
    }

    /// Its random half (RFC 9562 section 5.7): among the attempts of one alert it identifies the attempt.
    pub fn random_half(self) -> u64 {
        self.0.as_u64_pair().1
    }
}

word_enum! {
    /// How one mail transaction ended.
    pub enum AttemptOutcome {
        /// The relay took responsibility for every recipient of the transaction.
        Relayed = "relayed",
        /// For some of them.
        Partial = "partial",
        /// For none; at least one will be tried again.
        Delayed = "delayed",
        /// For none, and none will be tried again.
        Failed = "failed",
        /// The end was not seen: the relay may have taken it.
        Unknown = "unknown",
    }
}

/// What a session knows of its other end; written into every attempt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionFacts {
    /// IP address and port that was connected to; host and port of a relay over HTTP, which may be behind a proxy.
    pub remote_address: Option<String>,
    /// The name that the relay gave itself in its greeting.
    pub server_name: Option<String>,
    /// `TLSv1.3`, ...
    pub tls_version: Option<String>,
    /// The cipher suite.
    pub tls_cipher: Option<String>,
    /// SHA-256 of the relay's certificate, lower-case hexadecimal.
    pub peer_fingerprint: Option<String>,
    /// SASL mechanism of the authentication (RFC 4954).
    pub auth_mechanism: Option<String>,
    /// The relay offers delivery status notifications (RFC 3461).
    #[serde(default)]
    pub offers_dsn: bool,
    /// The relay offers addresses beyond ASCII (SMTPUTF8, RFC 6531). Not written down.
    #[serde(default)]
    pub offers_smtp_utf8: bool,
    /// What the relay announced of its limits (RFC 9422). Not written down.
    #[serde(default)]
    pub limits: ServerLimits,
}

/// What protects a message, in the words of a row of `Attempt`; written into every attempt.
/// A certificate is named by its thumbprint: SHA-256 of its DER, lower-case hexadecimal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtectionFacts {
    /// The thumbprint of the signer.
    pub signed_by: Option<String>,
    /// Key, digest and form: `rsa-pkcs1 sha256 clear`.
    pub signature_algorithm: Option<String>,
    /// The thumbprints of all who can open the envelope, ourselves included, in the order of the
    /// envelope, a blank between them.
    pub encrypted_to: Option<String>,
    /// Of the content, and how its key is transported: `aes-256-cbc rsa-pkcs1`.
    pub encryption_algorithm: Option<String>,
    /// The policy by which headers were protected, where anything was.
    pub header_protection: Option<String>,
}

/// One reply of a transaction; for `RCPT`, of which recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandReply {
    /// The recipient's ordinal where the reply is its own.
    pub ordinal: Option<u32>,
    /// What was said.
    pub reply: Reply,
}

/// How a submission ended, seen from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubmissionEnd {
    /// Nothing was begun: the relay could not be reached, refused the session, TLS or the
    /// authentication. The alert uses no attempt.
    NotBegun {
        /// What it said, or what happened.
        reply: Reply,
        /// The party at fault (`Relay` or `Configuration`), where the session knows better than the
        /// table of replies: a certificate that does not check, a password that it withheld.
        fault: Option<Fault>,
    },
    /// Every command of the transaction was answered, the final dot included if it was sent.
    Answered,
    /// The connection broke, a time-out ran out or a 421 came before the final dot was sent.
    /// Replies already received are valid. The last of the replies says what happened.
    Broken,
    /// The final dot, or some of what leads to it, was sent and its reply not seen, or a reply
    /// that may be another command's.
    InDoubt,
    /// The transaction was not begun, because an operator wants something else of the alert, or no final dot was sent,
    /// because the lease was not certain any more.
    Fenced,
}

/// What a relay did with one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubmissionReport {
    /// When work on it began (after a connection was waited for).
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Of the session.
    pub facts: SessionFacts,
    /// From `MAIL` on, in order; of a relay over HTTP the reply to its request.
    pub replies: Vec<CommandReply>,
    /// How it ended.
    pub end: SubmissionEnd,
}

impl SubmissionReport {
    /// The reply to `command`, where it is not a recipient's own.
    pub fn reply_to(&self, command: Command) -> Option<&Reply> {
        self.replies
            .iter()
            .find(|r| r.ordinal.is_none() && r.reply.command == command)
            .map(|r| &r.reply)
    }

    /// What was said to the `RCPT` of the recipient `ordinal`.
    pub fn reply_to_recipient(&self, ordinal: u32) -> Option<&Reply> {
        self.replies
            .iter()
            .find(|r| r.ordinal == Some(ordinal))
            .map(|r| &r.reply)
    }

    /// The relay was asked for nothing, because it does not offer SMTPUTF8 (RFC 6531), which the
    /// addresses need; another one may.
    pub fn wants_smtp_utf8(&self) -> bool {
        let unsupported = EnhancedStatusCode::new(5, 6, 7);
        self.end == SubmissionEnd::Answered
            && !self.facts.offers_smtp_utf8
            && !self.replies.is_empty()
            && self
                .replies
                .iter()
                .all(|said| said.reply.code == 553 && said.reply.enhanced == Some(unsupported))
    }

    /// The relay was asked for nothing, because it does not offer 8BITMIME (RFC 6152), which the message needs; another
    /// one may, and this one may take another form of the message.
    pub fn wants_8bitmime(&self) -> bool {
        let lacks = |said: &CommandReply| said.reply.local == Some(LocalCause::EightBitNotOffered);
        self.end == SubmissionEnd::Answered && self.replies.iter().any(lacks)
    }

    /// The relay cannot take this message for these recipients, which it was not asked for; another one may.
    pub fn wants_another_relay(&self) -> bool {
        let causes = [LocalCause::RequestTooLarge, LocalCause::HeaderNamesOthers];
        let lacks = |said: &CommandReply| said.reply.local.is_some_and(|it| causes.contains(&it));
        self.end == SubmissionEnd::Answered && self.replies.iter().any(lacks)
    }

    /// The relay took responsibility: it answered the final dot with 2yz, or an HTTP request with 2xx.
    pub fn is_accepted(&self) -> bool {
        let mut replies = self.replies.iter();
        let last = replies.find(|it| it.ordinal.is_none() && it.reply.command.hands_over());
        last.is_some_and(|it| it.reply.is_success())
    }
}

/// What the retry policy decides about a recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// The relay took responsibility.
    Relayed,
    /// Try again, not earlier than after this time.
    RetryIn(Duration),
    /// Do not try again.
    Fail,
    /// Its time ran out.
    Expire,
}

/// One attempt, written once at its end: a row of `Attempt` with its rows of `AttemptReply`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Makes the write safe to repeat.
    pub key: AttemptKey,
    /// 1 for the first.
    pub number: u32,
    /// Which relay.
    pub relay: String,
    /// By the service's clock.
    pub started_at: Timestamp,
    /// By the service's clock.
    pub ended_at: Timestamp,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// Header `Message-ID`.
    pub message_id: String,
    /// Bytes submitted.
    pub size_bytes: u64,
    /// `none`, `sign`, `encrypt`, `sign+encrypt`.
    pub protection: String,
    /// Signer, recipients and algorithms of the protection.
    #[serde(default)]
    pub protected: ProtectionFacts,
    /// The one address that got the message instead of its recipients, by a redirect of an operator.
    #[serde(default)]
    pub redirect_to: Option<String>,
    /// Of the session.
    pub facts: SessionFacts,
    /// What was said to each command.
    pub replies: Vec<CommandReply>,
}

/// What is noted on this machine right before a final dot: enough to write the attempt down as
/// `unknown`, if its result is never observed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmissionIntent {
    /// Which alert.
    pub alert: AlertId,
    /// By which claim.
    pub token: LeaseToken,
    /// The send port of the alert; it decides what happens if the attempt is in doubt.
    pub send_port: String,
    /// The key of the attempt, the same for each writer.
    pub key: AttemptKey,
    /// 1 for the first.
    pub number: u32,
    /// Which relay.
    pub relay: String,
    /// When the work on it began, by the service's clock.
    pub started_at: Timestamp,
    /// Header `Message-ID`.
    pub message_id: String,
    /// Bytes of the message.
    pub size_bytes: u64,
    /// `none`, `sign`, `encrypt`, `sign+encrypt`.
    pub protection: String,
    /// Signer, recipients and algorithms of the protection.
    #[serde(default)]
    pub protected: Box<ProtectionFacts>,
    /// Version of the template that the message was made from.
    #[serde(default)]
    pub template_version: Option<String>,
    /// As in [`Attempt`].
    #[serde(default)]
    pub redirect_to: Option<String>,
    /// Of the session.
    #[serde(default)]
    pub facts: Box<SessionFacts>,
    /// The replies before it: they say which recipients the transaction has.
    #[serde(default)]
    pub replies: Vec<CommandReply>,
}

/// The outcome for one recipient. It suffices to insert a missing row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipientOutcome {
    /// Key of the row together with the alert.
    pub ordinal: u32,
    /// To, Cc or Bcc.
    pub kind: RecipientKind,
    /// The address.
    pub address: RecipientAddress,
    /// Its status now.
    pub status: RecipientStatus,
    /// Attempts spent on it.
    pub attempt_count: u32,
    /// The relay of its last attempt.
    pub relay: Option<String>,
    /// The reply that decided its status.
    pub reply: Option<Reply>,
    /// Key into `ReplyExplanation`: cause and advice.
    pub explanation: Option<String>,
    /// A remark for the operator: a delivery receipt that the relay does not support.
    #[serde(default)]
    pub remark: Option<String>,
    /// The one address that the attempt went to instead, by a redirect of an operator.
    #[serde(default)]
    pub redirect_to: Option<String>,
}

/// What the dispatcher hands back for one leased alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Which.
    pub alert: AlertId,
    /// By which claim.
    pub token: LeaseToken,
    /// The result.
    pub kind: OutcomeKind,
}

/// Released untouched, or decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutcomeKind {
    /// Back into the queue as it was: no relay could be asked, or the service is stopping.
    Released {
        /// Due again after this, from now, by the database's clock.
        retry_in: Duration,
        /// What it waits for, in a sentence that begins with a verb: `StatusReason` until an
        /// outcome is recorded.
        #[serde(default)]
        reason: Option<String>,
    },
    /// Something was decided about its recipients.
    Decided(Box<Decision>),
}

/// What was decided about a leased alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The status that follows from all recipients: not `Sending`.
    pub status: AlertStatus,
    /// With `Delayed`: due again after this, from now, by the database's clock.
    pub retry_in: Option<Duration>,
    /// Why an alert as a whole failed (template, header, expiry), in a sentence.
    pub reason: Option<String>,
    /// The transaction, if there was one.
    pub attempt: Option<Attempt>,
    /// Every recipient of the alert whose row is new or changed.
    pub recipients: Vec<RecipientOutcome>,
    /// Version of the template that was rendered, pinned from now on.
    pub template_version: Option<String>,
}

word_enum! {
    /// What kind of reason `StatusReason` is, where the service acts on it: the column `StatusReasonCode`.
    pub enum StatusReasonCode {
        /// What the alert waits for, in a sentence that begins with a verb.
        Waiting = "waiting",
        /// The end of its latest attempt was not seen.
        InDoubt = "in-doubt",
        /// No instance has its send port.
        NoSuchSendPort = "no-such-send-port",
        /// A hold of an operator took it out of the queue.
        OperatorHold = "operator-hold",
        /// A request of an operator took it out of the queue, and ends it soon.
        Cancelling = "cancelling",
    }
}

impl OutcomeKind {
    /// The code of its reason.
    pub fn reason_code(&self) -> Option<StatusReasonCode> {
        match self {
            Self::Released { reason, .. } => reason.as_ref().map(|_| StatusReasonCode::Waiting),
            Self::Decided(decision) => decision.reason_code(),
        }
    }
}

impl Decision {
    /// The code of its reason; `None` where nothing waits.
    pub fn reason_code(&self) -> Option<StatusReasonCode> {
        self.reason.as_ref().filter(|_| !self.status.is_final())?;
        let attempt = self.attempt.as_ref();
        let unseen = attempt.is_some_and(|it| it.outcome == AttemptOutcome::Unknown);
        Some(match unseen {
            true => StatusReasonCode::InDoubt,
            false => StatusReasonCode::Waiting,
        })
    }

    /// The alert as a whole failed; nothing is known of its recipients.
    pub fn failed(reason: String) -> Self {
        Self {
            status: AlertStatus::Failed,
            retry_in: None,
            reason: Some(reason),
            attempt: None,
            recipients: Vec::new(),
            template_version: None,
        }
    }
}

/// The alert's status, made from the statuses of all its recipients. An alert without any
/// recipient is failed.
pub fn status_of(recipients: impl IntoIterator<Item = RecipientStatus>) -> AlertStatus {
    let statuses: std::collections::HashSet<_> = recipients.into_iter().collect();
    let all = |status| statuses.len() == 1 && statuses.contains(&status);
    if statuses.contains(&RecipientStatus::Delayed) {
        AlertStatus::Delayed
    } else if statuses.contains(&RecipientStatus::Queued) {
        AlertStatus::Queued
    } else if all(RecipientStatus::Relayed) {
        AlertStatus::Relayed
    } else if statuses.contains(&RecipientStatus::Relayed) {
        AlertStatus::Partial
    } else if all(RecipientStatus::Expired) {
        AlertStatus::Expired
    } else if all(RecipientStatus::Cancelled) {
        AlertStatus::Cancelled
    } else if all(RecipientStatus::Suppressed) {
        AlertStatus::Suppressed
    } else {
        AlertStatus::Failed
    }
}
