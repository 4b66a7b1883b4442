//! Section `[intake.<name>.timeout]`: how long to wait for a client.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Longest waits. RFC 5321 section 4.5.3.2 gives the reasons; a client waits ten minutes for the reply to the
/// final dot, but many applications wait 100 seconds or less.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// For a whole command line.
    #[serde(with = "humantime_serde")]
    pub command: Duration,
    /// For a TLS handshake.
    #[serde(with = "humantime_serde")]
    pub tls_handshake: Duration,
    /// For the next block of content.
    #[serde(with = "humantime_serde")]
    pub data_block: Duration,
    /// For all of the content of a message.
    #[serde(with = "humantime_serde")]
    pub message: Duration,
    /// For the database to commit a message, and to say that it can.
    #[serde(with = "humantime_serde")]
    pub commit: Duration,
    /// For a client that does not read replies.
    #[serde(with = "humantime_serde")]
    pub reply: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let minutes = |m: u64| Duration::from_secs(60 * m);
        Self {
            command: minutes(5),
            tls_handshake: Duration::from_secs(30),
            data_block: minutes(3),
            message: minutes(15),
            commit: Duration::from_secs(30),
            reply: minutes(1),
        }
    }
}

impl Timeouts {
    /// Each wait, by its key.
    pub fn by_key(&self) -> [(&'static str, Duration); 6] {
        [
            ("command", self.command),
            ("tls_handshake", self.tls_handshake),
            ("data_block", self.data_block),
            ("message", self.message),
            ("commit", self.commit),
            ("reply", self.reply),
        ]
    }
}
