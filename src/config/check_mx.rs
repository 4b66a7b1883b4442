//! Checks `[relay.<name>]` of `kind = "mx"`.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use sendport_core::domain::shown_names;
use sendport_smtp::ehlo_name;
use sendport_smtp::settings::mx::{MxRelay, RouteConfig};
use sendport_smtp::settings::relay::RelayConfig;
use sendport_smtp::settings::tls::TlsMode;

use super::validate::{Problems, check_counts, check_timeouts, host_problem};
use super::{Config, section};

/// As ports are written.
const NO_PORT: &str = "0 is no port; write 1 to 65535, or leave it out";

impl Config {
    pub(super) fn check_mx(&self, name: &str, mx: &MxRelay, found: &mut Problems) {
        let section = section("relay", name);
        let key = |key: &str| format!("{section}.{key}");
        if mx.port == 0 {
            found.add(key("port"), NO_PORT);
        }
        if mx.dns_servers.iter().any(|server| server.port() == 0) {
            let what = "0 is no port; write for example \"192.0.2.53\"";
            found.add(key("dns_servers"), what);
        }
        if mx.tls == TlsMode::Implicit {
            let what = "mail hosts speak no implicit TLS on port 25; write \"opportunistic\", \"starttls\" or \"none\"";
            found.add(key("tls"), what);
        }
        let counts = [
            ("max_connections", mx.max_connections),
            (
                "max_connections_per_domain",
                Some(mx.max_connections_per_domain),
            ),
            (
                "max_connections_per_host",
                Some(mx.max_connections_per_host),
            ),
            ("messages_per_connection", Some(mx.messages_per_connection)),
            ("recipients_per_message", mx.recipients_per_message),
        ];
        check_counts(&section, &counts, found);
        check_timeouts(&section, &mx.timeout, found);
        if mx.first_wait.is_zero() {
            found.add(
                key("first_wait"),
                "0 would never rest; write for example \"30s\"",
            );
        }
        if mx.longest_wait < mx.first_wait {
            found.add(key("longest_wait"), "it is shorter than first_wait");
        }
        let mut written = BTreeMap::new();
        for domain in mx.route.keys().map(ToString::to_string) {
            if let Some(first) = written.insert(domain.to_lowercase(), domain.clone()) {
                let what = format!("it is the same domain as route.\"{first}\"; write one of them");
                found.add(format!("{section}.route.\"{domain}\""), what);
            }
        }
        for (domain, route) in &mx.route {
            self.check_route(&format!("{section}.route.\"{domain}\""), route, found);
        }
    }

    fn check_route(&self, section: &str, route: &RouteConfig, found: &mut Problems) {
        let Some(relay) = &route.relay else {
            if let Some(what) = route.host.as_deref().and_then(host_problem) {
                found.add(format!("{section}.host"), what);
            }
            if route.port == Some(0) {
                found.add(format!("{section}.port"), NO_PORT);
            }
            if *route == RouteConfig::default() {
                let what = "it says nothing; write host, relay or tls";
                found.add(section, what);
            }
            return;
        };
        let key = format!("{section}.relay");
        let alone = RouteConfig {
            relay: Some(relay.clone()),
            ..RouteConfig::default()
        };
        if *route != alone {
            let what = "the other keys of this route are those of that relay; remove them here";
            found.add(&*key, what);
        }
        match self.relay.get(relay) {
            Some(RelayConfig::Mx(_)) => {
                found.add(
                    key,
                    format!("{relay} is of kind mx itself; name another relay"),
                );
            }
            Some(_) => {}
            None => {
                let (wanted, known) = (
                    self::section("relay", relay),
                    shown_names(self.relay.keys()),
                );
                found.add(key, format!("there is no [{wanted}]; there are: {known}"));
            }
        }
    }
}

/// What works but should be known.
pub(super) fn mx_warnings(section: &str, mx: &MxRelay, found: &mut Problems) {
    let name = mx.ehlo_name.clone().or_else(ehlo_name::of_this_host);
    if name.is_none_or(|name| !name.contains('.')) {
        found.add(
            format!("{section}.ehlo_name"),
            "this host has no fully qualified name, and many mail hosts refuse a client without one; set it to the name \
             that the PTR record of this host's public address has",
        );
    }
    if mx.tls == TlsMode::None {
        let what = "mail is sent unencrypted even to hosts that offer STARTTLS";
        found.add(format!("{section}.tls"), what);
    }
    for network in &mx.allow_private {
        let loopback = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        if loopback
            .into_iter()
            .any(|address| network.contains(address))
        {
            let what = format!(
                "{network} contains loopback: the DNS of any domain can then direct mail to servers of this host, such \
                 as an intake; name the networks of your own mail hosts alone"
            );
            found.add(format!("{section}.allow_private"), what);
        }
    }
    for (domain, route) in &mx.route {
        let tls = route.tls.unwrap_or(mx.tls);
        if route.ca_file.is_some() && matches!(tls, TlsMode::None | TlsMode::Opportunistic) {
            let what = "it has no effect: without tls = \"starttls\" or \"implicit\" no certificate is verified";
            found.add(format!("{section}.route.\"{domain}\".ca_file"), what);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    /// What is wrong with a relay of kind mx that has these settings, and what should be known of it.
    fn said(settings: &str) -> String {
        let text = format!(
            "[send_port.default]\nfrom = 'alerts@contoso.com'\nrelays = ['direct']\n\
             [relay.main]\nkind = 'smtp'\nhost = 'smtp.contoso.com'\n\
             [relay.direct]\nkind = 'mx'\n{settings}"
        );
        let config = match Config::from_text(&text) {
            Ok(config) => config,
            Err(error) => return error.to_string(),
        };
        let all = config.problems().into_iter().chain(config.warnings());
        all.map(|problem| format!("{problem}\n")).collect()
    }

    fn each_says(cases: &[(&str, &str)]) {
        for (settings, expected) in cases {
            let said = said(settings);
            assert!(said.contains(expected), "{settings}: {said}");
        }
    }

    #[test]
    fn settings_that_cannot_work_say_what_to_write_instead() {
        each_says(&[
            ("host = 'smtp.contoso.com'", "unknown field `host`"),
            ("port = 0", "relay.direct.port: 0 is no port"),
            ("tls = 'implicit'", "write \"opportunistic\""),
            (
                "max_connections_per_domain = 0",
                "relay.direct.max_connections_per_domain: 0 would never send",
            ),
            (
                "longest_wait = '1s'",
                "relay.direct.longest_wait: it is shorter than first_wait",
            ),
            ("dns_servers = ['ns.contoso.com']", "such as \"192.0.2.53\""),
            ("allow_private = ['10.1.2.3/8']", "write one of the two"),
            (
                "ehlo_name = 'app1'",
                "relay.direct.ehlo_name: this host has no fully qualified name",
            ),
            ("tls = 'none'", "mail is sent unencrypted"),
            ("", "relay.main: no send port uses it"),
            (
                "allow_private = ['0.0.0.0/0']",
                "relay.direct.allow_private: 0.0.0.0/0 contains loopback",
            ),
            (
                "allow_private = ['::/0']",
                "relay.direct.allow_private: ::/0 contains loopback",
            ),
        ]);
    }

    #[test]
    fn routes_that_cannot_work_say_what_to_write_instead() {
        let route = "ehlo_name = 'mail.contoso.com'\n[relay.direct.route.'partner.com']\n";
        assert_eq!(said(&format!("{route}relay = 'main'")), "");
        for (settings, expected) in [
            (
                format!("{route}relay = 'other'"),
                "there is no [relay.other]; there are: direct, main",
            ),
            (format!("{route}relay = 'direct'"), "is of kind mx itself"),
            (
                format!("{route}relay = 'main'\ntls = 'none'"),
                "remove them here",
            ),
            (
                route.to_owned(),
                "it says nothing; write host, relay or tls",
            ),
            (
                format!("{route}host = 'mail.partner.com:26'"),
                "write host = \"mail.partner.com\" and port = 26",
            ),
            (
                format!(
                    "{route}tls = 'starttls'\n[relay.direct.route.'Partner.com']\ntls = 'none'"
                ),
                "it is the same domain as route.\"Partner.com\"",
            ),
            (
                format!("{route}host = 'mail.partner.com'\ntls = 'none'\nca_file = 'ca.pem'"),
                "route.\"partner.com\".ca_file: it has no effect",
            ),
            (
                "[relay.direct.route.'@partner.com']\ntls = 'none'".into(),
                "is no domain; write \"contoso.com\"",
            ),
        ] {
            each_says(&[(&settings, expected)]);
        }
    }
}
