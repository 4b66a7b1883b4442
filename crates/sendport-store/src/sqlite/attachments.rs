//! Attachments.

use std::io::{Read as _, Seek as _, SeekFrom};

use async_trait::async_trait;
use rusqlite::{Connection, MAIN_DB, OptionalExtension, Transaction, params};
use sendport_core::domain::{AlertId, Attachment, AttachmentId, LeaseToken};

use super::connection::{SqliteError, write};
use super::load::load_one;
use super::operator_queries::lines;
use super::values::{Columns, time_text, uuid_text};
use super::{SqliteStore, sql};
use crate::attachments::{AlertFile, AttachmentSource, FileStore};
use crate::{ColumnError, LoadResult, NewAttachment, StoreError};

/// With the alert, in its transaction.
const INSERT_ATTACHMENT: &str = "INSERT INTO Attachment (AlertId, FileName, MediaType, Content, Disposition, ContentId, Description, TransferEncoding) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

/// A content that cannot be opened: whether its row is gone.
const ATTACHMENT_CONTENT_EXISTS: &str = "SELECT 1 FROM Attachment WHERE AttachmentId = ?1";

/// Whether the files were stored, of an alert whose lease is current.
const STORE_FILES_STATE: &str =
    "SELECT FilesStoredAt IS NOT NULL FROM AlertState WHERE AlertId = ?1 AND LeaseToken = ?2";

/// One of the files that an alert names.
const STORE_FILES_INSERT: &str =
    "INSERT INTO Attachment (AlertId, FileName, Content) VALUES (?1, ?2, ?3)";

/// From now on the alert takes no further one.
const STORE_FILES_NOTE: &str = "UPDATE AlertState SET FilesStoredAt = ?2 WHERE AlertId = ?1";

#[async_trait]
impl AttachmentSource for SqliteStore {
    async fn whole_alert(&self, alert: AlertId) -> Result<Option<LoadResult>, StoreError> {
        self.contents
            .call("read an alert", move |connection| {
                load_one(connection, alert, u64::MAX)
            })
            .await
    }

    async fn attachments(&self, alert: AlertId) -> Result<Vec<Attachment>, StoreError> {
        self.reader
            .call("read attachments", move |connection| {
                lines(connection, sql!("attachments"), &[&alert.0], attachment)
            })
            .await
    }

    async fn attachment_content(
        &self,
        _alert: AlertId,
        attachment: AttachmentId,
        from: u64,
        at_most: u32,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.contents
            .call("read an attachment", move |connection| {
                content(connection, attachment, from, at_most)
            })
            .await
    }
}

#[async_trait]
impl FileStore for SqliteStore {
    async fn store_files(
        &self,
        alert: AlertId,
        token: LeaseToken,
        files: Vec<AlertFile>,
    ) -> Result<bool, StoreError> {
        let now = time_text(self.clock.now());
        self.writer
            .call("store files", move |connection| {
                write(connection, |tx| store(tx, (alert, token), &files, &now))
            })
            .await
    }
}

fn store(
    tx: &Transaction<'_>,
    (alert, token): (AlertId, LeaseToken),
    files: &[AlertFile],
    now: &str,
) -> Result<bool, SqliteError> {
    let held = params![alert.0, uuid_text(token.0)];
    let mut statement = tx.prepare_cached(STORE_FILES_STATE)?;
    let stored: Option<bool> = statement.query_row(held, |row| row.get(0)).optional()?;
    if stored == Some(false) {
        let mut insert = tx.prepare_cached(STORE_FILES_INSERT)?;
        for file in files {
            insert.execute(params![alert.0, file.name, file.content])?;
        }
        tx.prepare_cached(STORE_FILES_NOTE)?
            .execute(params![alert.0, now])?;
    }
    Ok(stored.is_some())
}

/// Straight out of the file: a query would read the whole content.
fn content(
    connection: &Connection,
    attachment: AttachmentId,
    from: u64,
    at_most: u32,
) -> Result<Option<Vec<u8>>, SqliteError> {
    let opened = connection.blob_open(MAIN_DB, "Attachment", "Content", attachment.0, true);
    let mut blob = match opened {
        // SQLITE_ERROR, which says no more.
        Err(_) if !is_there(connection, attachment)? => return Ok(None),
        other => other?,
    };
    let left = (blob.len() as u64)
        .saturating_sub(from)
        .min(u64::from(at_most));
    let mut bytes = vec![0; usize::try_from(left).unwrap_or(0)];
    if bytes.is_empty() {
        return Ok(Some(bytes));
    }
    blob.seek(SeekFrom::Start(from))?;
    blob.read_exact(&mut bytes)?;
    Ok(Some(bytes))
}

fn is_there(connection: &Connection, attachment: AttachmentId) -> Result<bool, SqliteError> {
    Ok(connection
        .prepare_cached(ATTACHMENT_CONTENT_EXISTS)?
        .exists([attachment.0])?)
}

pub(super) fn insert(
    connection: &Connection,
    alert: AlertId,
    attachment: &NewAttachment,
) -> Result<(), SqliteError> {
    connection
        .prepare_cached(INSERT_ATTACHMENT)?
        .execute(params![
            alert.0,
            attachment.file_name,
            attachment.media_type,
            attachment.content,
            attachment.disposition.as_str(),
            attachment.content_id,
            attachment.description,
            attachment.transfer_encoding.as_str(),
        ])?;
    Ok(())
}

fn attachment(row: &Columns<'_, '_>) -> Result<Attachment, ColumnError> {
    Ok(Attachment {
        id: AttachmentId(row.integer("AttachmentId")?),
        file_name: row.optional_text("FileName")?,
        media_type: row.optional_text("MediaType")?,
        disposition: row.word("Disposition")?,
        content_id: row.optional_text("ContentId")?,
        description: row.optional_text("Description")?,
        transfer_encoding: row.word("TransferEncoding")?,
        size_bytes: u64::try_from(row.integer("SizeBytes")?).unwrap_or(0),
    })
}
