//! Checks whether the service can start, without database and relays.

use std::sync::Arc;

use sendport_delivery::send_port::SendPort;
use sendport_smtp::relay::authentication::{AuthLedger, NoSharedLedger};
use sendport_smtp::settings::relay::RelayConfig;

use super::AppError;
use super::components::{make_graph_relay, make_mx_relay, make_smtp_relay};
use super::database::check_connection;
use crate::config::{Config, section};
use crate::observability::log;

/// Every problem beside [`Config::problems`] that would stop the service before it contacts the
/// database or a relay. Skips sections that have such a problem already.
pub fn startup_problems(config: &Config) -> Vec<AppError> {
    let problems = config.problems();
    let is_fine = |section: &str| {
        let below = format!("{section}.");
        let is_in = |key: &str| key == section || key.starts_with(&below);
        !problems.iter().any(|problem| is_in(&problem.key))
    };
    let log = log::directives(&config.log)
        .map(drop)
        .map_err(AppError::config);
    let mut found = vec![log, check_connection(config)];
    let authentications: Arc<dyn AuthLedger> = Arc::new(NoSharedLedger);
    for (name, relay) in &config.relay {
        if !is_fine(&section("relay", name)) {
            continue;
        }
        match relay {
            RelayConfig::Smtp(smtp) => {
                found.push(make_smtp_relay(name, smtp, &authentications).map(drop));
            }
            RelayConfig::Mx(mx) => found.push(make_mx_relay(name, mx).map(drop)),
            RelayConfig::Graph(graph) => {
                found.push(make_graph_relay(name, graph, &authentications).map(drop));
            }
            RelayConfig::File(_) | RelayConfig::Discard(_) => {}
        }
    }
    for (name, port) in &config.send_port {
        let section = section("send_port", name);
        if is_fine(&section) {
            let made = SendPort::from_config(name, port);
            let wrong = |error| AppError::config_at(section, error);
            found.push(made.map(drop).map_err(wrong));
        }
    }
    found.into_iter().filter_map(Result::err).collect()
}
