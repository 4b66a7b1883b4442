//! The audit of a send port: a copy before each transaction.

use sendport_core::domain::{Alert, AttemptKey, Envelope, Lease, Message, OutcomeKind};
use sendport_smime::{Protection, SecuredMessage};

use super::Dispatcher;
use crate::audit::{AuditError, Submission};
use crate::send_port::SendPort;

impl Dispatcher {
    /// The bytes before protection, copied only if an audit keeps them and protection changes
    /// them.
    pub(super) fn bytes_before(
        &self,
        message: &Message,
        port: &SendPort,
        protection: Protection,
    ) -> Option<Vec<u8>> {
        let auditor = self.parts.auditors.get(&port.name)?;
        let differ = auditor.keeps_before() && protection != Protection::None;
        differ.then(|| message.bytes.clone())
    }

    /// Keeps a copy of the message that `key` submits to `relay`, if the send port has an audit; `before` it was
    /// protected.
    ///
    /// # Errors
    /// [`AuditError`]: the message must not be submitted.
    pub(super) async fn keep_copies(
        &self,
        lease: &Lease<Alert>,
        (key, relay): (AttemptKey, &str),
        envelope: &Envelope,
        (before, message): (Option<&[u8]>, &SecuredMessage),
    ) -> Result<(), AuditError> {
        let Some(auditor) = self.parts.auditors.get(&lease.value.send_port) else {
            return Ok(());
        };
        let submission = Submission {
            attempt: key,
            alert: lease.value.id,
            relay,
            at: self.parts.clock.now(),
            envelope,
            before,
            message,
        };
        auditor.keep(&submission).await
    }
}

/// Released for a while: without the audit copy nothing is submitted.
pub(super) fn wait_for_audit(port: &SendPort, why: &AuditError) -> OutcomeKind {
    OutcomeKind::Released {
        retry_in: port.retry.first_delay,
        reason: Some(format!("waits for its audit copy to be kept: {why}")),
    }
}
