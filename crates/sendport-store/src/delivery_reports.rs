//! Reports to the senders of submitted messages: what has to be reported, and what was.

use std::time::Duration;

use async_trait::async_trait;
use sendport_core::domain::{AlertId, ReceivedMessage, RecipientStatus, ReportAction, Timestamp};

use super::StoreError;

/// Submitted messages with recipients that nothing was reported of.
#[derive(Debug, Clone, Copy)]
pub struct ReportSearch<'a> {
    /// Of this send port.
    pub send_port: &'a str,
    /// Failed or expired recipients; or messages that are final and were relayed to some; or messages that are not
    /// final.
    pub action: ReportAction,
    /// Since they were submitted, for delayed ones; zero for the others.
    pub after: Duration,
    /// Only what could be reported so long ago at most.
    pub within: Duration,
    /// Messages whose client gave no `NOTIFY` count, too. Failures always count.
    pub by_default: bool,
    /// Alerts to leave out.
    pub without: &'a [AlertId],
    /// Most alerts.
    pub limit: u32,
}

/// A message with something to report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportCandidate {
    /// Which alert.
    pub alert: AlertId,
    /// How long it could have been reported.
    pub age: Duration,
}

/// A submitted message, and its recipients that something has to be reported of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreportedMessage {
    /// When it was submitted.
    pub created_at: Timestamp,
    /// Since when its age counts: a requeue starts it anew.
    pub queued_since: Timestamp,
    /// Header, decoded.
    pub subject: Option<String>,
    /// In their order, as many as were asked for.
    pub recipients: Vec<UnreportedRecipient>,
}

/// A recipient of such a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreportedRecipient {
    /// [`Recipient::ordinal`](sendport_core::domain::Recipient::ordinal).
    pub ordinal: u32,
    /// Its address.
    pub address: String,
    /// Its status.
    pub status: RecipientStatus,
    /// The relay of the last attempt.
    pub relay: Option<String>,
    /// Its reply code; 0 and `None`: there was no reply.
    pub reply_code: Option<u32>,
    /// Its enhanced status code.
    pub enhanced: Option<String>,
    /// Its text, or why no relay was asked.
    pub reply_text: Option<String>,
    /// A redirect sent the message elsewhere.
    pub redirect_to: Option<String>,
    /// The name that the relay gave itself in the latest attempt for this recipient.
    pub server_name: Option<String>,
    /// The end of that attempt.
    pub attempt_ended_at: Option<Timestamp>,
    /// That relay offers DSN (RFC 3461); `None`: it is not known.
    pub offers_dsn: Option<bool>,
}

/// A report to insert, or why there is none.
#[derive(Debug)]
pub struct NewReport {
    /// Of this alert.
    pub alert: AlertId,
    /// Its send port.
    pub send_port: String,
    /// What is reported.
    pub action: ReportAction,
    /// Of which recipients, by their ordinals; at least one, at most 1,000.
    pub recipients: Vec<u32>,
    /// The report as a message of the origin [`Report`](sendport_core::domain::AlertOrigin::Report), or why there is
    /// none.
    pub message: Result<ReceivedMessage, String>,
}

/// The result of inserting a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportResult {
    /// It is this alert.
    Inserted(AlertId),
    /// It is recorded that there is none.
    Recorded,
    /// Nothing was done: something was reported of one of the recipients already, or its status changed.
    Outdated,
}

/// What has to be reported, and what was: bookkeeping that all instances share.
///
/// # Errors
/// As [`AlertStore`](super::AlertStore).
#[async_trait]
pub trait DeliveryReports: Send + Sync {
    /// Messages with something to report, the oldest first. Nothing before the adoption of the database is reported:
    /// a copied database notifies nobody.
    async fn reportable(
        &self,
        search: ReportSearch<'_>,
    ) -> Result<Vec<ReportCandidate>, StoreError>;

    /// The recipients of a message that `action` has to be reported of, at most `limit`; `None` where the alert is
    /// gone.
    async fn unreported_message(
        &self,
        alert: AlertId,
        action: ReportAction,
        limit: u32,
    ) -> Result<Option<UnreportedMessage>, StoreError>;

    /// How many reports the send port got within the last `within`.
    async fn recent_reports(&self, send_port: &str, within: Duration) -> Result<u32, StoreError>;

    /// In one transaction: inserts the report, if there is one, and records of each recipient that it was reported.
    /// Repeated, or by several instances, it is done once.
    async fn insert_report(&self, report: NewReport) -> Result<ReportResult, StoreError>;
}

/// Whether `action` can be reported of a recipient with this status; `None`: it has no row yet.
pub(crate) fn is_current(action: ReportAction, status: Option<RecipientStatus>) -> bool {
    match action {
        ReportAction::Failed => {
            matches!(
                status,
                Some(RecipientStatus::Failed | RecipientStatus::Expired)
            )
        }
        ReportAction::Delayed => status.is_none_or(RecipientStatus::is_waiting),
        ReportAction::Relayed => status == Some(RecipientStatus::Relayed),
    }
}

/// The recipients of an alert that has no rows of them yet.
pub(crate) fn recipients_of_lists(
    to: Option<&str>,
    cc: Option<&str>,
    bcc: Option<&str>,
) -> Vec<UnreportedRecipient> {
    let recipients = sendport_core::domain::expand_recipient_lists(to, cc, bcc).into_iter();
    let unreported = recipients.map(|it| UnreportedRecipient {
        ordinal: it.ordinal,
        address: it.address.text().to_owned(),
        status: it.status,
        relay: None,
        reply_code: None,
        enhanced: None,
        reply_text: None,
        redirect_to: None,
        server_name: None,
        attempt_ended_at: None,
        offers_dsn: None,
    });
    unreported.collect()
}
