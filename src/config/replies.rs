//! Section `[replies]`: what the replies of servers mean.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Entries of one's own in the table of replies.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RepliesConfig {
    /// A file of entries as in the built-in table, which they go before; empty: none.
    pub file: PathBuf,
}
