//! Messages that a client submitted whole.

use async_trait::async_trait;
use sendport_core::domain::{AlertId, ReceivedMessage, StoredMessage};
use tiberius::ToSql;

use super::SqlServerStore;
use super::error::unexpected;
use super::operator_queries::lines;
use super::values::{Fields, fit};
use crate::received::{
    PIECE, ReceivedColumns, ReceivedMessages, ReceivedSource, recipient_dsn, reverse_path,
};
use crate::{ColumnError, StoreError, StoreErrorKind};

/// Of such messages one at a time is written: the driver holds it twice.
const LARGE: u64 = 4 * PIECE as u64;

/// The parameters before the octets.
const PARAMETERS: usize = 20;

const PIECE_AT: &str =
    "SELECT c.Content FROM sendport.ReceivedContent c WITH (INDEX (PK_ReceivedContent), FORCESEEK)
    WHERE c.AlertId = @P1 AND c.Ordinal = @P2;";

#[async_trait]
impl ReceivedMessages for SqlServerStore {
    async fn insert_received(&self, message: ReceivedMessage) -> Result<AlertId, StoreError> {
        const DOING: &str = "insert a received message";
        let _permit = match message.content.size() > LARGE {
            true => Some(self.large_messages.lock().await),
            false => None,
        };
        let columns = ReceivedColumns::of(&message);
        let (client, envelope, header) = (&message.client, &message.envelope, &message.header);
        let size = i64::try_from(message.content.size()).unwrap_or(i64::MAX);
        let cut = |text: &Option<String>, most| text.as_deref().map(|text| fit(text, most));
        let (from, subject) = (cut(&header.from, 1000), cut(&header.subject, 998));
        let (helo, user) = (cut(&client.helo, 255), cut(&client.user, 255));
        let message_id = fit(&header.message_id, 1000);
        let values: [&dyn ToSql; PARAMETERS] = [
            &message.transaction.0,
            &columns.to,
            &columns.cc,
            &columns.bcc,
            &from,
            &subject,
            &message.send_port,
            &message.origin.as_str(),
            &message.intake,
            &columns.client_address,
            &helo,
            &user,
            &envelope.reverse_path.as_str(),
            &message_id,
            &size,
            &envelope.body.as_str(),
            &envelope.smtp_utf8,
            &envelope.envelope_id,
            &envelope.returns.map(|it| it.as_str()),
            &columns.recipient_dsn,
        ];
        let mut pieces = Vec::new();
        let read = message.content.pieces(PIECE, |piece| {
            pieces.push(piece.to_vec());
            Ok::<_, std::io::Error>(())
        });
        read.map_err(|error| StoreError::caused_by(StoreErrorKind::Unavailable, DOING, error))?;
        let row = |ordinal: usize| format!("(@id, {ordinal}, @P{})", PARAMETERS + 1 + ordinal);
        let rows: Vec<_> = (0..pieces.len()).map(row).collect();
        let insert = match rows.is_empty() {
            true => String::new(),
            false => format!(
                "INSERT INTO sendport.ReceivedContent (AlertId, Ordinal, Content) VALUES {};",
                rows.join(", ")
            ),
        };
        let sql = include_str!("sql/insert_received.sql").replace("{content}", &insert);
        let contents: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        let contents = contents.iter().map(|it| it as &dyn ToSql);
        let values: Vec<_> = values.into_iter().chain(contents).collect();
        let row = self.pool.row(DOING, &sql, &values).await?;
        let id = Fields::of(&row).get().map_err(|e| unexpected(DOING, e))?;
        Ok(AlertId(id))
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
    })
}
