//! Reads alerts with their recipients, each apart from the others.

use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension};
use sendport_core::domain::{Alert, AlertId, PublicId, Recipient, RecipientAddress, Redirect};

use super::connection::SqliteError;
use super::operator_requests::with_parts;
use super::sql;
use super::values::Columns;
use crate::{ColumnError, LoadResult};

/// The alert, and where it goes.
pub(super) static LOAD_ALERT: LazyLock<String> = LazyLock::new(|| with_parts(sql!("load_alert")));

/// `None` where the alert is gone; [`LoadResult::Large`] where its texts are longer than `limit`.
pub(super) fn load_one(
    connection: &Connection,
    id: AlertId,
    limit: u64,
) -> Result<Option<LoadResult>, SqliteError> {
    let mut statement = connection.prepare_cached(&LOAD_ALERT)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let read = statement
        .query_row([id.0, limit], |row| {
            let columns = Columns::new(row);
            let alert = read_alert(&columns);
            Ok((large_bytes(&columns), alert))
        })
        .optional()?;
    let Some((large, alert)) = read else {
        return Ok(None);
    };
    let whole = match alert {
        Ok(alert) => read_recipients(connection, id)?.map(|recipients| Alert {
            recipients,
            ..alert
        }),
        Err(reason) => Err(reason),
    };
    Ok(Some(match (whole, large) {
        (Ok(alert), Ok(Some(bytes))) => LoadResult::Large {
            alert: Box::new(alert),
            bytes,
        },
        (Ok(alert), Ok(None)) => LoadResult::Alert(Box::new(alert)),
        (Err(error), _) | (_, Err(error)) => LoadResult::Unreadable {
            id,
            reason: error.to_string(),
        },
    }))
}

fn large_bytes(row: &Columns<'_, '_>) -> Result<Option<u64>, ColumnError> {
    let bytes = row.optional_integer("LargeOctets")?;
    Ok(bytes.and_then(|bytes| u64::try_from(bytes).ok()))
}

fn read_alert(row: &Columns<'_, '_>) -> Result<Alert, ColumnError> {
    let alert = Alert {
        id: AlertId(row.integer("AlertId")?),
        public_id: PublicId(row.uuid("PublicId")?),
        to_recipients: row.optional_text("ToRecipients")?,
        cc_recipients: row.optional_text("CcRecipients")?,
        bcc_recipients: row.optional_text("BccRecipients")?,
        from_address: row.optional_text("FromAddress")?,
        reply_to: row.optional_text("ReplyTo")?,
        subject: row.optional_text("Subject")?,
        body: row.optional_text("Body")?,
        body_format: row.word("BodyFormat")?,
        template: row.optional_text("Template")?,
        payload: row.optional_text("Payload")?,
        language: row.optional_text("Language")?,
        alert_name: row.optional_text("AlertName")?,
        severity: row.optional_text("Severity")?,
        source: row.optional_text("Source")?,
        reference: row.optional_text("Reference")?,
        send_port: row.text("SendPort")?,
        priority: row.word("Priority")?,
        importance: row.word("Importance")?,
        sensitivity: row.word("Sensitivity")?,
        headers: row.optional_text("Headers")?,
        delivery_receipt: row.flag("DeliveryReceipt")?,
        read_receipt: row.flag("ReadReceipt")?,
        reply_by: row.optional_time("ReplyBy")?,
        protection: row.optional_text("Protection")?,
        dedup_key: row.optional_text("DedupKey")?,
        not_before: row.optional_time("NotBefore")?,
        expires_at: row.optional_time("ExpiresAt")?,
        file_attachments: row.optional_text("FileAttachments")?,
        files_stored: row.flag("FilesStored")?,
        created_at: row.time("CreatedAt")?,
        created_by: row.text("CreatedBy")?,
        attempt_count: row.count("AttemptCount")?,
        requeued_at: row.optional_time("RequeuedAt")?,
        attempts_before: row.count("AttemptsBefore")?,
        message_generation: row.count("MessageGeneration")?,
        template_version: row.optional_text("TemplateVersion")?,
        origin: row.word("Origin")?,
        newest_templates: row.optional_count("NewestTemplates")?,
        attachment_count: row.count("AttachmentCount")?,
        recipients: Vec::new(),
        redirect: match row.optional_integer("RedirectRequestId")? {
            Some(request) => {
                let to = row.lossy("RedirectTo")?;
                Some(Redirect::from_row(request, to.as_deref()))
            }
            None => None,
        },
    };
    Ok(alert.without_padding())
}

/// The inner result is about a value, the outer about the engine.
fn read_recipients(
    connection: &Connection,
    id: AlertId,
) -> Result<Result<Vec<Recipient>, ColumnError>, SqliteError> {
    let mut statement = connection.prepare_cached(sql!("load_recipients"))?;
    let rows = statement.query_map([id.0], |row| Ok(read_recipient(&Columns::new(row))))?;
    let rows: Vec<_> = rows.collect::<Result<_, _>>()?;
    Ok(rows.into_iter().collect())
}

fn read_recipient(row: &Columns<'_, '_>) -> Result<Recipient, ColumnError> {
    Ok(Recipient {
        ordinal: row.count("Ordinal")?,
        kind: row.word("Kind")?,
        address: RecipientAddress::from_row(
            &row.text("Address")?,
            row.optional_text("DisplayName")?,
        ),
        status: row.word("Status")?,
        attempt_count: row.count("AttemptCount")?,
        was_relayed: row.flag("WasRelayed")?,
    })
}
