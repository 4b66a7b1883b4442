//! The report to the sender of a submitted message (RFC 3461 section 5.2, RFC 3464): who is reported, and what is said.

use std::collections::BTreeMap;
use std::time::Duration;

use sendport_core::domain::{
    AlertOrigin, DsnReturn, EnvelopeRecipient, IntakeClient, Mailbox, Notify, NotifyOn,
    ReceivedContent, ReceivedEnvelope, ReceivedHeader, ReceivedMessage, RecipientKind,
    RecipientStatus, ReportAction, ReversePath, StoredMessage, Timestamp, TransactionId,
};
use sendport_message::delivery_report::{DeliveryReport, ReportedRecipient, Returned};
use sendport_store::delivery_reports::{UnreportedMessage, UnreportedRecipient};
use sendport_store::received::PIECE;

use crate::send_port::SendPort;
use crate::settings::{ReportsTo, SendPortConfig};

/// The display name in From, where the configuration has none.
const DISPLAY_NAME: &str = "Mail Delivery Service";

/// Reports of one send port.
#[derive(Debug, Clone)]
pub struct ReportRules {
    /// Name of the send port.
    pub send_port: String,
    /// Who is notified.
    pub to: ReportsTo,
    /// Header `From`.
    pub from: Mailbox,
    /// Right side of the Message-ID.
    pub message_id_domain: String,
    /// Most of them in a minute.
    pub per_minute: u32,
    /// When a message is late.
    pub delay_after: Duration,
    /// When it expires.
    pub max_age: Duration,
    /// `NOTIFY` of recipients without their own.
    pub dsn_notify: Option<Notify>,
    /// `RET` of messages without their own.
    pub dsn_return: Option<DsnReturn>,
    /// The content of its messages is confidential.
    pub encrypts: bool,
}

impl ReportRules {
    /// Those of a send port and its section.
    pub fn new(port: &SendPort, config: &SendPortConfig) -> Self {
        let own_from = || Mailbox {
            display_name: Some(DISPLAY_NAME.to_owned()),
            address: port.from.address.clone(),
        };
        Self {
            send_port: port.name.clone(),
            to: config.reports_to,
            from: config.report_from.clone().unwrap_or_else(own_from),
            message_id_domain: port.message_id_domain.clone(),
            per_minute: config.reports_per_minute,
            delay_after: config.report_delay_after,
            max_age: config.max_age,
            dsn_notify: config.dsn_notify.clone(),
            dsn_return: config.dsn_return,
            encrypts: config.protection.encrypts(),
        }
    }

    /// The reverse-path gets reports.
    pub(crate) fn notifies_senders(&self) -> bool {
        self.to == ReportsTo::Sender
    }

    /// Messages whose client gave no `NOTIFY` are reported in this case, too.
    pub(crate) fn applies_by_default(&self, action: ReportAction) -> bool {
        let notify = self.dsn_notify.as_ref();
        notify.is_some_and(|it| it.includes(action.requested_by()))
    }
}

/// Recipients of a message, by what is to be reported of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ReportPlan {
    /// A report names them.
    pub(crate) reported: Vec<UnreportedRecipient>,
    /// No report names them, for this reason: by their ordinals.
    pub(crate) left_out: BTreeMap<String, Vec<u32>>,
}

impl ReportPlan {
    /// Of these recipients of `stored`.
    pub(crate) fn of(
        rules: &ReportRules,
        action: ReportAction,
        stored: &StoredMessage,
        recipients: Vec<UnreportedRecipient>,
    ) -> Self {
        let mut plan = Self::default();
        for recipient in recipients {
            match reason_for_none(rules, action, stored, &recipient) {
                Some(reason) => {
                    let same = plan.left_out.entry(reason).or_default();
                    same.push(recipient.ordinal);
                }
                None => plan.reported.push(recipient),
            }
        }
        plan
    }
}

/// Behind "no report because"; `None`: it is reported.
fn reason_for_none(
    rules: &ReportRules,
    action: ReportAction,
    stored: &StoredMessage,
    recipient: &UnreportedRecipient,
) -> Option<String> {
    if stored.reverse_path.0.is_none() {
        return Some("it is the null reverse-path".to_owned());
    }
    if !rules.notifies_senders() {
        return Some("reports_to of the send port is \"operators\"".to_owned());
    }
    if let Some(to) = &recipient.redirect_to {
        return Some(format!("a redirect sent the message to {to}"));
    }
    let dsn = stored.recipient_dsn.get(&recipient.address);
    let own = dsn.and_then(|dsn| dsn.notify.as_ref());
    let case = action.requested_by();
    let (asks, whose) = match own.or(rules.dsn_notify.as_ref()) {
        Some(notify) if own.is_some() => (notify.includes(case), "NOTIFY of the client"),
        Some(notify) => (notify.includes(case), "dsn_notify of the send port"),
        // RFC 3461 section 4.1.
        None => (case == NotifyOn::Failure, "the default of NOTIFY"),
    };
    if !asks {
        return Some(format!("{whose} does not ask for it"));
    }
    let is_left_to_the_relay =
        action == ReportAction::Relayed && recipient.offers_dsn != Some(false);
    is_left_to_the_relay.then(|| "the relay reports it (RFC 3461)".to_owned())
}

/// What a report is made from, beside its rules.
pub(crate) struct ReportSource<'a> {
    /// What is reported.
    pub(crate) action: ReportAction,
    /// Name of the host that accepted the message.
    pub(crate) host_name: &'a str,
    /// Now.
    pub(crate) now: Timestamp,
    /// How the message came.
    pub(crate) stored: &'a StoredMessage,
    /// The message.
    pub(crate) message: &'a UnreportedMessage,
    /// The first piece of its content; empty where it was deleted.
    pub(crate) content: &'a [u8],
    /// Whom the report names.
    pub(crate) recipients: &'a [UnreportedRecipient],
}

/// The report; `None` for the null reverse-path.
pub(crate) fn compose(rules: &ReportRules, source: &ReportSource<'_>) -> Option<ReceivedMessage> {
    let ReportSource {
        stored, message, ..
    } = source;
    let to = stored.reverse_path.0.as_ref()?;
    let transaction = TransactionId::random();
    let recipients: Vec<_> = source
        .recipients
        .iter()
        .map(|it| reported(it, source.action, stored))
        .collect();
    let expires = chrono::TimeDelta::from_std(rules.max_age).ok();
    let expires = expires.and_then(|age| message.queued_since.checked_add_signed(age));
    let composed = DeliveryReport {
        id: transaction.0,
        message_id_domain: &rules.message_id_domain,
        from: &rules.from,
        to,
        date: source.now,
        action: source.action,
        reporting_mta: source.host_name,
        arrival: message.created_at,
        retry_until: expires,
        envelope_id: stored.envelope_id.as_deref(),
        message_id: &stored.message_id,
        subject: message.subject.as_deref().filter(|_| !rules.encrypts),
        recipients: &recipients,
        returned: returned(rules, source),
    }
    .compose();
    Some(ReceivedMessage {
        transaction,
        intake: String::new(),
        origin: AlertOrigin::Report,
        send_port: rules.send_port.clone(),
        client: IntakeClient {
            address: None,
            helo: None,
            user: None,
        },
        envelope: ReceivedEnvelope {
            reverse_path: ReversePath(None),
            recipients: vec![EnvelopeRecipient {
                address: to.clone(),
                kind: RecipientKind::To,
                notify: None,
                original: None,
            }],
            body: composed.body,
            smtp_utf8: composed.smtp_utf8,
            envelope_id: None,
            returns: None,
        },
        header: ReceivedHeader {
            message_id: composed.message.message_id,
            from: Some(rules.from.to_string()),
            subject: Some(composed.subject.to_owned()),
            from_allowed: true,
        },
        content: ReceivedContent::Memory(composed.message.bytes),
    })
}

/// The whole message only where it failed (RFC 3461 section 4.3), it is short, it is not confidential, and it is not what the
/// relay refused: it would refuse the report as well.
fn returned(rules: &ReportRules, source: &ReportSource<'_>) -> Returned {
    let wanted = source.stored.returns.or(rules.dsn_return);
    let is_whole = source.stored.size_bytes <= PIECE as u64
        && source.stored.size_bytes == source.content.len() as u64;
    let is_full = wanted == Some(DsnReturn::Full)
        && source.action == ReportAction::Failed
        && is_whole
        && !source.content.is_empty()
        && !source.recipients.iter().any(is_refused_content);
    let returned = match is_full {
        true => Returned::full(source.content),
        false => Returned::headers(source.content),
    };
    match rules.encrypts {
        true => returned.without_content(),
        false => returned,
    }
}

/// Size or content (RFC 3463 sections 3.4 and 3.7), or what filters say.
fn is_refused_content(recipient: &UnreportedRecipient) -> bool {
    const CODES: [&str; 4] = ["5.2.3", "5.3.4", "5.7.0", "5.7.1"];
    match recipient.enhanced.as_deref() {
        Some(enhanced) => enhanced.starts_with("5.6.") || CODES.contains(&enhanced),
        None => matches!(recipient.reply_code, Some(552 | 554)),
    }
}

fn reported(
    recipient: &UnreportedRecipient,
    action: ReportAction,
    stored: &StoredMessage,
) -> ReportedRecipient {
    let dsn = stored.recipient_dsn.get(&recipient.address);
    // The text of one that expired begins with that, and contains the last reply.
    let text = recipient.reply_text.as_deref();
    let is_own_text = text.is_some_and(|text| text.starts_with("expired: "));
    let code = recipient
        .reply_code
        .filter(|code| *code != 0 && !is_own_text);
    let enhanced = recipient.enhanced.as_deref().filter(|_| code.is_some());
    let code_text = code.map(|code| code.to_string());
    let words = [code_text.as_deref(), enhanced, text];
    let reply = words.into_iter().flatten().collect::<Vec<_>>().join(" ");
    let is_of_relay = recipient.relay.is_some() && code.is_some();
    ReportedRecipient {
        address: recipient.address.clone(),
        original: dsn.and_then(|dsn| dsn.original.clone()),
        status: status(recipient, action),
        remote_mta: recipient.server_name.clone().filter(|_| is_of_relay),
        reply: Some(reply).filter(|reply| !reply.is_empty()),
        is_of_relay,
        last_attempt: recipient.attempt_ended_at,
    }
}

/// `Status`, of a class that fits the action (RFC 3463 section 2).
fn status(recipient: &UnreportedRecipient, action: ReportAction) -> String {
    if action == ReportAction::Failed && recipient.status == RecipientStatus::Expired {
        // Delivery time expired (RFC 3463 section 3.5).
        return "4.4.7".to_owned();
    }
    let (classes, default) = match action {
        ReportAction::Failed => (&["5.", "4."][..], "5.0.0"),
        ReportAction::Delayed => (&["4."][..], "4.0.0"),
        ReportAction::Relayed => (&["2."][..], "2.0.0"),
    };
    let enhanced = recipient.enhanced.as_deref();
    let fits = |code: &&str| classes.iter().any(|class| code.starts_with(class));
    enhanced.filter(fits).unwrap_or(default).to_owned()
}

#[cfg(test)]
#[path = "delivery_report_tests.rs"]
mod tests;
