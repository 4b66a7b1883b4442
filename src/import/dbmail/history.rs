//! Messages that Database Mail sent, as it composed them.

use sendport_core::domain::{BodyFormat, Importance, Sensitivity};
use serde::Deserialize;

use super::snapshot::{Account, Snapshot};
use super::{accounts, carry};

/// A row of `sysmail_allitems`, with the columns of its `sysmail_mailitems` that the view lacks.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Item {
    mailitem_id: i64,
    profile_id: i64,
    recipients: Option<String>,
    copy_recipients: Option<String>,
    blind_copy_recipients: Option<String>,
    subject: Option<String>,
    body: Option<String>,
    body_format: Option<String>,
    importance: Option<String>,
    sensitivity: Option<String>,
    from_address: Option<String>,
    reply_to: Option<String>,
    sent_account_id: Option<i64>,
    #[serde(default)]
    attachments: i64,
}

/// What a caller of `sp_send_dbmail` gave, and what Database Mail sent for it.
#[derive(Debug, Clone)]
pub struct SentMessage {
    /// `mailitem_id`.
    pub item: i64,
    /// The send port of its profile; `None` if the profile was not imported.
    pub send_port: Option<String>,
    /// `To`, `Cc` and `Bcc`, as the caller wrote them.
    pub recipients: [Option<String>; 3],
    /// The From that the caller gave.
    pub own_from: Option<String>,
    /// The Reply-To that the caller gave.
    pub own_reply_to: Option<String>,
    /// From in the message: the caller's or the account's.
    pub from: String,
    /// Reply-To in the message, likewise.
    pub reply_to: Option<String>,
    /// Subject.
    pub subject: String,
    /// Text or HTML.
    pub body: String,
    /// Which of the two.
    pub body_format: BodyFormat,
    /// Header.
    pub importance: Importance,
    /// Header.
    pub sensitivity: Sensitivity,
    /// Number of attached files.
    pub attachments: u64,
}

/// The messages of a document, in the order of their ids.
pub fn sent_messages(snapshot: &Snapshot) -> Vec<SentMessage> {
    let (made, ports) = carry(snapshot);
    let mut items: Vec<_> = snapshot.items.iter().collect();
    items.sort_by_key(|item| item.mailitem_id);
    let port_of = |profile: i64| {
        let at = ports.get(&profile)?;
        Some(made.send_ports[*at].name.clone())
    };
    items
        .into_iter()
        .map(|item| sent(item, snapshot, port_of(item.profile_id)))
        .collect()
}

fn sent(item: &Item, snapshot: &Snapshot, send_port: Option<String>) -> SentMessage {
    let used = item.sent_account_id.and_then(|id| snapshot.account(id));
    let account = used.or_else(|| snapshot.accounts_of(item.profile_id).first().copied());
    let own_from = filled(item.from_address.as_ref());
    let own_reply_to = filled(item.reply_to.as_ref());
    let from = own_from.clone().or_else(|| account.map(sender));
    let account_reply_to = account.and_then(|it| filled(it.replyto_address.as_ref()));
    let is_html = item.body_format.as_deref().map(str::trim) == Some("HTML");
    SentMessage {
        item: item.mailitem_id,
        send_port,
        recipients: [
            &item.recipients,
            &item.copy_recipients,
            &item.blind_copy_recipients,
        ]
        .map(|list| filled(list.as_ref())),
        from: from.unwrap_or_default(),
        reply_to: own_reply_to.clone().or(account_reply_to),
        own_from,
        own_reply_to,
        subject: item.subject.clone().unwrap_or_default(),
        body: item.body.clone().unwrap_or_default(),
        body_format: if is_html {
            BodyFormat::Html
        } else {
            BodyFormat::Text
        },
        importance: word(item.importance.as_ref()).unwrap_or(Importance::Normal),
        sensitivity: word(item.sensitivity.as_ref()).unwrap_or(Sensitivity::Normal),
        attachments: u64::try_from(item.attachments).unwrap_or(0),
    }
}

/// An account's display name and address.
fn sender(account: &Account) -> String {
    accounts::mailbox(account).map_or_else(
        || account.email_address.clone(),
        |mailbox| mailbox.to_string(),
    )
}

fn word<T: std::str::FromStr>(text: Option<&String>) -> Option<T> {
    text?.parse().ok()
}

fn filled(text: Option<&String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty()).cloned()
}
