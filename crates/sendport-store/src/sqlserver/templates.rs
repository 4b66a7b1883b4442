//! Templates in versions.

use async_trait::async_trait;
use sendport_core::domain::{TemplateRow, TemplateText};
use tiberius::error::Error;

use super::SqlServerStore;
use super::connection::Connection;
use super::error::unexpected;
use super::operator_queries::lines;
use super::pool::Retries;
use super::values::Fields;
use crate::templates::{TemplateStore, Templates};
use crate::{ColumnError, StoreError};

#[async_trait]
impl TemplateStore for SqlServerStore {
    async fn templates(&self) -> Result<Templates, StoreError> {
        const DOING: &str = "read the templates";
        let sql = include_str!("sql/templates.sql");
        let results = self.pool.query(DOING, sql, &[]).await?;
        let [newest, rows] = &results[..] else {
            return Err(unexpected(DOING, "two result sets were expected"));
        };
        let newest = newest.first().map_or(Ok(0), |row| Fields::of(row).count());
        Ok(Templates {
            newest: newest.map_err(|e| unexpected(DOING, e))?,
            rows: lines(DOING, rows, template_row)?,
        })
    }

    async fn template_at(&self, name: &str, version: u32) -> Result<Vec<TemplateRow>, StoreError> {
        const DOING: &str = "read a template";
        let sql = include_str!("sql/template_at.sql");
        let rows = self.pool.rows(DOING, sql, &[&name, &int(version)]).await?;
        lines(DOING, &rows, template_row)
    }

    async fn add_templates(
        &self,
        newest: u32,
        texts: &[TemplateText],
    ) -> Result<Option<u32>, StoreError> {
        const DOING: &str = "add templates";
        let mut tries = Retries::default();
        loop {
            let mut loan = self.pool.loan(DOING).await?;
            match add(loan.connection(), newest, texts).await {
                Ok(taken) => return Ok(taken.then_some(newest + 1)),
                Err(error) if is_taken(&error) => return Ok(None),
                // The connection is dropped, and with it goes the transaction.
                Err(error) => self.pool.retry(DOING, &mut tries, loan, error).await?,
            }
        }
    }
}

async fn add(
    connection: &mut Connection,
    newest: u32,
    texts: &[TemplateText],
) -> Result<bool, Error> {
    connection.batch("BEGIN TRANSACTION").await?;
    let sql = include_str!("sql/add_templates_version.sql");
    let results = connection.query(sql, &[&int(newest)]).await?;
    let row = results.first().and_then(|rows| rows.first());
    if row.and_then(|row| Fields::of(row).get::<i32>().ok()) != Some(1) {
        connection.batch("ROLLBACK TRANSACTION").await?;
        return Ok(false);
    }
    for it in texts {
        connection
            .query(
                include_str!("sql/add_templates_text.sql"),
                &[
                    &it.name,
                    &it.language,
                    &int(newest + 1),
                    &it.subject,
                    &it.text,
                    &it.html,
                    &it.sample,
                ],
            )
            .await?;
    }
    connection.batch("COMMIT TRANSACTION").await?;
    Ok(true)
}

/// Another call took the same version.
fn is_taken(error: &Error) -> bool {
    matches!(error.code(), Some(2601 | 2627))
}

fn int(version: u32) -> i32 {
    i32::try_from(version).unwrap_or(i32::MAX)
}

fn template_row(f: &mut Fields<'_>) -> Result<TemplateRow, ColumnError> {
    let (name, language, version) = (f.key()?, f.key()?, f.count()?);
    Ok(TemplateRow {
        version,
        created_at: f.time()?,
        created_by: f.text()?,
        text: TemplateText {
            name,
            language,
            subject: f.maybe_text()?,
            text: f.maybe_text()?,
            html: f.maybe_text()?,
            sample: f.maybe_text()?,
        },
    })
}
