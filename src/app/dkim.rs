//! The DKIM keys of the send ports.

use sendport_delivery::settings::SendPortConfig;
use sendport_dkim::{DkimKeys, PublishedKey};

use super::AppError;
use crate::config::{Config, section};

/// A key that signs, and its public key, which verifiers look for in the DNS.
#[derive(Debug)]
pub struct DkimState {
    /// The section, such as `send_port.default.dkim.contoso`.
    pub section: String,
    /// What has to be published.
    pub published: PublishedKey,
}

/// Reads the keys of a send port.
///
/// # Errors
/// [`AppError::Config`] naming the key whose file cannot be used.
pub(super) fn keys(name: &str, port: &SendPortConfig) -> Result<DkimKeys, AppError> {
    DkimKeys::read(&port.dkim).map_err(|error| {
        let key = format!("{}.key_file", of(name, &error.name));
        AppError::config_at(key, error)
    })
}

/// The keys of all send ports, or why a key cannot be used.
pub fn dkim_states(config: &Config) -> Vec<Result<DkimState, AppError>> {
    let states = config.send_port.iter().map(|(name, port)| {
        let published = keys(name, port)?.published();
        let published = published.map_err(|error| AppError::config_at(of(name, "*"), error))?;
        let state = |published: PublishedKey| DkimState {
            section: of(name, &published.section),
            published,
        };
        Ok(published.into_iter().map(state).collect::<Vec<_>>())
    });
    let states = states.flat_map(|of_port: Result<_, AppError>| match of_port {
        Ok(states) => states.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error)],
    });
    states.collect()
}

/// Messages that a send port with keys sends unsigned: its section, and a sentence.
pub fn unsigned_by_dkim(config: &Config) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (name, port) in &config.send_port {
        // What cannot be read is reported as that.
        let Ok(keys) = keys(name, port) else { continue };
        if keys.is_empty() {
            continue;
        }
        let section = format!("{}.dkim", section("send_port", name));
        let domain = port.from.address.domain();
        if !keys.has_key_for(domain) {
            let why =
                format!("no key is for {domain}, the domain of from: its messages are not signed");
            found.push((section.clone(), why));
        }
        let is_of_intake = config.intake.values().any(|intake| {
            let ports = intake.send_ports();
            ports.iter().any(|(_, port)| port == name)
        });
        if is_of_intake && port.allow_from.is_empty() {
            let why = format!(
                "a submitted message is signed only if its From is {}; name other addresses in allow_from",
                port.from.address
            );
            found.push((section, why));
        }
    }
    found
}

/// The section of a key.
fn of(send_port: &str, key: &str) -> String {
    format!("{}.dkim.{key}", section("send_port", send_port))
}
