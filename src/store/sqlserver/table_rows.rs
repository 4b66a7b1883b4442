//! The rows of the tables that a procedure takes as parameters.

use chrono::NaiveDateTime;
use tiberius::{SqlTableDataRow, TableValueRow};
use uuid::Uuid;

use super::values::{millis, stored};
use crate::domain::{
    AlertId, AlertStatus, Attempt, Decision, Outcome, OutcomeKind, ProtectionFacts,
    RecipientOutcome, Timestamp,
};

/// Most rows of one table: row locks turn into a table lock at about 5,000 a statement, and
/// engines need memory for each.
pub(super) const MOST_ROWS: usize = 1000;

/// Most UTF-16 units of a text in a table.
const LONGEST_TEXT: usize = 32_000;

/// The `n`-th portion of rows that may be more than [`MOST_ROWS`].
pub(super) fn portion<R: Clone>(rows: &[R], n: usize) -> Vec<R> {
    rows.chunks(MOST_ROWS).nth(n).unwrap_or_default().to_vec()
}

/// How many portions there are, of one where there are no rows.
pub(super) fn portions(rows: usize) -> usize {
    rows.div_ceil(MOST_ROWS).max(1)
}

/// Implements the driver's trait: the type's name, and the fields in the order of its columns.
macro_rules! table_row {
    ($row:ident, $type:literal, $($field:ident),+) => {
        impl<'a> TableValueRow<'a> for $row {
            fn bind_fields(&self, row: &mut SqlTableDataRow<'a>) {
                $(row.add_field(self.$field.clone());)+
            }

            fn get_db_type() -> &'static str {
                $type
            }
        }
    };
}

/// A row of `sendport.OutcomeList`.
#[derive(Clone, Default)]
pub(super) struct OutcomeRow {
    alert: i64,
    token: Option<Uuid>,
    seen_at: Option<NaiveDateTime>,
    status: Option<String>,
    retry_in_ms: Option<i64>,
    reason: Option<String>,
    template_version: Option<String>,
    attempt_key: Option<Uuid>,
    attempt_number: Option<i32>,
    outcome: Option<String>,
    relay: Option<String>,
    started_at: Option<NaiveDateTime>,
    ended_at: Option<NaiveDateTime>,
    message_id: Option<String>,
    size_bytes: Option<i64>,
    protection: Option<String>,
    remote_address: Option<String>,
    server_name: Option<String>,
    tls_version: Option<String>,
    tls_cipher: Option<String>,
    peer_fingerprint: Option<String>,
    auth_mechanism: Option<String>,
    signed_by: Option<String>,
    signature_algorithm: Option<String>,
    encrypted_to: Option<String>,
    encryption_algorithm: Option<String>,
    header_protection: Option<String>,
    /// What the first of several calls for this outcome answered.
    pub(super) recorded: Option<i32>,
}

table_row!(
    OutcomeRow,
    "sendport.OutcomeList",
    alert,
    token,
    seen_at,
    status,
    retry_in_ms,
    reason,
    template_version,
    attempt_key,
    attempt_number,
    outcome,
    relay,
    started_at,
    ended_at,
    message_id,
    size_bytes,
    protection,
    remote_address,
    server_name,
    tls_version,
    tls_cipher,
    peer_fingerprint,
    auth_mechanism,
    signed_by,
    signature_algorithm,
    encrypted_to,
    encryption_algorithm,
    header_protection,
    recorded
);

impl OutcomeRow {
    pub(super) fn new(outcome: &Outcome) -> Self {
        let mut row = Self {
            alert: outcome.alert.0,
            token: Some(outcome.token.0),
            ..Self::default()
        };
        match &outcome.kind {
            OutcomeKind::Released { retry_in, reason } => {
                row.retry_in_ms = Some(millis(*retry_in));
                row.reason = reason.as_deref().map(fit_long);
            }
            OutcomeKind::Decided(decision) => row.decide(decision),
        }
        row
    }

    /// An alert that ends without anybody holding it, if it still is as it was seen.
    pub(super) fn ended(alert: AlertId, seen_at: Timestamp, reason: &str) -> Self {
        Self {
            alert: alert.0,
            seen_at: Some(seen_at.naive_utc()),
            reason: Some(fit_long(reason)),
            ..Self::default()
        }
    }

    fn decide(&mut self, decision: &Decision) {
        // A lease that is given up is not being sent: a caller's slip must not strand the alert.
        let status = match decision.status {
            AlertStatus::Sending => AlertStatus::Queued,
            other => other,
        };
        self.status = Some(status.as_str().to_owned());
        self.retry_in_ms = decision.retry_in.map(millis);
        self.reason = decision.reason.as_deref().map(fit_long);
        self.template_version = short(decision.template_version.as_deref(), 128);
        if let Some(attempt) = &decision.attempt {
            self.attempt(attempt);
        }
    }

    fn attempt(&mut self, attempt: &Attempt) {
        let facts = &attempt.facts;
        self.attempt_key = Some(attempt.key.0);
        self.attempt_number = Some(int(attempt.number));
        self.outcome = Some(attempt.outcome.as_str().to_owned());
        self.relay = Some(fit(&attempt.relay, 128));
        self.started_at = Some(stored(attempt.started_at).naive_utc());
        self.ended_at = Some(stored(attempt.ended_at).naive_utc());
        self.message_id = Some(fit(&attempt.message_id, 1000));
        self.size_bytes = i64::try_from(attempt.size_bytes).ok();
        self.protection = Some(fit(&attempt.protection, 16));
        self.remote_address = short(facts.remote_address.as_deref(), 128);
        self.server_name = short(facts.server_name.as_deref(), 512);
        self.tls_version = short(facts.tls_version.as_deref(), 64);
        self.tls_cipher = short(facts.tls_cipher.as_deref(), 128);
        self.peer_fingerprint = short(facts.peer_fingerprint.as_deref(), 128);
        self.auth_mechanism = short(facts.auth_mechanism.as_deref(), 64);
        self.protected(&attempt.protected);
    }

    fn protected(&mut self, facts: &ProtectionFacts) {
        self.signed_by = short(facts.signed_by.as_deref(), 64);
        self.signature_algorithm = short(facts.signature_algorithm.as_deref(), 64);
        self.encrypted_to = facts.encrypted_to.clone().filter(|to| fits(to));
        self.encryption_algorithm = short(facts.encryption_algorithm.as_deref(), 64);
        self.header_protection = short(facts.header_protection.as_deref(), 64);
    }
}

/// A row of `sendport.RecipientList`.
#[derive(Clone)]
pub(super) struct RecipientRow {
    alert: i64,
    ordinal: i32,
    kind: &'static str,
    address: String,
    display_name: Option<String>,
    status: &'static str,
    attempt_count: i32,
    relay: Option<String>,
    command: Option<&'static str>,
    code: Option<i32>,
    enhanced: Option<String>,
    text: Option<String>,
    explanation: Option<String>,
    remark: Option<String>,
}

table_row!(
    RecipientRow,
    "sendport.RecipientList",
    alert,
    ordinal,
    kind,
    address,
    display_name,
    status,
    attempt_count,
    relay,
    command,
    code,
    enhanced,
    text,
    explanation,
    remark
);

impl RecipientRow {
    pub(super) fn new(alert: AlertId, recipient: &RecipientOutcome) -> Self {
        let reply = recipient.reply.as_ref();
        Self {
            alert: alert.0,
            ordinal: int(recipient.ordinal),
            kind: recipient.kind.as_str(),
            address: fit(&recipient.mailbox.address, 320),
            display_name: recipient.mailbox.display_name.as_deref().map(fit_long),
            status: recipient.status.as_str(),
            attempt_count: int(recipient.attempt_count),
            relay: short(recipient.relay.as_deref(), 128),
            command: reply.map(|r| r.command.as_str()),
            code: reply.map(|r| i32::from(r.code)),
            enhanced: reply.and_then(|r| r.enhanced).map(|e| e.to_string()),
            text: reply.map(|r| fit_long(&r.text)),
            explanation: short(recipient.explanation.as_deref(), 64),
            remark: short(recipient.remark.as_deref(), 400),
        }
    }
}

/// A row of `sendport.ReplyList`.
#[derive(Clone)]
pub(super) struct ReplyRow {
    key: Uuid,
    ordinal: i32,
    command: &'static str,
    recipient: Option<i32>,
    code: i32,
    enhanced: Option<String>,
    text: String,
}

table_row!(
    ReplyRow,
    "sendport.ReplyList",
    key,
    ordinal,
    command,
    recipient,
    code,
    enhanced,
    text
);

impl ReplyRow {
    pub(super) fn of(attempt: &Attempt) -> impl Iterator<Item = Self> {
        attempt.replies.iter().zip(0..).map(|(said, ordinal)| Self {
            key: attempt.key.0,
            ordinal,
            command: said.reply.command.as_str(),
            recipient: said.ordinal.map(int),
            code: i32::from(said.reply.code),
            enhanced: said.reply.enhanced.map(|e| e.to_string()),
            text: fit_long(&said.reply.text),
        })
    }
}

/// A text in a table. Some engines that speak T-SQL build a statement from a table's `nvarchar`
/// values without escaping them, and what a relay says must never become SQL: no text has an
/// apostrophe on its way; a private-use character stands for it, which the statement replaces.
fn fit(text: &str, limit: usize) -> String {
    super::values::fit(text, limit).replace('\'', "\u{e027}")
}

/// Whether a text is short enough for a table: the driver refuses more than 65,535 bytes of UTF-16.
pub(super) fn fits(text: &str) -> bool {
    text.encode_utf16().count() <= LONGEST_TEXT
}

/// A text of a server or a person; what is too long for a table is cut, and says so.
fn fit_long(text: &str) -> String {
    if fits(text) {
        return fit(text, LONGEST_TEXT);
    }
    let cut = format!(" [cut off here, of {} characters]", text.chars().count());
    fit(text, LONGEST_TEXT - cut.len()) + &cut
}

fn short(text: Option<&str>, limit: usize) -> Option<String> {
    text.map(|text| fit(text, limit))
}

fn int(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_apostrophe_travels_in_a_table() {
        assert_eq!(fit("O'Brien', N''); DROP", 99).matches('\'').count(), 0);
        assert_eq!('\u{e027}' as u32, 57383);
    }

    #[test]
    fn a_text_that_is_too_long_for_a_table_says_that_it_was_cut() {
        let longest = "x".repeat(LONGEST_TEXT);
        assert_eq!(fit_long(&longest), longest);
        let cut = fit_long(&"🚨'".repeat(100_000));
        assert!(cut.ends_with("🚨\u{e027} [cut off here, of 200000 characters]"));
        assert!(fits(&cut));
        assert!(cut.encode_utf16().count() * 2 <= 65_535);
    }
}
