//! Checks whether a parsed configuration can work.

use std::fmt::Display;
use std::time::Duration;

use sendport_core::domain::{shown_name, shown_names};
use sendport_core::problem::Problem;
use sendport_delivery::settings::SendPortConfig;
use sendport_smtp::settings::relay::{RelayConfig, SmtpRelay};
use sendport_smtp::settings::timeouts::Timeouts;
use sendport_smtp::settings::tls::TlsMode;

use super::check_auth::check_auth;
use super::check_graph::check_graph;
use super::check_mx::mx_warnings;
use super::check_tls::check_tls;
use super::{Config, ServiceConfig, check_oauth2};

pub(super) struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn add(&mut self, key: impl Into<String>, what: impl Display) {
        self.0.push(Problem::new(key, what));
    }

    pub(super) fn extend(&mut self, problems: impl IntoIterator<Item = Problem>) {
        self.0.extend(problems);
    }
}

impl Config {
    /// Everything that keeps this configuration from working; empty if it can.
    pub fn problems(&self) -> Vec<Problem> {
        let mut found = Problems(Vec::new());
        check_environment(&self.environment, &mut found);
        self.database.auth.check(&mut found);
        check_service(&self.service, &mut found);
        found.extend(self.retention.problems());
        found.extend(self.http.problems());
        if self.send_port.is_empty() {
            found.add(
                "send_port",
                "there is none; write at least [send_port.default] with from and relays",
            );
        }
        for (name, port) in &self.send_port {
            self.check_send_port(name, port, &mut found);
        }
        for (name, relay) in &self.relay {
            check_name(&section("relay", name), name, &mut found);
            match relay {
                RelayConfig::Smtp(smtp) => check_smtp(name, smtp, &mut found),
                RelayConfig::Mx(mx) => self.check_mx(name, mx, &mut found),
                RelayConfig::Graph(graph) => check_graph(name, graph, &mut found),
                RelayConfig::File(_) | RelayConfig::Discard(_) => {}
            }
        }
        self.check_intakes(&mut found);
        self.check_feedback(&mut found);
        for problem in &mut found.0 {
            problem.key = self.variables.with_origin(&problem.key);
        }
        found.0
    }

    /// What works but should be known; `sendport check` prints it.
    pub fn warnings(&self) -> Vec<Problem> {
        let mut found = Problems(Vec::new());
        found.extend(self.http.warning());
        for (name, relay) in &self.relay {
            let smtp = match relay {
                RelayConfig::Smtp(smtp) => smtp,
                RelayConfig::Mx(mx) => {
                    mx_warnings(&section("relay", name), mx, &mut found);
                    continue;
                }
                RelayConfig::Graph(_) | RelayConfig::File(_) | RelayConfig::Discard(_) => continue,
            };
            let pinned = !smtp.pin_sha256.is_empty();
            if smtp.tls != TlsMode::None && !smtp.verify_certificate && !pinned {
                found.add(
                    format!("{}.verify_certificate", section("relay", name)),
                    "any certificate is accepted, also a forged one; set ca_file instead",
                );
            }
            if smtp.auth.allow_cleartext_auth
                && matches!(smtp.tls, TlsMode::None | TlsMode::Opportunistic)
            {
                found.add(
                    format!("{}.auth.allow_cleartext_auth", section("relay", name)),
                    "the password may travel over an unencrypted connection",
                );
            }
        }
        for (name, intake) in &self.intake {
            let section = section("intake", name);
            found.extend(below(&section, intake.warnings()));
        }
        for (name, port) in &self.send_port {
            found.extend(port.warnings(&section("send_port", name)));
        }
        self.feedback_warnings(&mut found);
        for name in self.relay.keys() {
            let is_route = |relay: &RelayConfig| {
                let RelayConfig::Mx(mx) = relay else {
                    return false;
                };
                mx.route
                    .values()
                    .any(|route| route.relay.as_ref() == Some(name))
            };
            let mut ports = self.send_port.values();
            if !ports.any(|port| port.relays.contains(name)) && !self.relay.values().any(is_route) {
                found.add(section("relay", name), "no send port uses it");
            }
        }
        found.0
    }

    fn check_send_port(&self, name: &str, port: &SendPortConfig, found: &mut Problems) {
        let section = section("send_port", name);
        let key = |key: &str| format!("{section}.{key}");
        check_name(&section, name, found);
        if port.relays.is_empty() {
            found.add(key("relays"), "there is none; name at least one relay");
        }
        for relay in port
            .relays
            .iter()
            .filter(|relay| !self.relay.contains_key(*relay))
        {
            let (wanted, known) = (
                self::section("relay", relay),
                shown_names(self.relay.keys()),
            );
            found.add(
                key("relays"),
                format!("there is no [{wanted}]; there are: {known}"),
            );
        }
        found.extend(port.problems(&section));
    }
}

/// With the section in front of their keys.
pub(super) fn below(section: &str, problems: Vec<Problem>) -> impl Iterator<Item = Problem> {
    problems.into_iter().map(move |problem| Problem {
        key: format!("{section}.{}", problem.key),
        ..problem
    })
}

/// How a key begins of what has this name: `send_port."a b"`, as TOML has it.
pub fn section(kind: &str, name: &str) -> String {
    format!("{kind}.{}", shown_name(name))
}

fn check_environment(name: &str, found: &mut Problems) {
    if let Err(error) = checked_environment(name) {
        found.add("environment", error);
    }
}

/// A text that cannot be the name of an environment.
#[derive(Debug, thiserror::Error)]
#[error("write a name of 1 to 64 characters, without a blank at its end, such as \"production\"")]
pub(crate) struct EnvironmentNameError;

/// The name of an environment, if it can be one.
pub(crate) fn checked_environment(name: &str) -> Result<String, EnvironmentNameError> {
    match name.is_empty() || !is_name(name) {
        true => Err(EnvironmentNameError),
        false => Ok(name.to_owned()),
    }
}

fn check_service(service: &ServiceConfig, found: &mut Problems) {
    if service.max_in_flight == 0 {
        found.add(
            "service.max_in_flight",
            "0 would never send; write at least 1",
        );
    }
    if service.state_folder.as_os_str().is_empty() {
        found.add(
            "service.state_folder",
            "there is none; what the database cannot take would be lost with the process; write a folder on a local disk",
        );
    }
    if service.poll_interval < Duration::from_millis(10) {
        found.add("service.poll_interval", "it is shorter than 10ms");
    }
    if service.renew_interval < Duration::from_millis(100) {
        found.add("service.renew_interval", "it is shorter than 100ms");
    }
    if service.renew_interval.saturating_mul(2) > service.lease {
        found.add(
            "service.renew_interval",
            "it is longer than half of service.lease: one late renewal would lose the lease",
        );
    }
    if service.sweep_interval.is_zero() {
        found.add(
            "service.sweep_interval",
            "0 would never rest; write for example \"10s\"",
        );
    }
}

pub(super) fn check_name(key: &str, name: &str, found: &mut Problems) {
    if name.is_empty() || !is_name(name) {
        found.add(
            key,
            "a name has 1 to 64 characters, and no blank at its end",
        );
    }
}

/// Databases compare without the blanks at the end.
fn is_name(name: &str) -> bool {
    name.len() <= 64 && !name.ends_with(' ') && !name.chars().any(char::is_control)
}

fn check_smtp(name: &str, smtp: &SmtpRelay, found: &mut Problems) {
    let section = section("relay", name);
    let key = |key: &str| format!("{section}.{key}");
    if let Some(what) = host_problem(&smtp.host) {
        found.add(key("host"), what);
    }
    if smtp.port == Some(0) {
        found.add(
            key("port"),
            "0 is no port; write 1 to 65535, or leave it out",
        );
    }
    check_timeouts(&section, &smtp.timeout, found);
    let oauth2 = smtp.auth.oauth2.as_ref();
    for (below, what) in oauth2.map(check_oauth2::problems).unwrap_or_default() {
        found.add(key(&format!("auth.oauth2.{below}")), what);
    }
    let counts = [
        ("max_connections", smtp.max_connections),
        (
            "messages_per_connection",
            Some(smtp.messages_per_connection),
        ),
        ("recipients_per_message", smtp.recipients_per_message),
    ];
    check_counts(&section, &counts, found);
    check_tls(name, smtp, found);
    check_auth(name, smtp, found);
}

pub(super) fn check_timeouts(section: &str, timeouts: &Timeouts, found: &mut Problems) {
    let waits = timeouts.by_key().into_iter();
    for (wait, _) in waits.filter(|(_, wait)| wait.is_zero()) {
        let what = "0 would never wait; write for example \"30s\", or leave it out";
        found.add(format!("{section}.timeout.{wait}"), what);
    }
}

pub(super) fn check_counts(section: &str, counts: &[(&str, Option<u32>)], found: &mut Problems) {
    for (name, _) in counts.iter().filter(|(_, count)| *count == Some(0)) {
        let what = "0 would never send; write at least 1, or leave it out";
        found.add(format!("{section}.{name}"), what);
    }
}

/// Why it is not a name or an address alone.
pub(super) fn host_problem(host: &str) -> Option<String> {
    if let Some((name, port)) = host.rsplit_once(':')
        && !name.contains(':')
        && port.parse::<u16>().is_ok()
    {
        return Some(format!(
            "'{host}' has a port; write host = \"{name}\" and port = {port}"
        ));
    }
    let odd = |c: char| c.is_whitespace() || c.is_control() || "/@,;\\\"'".contains(c);
    let is_odd = host.is_empty() || host.contains(odd);
    is_odd.then(|| format!("'{host}' is no name of a host; write for example \"smtp.contoso.com\""))
}
