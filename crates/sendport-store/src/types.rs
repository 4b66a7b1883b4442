//! What goes into and comes out of a store, beside the domain's own types.

use sendport_core::clock::utc_text;
use sendport_core::domain::{
    Alert, AlertId, AlertStatus, BodyFormat, ContentDisposition, InstanceId, Priority, Timestamp,
    TransferEncoding,
};
use serde::Serialize;

/// One alert read after its claim.
#[derive(Debug, Clone, PartialEq)]
pub enum LoadResult {
    /// As it is in the row.
    Alert(Box<Alert>),
    /// A value of the row cannot be read.
    Unreadable {
        /// Which.
        id: AlertId,
        /// Column and reason, in a sentence.
        reason: String,
    },
    /// Its texts are longer than [`LARGE_TEXTS`]: it is read when there is room for it, by
    /// [`AttachmentSource::whole_alert`](super::attachments::AttachmentSource::whole_alert).
    Large {
        /// Without them.
        alert: Box<Alert>,
        /// Of its texts and its attachments together.
        bytes: u64,
    },
}

/// Bytes of `Body` and `Payload` above which an alert is not read with the others of its claim.
pub const LARGE_TEXTS: u32 = 64 * 1024;

/// Whether an outcome still had its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordResult {
    /// Everything was recorded.
    Whole,
    /// The lease was lost: attempt, replies and relayed recipients were recorded.
    FactsOnly,
    /// The alert is gone (purged).
    Gone,
    /// Another transaction has the alert locked: nothing was recorded, and the same outcome has
    /// to come again.
    NotNow,
}

/// Whether the instance still holds its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// Extended.
    Renewed,
    /// It had run out or was ended.
    Lost,
}

/// A row of `ReplyExplanation`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Key, lower-case words joined by `-`.
    pub key: String,
    /// [`sendport_core::domain::Fault`] as a word.
    pub fault: String,
    /// Why a server says such a thing.
    pub cause: String,
    /// What to do.
    pub advice: String,
}

/// The severity of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventSeverity {
    /// For information.
    Information,
    /// An operator should look at it.
    Warning,
    /// An operator must look at it.
    Error,
}

impl EventSeverity {
    /// The word in `EventLog`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Information => "information",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A row of `EventLog` to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its severity.
    pub severity: EventSeverity,
    /// A constant word, for filtering: `relay-circuit-opened`, `service-started`.
    pub event_type: &'static str,
    /// The instance that noticed.
    pub instance: Option<InstanceId>,
    /// Which alert, if one.
    pub alert: Option<AlertId>,
    /// Which send port, if one.
    pub send_port: Option<String>,
    /// Which relay, if one.
    pub relay: Option<String>,
    /// A sentence.
    pub message: String,
}

/// One applied migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MigrationStep {
    /// Its number.
    pub version: u32,
    /// Its name: the file's, without number and ending.
    pub name: String,
}

/// The database's schema against the program's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaState {
    /// There is no schema of sendport: run `sendport migrate`.
    Absent,
    /// Older than the program: run `sendport migrate`.
    Behind {
        /// The database's version.
        found: u32,
        /// The program's version.
        expected: u32,
    },
    /// As it should be.
    Current(u32),
    /// Newer than the program: a newer sendport migrated it.
    Ahead {
        /// The database's version.
        found: u32,
        /// The program's version.
        expected: u32,
    },
    /// An applied migration differs from the program's of the same version.
    Altered {
        /// Its version.
        version: u32,
    },
    /// Older than the first release; no migration leads from it.
    Unreleased {
        /// The versions in its history.
        found: Vec<u32>,
    },
}

/// What to do with everything that waits in an adopted database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdoptMode {
    /// It becomes `expired`.
    Expire,
    /// It becomes `held`, until an operator releases it.
    Hold,
}

/// What `adopt` did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdoptReport {
    /// The environment that the database belonged to.
    pub previous_environment: Option<String>,
    /// Alerts that were expired or held.
    pub alerts: u64,
}

/// An alert to insert from the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAlert {
    /// `To`.
    pub to_recipients: Option<String>,
    /// `Cc`.
    pub cc_recipients: Option<String>,
    /// `Bcc`.
    pub bcc_recipients: Option<String>,
    /// Header.
    pub subject: Option<String>,
    /// Text or HTML.
    pub body: Option<String>,
    /// Which of them.
    pub body_format: BodyFormat,
    /// Template name.
    pub template: Option<String>,
    /// JSON object.
    pub payload: Option<String>,
    /// Language tag.
    pub language: Option<String>,
    /// JSON object of extra headers.
    pub headers: Option<String>,
    /// The application's own key.
    pub reference: Option<String>,
    /// Name of the send port.
    pub send_port: String,
    /// Class in the queue.
    pub priority: Priority,
    /// Not to be sent before.
    pub not_before: Option<Timestamp>,
    /// Not to be sent after.
    pub expires_at: Option<Timestamp>,
    /// Rows of `Attachment`.
    pub attachments: Vec<NewAttachment>,
}

/// A principal that may read or write every table of the database, whatever the roles of the schema say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedRoleMember {
    /// `db_datareader`, `db_datawriter` or `db_owner`.
    pub role: String,
    /// A user or a role of the database.
    pub member: String,
}

/// An attachment to insert from the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAttachment {
    /// What a reader saves it as.
    pub file_name: Option<String>,
    /// `type/subtype`; by the file's name where absent.
    pub media_type: Option<String>,
    /// Attached or shown with the text.
    pub disposition: ContentDisposition,
    /// What `cid:` in the HTML refers to.
    pub content_id: Option<String>,
    /// A few words about it.
    pub description: Option<String>,
    /// How it is sent.
    pub transfer_encoding: TransferEncoding,
    /// Its bytes.
    pub content: Vec<u8>,
}

impl NewAttachment {
    /// A file, attached.
    pub fn file(file_name: impl Into<String>, content: Vec<u8>) -> Self {
        Self {
            file_name: Some(file_name.into()),
            media_type: None,
            disposition: ContentDisposition::Attachment,
            content_id: None,
            description: None,
            transfer_encoding: TransferEncoding::Base64,
            content,
        }
    }
}

impl Default for NewAlert {
    fn default() -> Self {
        Self {
            to_recipients: None,
            cc_recipients: None,
            bcc_recipients: None,
            subject: None,
            body: None,
            body_format: BodyFormat::Text,
            template: None,
            payload: None,
            language: None,
            headers: None,
            reference: None,
            send_port: "default".to_owned(),
            priority: Priority::Normal,
            not_before: None,
            expires_at: None,
            attachments: Vec::new(),
        }
    }
}

/// A line of the view `AlertStatus`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the columns of the view, documented there")]
pub struct AlertLine {
    pub alert_id: AlertId,
    pub public_id: String,
    pub reference: Option<String>,
    pub subject: Option<String>,
    pub send_port: String,
    pub status: AlertStatus,
    pub status_reason: Option<String>,
    pub attempt_count: u32,
    pub next_attempt_at: Option<Timestamp>,
    pub final_at: Option<Timestamp>,
    pub body_purged_at: Option<Timestamp>,
    pub recipient_count: u32,
    pub relayed_count: u32,
    pub waiting_count: u32,
    pub failed_count: u32,
    pub created_at: Timestamp,
}

/// A line of the view `Delivery`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the columns of the view, documented there")]
pub struct DeliveryLine {
    pub alert_id: AlertId,
    pub ordinal: u32,
    pub kind: String,
    pub address: String,
    pub status: String,
    pub status_at: Timestamp,
    pub attempt_count: u32,
    pub next_attempt_at: Option<Timestamp>,
    pub relay: Option<String>,
    pub command: Option<String>,
    pub reply_code: Option<u16>,
    pub enhanced_status_code: Option<String>,
    pub reply_text: Option<String>,
    pub fault: Option<String>,
    pub cause: Option<String>,
    pub advice: Option<String>,
    pub remark: Option<String>,
    pub message_id: Option<String>,
    pub protection: Option<String>,
    pub signed_by: Option<String>,
    pub encrypted_to: Option<String>,
}

/// A line of the view `Queue`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the columns of the view, documented there")]
pub struct QueueLine {
    pub send_port: String,
    pub status: AlertStatus,
    pub depth: u64,
    pub oldest_at: Timestamp,
    pub oldest_age_seconds: i64,
    pub next_due_at: Option<Timestamp>,
    pub waiting_for: Option<String>,
    pub has_instance: bool,
}

impl QueueLine {
    /// It waits, and no running instance can send it.
    pub fn has_no_sender(&self) -> bool {
        matches!(self.status, AlertStatus::Queued | AlertStatus::Delayed) && !self.has_instance
    }
}

/// So much of a send port waits with one status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueDepth {
    /// As the alerts name it.
    pub send_port: String,
    /// Not a final one.
    pub status: AlertStatus,
    /// Alerts.
    pub depth: u64,
    /// Since the oldest of them was inserted, in seconds.
    pub oldest_age_seconds: i64,
}

/// Alerts that are stuck in `sending`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct OverdueLeases {
    /// How many.
    pub alerts: u64,
    /// When the first of them was leased.
    pub since: Option<Timestamp>,
}

impl OverdueLeases {
    /// A sentence; `None` where none hangs.
    pub fn in_words(&self) -> Option<String> {
        let since = utc_text(self.since?);
        Some(format!(
            "{} hang in 'sending', the first since {since}, and the lease of their instance ran out",
            self.alerts
        ))
    }
}

/// A line of the view `InDoubt`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the columns of the view, documented there")]
pub struct InDoubtLine {
    pub alert_id: AlertId,
    pub public_id: String,
    pub reference: Option<String>,
    pub send_port: String,
    pub subject: Option<String>,
    pub status: AlertStatus,
    pub status_reason: Option<String>,
    pub attempt_number: u32,
    pub relay: Option<String>,
    pub message_id: Option<String>,
    pub started_at: Option<Timestamp>,
    pub ended_at: Timestamp,
    pub remote_address: Option<String>,
    pub next_attempt_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub created_by: String,
}

/// A line of the table `Instance`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the columns of the table, documented there")]
pub struct InstanceLine {
    pub name: String,
    pub host_name: String,
    pub process_id: u32,
    pub version: String,
    pub started_at: Timestamp,
    pub renewed_at: Timestamp,
    pub lease_until: Timestamp,
    pub stopped_at: Option<Timestamp>,
    pub alive: bool,
    pub waiting_for: Option<String>,
    pub unrecorded_count: u32,
    pub unrecorded_since: Option<Timestamp>,
    pub unclaimed_count: u32,
    pub unclaimed_since: Option<Timestamp>,
}
