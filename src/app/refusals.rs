//! What keeps the service from starting, as far as the configuration and this machine show it.

use std::sync::Arc;

use super::AppError;
use super::database::check_connection;
use super::parts::make_smtp_relay;
use crate::config::{Config, RelayConfig, section};
use crate::delivery::send_port::SendPort;
use crate::observability::log;
use crate::relay::authentication::{AuthLedger, NoSharedLedger};

/// Every refusal that a start can meet beside [`Config::problems`] before the database or a relay
/// is asked; sections with such a problem are left out.
pub fn start_refusals(config: &Config) -> Vec<AppError> {
    let problems = config.problems();
    let is_fine = |section: &str| {
        let below = format!("{section}.");
        let is_in = |key: &str| key == section || key.starts_with(&below);
        !problems.iter().any(|problem| is_in(&problem.key))
    };
    let log = log::directives(&config.log)
        .map(drop)
        .map_err(AppError::Config);
    let mut found = vec![log, check_connection(config)];
    let authentications: Arc<dyn AuthLedger> = Arc::new(NoSharedLedger);
    for (name, relay) in &config.relay {
        if let RelayConfig::Smtp(smtp) = relay
            && is_fine(&section("relay", name))
        {
            found.push(make_smtp_relay(name, smtp, &authentications).map(drop));
        }
    }
    for (name, port) in &config.send_port {
        let section = section("send_port", name);
        if is_fine(&section) {
            let made = SendPort::from_config(name, port);
            let wrong = |what| AppError::Config(format!("{section}: {what}"));
            found.push(made.map(drop).map_err(wrong));
        }
    }
    found.into_iter().filter_map(Result::err).collect()
}
