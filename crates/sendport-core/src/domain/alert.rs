//! One alert: a row that the application inserted.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Recipient, Redirect, Timestamp};

/// An enumeration whose values are words of the database: `as_str`, `Display`, `FromStr`.
macro_rules! word_enum {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$vmeta:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$vmeta])* #[serde(rename = $word)] $variant),+ }

        impl $name {
            /// Every value, in the order of the definition.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word in the database.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::domain::UnknownWord;

            /// Ignores case; the error lists the known words.
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL
                    .iter()
                    .copied()
                    .find(|value| value.as_str().eq_ignore_ascii_case(text.trim()))
                    .ok_or_else(|| $crate::domain::UnknownWord {
                        found: text.trim().to_owned(),
                        known: &[$($word),+],
                    })
            }
        }
    };
}
pub(crate) use word_enum;

/// A text that is none of the words of an enumeration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{found}' is none of: {}", .known.join(", "))]
pub struct UnknownWord {
    pub(crate) found: String,
    pub(crate) known: &'static [&'static str],
}

/// The key of a row in `Alert`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AlertId(pub i64);

impl fmt::Display for AlertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The id of an alert outside the database; Message-ID, boundaries and ENVID contain it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PublicId(pub Uuid);

impl fmt::Display for PublicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

/// Identifies one claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LeaseToken(pub Uuid);

impl LeaseToken {
    /// A token that no other claim has.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }
}

/// The right to work on `value`, as long as the owner's `Instance.LeaseUntil` lies ahead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease<T> {
    /// The claim.
    pub token: LeaseToken,
    /// The leased value.
    pub value: T,
}

word_enum! {
    /// The status of an alert, which follows from the statuses of its recipients.
    pub enum AlertStatus {
        /// It waits for its first claim, or was released unsent.
        Queued = "queued",
        /// Leased by an instance that processes it.
        Sending = "sending",
        /// At least one recipient waits for another attempt.
        Delayed = "delayed",
        /// An operator holds it until a release.
        Held = "held",
        /// A relay accepted it for every recipient.
        Relayed = "relayed",
        /// A relay accepted it for some recipients; the others failed.
        Partial = "partial",
        /// It failed for every recipient and is not tried again.
        Failed = "failed",
        /// It expired.
        Expired = "expired",
        /// An operator canceled it.
        Cancelled = "cancelled",
        /// A guard (duplicate, limit) suppressed it.
        Suppressed = "suppressed",
    }
}

impl AlertStatus {
    /// True where nothing more happens until an operator requeues it.
    pub fn is_final(self) -> bool {
        !matches!(
            self,
            Self::Queued | Self::Sending | Self::Delayed | Self::Held
        )
    }
}

word_enum! {
    /// The origin of an alert. Applications cannot write it.
    pub enum AlertOrigin {
        /// An application inserted it.
        Application = "application",
        /// A failure digest of the service. Its own failure is not reported in a digest.
        Digest = "digest",
        /// A client submitted the whole message over SMTP.
        Smtp = "smtp",
        /// A program wrote the whole message as a file into a pickup folder.
        Pickup = "pickup",
        /// A program submitted the whole message with `sendport sendmail`.
        Sendmail = "sendmail",
        /// A delivery status notification of the service to the sender of a submitted message (RFC 3464).
        Report = "report",
    }
}

impl AlertOrigin {
    /// The message came whole, from a client or as a report; the service renders nothing.
    pub fn is_received(self) -> bool {
        matches!(
            self,
            Self::Smtp | Self::Pickup | Self::Sendmail | Self::Report
        )
    }

    /// The service writes it to people about failures: the rules of a send port for alerts of others do not apply.
    pub fn is_notification(self) -> bool {
        matches!(self, Self::Digest | Self::Report)
    }
}

word_enum! {
    /// The class in the queue. Not the header `Importance`.
    pub enum Priority {
        /// Claimed first.
        Urgent = "urgent",
        /// The default.
        Normal = "normal",
        /// Claimed last; age raises its rank, so it is not starved.
        Low = "low",
    }
}

word_enum! {
    /// The format of `Body`.
    pub enum BodyFormat {
        /// Plain text.
        Text = "text",
        /// HTML; the message gets a text alternative.
        Html = "html",
    }
}

word_enum! {
    /// Header `Importance` (RFC 2156) and `X-Priority`.
    pub enum Importance {
        /// `Importance: low`, `X-Priority: 5`.
        Low = "low",
        /// No header.
        Normal = "normal",
        /// `Importance: high`, `X-Priority: 1`.
        High = "high",
    }
}

word_enum! {
    /// Header `Sensitivity` (RFC 2156).
    pub enum Sensitivity {
        /// No header.
        Normal = "normal",
        /// `Sensitivity: Personal`.
        Personal = "personal",
        /// `Sensitivity: Private`.
        Private = "private",
        /// `Sensitivity: Company-Confidential`.
        Confidential = "confidential",
    }
}

/// A row of `Alert` with the service's own columns. Text is as the application wrote it, unchecked.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// Its key.
    pub id: AlertId,
    /// Its name outside the database.
    pub public_id: PublicId,
    /// Its origin.
    pub origin: AlertOrigin,
    /// `To`, separated by `;` or `,`.
    pub to_recipients: Option<String>,
    /// `Cc`, separated likewise.
    pub cc_recipients: Option<String>,
    /// `Bcc`, separated likewise.
    pub bcc_recipients: Option<String>,
    /// Replaces the send port's From, where the send port allows it.
    pub from_address: Option<String>,
    /// Header `Reply-To`.
    pub reply_to: Option<String>,
    /// Header `Subject`; a template's subject where it is absent.
    pub subject: Option<String>,
    /// Text or HTML, unless a template makes it.
    pub body: Option<String>,
    /// Format of `body`.
    pub body_format: BodyFormat,
    /// Name of a template.
    pub template: Option<String>,
    /// JSON object with the template's variables.
    pub payload: Option<String>,
    /// Language tag (BCP 47) for the choice of a template and for `Content-Language`.
    pub language: Option<String>,
    /// What kind of alert this is; header `X-Alert-Name`, variable of templates.
    pub alert_name: Option<String>,
    /// Severity, in the application's words.
    pub severity: Option<String>,
    /// The application or job.
    pub source: Option<String>,
    /// The application's own key for this alert.
    pub reference: Option<String>,
    /// Name of the send port.
    pub send_port: String,
    /// Class in the queue.
    pub priority: Priority,
    /// Header.
    pub importance: Importance,
    /// Header.
    pub sensitivity: Sensitivity,
    /// JSON object of extra headers.
    pub headers: Option<String>,
    /// Ask the relay for delivery status notifications (RFC 3461).
    pub delivery_receipt: bool,
    /// Ask the reader for a disposition notification (RFC 8098).
    pub read_receipt: bool,
    /// Header `Reply-By` (RFC 2156).
    pub reply_by: Option<Timestamp>,
    /// More protection than the send port's minimum: none, sign, encrypt, sign+encrypt.
    pub protection: Option<String>,
    /// Alerts with equal keys are duplicates.
    pub dedup_key: Option<String>,
    /// It is not sent before.
    pub not_before: Option<Timestamp>,
    /// It is not sent after.
    pub expires_at: Option<Timestamp>,
    /// Files that the service reads itself: absolute paths, separated by `;`.
    pub file_attachments: Option<String>,
    /// Those files are among its attachments.
    pub files_stored: bool,
    /// When it was inserted, by the database's clock.
    pub created_at: Timestamp,
    /// The login that inserted it.
    pub created_by: String,
    /// Number of attempts so far.
    pub attempt_count: u32,
    /// The latest requeue.
    pub requeued_at: Option<Timestamp>,
    /// Number of attempts before that; the retry budget counts from there.
    pub attempts_before: u32,
    /// How often a requeue asked for a new Message-ID.
    pub message_generation: u32,
    /// Version of the template that the first render used.
    pub template_version: Option<String>,
    /// The newest version of the database's templates when this was read, if there is any and
    /// the alert names a template.
    pub newest_templates: Option<u32>,
    /// Number of its rows in `Attachment`.
    pub attachment_count: u32,
    /// Its rows in `Recipient`; empty before the first outcome is recorded.
    pub recipients: Vec<Recipient>,
    /// The redirect of an operator that was in force when this was read.
    pub redirect: Option<Redirect>,
}

impl Alert {
    /// From when on its age counts: the insert or the latest requeue, or a later `NotBefore`.
    pub fn queued_since(&self) -> Timestamp {
        let queued = self.requeued_at.unwrap_or(self.created_at);
        self.not_before
            .map_or(queued, |not_before| queued.max(not_before))
    }

    /// The paths in `FileAttachments`, in its order. A list of separators alone is one path, which is none.
    pub fn named_files(&self) -> impl Iterator<Item = &str> {
        let list = self.file_attachments.as_deref().unwrap_or_default().trim();
        let paths = || {
            list.split(';')
                .map(str::trim)
                .filter(|path| !path.is_empty())
        };
        let separators = Some(list).filter(|list| !list.is_empty() && paths().next().is_none());
        paths().chain(separators)
    }

    /// Removes trailing blanks of names and keys, which `nchar` variables add. Databases ignore them in
    /// comparisons, so `default ` is the send port `default`.
    #[must_use]
    pub fn without_padding(mut self) -> Self {
        trim_end(&mut self.send_port);
        let names = [
            &mut self.template,
            &mut self.language,
            &mut self.alert_name,
            &mut self.severity,
            &mut self.source,
            &mut self.reference,
            &mut self.protection,
            &mut self.dedup_key,
        ];
        names.into_iter().flatten().for_each(trim_end);
        self
    }
}

/// Removes blanks only, as databases do: a tab or a no-break space is part of a name.
fn trim_end(text: &mut String) {
    text.truncate(text.trim_end_matches(' ').len());
}
