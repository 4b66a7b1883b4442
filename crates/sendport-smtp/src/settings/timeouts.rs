//! Section `[relay.<name>.timeout]`: how long to wait.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Longest wait for each command; the defaults are RFC 5321 section 4.5.3.2's.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// Name look-up and TCP connect.
    #[serde(with = "humantime_serde")]
    pub connect: Duration,
    /// Until the 220 greeting.
    #[serde(with = "humantime_serde")]
    pub greeting: Duration,
    /// EHLO, HELO, RSET, and each step of AUTH.
    #[serde(with = "humantime_serde")]
    pub command: Duration,
    /// A TLS handshake.
    #[serde(with = "humantime_serde")]
    pub tls_handshake: Duration,
    /// MAIL.
    #[serde(with = "humantime_serde")]
    pub mail: Duration,
    /// RCPT, each.
    #[serde(with = "humantime_serde")]
    pub rcpt: Duration,
    /// DATA, up to 354.
    #[serde(with = "humantime_serde")]
    pub data: Duration,
    /// Each block of the content.
    #[serde(with = "humantime_serde")]
    pub data_block: Duration,
    /// The reply to the final dot.
    #[serde(with = "humantime_serde")]
    pub end_of_data: Duration,
    /// QUIT.
    #[serde(with = "humantime_serde")]
    pub quit: Duration,
    /// The whole attempt, from the connection to the reply to the final dot.
    #[serde(with = "humantime_serde")]
    pub attempt: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let minutes = |m: u64| Duration::from_secs(60 * m);
        Self {
            connect: Duration::from_secs(30),
            greeting: minutes(5),
            command: minutes(5),
            tls_handshake: minutes(1),
            mail: minutes(5),
            rcpt: minutes(5),
            data: minutes(2),
            data_block: minutes(3),
            end_of_data: minutes(10),
            quit: Duration::from_secs(2),
            attempt: minutes(30),
        }
    }
}

impl Timeouts {
    /// Each wait, by its key.
    pub fn by_key(&self) -> [(&'static str, Duration); 11] {
        [
            ("connect", self.connect),
            ("greeting", self.greeting),
            ("command", self.command),
            ("tls_handshake", self.tls_handshake),
            ("mail", self.mail),
            ("rcpt", self.rcpt),
            ("data", self.data),
            ("data_block", self.data_block),
            ("end_of_data", self.end_of_data),
            ("quit", self.quit),
            ("attempt", self.attempt),
        ]
    }
}
