//! Disposition notifications (RFC 8098): what the recipient's mail program did with the message.

use sendport_core::domain::ReportedOutcome;

use crate::delivery_status::address;
use crate::diagnosis::one_line;
use crate::header::Header;
use crate::original::{self, Original};
use crate::report::{Report, ReportKind, Reported};

/// Reads the part. Only `displayed` says that somebody may have read the message; anything else says that it arrived.
pub(crate) fn read(part: &str, returned: &Original) -> Report {
    let fields = Header::read(part.as_bytes());
    let disposition = fields.text("Disposition").unwrap_or_default();
    let lower = disposition.to_ascii_lowercase();
    let (mode, kind) = lower.split_once(';').unwrap_or(("", &lower));
    let kind = kind.split('/').next().unwrap_or_default().trim();
    let outcome = match kind {
        "displayed" => ReportedOutcome::Read,
        _ => ReportedOutcome::Delivered,
    };
    let named = fields.text("Original-Message-ID");
    let named = named.and_then(|it| original::message_id(&it));
    let recipient = Reported {
        original_recipient: address(&fields, "Original-Recipient"),
        final_recipient: address(&fields, "Final-Recipient"),
        outcome,
        class: None,
        explanation_key: None,
        status: None,
        smtp_code: None,
        text: one_line(&disposition),
        remote_mta: None,
        at: None,
        retry_until: None,
    };
    Report {
        kind: ReportKind::Disposition {
            is_automatic: mode.starts_with("automatic-action"),
        },
        message_id: named.or_else(|| returned.message_id.clone()),
        recipients: vec![recipient],
        ..Report::default()
    }
}
