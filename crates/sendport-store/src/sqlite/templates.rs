//! Templates in versions.

use async_trait::async_trait;
use rusqlite::{Connection, Transaction, params};
use sendport_core::domain::{TemplateRow, TemplateText};

use super::connection::{SqliteError, write};
use super::operator_queries::lines;
use super::values::{Columns, time_text};
use super::{SqliteStore, sql};
use crate::templates::{TemplateStore, Templates};
use crate::{ColumnError, StoreError};

/// The next version.
const ADD_TEMPLATES_VERSION: &str =
    "INSERT INTO TemplateChange (Version, CreatedAt) VALUES (?1, ?2)";

/// The version of the last change.
const TEMPLATES_NEWEST: &str = "SELECT coalesce(max(Version), 0) FROM TemplateChange";

/// One template in one language.
const ADD_TEMPLATES_TEXT: &str = "INSERT INTO Template (Name, Language, Version, Subject, Text, Html, Sample) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

#[async_trait]
impl TemplateStore for SqliteStore {
    async fn templates(&self) -> Result<Templates, StoreError> {
        self.operator_reader
            .call("read the templates", |connection| {
                Ok(Templates {
                    newest: newest(connection)?,
                    rows: lines(connection, sql!("templates"), params![], row)?,
                })
            })
            .await
    }

    async fn template_at(&self, name: &str, version: u32) -> Result<Vec<TemplateRow>, StoreError> {
        let name = name.to_owned();
        self.reader
            .call("read a template", move |connection| {
                let values = params![name, version];
                lines(connection, sql!("template_at"), values, row)
            })
            .await
    }

    async fn add_templates(
        &self,
        newest: u32,
        texts: &[TemplateText],
    ) -> Result<Option<u32>, StoreError> {
        let (texts, now) = (texts.to_vec(), time_text(self.clock.now()));
        self.writer
            .call("add templates", move |connection| {
                write(connection, |tx| add(tx, newest, &texts, &now))
            })
            .await
    }
}

fn newest(connection: &Connection) -> Result<u32, SqliteError> {
    let mut statement = connection.prepare_cached(TEMPLATES_NEWEST)?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

fn add(
    tx: &Transaction<'_>,
    expected: u32,
    texts: &[TemplateText],
    now: &str,
) -> Result<Option<u32>, SqliteError> {
    if newest(tx)? != expected {
        return Ok(None);
    }
    let version = expected + 1;
    tx.execute(ADD_TEMPLATES_VERSION, params![version, now])?;
    let mut add = tx.prepare_cached(ADD_TEMPLATES_TEXT)?;
    for it in texts {
        add.execute(params![
            it.name,
            it.language,
            version,
            it.subject,
            it.text,
            it.html,
            it.sample
        ])?;
    }
    Ok(Some(version))
}

fn row(row: &Columns<'_, '_>) -> Result<TemplateRow, ColumnError> {
    Ok(TemplateRow {
        text: TemplateText {
            name: row.key("Name")?,
            language: row.key("Language")?,
            subject: row.optional_text("Subject")?,
            text: row.optional_text("Text")?,
            html: row.optional_text("Html")?,
            sample: row.optional_text("Sample")?,
        },
        version: row.count("Version")?,
        created_at: row.time("CreatedAt")?,
        created_by: row.text("CreatedBy")?,
    })
}
