//! What an outcome writes, column by column: each name, the longest text that SQL Server's column takes, and the
//! value.
//!
//! Both stores make their parameters, their rows and their statements from these lists. So a new column is a field
//! of the domain, a line here, and the column in `migrations/` (on SQL Server in the type of its list, too).

use std::borrow::Cow;

use sendport_core::domain::{Attempt, CommandReply, RecipientOutcome, Reply, Timestamp};
use uuid::Uuid;

/// A value on its way into a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// `int`.
    Int(Option<u32>),
    /// `bigint`.
    BigInt(Option<i64>),
    /// Characters.
    Text(Option<Cow<'a, str>>),
    /// A moment in UTC.
    Time(Option<Timestamp>),
    /// `uniqueidentifier`.
    Uuid(Option<Uuid>),
}

/// How long a text may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// So many UTF-16 units; what is longer is cut.
    Units(usize),
    /// As long as a text may travel; what is longer is cut, and says so.
    Long,
    /// Never cut: what is too long to travel in a list follows by itself.
    Whole,
}

/// Where a column's value comes from.
pub(crate) enum Source<T> {
    Int(fn(&T) -> Option<u32>),
    BigInt(fn(&T) -> Option<i64>),
    /// A word of ours, without quotation marks in it.
    Word(fn(&T) -> Option<&'static str>),
    Text(Length, for<'a> fn(&'a T) -> Option<Cow<'a, str>>),
    Time(fn(&T) -> Option<Timestamp>),
    Uuid(fn(&T) -> Option<Uuid>),
}

/// A column that is written.
pub(crate) struct Column<T> {
    /// As both databases name it.
    pub(crate) name: &'static str,
    /// Its value.
    pub(crate) source: Source<T>,
}

impl<T> Column<T> {
    /// The value of `row`; NULL of the column's kind where there is no row.
    pub(crate) fn value<'a>(&self, row: Option<&'a T>) -> Value<'a> {
        match self.source {
            Source::Int(of) => Value::Int(row.and_then(of)),
            Source::BigInt(of) => Value::BigInt(row.and_then(of)),
            Source::Word(of) => Value::Text(row.and_then(of).map(Cow::Borrowed)),
            Source::Text(_, of) => Value::Text(row.and_then(of)),
            Source::Time(of) => Value::Time(row.and_then(of)),
            Source::Uuid(of) => Value::Uuid(row.and_then(of)),
        }
    }
}

macro_rules! columns {
    ($($(#[$meta:meta])* $list:ident of $row:ty { $($name:literal => $source:expr;)+ })+) => {
        $($(#[$meta])*
        pub(crate) const $list: &[Column<$row>] = &[$(Column { name: $name, source: $source }),+];)+
    };
}

columns! {
    /// Of `Attempt`, and in this order of the type `OutcomeList`; beside the alert and the instance.
    ATTEMPT of Attempt {
        "AttemptKey" => Source::Uuid(|it| Some(it.key.0));
        "AttemptNumber" => Source::Int(|it| Some(it.number));
        "Outcome" => Source::Word(|it| Some(it.outcome.as_str()));
        "Relay" => Source::Text(Length::Units(128), |it| text(&it.relay));
        "StartedAt" => Source::Time(|it| Some(it.started_at));
        "EndedAt" => Source::Time(|it| Some(it.ended_at));
        "MessageId" => Source::Text(Length::Units(1000), |it| text(&it.message_id));
        "SizeBytes" => Source::BigInt(|it| Some(i64::try_from(it.size_bytes).unwrap_or(i64::MAX)));
        "Protection" => Source::Text(Length::Units(16), |it| text(&it.protection));
        "RemoteAddress" => Source::Text(Length::Units(128), |it| maybe(&it.facts.remote_address));
        "ServerName" => Source::Text(Length::Units(512), |it| maybe(&it.facts.server_name));
        "TlsVersion" => Source::Text(Length::Units(64), |it| maybe(&it.facts.tls_version));
        "TlsCipher" => Source::Text(Length::Units(128), |it| maybe(&it.facts.tls_cipher));
        "PeerFingerprint" => Source::Text(Length::Units(128), |it| maybe(&it.facts.peer_fingerprint));
        "AuthMechanism" => Source::Text(Length::Units(64), |it| maybe(&it.facts.auth_mechanism));
        "SignedBy" => Source::Text(Length::Units(64), |it| maybe(&it.protected.signed_by));
        "SignatureAlgorithm" => Source::Text(Length::Units(64), |it| maybe(&it.protected.signature_algorithm));
        "EncryptedTo" => Source::Text(Length::Whole, |it| maybe(&it.protected.encrypted_to));
        "EncryptionAlgorithm" => Source::Text(Length::Units(64), |it| maybe(&it.protected.encryption_algorithm));
        "HeaderProtection" => Source::Text(Length::Units(64), |it| maybe(&it.protected.header_protection));
        "RedirectTo" => Source::Text(Length::Units(320), |it| maybe(&it.redirect_to));
        "OffersDsn" => Source::Int(|it| Some(u32::from(it.facts.offers_dsn)));
    }

    /// Of `Recipient` and of the type `RecipientList`: the addressee. The alert and the status are beside them.
    ADDRESSEE of RecipientOutcome {
        "Ordinal" => Source::Int(|it| Some(it.ordinal));
        "Kind" => Source::Word(|it| Some(it.kind.as_str()));
        "Address" => Source::Text(Length::Units(320), |it| text(it.address.text()));
        "DisplayName" => Source::Text(Length::Long, |it| it.address.mailbox().and_then(|it| maybe(&it.display_name)));
    }

    /// Of `Recipient` and of the type `RecipientList`, behind the status: its last attempt and reply.
    DELIVERY of RecipientOutcome {
        "AttemptCount" => Source::Int(|it| Some(it.attempt_count));
        "Relay" => Source::Text(Length::Units(128), |it| maybe(&it.relay));
        "Command" => Source::Word(|it| it.reply.as_ref().map(|reply| reply.command.as_str()));
        "ReplyCode" => Source::Int(|it| it.reply.as_ref().map(|reply| reply.code.into()));
        "EnhancedStatusCode" => Source::Text(Length::Units(16), |it| it.reply.as_ref().and_then(enhanced));
        "ReplyText" => Source::Text(Length::Long, |it| it.reply.as_ref().and_then(|reply| text(&reply.text)));
        "ExplanationKey" => Source::Text(Length::Units(64), |it| maybe(&it.explanation));
        "Remark" => Source::Text(Length::Units(400), |it| maybe(&it.remark));
        "RedirectTo" => Source::Text(Length::Units(320), |it| maybe(&it.redirect_to));
    }

    /// Of `AttemptReply` and of the type `ReplyList`, beside the attempt and the reply's own ordinal.
    REPLY of CommandReply {
        "Command" => Source::Word(|it| Some(it.reply.command.as_str()));
        "RecipientOrdinal" => Source::Int(|it| it.ordinal);
        "ReplyCode" => Source::Int(|it| Some(it.reply.code.into()));
        "EnhancedStatusCode" => Source::Text(Length::Units(16), |it| enhanced(&it.reply));
        "ReplyText" => Source::Text(Length::Long, |it| text(&it.reply.text));
    }
}

#[expect(clippy::unnecessary_wraps, reason = "a text of a column")]
fn text(text: &str) -> Option<Cow<'_, str>> {
    Some(Cow::Borrowed(text))
}

#[expect(clippy::ref_option, reason = "a field of the domain")]
fn maybe(text: &Option<String>) -> Option<Cow<'_, str>> {
    text.as_deref().map(Cow::Borrowed)
}

fn enhanced(reply: &Reply) -> Option<Cow<'_, str>> {
    reply.enhanced.map(|code| Cow::Owned(code.to_string()))
}

/// `A, B, C`.
pub(crate) fn names<T>(columns: &[Column<T>]) -> String {
    joined(columns, |name| name.to_owned())
}

/// `form` of each name, with commas between.
pub(crate) fn joined<T>(columns: &[Column<T>], form: impl Fn(&str) -> String) -> String {
    let forms: Vec<_> = columns.iter().map(|column| form(column.name)).collect();
    forms.join(", ")
}
