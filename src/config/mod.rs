//! The configuration: one section = one struct = one file.
//!
//! `config/default.toml` is compiled in, a file lies over it, the environment
//! (`SENDPORT__SECTION__KEY`) over that. An unknown key is refused with a suggestion, a
//! doubtful value with what to write instead.

mod check_auth;
mod check_graph;
mod check_intakes;
mod check_mx;
mod check_oauth2;
mod check_tls;
mod database;
mod feedback;
mod http;
mod key_origin;
mod load;
mod log;
mod replies;
mod service;
mod templates;
#[cfg(test)]
mod tests;
mod validate;
mod variables;

use std::collections::BTreeMap;
use std::path::PathBuf;

use sendport_delivery::settings::{RetentionConfig, SendPortConfig};
use sendport_intake::settings::IntakeConfig;
use sendport_smtp::settings::relay::RelayConfig;
use serde::{Deserialize, Serialize};

pub use database::{
    ConnectionSourceError, DatabaseAuth, DatabaseConfig, EntraToken, WindowsAccount, sqlite_file,
};
pub use feedback::{After, FeedbackConfig, FeedbackSource, KeySource, SourceKind};
pub use http::{HttpConfig, Listen, ListenAddressError};
pub use load::{ConfigError, DEFAULT_TOML, START_TOML, USUAL_FILES};
pub use log::{LogConfig, LogFormat};
pub use replies::RepliesConfig;
pub use service::ServiceConfig;
pub use templates::TemplatesConfig;
pub(crate) use validate::checked_environment;
pub use validate::section;
pub use variables::SetVariables;

/// Everything that can be configured.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The file that it was read from, if there is one.
    #[serde(skip)]
    pub file: Option<PathBuf>,
    /// The environment variables that set some of it.
    #[serde(skip)]
    pub variables: SetVariables,
    /// Name of the environment; it has to be the one that the database knows.
    pub environment: String,
    /// `[database]`
    pub database: DatabaseConfig,
    /// `[service]`
    pub service: ServiceConfig,
    /// `[retention]`
    pub retention: RetentionConfig,
    /// `[http]`
    pub http: HttpConfig,
    /// `[log]`
    pub log: LogConfig,
    /// `[templates]`
    pub templates: TemplatesConfig,
    /// `[replies]`
    pub replies: RepliesConfig,
    /// `[feedback]`
    pub feedback: FeedbackConfig,
    /// `[relay.<name>]`
    #[serde(default)]
    pub relay: BTreeMap<String, RelayConfig>,
    /// `[send_port.<name>]`
    #[serde(default)]
    pub send_port: BTreeMap<String, SendPortConfig>,
    /// `[intake.<name>]`
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub intake: BTreeMap<String, IntakeConfig>,
}
