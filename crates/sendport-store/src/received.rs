//! Messages that a client submitted whole: each becomes one alert, with its octets in a table of their own.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use sendport_core::domain::{
    AlertId, ReceivedMessage, RecipientDsn, RecipientKind, ReversePath, StoredMessage,
};

use super::{ColumnError, StoreError};

/// Bytes of one row of `ReceivedContent`, and of one read.
pub const PIECE: usize = 1024 * 1024;

/// Takes received messages.
#[async_trait]
pub trait ReceivedMessages: Send + Sync {
    /// Makes one alert of the message, in one transaction; when this returns, no crash loses it. A message of the
    /// same transaction id is there already: its alert, and nothing is inserted.
    ///
    /// # Errors
    /// As [`AlertStore`](super::AlertStore). After an error the message may be there.
    async fn insert_received(&self, message: Arc<ReceivedMessage>) -> Result<AlertId, StoreError>;
}

/// Reads received messages.
#[async_trait]
pub trait ReceivedSource: Send + Sync {
    /// The received message of an alert, without its octets; `None` where it is gone.
    ///
    /// # Errors
    /// As [`AlertStore`](super::AlertStore); one that is not transient names the value that cannot be read.
    async fn received(&self, alert: AlertId) -> Result<Option<StoredMessage>, StoreError>;

    /// One piece of its octets, counted from 0, at most [`PIECE`] bytes; `None` where there is none.
    ///
    /// # Errors
    /// As [`AlertStore`](super::AlertStore).
    async fn received_piece(
        &self,
        alert: AlertId,
        ordinal: u32,
    ) -> Result<Option<Vec<u8>>, StoreError>;
}

/// The columns of the alert and of `ReceivedMessage` that are not simply a value of the message.
pub(crate) struct ReceivedColumns {
    pub(crate) to: Option<String>,
    pub(crate) cc: Option<String>,
    pub(crate) bcc: Option<String>,
    pub(crate) client_address: Option<String>,
    pub(crate) recipient_dsn: Option<String>,
}

impl ReceivedColumns {
    pub(crate) fn of(message: &ReceivedMessage) -> Self {
        let recipients = &message.envelope.recipients;
        let list = |kind: RecipientKind| {
            let of_kind = recipients.iter().filter(|it| it.kind == kind);
            let addresses: Vec<&str> = of_kind.map(|it| it.address.as_str()).collect();
            (!addresses.is_empty()).then(|| addresses.join("; "))
        };
        let dsn: BTreeMap<&str, RecipientDsn> = recipients
            .iter()
            .filter_map(|it| Some((it.address.as_str(), it.dsn()?)))
            .collect();
        Self {
            to: list(RecipientKind::To),
            cc: list(RecipientKind::Cc),
            bcc: list(RecipientKind::Bcc),
            client_address: message.client.address.map(|it| it.to_string()),
            recipient_dsn: (!dsn.is_empty())
                .then(|| serde_json::to_string(&dsn).unwrap_or_default()),
        }
    }
}

/// The inverse of [`ReceivedColumns`] for a reverse-path, which is empty for the null one.
pub(crate) fn reverse_path(text: &str) -> Result<ReversePath, ColumnError> {
    let address = match text {
        "" => None,
        text => {
            let parsed = text.parse();
            Some(parsed.map_err(|error| ColumnError::unreadable("ReversePath", error))?)
        }
    };
    Ok(ReversePath(address))
}

/// The same for the JSON object of NOTIFY and ORCPT.
pub(crate) fn recipient_dsn(
    text: Option<&str>,
) -> Result<BTreeMap<String, RecipientDsn>, ColumnError> {
    text.map_or(Ok(BTreeMap::new()), |text| {
        serde_json::from_str(text).map_err(|error| ColumnError::unreadable("RecipientDsn", error))
    })
}
