//! Messages that clients submit whole.

use serde::{Deserialize, Serialize};

/// What a send port that signs or encrypts does with a message that is signed, encrypted or a report already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ReceivedProtected {
    /// The alert fails.
    #[default]
    Refuse,
    /// It is passed on as it came, without the protection of the send port.
    Pass,
}
