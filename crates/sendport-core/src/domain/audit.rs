//! What an audit keeps of a submission.

use super::alert::word_enum;
use super::{AlertId, AttemptKey, Timestamp};

word_enum! {
    /// Which bytes are kept.
    pub enum AuditStage {
        /// As it was built: readable.
        Before = "before",
        /// As it went over the wire, signed or encrypted.
        After = "after",
    }
}

/// What one attempt submitted, or was about to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditCopy {
    /// Of the attempt; the row of `Attempt` with this key has its result.
    pub attempt: AttemptKey,
    /// Which alert.
    pub alert: AlertId,
    /// Its send port.
    pub send_port: String,
    /// To which relay.
    pub relay: String,
    /// Which bytes.
    pub stage: AuditStage,
    /// By the service's clock.
    pub created_at: Timestamp,
    /// Header `Message-ID`.
    pub message_id: String,
    /// `MAIL FROM`, empty for the null reverse-path.
    pub reverse_path: String,
    /// `RCPT TO`, in order.
    pub forward_paths: Vec<String>,
    /// The message (RFC 5322).
    pub bytes: Vec<u8>,
}
