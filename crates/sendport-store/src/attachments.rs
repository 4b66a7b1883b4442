//! What the composition of a message reads: attachments, their content piece by piece, and alerts with long texts;
//! and the files that an alert names, which become attachments.

use async_trait::async_trait;
use sendport_core::domain::{AlertId, Attachment, AttachmentId, LeaseToken};

use super::{LoadResult, StoreError};

/// Reads what an alert is made of. It does not change once the alert was claimed, apart from its files.
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

/// A file that was read for an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertFile {
    /// Its name without folders, at most 255 characters.
    pub name: String,
    /// Its bytes.
    pub content: Vec<u8>,
}

/// The most files that one alert may name: SQL Server takes at most 2,100 parameters in a batch.
pub const MOST_FILES: usize = 1_000;

/// Stores the files that alerts name in `FileAttachments`.
#[async_trait]
pub trait FileStore: Send + Sync {
    /// Makes attachments of the files, at least one, in this order, and notes that they were stored: all of them or none, in one
    /// transaction, and only once for an alert. False, and nothing is stored, where the lease is lost.
    ///
    /// # Errors
    /// As [`AlertStore`](super::AlertStore).
    async fn store_files(
        &self,
        alert: AlertId,
        token: LeaseToken,
        files: Vec<AlertFile>,
    ) -> Result<bool, StoreError>;
}
