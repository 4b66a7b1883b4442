//! What keeps the service from starting, as far as the configuration and this machine show it.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::sync::Arc;

use super::AppError;
use super::database::check_connection;
use super::parts::make_smtp_relay;
use crate::config::{Config, Listen, RelayConfig};
use crate::relay::sign_in::{SignInLedger, Unshared};
use crate::send_port::SendPort;
use crate::telemetry;

/// Every refusal that a start can meet beside [`Config::problems`] before the database or a relay
/// is asked; sections with such a problem are left out. A port that is taken is none: the service
/// itself may have it.
pub fn start_refusals(config: &Config) -> Vec<AppError> {
    let problems = config.problems();
    let is_fine = |section: &str| {
        let below = format!("{section}.");
        let is_in = |key: &str| key == section || key.starts_with(&below);
        !problems.iter().any(|problem| is_in(&problem.key))
    };
    let log = telemetry::directives(&config.log)
        .map(drop)
        .map_err(AppError::Config);
    let mut found = vec![log, check_connection(config), check_listen(config)];
    let sign_ins: Arc<dyn SignInLedger> = Arc::new(Unshared);
    for (name, relay) in &config.relay {
        if let RelayConfig::Smtp(smtp) = relay
            && is_fine(&format!("relay.{name}"))
        {
            found.push(make_smtp_relay(name, smtp, &sign_ins).map(drop));
        }
    }
    for (name, port) in &config.send_port {
        let section = format!("send_port.{name}");
        if is_fine(&section) {
            let made = SendPort::from_config(name, port);
            let wrong = |what| AppError::Config(format!("{section}: {what}"));
            found.push(made.map(drop).map_err(wrong));
        }
    }
    found.into_iter().filter_map(Result::err).collect()
}

/// Whether there is such an address on this machine.
fn check_listen(config: &Config) -> Result<(), AppError> {
    let Ok(Listen::Must(address)) = config.http.listen() else {
        return Ok(());
    };
    match TcpListener::bind(address) {
        Err(error) if error.kind() != ErrorKind::AddrInUse => Err(AppError::Http(format!(
            "http.listen: health and metrics cannot be shown at {address}: {error}; write an \
             address of this machine and a port that the service may use, or \"\" for none"
        ))),
        _ => Ok(()),
    }
}
