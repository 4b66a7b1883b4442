//! Composes messages that Database Mail sent, and compares. Sends nothing.

use std::sync::Arc;

use sendport_core::domain::{Alert, Mailbox, RecipientKind, parse_mailbox};
use sendport_delivery::ComposeError;
use sendport_delivery::dispatcher::{Preview, Sources, TemplateCache, preview};
use sendport_delivery::protection::CertificateCache;
use sendport_delivery::send_port::SendPort;
use sendport_message::template::{TemplateSource, sample_alert};
use sendport_smime::CrlCache;

use super::components::{make_send_ports, reply_table};
use super::dry_run::DryRunError;
use super::protection::crl_folder;
use super::{AppError, now, system_clock};
use crate::config::Config;
use crate::import::dbmail::SentMessage;

/// Longest part of a text that a difference shows, in characters.
const SHOWN: usize = 80;

/// A property of a message that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageDifference {
    /// What differs: `from`, `reply-to`, `subject` and so on.
    pub property: &'static str,
    /// What Database Mail sent.
    pub database_mail: String,
    /// What this program would send.
    pub sendport: String,
}

/// Composes each message with the send ports of `config` as the service would, and compares it with what
/// Database Mail sent: one list of differences for each message.
///
/// # Errors
/// [`AppError::Config`] if a send port cannot work.
pub async fn compare_database_mail(
    config: &Config,
    messages: &[SentMessage],
) -> Result<Vec<Vec<MessageDifference>>, AppError> {
    let crl_cache = Arc::new(CrlCache::read_only(&crl_folder(config)));
    let ports = make_send_ports(config, &crl_cache)?;
    let templates = TemplateCache::of_folder(TemplateSource::empty());
    let sources = Sources {
        templates: &templates,
        contents: &DryRunError(&[]),
        received: &DryRunError(&[]),
        certificates: &Arc::new(CertificateCache::of_folders()),
    };
    let replies = reply_table(config)?;
    let clock = system_clock();
    let mut all = Vec::new();
    for message in messages {
        let port = message.send_port.as_ref().and_then(|name| ports.get(name));
        let Some(port) = port else {
            all.push(vec![refused(
                message,
                "there is no send port for its profile",
            )]);
            continue;
        };
        let allowed = &config.send_port[&port.name].allow_principals;
        let alert = alert(message, port, allowed.first());
        all.push(
            match preview(alert, port, &sources, &replies, &*clock).await {
                Ok(preview) => differences(message, port, &preview),
                Err(ComposeError::Never(refusal)) => vec![refused(message, &refusal.reason)],
                Err(ComposeError::Unprotected { why, .. }) => vec![refused(message, &why)],
                Err(ComposeError::NotNow { error, .. }) => return Err(error.into()),
                Err(ComposeError::Deferred(_, why)) => {
                    vec![refused(message, &why.unwrap_or_default())]
                }
            },
        );
    }
    Ok(all)
}

fn refused(message: &SentMessage, reason: &str) -> MessageDifference {
    let to = message.recipients.iter().flatten().cloned();
    difference(
        "message",
        format!("to {}", to.collect::<Vec<_>>().join("; ")),
        format!("refused: {reason}"),
    )
}

fn difference(
    property: &'static str,
    database_mail: impl Into<String>,
    sendport: impl Into<String>,
) -> MessageDifference {
    MessageDifference {
        property,
        database_mail: database_mail.into(),
        sendport: sendport.into(),
    }
}

/// The alert that a caller would insert instead.
fn alert(message: &SentMessage, port: &SendPort, login: Option<&String>) -> Alert {
    let [to, cc, bcc] = message.recipients.clone();
    Alert {
        to_recipients: to,
        cc_recipients: cc,
        bcc_recipients: bcc,
        from_address: message.own_from.clone(),
        reply_to: message.own_reply_to.clone(),
        subject: Some(message.subject.clone()),
        body: Some(message.body.clone()),
        body_format: message.body_format,
        importance: message.importance,
        sensitivity: message.sensitivity,
        template: None,
        payload: None,
        language: None,
        alert_name: None,
        severity: None,
        source: None,
        reference: None,
        send_port: port.name.clone(),
        created_at: now(),
        // Only the server knows which login it was.
        created_by: login.cloned().unwrap_or_default(),
        ..sample_alert("", "", None)
    }
}

fn differences(
    message: &SentMessage,
    port: &SendPort,
    preview: &Preview,
) -> Vec<MessageDifference> {
    let mut found = Vec::new();
    let mut compare = |property: &'static str, database_mail: String, sendport: String| {
        if database_mail != sendport {
            found.push(difference(property, database_mail, sendport));
        }
    };
    let bytes = &preview.draft.message.bytes;
    let header = |name: &str| header(bytes, name).unwrap_or_else(|| "none".to_owned());
    compare("from", written(&message.from), from(port, preview));
    let reply_to = message
        .reply_to
        .as_deref()
        .map_or_else(|| "none".to_owned(), address);
    compare("reply-to", reply_to, address(&header("Reply-To")));
    for (property, kind, list) in [
        ("to", RecipientKind::To, &message.recipients[0]),
        ("cc", RecipientKind::Cc, &message.recipients[1]),
        ("bcc", RecipientKind::Bcc, &message.recipients[2]),
    ] {
        compare(
            property,
            addresses(list.as_deref()),
            accepted(preview, kind),
        );
    }
    compare(
        "subject",
        message.subject.clone(),
        preview.texts.subject.clone(),
    );
    compare(
        "importance",
        importance(message),
        header("Importance").to_lowercase(),
    );
    compare(
        "sensitivity",
        sensitivity(message),
        header("Sensitivity").to_lowercase(),
    );
    compare_bodies(message, preview, &mut compare);
    if message.attachments > 0 {
        let files = format!("{} files", message.attachments);
        compare(
            "attachments",
            files,
            "not compared: their contents are not exported".to_owned(),
        );
    }
    found
}

fn compare_bodies(
    message: &SentMessage,
    preview: &Preview,
    compare: &mut impl FnMut(&'static str, String, String),
) {
    let is_html = preview.texts.html.is_some();
    let word = |html: bool| if html { "HTML" } else { "TEXT" }.to_owned();
    let was_html = message.body_format == sendport_core::domain::BodyFormat::Html;
    compare("body_format", word(was_html), word(is_html));
    let made = preview.texts.html.as_ref().unwrap_or(&preview.texts.text);
    let [sent, made] = [&message.body, made].map(|text| text.replace("\r\n", "\n"));
    let [sent, made] = [sent.trim_end_matches('\n'), made.trim_end_matches('\n')];
    if sent != made {
        let (mut sent, mut made) = (sent.lines(), made.lines());
        let mut number = 0;
        loop {
            number += 1;
            let lines = (sent.next(), made.next());
            if lines.0 != lines.1 || lines == (None, None) {
                let [sent, made] = [lines.0, lines.1].map(|line| shown(line.unwrap_or_default()));
                return compare(
                    "body",
                    format!("line {number}: '{sent}'"),
                    format!("'{made}'"),
                );
            }
        }
    }
}

fn shown(line: &str) -> String {
    line.chars().take(SHOWN).collect()
}

/// A header of the message, unfolded.
fn header(bytes: &[u8], name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let head = text.split("\r\n\r\n").next()?.replace("\r\n ", " ");
    let head = head.replace("\r\n\t", " ");
    head.split("\r\n").find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found
            .eq_ignore_ascii_case(name)
            .then(|| value.trim().to_owned())
    })
}

fn from(port: &SendPort, preview: &Preview) -> String {
    let decided = port.decide_from(&preview.alert);
    decided.map_or_else(|refusal| refusal.reason, |from| from.to_string())
}

/// A mailbox in one way of writing.
fn written(text: &str) -> String {
    parse_mailbox(text).map_or_else(|_| text.to_owned(), |it: Mailbox| it.to_string())
}

fn address(text: &str) -> String {
    parse_mailbox(text).map_or_else(|_| text.to_owned(), |it| it.address.comparable())
}

/// The entries of a list, which Database Mail separates by `;`.
fn addresses(list: Option<&str>) -> String {
    let entries = list.unwrap_or_default().split(';').map(str::trim);
    let entries = entries.filter(|entry| !entry.is_empty()).map(address);
    joined(entries.collect())
}

/// The recipients of a kind that a message would go to, and why the others would get none.
fn accepted(preview: &Preview, kind: RecipientKind) -> String {
    let of_kind = preview.recipients.iter().filter(|(it, _)| it.kind == kind);
    let entries = of_kind.map(|(recipient, reply)| match reply {
        None => address(recipient.address.text()),
        Some(reply) => format!("{} (refused: {reply})", recipient.address.text()),
    });
    joined(entries.collect())
}

fn joined(mut entries: Vec<String>) -> String {
    entries.sort();
    entries.dedup();
    match entries.is_empty() {
        true => "none".to_owned(),
        false => entries.join("; "),
    }
}

fn importance(message: &SentMessage) -> String {
    match message.importance.as_str() {
        "normal" => "none".to_owned(),
        word => word.to_owned(),
    }
}

/// The words of RFC 2156 section 5.3.4.
fn sensitivity(message: &SentMessage) -> String {
    match message.sensitivity.as_str() {
        "normal" => "none".to_owned(),
        "confidential" => "company-confidential".to_owned(),
        word => word.to_owned(),
    }
}
