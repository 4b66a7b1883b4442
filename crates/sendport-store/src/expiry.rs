//! How alerts end that no instance sends: expired, without a send port, or in an adopted copy.

use std::time::Duration;

use sendport_core::domain::{RecipientOutcome, RecipientStatus, expand_recipient_lists};

/// How waiting recipients end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ending {
    /// Of each that waited.
    pub(crate) status: RecipientStatus,
    /// Key into `ReplyExplanation`.
    pub(crate) explanation: &'static str,
}

/// Its time is over.
pub(crate) const EXPIRED: Ending = Ending {
    status: RecipientStatus::Expired,
    explanation: "expired",
};

/// No instance has its send port.
pub(crate) const UNROUTED: Ending = Ending {
    status: RecipientStatus::Failed,
    explanation: "no-such-send-port",
};

/// Why an alert expires, with the time that has passed.
pub(crate) fn expired_reason(limit: &str) -> String {
    format!("expired: not sent before {limit}")
}

/// Why an alert fails whose send port no instance has had for `after`.
pub(crate) fn unrouted_reason(send_port: &str, after: Duration) -> String {
    format!(
        "no running instance has had a send port named '{send_port}' for {} minutes; add it to the configuration or \
         insert the alert for one that exists",
        after.as_secs() / 60
    )
}

/// The recipients of an alert that has no rows of them yet: from its lists.
pub(crate) fn recipients_of_lists(
    to: Option<&str>,
    cc: Option<&str>,
    bcc: Option<&str>,
) -> impl Iterator<Item = RecipientOutcome> {
    let recipients = expand_recipient_lists(to, cc, bcc).into_iter();
    recipients.map(|recipient| RecipientOutcome {
        reply: recipient.address.refusal(),
        ordinal: recipient.ordinal,
        kind: recipient.kind,
        address: recipient.address,
        status: recipient.status,
        attempt_count: 0,
        relay: None,
        explanation: None,
        remark: None,
    })
}
