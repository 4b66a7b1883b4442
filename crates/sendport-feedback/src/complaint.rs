//! Feedback reports (RFC 5965): a recipient marked the message as spam. The message arrived.

use sendport_core::domain::ReportedOutcome;

use crate::delivery_status::address;
use crate::diagnosis::one_line;
use crate::header::Header;
use crate::original::Original;
use crate::report::{Report, ReportKind, Reported};

/// Reads the part.
pub(crate) fn read(part: &str, original: &Original) -> Report {
    let fields = Header::read(part.as_bytes());
    let kind = fields.text("Feedback-Type").unwrap_or_default();
    let named = ["Original-Rcpt-To", "Removal-Recipient", "Redacted-Address"]
        .iter()
        .find_map(|name| address(&fields, name));
    let only = || match &original.recipients[..] {
        [only] => Some(only.clone()),
        _ => None,
    };
    let recipient = Reported {
        original_recipient: None,
        final_recipient: named.or_else(only),
        outcome: ReportedOutcome::Delivered,
        class: None,
        explanation_key: None,
        status: None,
        smtp_code: None,
        text: one_line(&format!("complaint: {kind}")),
        remote_mta: fields.text("Source-IP"),
        at: fields
            .date("Arrival-Date")
            .or_else(|| fields.date("Received-Date")),
        retry_until: None,
    };
    Report {
        kind: ReportKind::Complaint,
        envelope_id: fields.text("Original-Envelope-Id"),
        message_id: original.message_id.clone(),
        recipients: vec![recipient],
        ..Report::default()
    }
}
