//! Messages that clients submitted whole, in the database as an intake commits them.

use std::path::Path;
use std::sync::Arc;

use sendport_core::clock::SystemClock;
use sendport_core::domain::{
    AlertId, AlertOrigin, BodyType, EnvelopeRecipient, IntakeClient, ReceivedContent,
    ReceivedEnvelope, ReceivedHeader, ReceivedMessage, RecipientKind, ReversePath, TransactionId,
};
use sendport_store::received::ReceivedMessages as _;
use sendport_store::sqlite::SqliteStore;

/// A message to commit.
pub(crate) struct Submitted<'a> {
    pub(crate) send_port: &'a str,
    /// By the header field that names them; `Bcc` where none does.
    pub(crate) recipients: &'a [(&'a str, RecipientKind)],
    pub(crate) message_id: &'a str,
    pub(crate) bytes: &'a [u8],
}

/// Commits it to the database in this file.
pub(crate) async fn submit(database: &Path, submitted: Submitted<'_>) -> AlertId {
    let store = SqliteStore::open(database, Arc::new(SystemClock)).expect("a database");
    let recipient = |(address, kind): &(&str, RecipientKind)| EnvelopeRecipient {
        address: address.parse().expect("an address"),
        kind: *kind,
        notify: None,
        original: None,
    };
    let is_ascii = submitted.bytes.is_ascii();
    let message = ReceivedMessage {
        transaction: TransactionId::random(),
        intake: "local".to_owned(),
        origin: AlertOrigin::Smtp,
        send_port: submitted.send_port.to_owned(),
        client: IntakeClient {
            address: None,
            helo: None,
            user: None,
        },
        envelope: ReceivedEnvelope {
            reverse_path: ReversePath("app@example.test".parse().ok()),
            recipients: submitted.recipients.iter().map(recipient).collect(),
            body: match is_ascii {
                true => BodyType::SevenBit,
                false => BodyType::EightBitMime,
            },
            smtp_utf8: false,
            envelope_id: None,
            returns: None,
        },
        header: ReceivedHeader {
            from_allowed: true,
            message_id: submitted.message_id.to_owned(),
            from: None,
            subject: None,
        },
        content: ReceivedContent::Memory(submitted.bytes.to_vec()),
    };
    store
        .insert_received(message.into())
        .await
        .expect("committed")
}
