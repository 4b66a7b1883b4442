//! Messages that a client submitted whole.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, params};
use sendport_core::domain::{AlertId, ReceivedMessage, StoredMessage};
use tokio::sync::oneshot;

use super::connection::{SqliteError, Worker, write};
use super::operator_queries::lines;
use super::values::{Columns, time_text, uuid_text};
use super::{SqliteStore, sql};
use crate::received::{
    PIECE, ReceivedColumns, ReceivedMessages, ReceivedSource, recipient_dsn, reverse_path,
};
use crate::{ColumnError, StoreError, StoreErrorKind};

const DOING: &str = "insert a received message";

/// Most messages and bytes of one transaction: one commit makes as many durable.
const MOST: usize = 200;
const MOST_BYTES: u64 = 8 * 1024 * 1024;

/// Whether the transaction was committed before.
const FIND: &str = "SELECT AlertId FROM Alert WHERE PublicId = ?1";

/// TR_Alert_Insert made the row.
const NOTE_ORIGIN: &str = "UPDATE AlertState SET Origin = ?2 WHERE AlertId = ?1";

const INSERT_PIECE: &str =
    "INSERT INTO ReceivedContent (AlertId, Ordinal, Content) VALUES (?1, ?2, ?3)";

const PIECE_AT: &str = "SELECT Content FROM ReceivedContent WHERE AlertId = ?1 AND Ordinal = ?2";

/// Messages that wait for the next transaction. What comes while one is being made durable goes into the next one, so
/// many clients share a commit, and one alone waits for nobody.
#[derive(Default)]
pub(super) struct Arrivals {
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    messages: Vec<Arrival>,
    /// A task inserts them.
    has_task: bool,
}

struct Arrival {
    message: Arc<ReceivedMessage>,
    answer: oneshot::Sender<Result<AlertId, StoreError>>,
}

impl Arrivals {
    /// The next ones; none ends the task.
    fn take(&self) -> Vec<Arrival> {
        let mut waiting = self.waiting.lock();
        let mut bytes = 0;
        let fits = |arrival: &&Arrival| {
            bytes += arrival.message.content.size();
            bytes <= MOST_BYTES
        };
        let most = waiting.messages.len().min(MOST);
        let count = waiting.messages[..most].iter().take_while(fits).count();
        let count = count.max(1).min(most);
        waiting.has_task = count > 0;
        waiting.messages.drain(..count).collect()
    }
}

#[async_trait]
impl ReceivedMessages for SqliteStore {
    async fn insert_received(&self, message: Arc<ReceivedMessage>) -> Result<AlertId, StoreError> {
        let (answer, result) = oneshot::channel();
        let is_first = {
            let mut waiting = self.arrivals.waiting.lock();
            waiting.messages.push(Arrival { message, answer });
            !std::mem::replace(&mut waiting.has_task, true)
        };
        if is_first {
            let (arrivals, writer) = (Arc::clone(&self.arrivals), Arc::clone(&self.writer));
            let clock = Arc::clone(&self.clock);
            tokio::spawn(async move {
                loop {
                    let next = arrivals.take();
                    if next.is_empty() {
                        break;
                    }
                    insert_all(&writer, next, &time_text(clock.now())).await;
                }
            });
        }
        let gone = |_| StoreError::new(StoreErrorKind::Unavailable, DOING, "the store is closed");
        let id = result.await.map_err(gone)?;
        self.watch.inserted();
        id
    }
}

#[async_trait]
impl ReceivedSource for SqliteStore {
    async fn received(&self, alert: AlertId) -> Result<Option<StoredMessage>, StoreError> {
        self.reader
            .call("read a received message", move |connection| {
                let found = lines(connection, sql!("received"), &[&alert.0], stored_message)?;
                Ok(found.into_iter().next())
            })
            .await
    }

    async fn received_piece(
        &self,
        alert: AlertId,
        ordinal: u32,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.contents
            .call("read a received message", move |connection| {
                let mut statement = connection.prepare_cached(PIECE_AT)?;
                let values = params![alert.0, ordinal];
                Ok(statement.query_row(values, |row| row.get(0)).optional()?)
            })
            .await
    }
}

/// In one transaction, or where it refuses one of them, each in its own. An answer goes out when it is durable.
async fn insert_all(writer: &Worker, arrivals: Vec<Arrival>, now: &str) {
    let split = |it: Arrival| (it.message, it.answer);
    let (messages, answers): (Vec<_>, Vec<_>) = arrivals.into_iter().map(split).unzip();
    let messages = Arc::new(messages);
    match insert_some(writer, &messages, 0..messages.len(), now).await {
        Ok(ids) => {
            for (answer, id) in answers.into_iter().zip(ids) {
                // The caller may be gone; the message is there anyway.
                let _ = answer.send(Ok(id));
            }
        }
        Err(error) => {
            let of_all = answers.len() == 1 || error.is_transient();
            for (index, answer) in answers.into_iter().enumerate() {
                let result = match of_all {
                    true => Err(StoreError::new(error.kind(), DOING, error.to_string())),
                    false => insert_some(writer, &messages, index..index + 1, now)
                        .await
                        .map(|ids| ids[0]),
                };
                let _ = answer.send(result);
            }
        }
    }
}

async fn insert_some(
    writer: &Worker,
    messages: &Arc<Vec<Arc<ReceivedMessage>>>,
    range: Range<usize>,
    now: &str,
) -> Result<Vec<AlertId>, StoreError> {
    let (messages, now) = (Arc::clone(messages), now.to_owned());
    writer
        .call(DOING, move |connection| {
            let some = messages[range.clone()].iter();
            write(connection, |tx| {
                some.map(|it| insert(tx, it, &now)).collect()
            })
        })
        .await
}

/// Inserts one, unless its transaction is there already.
pub(super) fn insert(
    connection: &Connection,
    message: &ReceivedMessage,
    now: &str,
) -> Result<AlertId, SqliteError> {
    let public_id = uuid_text(message.transaction.0);
    let mut find = connection.prepare_cached(FIND)?;
    if let Some(id) = find.query_row([&public_id], |row| row.get(0)).optional()? {
        return Ok(AlertId(id));
    }
    let columns = ReceivedColumns::of(message);
    let (client, envelope, header) = (&message.client, &message.envelope, &message.header);
    let insert = sql!("insert_received_alert");
    connection.prepare_cached(insert)?.execute(params![
        public_id,
        columns.to,
        columns.cc,
        columns.bcc,
        header.from,
        header.subject,
        message.send_port,
        now,
    ])?;
    let id = connection.last_insert_rowid();
    connection
        .prepare_cached(NOTE_ORIGIN)?
        .execute(params![id, message.origin.as_str()])?;
    let insert = sql!("insert_received_message");
    connection.prepare_cached(insert)?.execute(params![
        id,
        message.intake,
        columns.client_address,
        client.helo,
        client.user,
        envelope.reverse_path.as_str(),
        header.message_id,
        i64::try_from(message.content.size()).unwrap_or(i64::MAX),
        envelope.body.as_str(),
        envelope.smtp_utf8,
        envelope.envelope_id,
        envelope.returns.map(|it| it.as_str()),
        columns.recipient_dsn,
        header.from_allowed,
    ])?;
    let mut ordinal = 0;
    message.content.pieces(PIECE, |piece| {
        connection
            .prepare_cached(INSERT_PIECE)?
            .execute(params![id, ordinal, piece])?;
        ordinal += 1;
        Ok::<_, SqliteError>(())
    })?;
    Ok(AlertId(id))
}

fn stored_message(row: &Columns<'_, '_>) -> Result<StoredMessage, ColumnError> {
    Ok(StoredMessage {
        reverse_path: reverse_path(&row.text("ReversePath")?)?,
        message_id: row.text("MessageId")?,
        size_bytes: row.integer("SizeBytes")?.unsigned_abs(),
        body: row.word("BodyType")?,
        smtp_utf8: row.flag("SmtpUtf8")?,
        envelope_id: row.optional_text("EnvelopeId")?,
        returns: row.optional_word("DsnReturn")?,
        recipient_dsn: recipient_dsn(row.optional_text("RecipientDsn")?.as_deref())?,
        from_allowed: row.flag("FromAllowed")?,
        intake: row.text("Intake")?,
    })
}
