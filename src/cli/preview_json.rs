//! `sendport preview --json`

use serde::Serialize;

use crate::app::{Preview, PreviewTexts};

/// An alert as it would be submitted.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PreviewOutput<'a> {
    alert_id: i64,
    send_port: &'a str,
    relays: &'a [String],
    template_version: Option<&'a str>,
    protection: &'a str,
    /// Why the protection cannot be given.
    unprotected: Option<String>,
    reverse_path: &'a str,
    forward_paths: Vec<&'a str>,
    /// The request that replaces the recipients by one address.
    redirect_request_id: Option<i64>,
    recipients: Vec<Recipient<'a>>,
    message_ids: Vec<&'a str>,
    not_now: Option<&'a str>,
    size_bytes: usize,
    #[serde(flatten)]
    texts: Texts<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Recipient<'a> {
    address: &'a str,
    status: &'a str,
    reply: Option<String>,
}

/// What a reader sees.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Texts<'a> {
    subject: &'a str,
    text: &'a str,
    html: Option<&'a str>,
    attachments: Vec<Attachment<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Attachment<'a> {
    file_name: Option<&'a str>,
    media_type: Option<&'a str>,
    disposition: &'a str,
    size_bytes: u64,
}

impl<'a> PreviewOutput<'a> {
    pub(super) fn of(preview: &'a Preview) -> Self {
        let recipients = preview.recipients.iter().map(|(it, reply)| Recipient {
            address: it.address.text(),
            status: it.status.as_str(),
            reply: reply.as_ref().map(ToString::to_string),
        });
        let paths = preview.envelope.forward_paths.iter();
        Self {
            alert_id: preview.alert.id.0,
            send_port: &preview.alert.send_port,
            relays: &preview.relays,
            template_version: preview.draft.template_version.as_deref(),
            protection: preview.draft.protection.as_str(),
            unprotected: preview.secured.as_ref().err().map(ToString::to_string),
            reverse_path: preview.envelope.reverse_path.as_str(),
            forward_paths: paths.map(|path| path.address.as_str()).collect(),
            redirect_request_id: preview.alert.redirect.as_ref().map(|it| it.request.0),
            recipients: recipients.collect(),
            message_ids: preview
                .copies
                .iter()
                .map(|copy| copy.message_id.as_str())
                .collect(),
            not_now: preview.not_now.as_deref(),
            size_bytes: preview.draft.message.bytes.len(),
            texts: Texts::of(&preview.texts),
        }
    }
}

impl<'a> Texts<'a> {
    pub(super) fn of(texts: &'a PreviewTexts) -> Self {
        let attachments = texts.attachments.iter().map(|it| Attachment {
            file_name: it.file_name.as_deref(),
            media_type: it.media_type.as_deref(),
            disposition: it.disposition.as_str(),
            size_bytes: it.size_bytes,
        });
        Self {
            subject: &texts.subject,
            text: &texts.text,
            html: texts.html.as_deref(),
            attachments: attachments.collect(),
        }
    }
}
