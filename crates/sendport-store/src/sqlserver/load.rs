//! Reading what was claimed.

use std::collections::HashMap;
use std::sync::LazyLock;

use sendport_core::domain::{
    Alert, AlertId, AlertOrigin, PublicId, Recipient, RecipientAddress, Redirect,
};
use tiberius::error::Error;
use tiberius::{Row, ToSql};
use uuid::Uuid;

use super::connection::Rows;
use super::error::{is_lock_timeout, unexpected};
use super::pool::Pool;
use super::statement::with_parts;
use super::values::{Fields, list_length, placeholders};
use crate::{ColumnError, LARGE_TEXTS, LoadResult, StoreError};

static LOAD: LazyLock<String> = LazyLock::new(|| with_parts(include_str!("sql/load.sql")));

/// More row locks in one statement than this times three come near a table lock.
pub(super) const MOST: u32 = 500;

/// Reads in one go; where the driver cannot decode the answer, or a lock timed out, row by
/// row, so that the row that it stumbles over fails alone, and what is locked is missing.
pub(super) async fn load(pool: &Pool, ids: &[AlertId]) -> Result<Vec<LoadResult>, StoreError> {
    let mut loaded = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(MOST as usize) {
        match load_chunk(pool, chunk, LARGE_TEXTS.into()).await {
            Ok(some) => loaded.extend(some),
            Err(error) if is_undecodable(&error) || is_lock_timeout(&error) => {
                for &id in chunk {
                    match load_alone(pool, id, LARGE_TEXTS.into()).await {
                        Err(error) if is_lock_timeout(&error) => {}
                        one => loaded.extend(one?),
                    }
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(loaded)
}

pub(super) async fn load_alone(
    pool: &Pool,
    id: AlertId,
    limit: i64,
) -> Result<Vec<LoadResult>, StoreError> {
    match load_chunk(pool, &[id], limit).await {
        Err(error) if is_undecodable(&error) => Ok(vec![LoadResult::Unreadable {
            id,
            reason: error.to_string(),
        }]),
        other => other,
    }
}

fn is_undecodable(error: &StoreError) -> bool {
    use std::error::Error as _;
    let cause = error.source().and_then(|e| e.downcast_ref::<Error>());
    matches!(
        cause,
        Some(
            Error::Encoding(_)
                | Error::Conversion(_)
                | Error::Utf8
                | Error::Utf16
                | Error::Protocol(_)
        )
    )
}

/// Texts of more than `limit` bytes are left out.
async fn load_chunk(
    pool: &Pool,
    ids: &[AlertId],
    limit: i64,
) -> Result<Vec<LoadResult>, StoreError> {
    const DOING: &str = "read claimed alerts";
    let length = list_length(ids.len());
    let Some(&last) = ids.last() else {
        return Ok(Vec::new());
    };
    let padded: Vec<i64> = ids
        .iter()
        .chain(std::iter::repeat_n(&last, length - ids.len()))
        .map(|id| id.0)
        .collect();
    let params: Vec<&dyn ToSql> = padded.iter().map(|id| id as &dyn ToSql).collect();
    let sql = LOAD
        .replace("{ids}", &placeholders(1, length))
        .replace("{limit}", &limit.to_string());
    let results = pool.query(DOING, &sql, &params).await?;
    let [alerts, recipients] = &results[..] else {
        return Err(unexpected(DOING, "two result sets were expected"));
    };
    let mut recipients = recipients_by_alert(recipients).map_err(|e| unexpected(DOING, e))?;
    alerts
        .iter()
        .map(|row| {
            let id = AlertId(Fields::of(row).get().map_err(|e| unexpected(DOING, e))?);
            let recipients = recipients.remove(&id).unwrap_or(Ok(Vec::new()));
            let alert = recipients.and_then(|recipients| read_alert(row, recipients));
            Ok(match alert {
                Ok((alert, Some(bytes))) => LoadResult::Large {
                    alert: Box::new(alert),
                    bytes,
                },
                Ok((alert, None)) => LoadResult::Alert(Box::new(alert)),
                Err(error) => LoadResult::Unreadable {
                    id,
                    reason: error.to_string(),
                },
            })
        })
        .collect()
}

/// The rows `AlertId, Ordinal, Kind, ...`; an unreadable one spoils its own alert only.
pub(super) fn recipients_by_alert(
    rows: &Rows,
) -> Result<HashMap<AlertId, Result<Vec<Recipient>, ColumnError>>, ColumnError> {
    let mut by_alert = HashMap::new();
    for row in rows {
        let mut fields = Fields::of(row);
        let id = AlertId(fields.get()?);
        let entry = by_alert.entry(id).or_insert_with(|| Ok(Vec::new()));
        match (read_recipient(&mut fields), &mut *entry) {
            (Ok(recipient), Ok(recipients)) => recipients.push(recipient),
            (Err(reason), Ok(_)) => *entry = Err(reason),
            (_, Err(_)) => {}
        }
    }
    Ok(by_alert)
}

fn read_recipient(fields: &mut Fields<'_>) -> Result<Recipient, ColumnError> {
    Ok(Recipient {
        ordinal: fields.count()?,
        kind: fields.word()?,
        address: RecipientAddress::from_row(&fields.text()?, fields.maybe_text()?),
        status: fields.word()?,
        attempt_count: fields.count()?,
        was_relayed: fields.get()?,
    })
}

/// The alert, and where its texts were left out as too long, the bytes of all that it holds.
fn read_alert(row: &Row, recipients: Vec<Recipient>) -> Result<(Alert, Option<u64>), ColumnError> {
    let mut fields = Fields::of(row);
    let f = &mut fields;
    let alert = Alert {
        id: AlertId(f.get()?),
        public_id: PublicId(f.get::<Uuid>()?),
        origin: AlertOrigin::Application,
        to_recipients: f.maybe_text()?,
        cc_recipients: f.maybe_text()?,
        bcc_recipients: f.maybe_text()?,
        from_address: f.maybe_text()?,
        reply_to: f.maybe_text()?,
        subject: f.maybe_text()?,
        body: f.maybe_text()?,
        body_format: f.word()?,
        template: f.maybe_text()?,
        payload: f.maybe_text()?,
        language: f.maybe_text()?,
        alert_name: f.maybe_text()?,
        severity: f.maybe_text()?,
        source: f.maybe_text()?,
        reference: f.maybe_text()?,
        send_port: f.text()?,
        priority: f.word()?,
        importance: f.word()?,
        sensitivity: f.word()?,
        headers: f.maybe_text()?,
        delivery_receipt: f.get()?,
        read_receipt: f.get()?,
        reply_by: f.maybe_time()?,
        protection: f.maybe_text()?,
        dedup_key: f.maybe_text()?,
        not_before: f.maybe_time()?,
        expires_at: f.maybe_time()?,
        file_attachments: f.maybe_text()?,
        files_stored: f.get()?,
        created_at: f.time()?,
        created_by: f.text()?,
        attempt_count: f.count()?,
        requeued_at: f.maybe_time()?,
        attempts_before: f.count()?,
        message_generation: f.count()?,
        template_version: f.maybe_text()?,
        newest_templates: None,
        attachment_count: 0,
        recipients,
        redirect: None,
    };
    let alert = Alert {
        origin: f.word()?,
        newest_templates: f.maybe::<i32>()?.and_then(|n| u32::try_from(n).ok()),
        attachment_count: f.count()?,
        ..alert
    };
    let large = f.maybe::<i64>()?.and_then(|n| u64::try_from(n).ok());
    let (request, to) = (f.maybe::<i64>()?, f.maybe_text()?);
    let redirect = request.map(|request| Redirect::from_row(request, to.as_deref()));
    let alert = Alert { redirect, ..alert };
    Ok((alert.without_padding(), large))
}
