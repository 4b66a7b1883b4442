//! How alerts end that no instance sends: expired, without a send port, or in an adopted copy.

use std::time::Duration;

use sendport_core::domain::{
    AlertStatus, RecipientOutcome, RecipientStatus, expand_recipient_lists, status_of,
};

/// How waiting recipients end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ending {
    /// Of each that waited.
    pub(crate) status: RecipientStatus,
    /// Key into `ReplyExplanation`, where there is more to say than the reason.
    pub(crate) explanation: Option<&'static str>,
}

impl Ending {
    /// The status of an alert that ends so: one without a readable recipient can be cancelled too.
    pub(crate) fn status_of(self, recipients: Vec<RecipientStatus>) -> AlertStatus {
        match recipients.is_empty() && self.status == RecipientStatus::Cancelled {
            true => AlertStatus::Cancelled,
            false => status_of(recipients),
        }
    }
}

/// Its time is over.
pub(crate) const EXPIRED: Ending = Ending {
    status: RecipientStatus::Expired,
    explanation: Some("expired"),
};

/// No instance has its send port.
pub(crate) const UNROUTED: Ending = Ending {
    status: RecipientStatus::Failed,
    explanation: Some("no-such-send-port"),
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
        redirect_to: None,
    })
}
