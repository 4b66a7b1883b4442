//! Attachments.

use async_trait::async_trait;
use sendport_core::domain::{AlertId, Attachment, AttachmentId, LeaseToken};
use tiberius::{ColumnData, Row, ToSql};

use super::SqlServerStore;
use super::error::unexpected;
use super::load::load_alone;
use super::operator_queries::lines;
use super::values::{Fields, placeholders};
use crate::attachments::{AlertFile, AttachmentSource, FileStore};
use crate::{ColumnError, LoadResult, NewAttachment, StoreError};

#[async_trait]
impl AttachmentSource for SqlServerStore {
    async fn whole_alert(&self, alert: AlertId) -> Result<Option<LoadResult>, StoreError> {
        let loaded = load_alone(&self.pool, alert, i64::MAX).await?;
        Ok(loaded.into_iter().next())
    }

    async fn attachments(&self, alert: AlertId) -> Result<Vec<Attachment>, StoreError> {
        const DOING: &str = "read attachments";
        let sql = include_str!("sql/attachments.sql");
        let rows = self.pool.rows(DOING, sql, &[&alert.0]).await?;
        lines(DOING, &rows, attachment)
    }

    async fn attachment_content(
        &self,
        alert: AlertId,
        attachment: AttachmentId,
        from: u64,
        at_most: u32,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        const DOING: &str = "read an attachment";
        let sql = include_str!("sql/attachment_content.sql");
        let first = i64::try_from(from).unwrap_or(i64::MAX - 1) + 1;
        let values: [&dyn ToSql; 4] = [&alert.0, &attachment.0, &first, &i64::from(at_most)];
        let rows = self.pool.rows(DOING, sql, &values).await?;
        let content = rows.into_iter().next().map(content).transpose();
        content.map_err(|e| unexpected(DOING, e))
    }
}

#[async_trait]
impl FileStore for SqlServerStore {
    async fn store_files(
        &self,
        alert: AlertId,
        token: LeaseToken,
        files: Vec<AlertFile>,
    ) -> Result<bool, StoreError> {
        const DOING: &str = "store files";
        let insert = |n: usize| {
            let values = placeholders(3 + 2 * n, 2);
            format!(
                "INSERT INTO sendport.AttachmentRow (AlertId, FileName, Content) VALUES (@P1, {values});\n"
            )
        };
        let inserts: String = (0..files.len()).map(insert).collect();
        let sql = include_str!("sql/store_files.sql").replace("{files}", &inserts);
        let contents: Vec<_> = files.iter().map(|file| file.content.as_slice()).collect();
        let files = files.iter().zip(&contents);
        let files = files.flat_map(|(file, content)| [&file.name as &dyn ToSql, content]);
        let values: Vec<_> = [&alert.0 as &dyn ToSql, &token.0]
            .into_iter()
            .chain(files)
            .collect();
        let row = self.pool.row(DOING, &sql, &values).await?;
        let held: i32 = Fields::of(&row).get().map_err(|e| unexpected(DOING, e))?;
        Ok(held == 1)
    }
}

/// Taken out of the row, not copied.
pub(super) fn content(row: Row) -> Result<Vec<u8>, ColumnError> {
    match row.into_iter().next() {
        Some(ColumnData::Binary(Some(bytes))) => Ok(bytes.into_owned()),
        other => Err(ColumnError::new(
            "Content",
            format!(
                "holds something else than bytes: {}",
                if other.is_some() {
                    "another type, or NULL"
                } else {
                    "no column"
                }
            ),
        )),
    }
}

fn attachment(f: &mut Fields<'_>) -> Result<Attachment, ColumnError> {
    Ok(Attachment {
        id: AttachmentId(f.get()?),
        file_name: f.maybe_text()?,
        media_type: f.maybe_text()?,
        disposition: f.word()?,
        content_id: f.maybe_text()?,
        description: f.maybe_text()?,
        transfer_encoding: f.word()?,
        size_bytes: u64::try_from(f.get::<i64>()?).unwrap_or(0),
    })
}

/// How many parameters one attachment takes.
const PARAMETERS: usize = 7;

/// Statements that insert attachments of the alert `@id`; their parameters begin with `@P<first>`.
pub(super) fn inserts(first: usize, count: usize) -> String {
    (0..count)
        .map(|n| {
            let at = first + n * PARAMETERS;
            format!(
                "INSERT INTO sendport.Attachment (AlertId, FileName, MediaType, Content, Disposition, ContentId, \
                 Description, TransferEncoding) VALUES (@id, {});\n",
                placeholders(at, PARAMETERS)
            )
        })
        .collect()
}

/// The values of [`inserts`], in order.
pub(super) fn values(attachments: &[NewAttachment]) -> Vec<Box<dyn ToSql + '_>> {
    attachments.iter().flat_map(values_of_one).collect()
}

fn values_of_one(attachment: &NewAttachment) -> [Box<dyn ToSql + '_>; PARAMETERS] {
    [
        Box::new(&attachment.file_name),
        Box::new(&attachment.media_type),
        Box::new(attachment.content.as_slice()),
        Box::new(attachment.disposition.as_str()),
        Box::new(&attachment.content_id),
        Box::new(&attachment.description),
        Box::new(attachment.transfer_encoding.as_str()),
    ]
}
