//! `sendport preview`

use std::path::PathBuf;

use sendport_core::domain::{ContentDisposition, RecipientStatus, shown_name, shown_names};
use sendport_store::DeliveryLine;

use super::config_file::load;
use super::one_alert::recorded_reply;
use super::{Failure, open, preview_json, preview_template, print_json, put, say};
use crate::app::{self, Preview, PreviewCopy, PreviewReader, PreviewTexts, Protection};

/// Builds the message that the service would submit for an alert, by the same steps. Changes nothing in the
/// database and connects to no relay. Or renders a template with a payload.
#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("what").required(true).args(["alert", "template"]),
    group = clap::ArgGroup::new("form").args(["raw", "html", "json"]),
    after_help = "Examples:
  sendport preview 4711
  sendport preview 4711 --html > 4711.html     for a browser
  sendport preview 4711 --raw > 4711.eml       the exact message
  sendport preview --template order-late --payload late.json
  sendport preview --template order-late --folder templates --language de --html > late.html

The exit code is 6 if the alert would fail."
)]
pub(super) struct Args {
    /// Number, PublicId, Message-ID or Reference of an alert, in any status
    alert: Option<String>,
    /// Only the message: its exact bytes before protection
    #[arg(long, conflicts_with = "template")]
    raw: bool,
    /// Only its HTML
    #[arg(long)]
    html: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    template: preview_template::Args,
}

pub(super) async fn run(args: Args, config: Option<PathBuf>) -> Result<(), Failure> {
    let Some(name) = &args.alert else {
        let texts = preview_template::texts(&args.template, config).await?;
        return show_texts(&texts, &args);
    };
    let config = load(config)?;
    let store = open(&config).await?;
    let id = app::find_alert(&*store, name).await?.alert_id;
    let preview = match app::preview_alert(&config, &store, id).await? {
        Ok(preview) => preview,
        Err(reason) => {
            return Err(Failure::NotRelayed(format!(
                "alert {id} cannot be sent: {reason}"
            )));
        }
    };
    if args.raw {
        put(&preview.draft.message.bytes)?;
    } else if args.json {
        print_json(&preview_json::PreviewOutput::of(&preview))?;
    } else if args.html {
        show_texts(&preview.texts, &args)?;
    } else {
        print_facts(&preview);
        print_skipped(&preview, &store.deliveries(Some(id), 10_000).await?);
        print_rest(&preview);
        show_texts(&preview.texts, &args)?;
    }
    match preview.would_fail() {
        None => Ok(()),
        Some(why) => Err(Failure::NotRelayed(format!("alert {id} would fail: {why}"))),
    }
}

/// Prints the subject, the attachments and the text; or the HTML alone, or JSON.
fn show_texts(texts: &PreviewTexts, args: &Args) -> Result<(), Failure> {
    if args.json {
        return print_json(&preview_json::Texts::of(texts));
    }
    if args.html {
        let html = texts.html.as_ref();
        let html = html.ok_or_else(|| Failure::Other("the message has no HTML".to_owned()))?;
        return put(html.as_bytes());
    }
    line("Subject", &texts.subject);
    for it in &texts.attachments {
        let inline = it.disposition == ContentDisposition::Inline;
        let parts = [
            it.file_name.clone(),
            it.media_type.clone(),
            Some(format!("{} bytes", it.size_bytes)),
            inline.then(|| "shown with the text".to_owned()),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        line("Attachment", &parts.join(", "));
    }
    if texts.html.is_some() {
        line(
            "HTML",
            "present: show it with --html; readers without HTML show:",
        );
    }
    say("");
    for text in texts.text.lines() {
        say(text.replace(|c: char| c.is_control() && c != '\t', " "));
    }
    Ok(())
}

fn line(name: &str, value: &str) {
    say(format_args!("{name:14}{value}"));
}

fn print_facts(preview: &Preview) {
    let envelope = &preview.envelope;
    line("Send port", &shown_name(&preview.alert.send_port));
    line("Relays", &shown_names(&preview.relays));
    if let Some(version) = &preview.draft.template_version {
        let name = preview.alert.template.as_deref().unwrap_or_default();
        line("Template", &format!("{}, version {version}", name.trim()));
    }
    line("Protection", &protection(preview));
    signature(preview)
        .iter()
        .for_each(|it| line("Signed by", it));
    let path = envelope.reverse_path.as_str();
    line("MAIL FROM", &format!("<{path}>"));
    for path in &envelope.forward_paths {
        line("RCPT TO", &format!("<{}>", path.address));
    }
    if let Some(redirect) = &preview.alert.redirect {
        line("Redirect", &redirect.to_string());
    }
}

/// Prints the recipients that would not receive the message, each with its present or recorded reason.
fn print_skipped(preview: &Preview, recorded: &[DeliveryLine]) {
    let due = &preview.envelope.forward_paths;
    for (recipient, reason) in &preview.recipients {
        if preview.alert.redirect.is_some() && recipient.status.is_waiting() {
            let (kind, address) = (recipient.kind, recipient.address.text());
            line("Instead of", &format!("{address}, {kind}"));
            continue;
        }
        if due.iter().any(|it| it.ordinal == recipient.ordinal) {
            continue;
        }
        if let Some(message) = another_message(preview, recipient.address.text()) {
            let address = recipient.address.text();
            line("Also sent to", &format!("{address}, in message {message}"));
            continue;
        }
        let of_it = |it: &&DeliveryLine| it.ordinal == recipient.ordinal;
        let recorded = || recorded.iter().find(of_it).map(recorded_reply);
        let reason = match reason {
            Some(reply) => reply.to_string(),
            None if recipient.status == RecipientStatus::Relayed => String::new(),
            None => recorded().unwrap_or_default(),
        };
        let (address, status) = (recipient.address.text(), recipient.status);
        let colon = if reason.is_empty() { "" } else { ": " };
        line("Skipped", &format!("{address}, {status}{colon}{reason}"));
    }
}

/// The number of the message for a recipient that is not in the first envelope; `None` if no message is.
fn another_message(preview: &Preview, address: &str) -> Option<usize> {
    let has = |copy: &PreviewCopy| copy.recipients.iter().any(|it| it.address == address);
    preview.copies.iter().position(has).map(|index| index + 1)
}

fn print_rest(preview: &Preview) {
    let envelope = &preview.envelope;
    print_copies(preview);
    if let Some(dsn) = &envelope.dsn {
        line("ENVID", &dsn.envelope_id);
    }
    match &preview.not_now {
        _ if envelope.forward_paths.is_empty() => line("Not now", "no recipient is left"),
        Some(why) => line("Not now", why),
        None => {}
    }
}

/// The signer, its certificate and the algorithm, if a message is signed.
fn signature(preview: &Preview) -> Option<String> {
    let facts = preview
        .copies
        .iter()
        .find_map(|copy| copy.facts.as_ref().ok());
    let facts = facts.filter(|facts| facts.signed_by.is_some())?;
    let words = [
        &preview.signer,
        &facts.signed_by,
        &facts.signature_algorithm,
    ];
    let words = words.into_iter().flatten().cloned();
    Some(words.collect::<Vec<_>>().join(", "))
}

/// Prints every message with its recipients and certificates, if one is protected or there are several.
fn print_copies(preview: &Preview) {
    let asked = preview.alert.protection.is_some() || preview.draft.protection != Protection::None;
    let copies = preview.copies.iter().enumerate();
    for (index, copy) in copies.filter(|_| asked || preview.copies.len() > 1) {
        let what = format!("Message {}", index + 1);
        let (id, protection) = (&copy.message_id, copy.protection.as_str());
        let detail = match &copy.facts {
            Ok(facts) => facts.encryption_algorithm.clone().unwrap_or_default(),
            Err(why) => why.to_string(),
        };
        let detail = Some(detail).filter(|it| !it.is_empty());
        let detail = detail.map_or_else(String::new, |it| format!(", {it}"));
        say(format_args!("{what:14}{id}, {protection}{detail}"));
        for recipient in &copy.recipients {
            say(format_args!("{:14}{}", "  for", recipient_line(recipient)));
        }
        for thumbprint in own_thumbprints(copy) {
            say(format_args!(
                "{:14}{thumbprint}, our own certificate",
                "  and for"
            ));
        }
    }
}

fn recipient_line(reader: &PreviewReader) -> String {
    let PreviewReader {
        address,
        certificate,
        unencrypted_remark,
    } = reader;
    let what = certificate.as_ref().or(unencrypted_remark.as_ref());
    what.map_or_else(|| address.clone(), |what| format!("{address}: {what}"))
}

/// Thumbprints of the certificates that a message is encrypted to, without its recipients'.
fn own_thumbprints(copy: &PreviewCopy) -> Vec<&str> {
    let facts = copy.facts.as_ref().ok();
    let all = facts.and_then(|facts| facts.encrypted_to.as_deref());
    let of_recipient = |thumbprint: &&str| {
        let mut shown = copy
            .recipients
            .iter()
            .filter_map(|it| it.certificate.as_ref());
        shown.any(|it| it.starts_with(*thumbprint))
    };
    let all = all.unwrap_or_default().split_whitespace();
    all.filter(|it| !of_recipient(it)).collect()
}

fn protection(preview: &Preview) -> String {
    let wanted = preview.draft.protection.as_str();
    match &preview.secured {
        Ok(it) if it.bytes() == preview.draft.message.bytes => {
            format!("{wanted}: submitted as it is, {} bytes", it.bytes().len())
        }
        Ok(it) => format!(
            "{wanted}: submitted as {} bytes; {}",
            it.bytes().len(),
            preview.headers.describe()
        ),
        Err(why) => format!("{wanted}: {why}"),
    }
}
