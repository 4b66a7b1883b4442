//! Section `[send_port.<name>.attachments]`: what may go with an alert.

use serde::Deserialize;

use super::byte_size::ByteSize;

/// Limits are about contents as they stand in the database; base64 makes them a third longer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AttachmentsConfig {
    /// Longest attachment.
    pub max_size: ByteSize,
    /// All attachments of one alert together.
    pub max_total_size: ByteSize,
    /// Extensions of file names that are refused, without regard to case.
    pub forbidden_extensions: Vec<String>,
}

impl Default for AttachmentsConfig {
    fn default() -> Self {
        Self {
            max_size: ByteSize(10_000_000),
            max_total_size: ByteSize(25_000_000),
            forbidden_extensions: ["exe", "dll", "vbs", "js"].map(str::to_owned).to_vec(),
        }
    }
}
