//! Messages that a client submitted whole.

use std::sync::Arc;

use async_trait::async_trait;
use sendport_core::domain::{AlertId, ReceivedMessage, StoredMessage};
use tiberius::ToSql;

use super::SqlServerStore;
use super::error::unexpected;
use super::operator_queries::lines;
use super::statement::with_parts;
use super::values::{Fields, fit};
use crate::received::{
    PIECE, ReceivedColumns, ReceivedMessages, ReceivedSource, recipient_dsn, reverse_path,
};
use crate::{ColumnError, StoreError, StoreErrorKind};

/// Of such messages one at a time is written: the driver holds it twice.
const LARGE: u64 = 4 * PIECE as u64;

const INSERT: &str = "insert a received message";

const PIECE_AT: &str =
    "SELECT c.Content FROM sendport.ReceivedContent c WITH (INDEX (PK_ReceivedContent), FORCESEEK)
    WHERE c.AlertId = @P1 AND c.Ordinal = @P2;";

#[async_trait]
impl ReceivedMessages for SqlServerStore {
    async fn insert_received(&self, message: Arc<ReceivedMessage>) -> Result<AlertId, StoreError> {
        let _permit = match message.content.size() > LARGE {
            true => Some(self.large_messages.lock().await),
            false => None,
        };
        let MessageRows { content, values } = MessageRows::of(&message, INSERT)?;
        let sql =
            with_parts(include_str!("sql/insert_received.sql")).replace("{content}", &content);
        let values: Vec<_> = values.iter().map(|value| &**value).collect();
        let row = self.pool.row(INSERT, &sql, &values).await?;
        let id = Fields::of(&row).get().map_err(|e| unexpected(INSERT, e))?;
        Ok(AlertId(id))
    }
}

/// A message as the statements of `sql/parts/received_rows.sql` and those of its octets take it.
pub(super) struct MessageRows<'m> {
    /// The statement that inserts its octets.
    pub(super) content: String,
    /// The parameters of both.
    pub(super) values: Vec<Box<dyn ToSql + 'm>>,
}

impl<'m> MessageRows<'m> {
    pub(super) fn of(
        message: &'m ReceivedMessage,
        doing: &'static str,
    ) -> Result<Self, StoreError> {
        let columns = ReceivedColumns::of(message);
        let (client, envelope, header) = (&message.client, &message.envelope, &message.header);
        let size = i64::try_from(message.content.size()).unwrap_or(i64::MAX);
        let cut = |text: &Option<String>, most| text.as_deref().map(|text| fit(text, most));
        let mut values: Vec<Box<dyn ToSql + 'm>> = vec![
            Box::new(message.transaction.0),
            Box::new(columns.to),
            Box::new(columns.cc),
            Box::new(columns.bcc),
            Box::new(cut(&header.from, 1000)),
            Box::new(cut(&header.subject, 998)),
            Box::new(message.send_port.as_str()),
            Box::new(message.origin.as_str()),
            Box::new(message.intake.as_str()),
            Box::new(columns.client_address),
            Box::new(cut(&client.helo, 255)),
            Box::new(cut(&client.user, 255)),
            Box::new(envelope.reverse_path.as_str()),
            Box::new(fit(&header.message_id, 1000)),
            Box::new(size),
            Box::new(envelope.body.as_str()),
            Box::new(envelope.smtp_utf8),
            Box::new(&envelope.envelope_id),
            Box::new(envelope.returns.map(|it| it.as_str())),
            Box::new(columns.recipient_dsn),
            Box::new(header.from_allowed),
        ];
        let mut rows = Vec::new();
        let read = message.content.pieces(PIECE, |piece| {
            values.push(Box::new(piece.to_vec()));
            rows.push(format!("(@id, {}, @P{})", rows.len(), values.len()));
            Ok::<_, std::io::Error>(())
        });
        read.map_err(|error| StoreError::caused_by(StoreErrorKind::Unavailable, doing, error))?;
        let content = match rows.is_empty() {
            true => String::new(),
            false => format!(
                "INSERT INTO sendport.ReceivedContent (AlertId, Ordinal, Content) VALUES {};",
                rows.join(", ")
            ),
        };
        Ok(Self { content, values })
    }
}

#[async_trait]
impl ReceivedSource for SqlServerStore {
    async fn received(&self, alert: AlertId) -> Result<Option<StoredMessage>, StoreError> {
        const DOING: &str = "read a received message";
        let rows = self
            .pool
            .rows(DOING, include_str!("sql/received.sql"), &[&alert.0])
            .await?;
        Ok(lines(DOING, &rows, stored_message)?.into_iter().next())
    }

    async fn received_piece(
        &self,
        alert: AlertId,
        ordinal: u32,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        const DOING: &str = "read a received message";
        let values: [&dyn ToSql; 2] = [&alert.0, &i64::from(ordinal)];
        let rows = self.pool.rows(DOING, PIECE_AT, &values).await?;
        let content = rows.into_iter().next().map(super::attachments::content);
        content.transpose().map_err(|e| unexpected(DOING, e))
    }
}

fn stored_message(f: &mut Fields<'_>) -> Result<StoredMessage, ColumnError> {
    Ok(StoredMessage {
        reverse_path: reverse_path(&f.text()?)?,
        message_id: f.text()?,
        size_bytes: f.get::<i64>()?.unsigned_abs(),
        body: f.word()?,
        smtp_utf8: f.get()?,
        envelope_id: f.maybe_text()?,
        returns: f.maybe_word()?,
        recipient_dsn: recipient_dsn(f.maybe_text()?.as_deref())?,
        from_allowed: f.get()?,
        intake: f.text()?,
    })
}
