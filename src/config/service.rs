//! Section `[service]`: how one instance works.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Intervals and limits of one instance.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceConfig {
    /// What `Instance.Name` shows; empty: host name and process id.
    pub instance_name: String,
    /// Where what the database does not know yet is kept. On a local disk; instances on one
    /// machine may share it.
    pub state_folder: PathBuf,
    /// Most alerts leased at the same time.
    pub max_in_flight: u32,
    /// Longest time between two looks at an idle queue.
    #[serde(with = "humantime_serde")]
    pub poll_interval: Duration,
    /// A lease that was not renewed for this long may be taken over.
    #[serde(with = "humantime_serde")]
    pub lease: Duration,
    /// How often it is renewed.
    #[serde(with = "humantime_serde")]
    pub renew_interval: Duration,
    /// How often expired and orphaned alerts are looked for.
    #[serde(with = "humantime_serde")]
    pub sweep_interval: Duration,
    /// How long a stop waits for transactions that are under way.
    #[serde(with = "humantime_serde")]
    pub drain_timeout: Duration,
}
