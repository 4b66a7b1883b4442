//! Audit copies in the database.

use std::sync::Arc;

use async_trait::async_trait;
use sendport_core::domain::AuditCopy;
use sendport_store::audit::AuditStore;

use super::{AuditError, AuditTrail};

/// Keeps copies in the table `AuditCopy`.
pub struct DatabaseTrail {
    archive: Arc<dyn AuditStore>,
}

impl DatabaseTrail {
    /// An audit in the database of the alerts.
    pub fn new(archive: Arc<dyn AuditStore>) -> Self {
        Self { archive }
    }
}

#[async_trait]
impl AuditTrail for DatabaseTrail {
    async fn keep(&self, copy: Arc<AuditCopy>) -> Result<(), AuditError> {
        Ok(self.archive.keep_copy(&copy).await?)
    }
}
