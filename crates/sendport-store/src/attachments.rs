//! What the composition of a message reads: attachments, their content piece by piece, and alerts with long texts.

use async_trait::async_trait;
use sendport_core::domain::{AlertId, Attachment, AttachmentId};

use super::{LoadResult, StoreError};

/// Reads what an alert is made of. It does not change once the alert was claimed.
#[async_trait]
pub trait AttachmentSource: Send + Sync {
    /// One alert, however long its texts are; `None` where it is gone. Never [`LoadResult::Large`].
    ///
    /// # Errors
    /// As [`AlertStore`](super::AlertStore).
    async fn whole_alert(&self, alert: AlertId) -> Result<Option<LoadResult>, StoreError>;

    /// The attachments of an alert in the order in which they were inserted, with the lengths of
    /// their contents. Reads no content, however long they are.
    ///
    /// # Errors
    /// As [`AlertStore`](super::AlertStore); one that is not transient names the value that
    /// cannot be read.
    async fn attachments(&self, alert: AlertId) -> Result<Vec<Attachment>, StoreError>;

    /// The bytes of one content from the offset `from` on, `at_most` of them and fewer only where
    /// it ends; `None` where it is gone.
    ///
    /// # Errors
    /// As [`AlertStore`](super::AlertStore).
    async fn attachment_content(
        &self,
        alert: AlertId,
        attachment: AttachmentId,
        from: u64,
        at_most: u32,
    ) -> Result<Option<Vec<u8>>, StoreError>;
}
