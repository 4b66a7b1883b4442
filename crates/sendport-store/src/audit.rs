//! Audit copies: what was submitted, kept in the database.

use async_trait::async_trait;
use sendport_core::domain::AuditCopy;

use super::StoreError;

/// Keeps audit copies in the table `AuditCopy`.
#[async_trait]
pub trait AuditStore: Send + Sync {
    /// Keeps one copy. Repeating it with the same attempt key and stage changes nothing. It
    /// is kept even where the attempt then fails: the row of `Attempt` with the same key has the
    /// result.
    ///
    /// # Errors
    /// As [`AlertStore`](super::AlertStore).
    async fn keep_copy(&self, copy: &AuditCopy) -> Result<(), StoreError>;
}
