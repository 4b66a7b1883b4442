//! Processes an alert that is not inserted yet.

use std::sync::Arc;

use async_trait::async_trait;
use sendport_core::domain::{Alert, AlertId, Attachment, AttachmentId, PublicId, StoredMessage};
use sendport_delivery::ComposeError;
use sendport_message::template::sample_alert;
use sendport_store::attachments::AttachmentSource;
use sendport_store::received::ReceivedSource;
use sendport_store::{LoadResult, NewAlert, NewAttachment, Store, StoreError};
use uuid::Uuid;

use super::preview::made;
use super::{AppError, now};
use crate::config::{Config, sqlite_file};

/// Why the service would fail an alert or one of its recipients as soon as it claims it, by the same
/// steps. `None` if it would not, or if only another instance has its send port.
///
/// # Errors
/// [`AppError`] if the database does not answer, or the send port cannot work.
pub async fn dry_run(
    config: &Config,
    store: &Arc<dyn Store>,
    new: &NewAlert,
) -> Result<Option<String>, AppError> {
    if let Some(why) = too_long(config, new) {
        return Ok(Some(why));
    }
    let Some(port) = config.send_port.get(&new.send_port) else {
        return Ok(None);
    };
    let mut alert = unsent(new);
    // Only the database knows the login that it will store.
    alert.created_by = port.allow_principals.first().cloned().unwrap_or_default();
    if new.template.is_some() {
        let newest = store.templates().await?.newest;
        alert.newest_templates = Some(newest).filter(|version| *version > 0);
    }
    let contents = DryRunError(&new.attachments);
    match made(config, store, alert, &contents).await? {
        Ok(preview) => Ok(preview.refused()),
        Err(ComposeError::Never(refusal)) => Ok(Some(refusal.reason)),
        Err(ComposeError::NotNow { error, .. }) => Err(error.into()),
        Err(ComposeError::Unprotected { .. } | ComposeError::Deferred(..)) => Ok(None),
    }
}

/// The first value that is too long for its column. SQLite counts characters, SQL Server UTF-16
/// code units.
fn too_long(config: &Config, new: &NewAlert) -> Option<String> {
    let connection = config.database.resolve().ok()?;
    let in_utf16 = sqlite_file(connection.expose()).is_none();
    let files = new.attachments.iter().map(|it| &it.file_name);
    let send_port = Some(new.send_port.clone());
    let values = [
        ("Subject", &new.subject, 998),
        ("Template", &new.template, 128),
        ("Language", &new.language, 35),
        ("Reference", &new.reference, 200),
        ("SendPort", &send_port, 64),
    ];
    let all = values
        .into_iter()
        .map(|(column, value, most)| (column, value.as_deref(), most))
        .chain(files.map(|name| ("FileName", name.as_deref(), 255)));
    for (column, value, most) in all {
        let value = value.unwrap_or_default();
        let found = match in_utf16 {
            true => value.encode_utf16().count(),
            false => value.chars().count(),
        };
        if found > most {
            let why = format!("{column} has {found} characters, and at most {most} are stored");
            return Some(why);
        }
    }
    None
}

/// The alert as it would be read from its row.
fn unsent(new: &NewAlert) -> Alert {
    Alert {
        id: AlertId(0),
        public_id: PublicId(Uuid::now_v7()),
        to_recipients: new.to_recipients.clone(),
        cc_recipients: new.cc_recipients.clone(),
        bcc_recipients: new.bcc_recipients.clone(),
        subject: new.subject.clone(),
        body: new.body.clone(),
        body_format: new.body_format,
        template: new.template.clone(),
        payload: new.payload.clone(),
        language: new.language.clone(),
        headers: new.headers.clone(),
        reference: new.reference.clone(),
        send_port: new.send_port.clone(),
        priority: new.priority,
        not_before: new.not_before,
        expires_at: new.expires_at,
        created_at: now(),
        attachment_count: u32::try_from(new.attachments.len()).unwrap_or(u32::MAX),
        alert_name: None,
        severity: None,
        source: None,
        ..sample_alert("", "", None)
    }
}

/// Attachments in memory; the key is the position.
pub(super) struct DryRunError<'a>(pub(super) &'a [NewAttachment]);

#[async_trait]
impl AttachmentSource for DryRunError<'_> {
    async fn whole_alert(&self, _: AlertId) -> Result<Option<LoadResult>, StoreError> {
        Ok(None)
    }

    async fn attachments(&self, _: AlertId) -> Result<Vec<Attachment>, StoreError> {
        let numbered = (0..).zip(self.0);
        let row = |(at, it): (i64, &NewAttachment)| Attachment {
            id: AttachmentId(at),
            file_name: it.file_name.clone(),
            media_type: it.media_type.clone(),
            disposition: it.disposition,
            content_id: it.content_id.clone(),
            description: it.description.clone(),
            transfer_encoding: it.transfer_encoding,
            size_bytes: it.content.len() as u64,
        };
        Ok(numbered.map(row).collect())
    }

    async fn attachment_content(
        &self,
        _: AlertId,
        attachment: AttachmentId,
        from: u64,
        at_most: u32,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let at = usize::try_from(attachment.0).ok();
        let content = at.and_then(|at| self.0.get(at)).map(|it| &it.content);
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let rest = content.map(|content| content.get(from..).unwrap_or_default());
        Ok(rest.map(|rest| rest[..rest.len().min(at_most as usize)].to_vec()))
    }
}

/// Alerts that are not inserted have none.
#[async_trait]
impl ReceivedSource for DryRunError<'_> {
    async fn received(&self, _: AlertId) -> Result<Option<StoredMessage>, StoreError> {
        Ok(None)
    }

    async fn received_piece(&self, _: AlertId, _: u32) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }
}
