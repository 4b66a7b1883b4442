//! The log: tracing on standard error, for people or as JSON.
//!
//! Messages are constant and fields carry the facts; no secret is ever a field, and addresses
//! are masked where they are written.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::SubscriberBuilder;

use crate::config::{LogConfig, LogFormat};

/// Starts logging. `RUST_LOG` wins over the configured level.
///
/// # Errors
/// A sentence about the directive that cannot be read.
pub fn init(config: &LogConfig) -> Result<(), String> {
    let directives = std::env::var("RUST_LOG").unwrap_or_else(|_| config.level.clone());
    // The TDS client logs what it also returns; the store says it once, and in context.
    let filter = EnvFilter::try_new(format!("tiberius=off,{directives}"))
        .map_err(|error| format!("log.level: '{directives}' cannot be read: {error}"))?;
    let builder = SubscriberBuilder::default()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // Fails only if a log was started before, as tests do.
    let _ = match config.format {
        LogFormat::Human => builder
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(())
}
