//! What is wrong with the settings, across keys.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use sendport_core::byte_size::ByteSize;
use sendport_core::domain::{MOST_RECIPIENTS, domain_to_ascii, shown_name};
use sendport_core::problem::Problem;

use super::{DomainPattern, IntakeTls, SmtpIntakeConfig, UserRule};
use crate::users::PasswordHash;

/// The longest wait that a setting may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// The shortest limit of a message (RFC 5321 section 4.5.3.1.7).
const SMALLEST_MESSAGE: u64 = 64 * 1024;

/// The largest one, with room for what is added. SQLite's longest value has 1,000,000,000 bytes.
const LARGEST_MESSAGE: u64 = 900_000_000;

impl SmtpIntakeConfig {
    /// Everything that has to be corrected before the intake starts; keys are relative to `[intake.<name>]`. The
    /// files are not read.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        self.check_addresses(&mut problems);
        self.check_open_relay(&mut problems);
        self.check_tls(&mut problems);
        self.check_users(&mut problems);
        self.check_limits(&mut problems);
        problems
    }

    /// What others than this host can do without authentication or encryption; keys as in
    /// [`SmtpIntakeConfig::problems`].
    pub fn warnings(&self) -> Vec<Problem> {
        let Some(open) = self.reachable_listener() else {
            return Vec::new();
        };
        let mut warnings = Vec::new();
        let mut warn = |key: &str, what: String| warnings.push(Problem::new(key, what));
        let clients = self.client.values().flat_map(|rule| &rule.addresses);
        let foreign: Vec<_> = (self.allow_clients.iter().chain(clients))
            .filter(|network| !network.is_loopback())
            .map(ToString::to_string)
            .collect();
        if !foreign.is_empty() {
            let networks = foreign.join(", ");
            warn(
                "allow_clients",
                format!(
                    "{networks} can send without authentication; check that nobody else uses these addresses"
                ),
            );
        }
        if matches!(self.tls, IntakeTls::None | IntakeTls::Starttls) {
            let what = format!(
                "others than this host can reach {open}, and may send unencrypted; write \"starttls_required\" or \
                 \"implicit\", or listen on 127.0.0.1"
            );
            warn("tls", what);
        }
        if foreign.is_empty() && self.user.is_empty() {
            let what = format!(
                "others than this host can reach {open}, but none of them may relay; listen on 127.0.0.1, or add \
                 allow_clients or users"
            );
            warn("listen", what);
        }
        warnings
    }

    /// An address that others than this host can reach.
    fn reachable_listener(&self) -> Option<&SocketAddr> {
        let mut listen = self.listen.iter();
        listen.find(|it| !it.ip().to_canonical().is_loopback())
    }

    /// A reverse-path is easily forged: the clients and the domains of recipients decide.
    fn check_open_relay(&self, problems: &mut Vec<Problem>) {
        let Some(open) = self.reachable_listener().filter(|_| !self.allow_open_relay) else {
            return;
        };
        let domains = &self.allow_recipient_domains;
        let of_intake = ("allow_clients".to_owned(), &self.allow_clients, domains);
        let of_clients = self.client.iter().map(|(name, rule)| {
            let key = format!("client.{}.addresses", shown_name(name));
            let domains = rule.allow_recipient_domains.as_ref().unwrap_or(domains);
            (key, &rule.addresses, domains)
        });
        for (key, clients, domains) in std::iter::once(of_intake).chain(of_clients) {
            let everybody = clients.iter().find(|network| network.is_of_everybody());
            if let Some(network) = everybody.filter(|_| domains.contains(&DomainPattern::Any)) {
                let what = format!(
                    "an open relay: {network} can reach {open} and send to any domain without authentication, which \
                     spammers find within hours; name your networks, or your domains in allow_recipient_domains, or \
                     write allow_open_relay = true"
                );
                problems.push(Problem::new(key, what));
            }
        }
    }

    fn check_addresses(&self, problems: &mut Vec<Problem>) {
        let mut add = |key: &str, what: &str| problems.push(Problem::new(key, what));
        if self.listen.is_empty() {
            add(
                "listen",
                "expected at least one address such as \"127.0.0.1:25\", found none",
            );
        }
        if let Some(Err(problem)) = self.hostname.as_deref().map(domain_to_ascii) {
            add(
                "hostname",
                &format!("expected a name such as \"mail.contoso.com\": {problem}"),
            );
        }
        if self.allow_clients.is_empty() && self.client.is_empty() && self.user.is_empty() {
            add(
                "allow_clients",
                "nobody may send: add addresses, or users ([intake.<name>.user.<name>])",
            );
        }
        let mut domains = self.allow_recipient_domains.iter();
        if let Some(postmaster) = &self.postmaster
            && !domains.any(|it| it.matches(postmaster.domain()))
        {
            let domain = postmaster.domain();
            let what = format!("nobody may send to {domain}: add it to allow_recipient_domains");
            add("postmaster", &what);
        }
        for (name, _) in self
            .client
            .iter()
            .filter(|(_, rule)| rule.addresses.is_empty())
        {
            let key = format!("client.{}.addresses", shown_name(name));
            add(&key, "expected at least one address or network, found none");
        }
    }

    fn check_tls(&self, problems: &mut Vec<Problem>) {
        let mut add = |key: &str, what: &str| problems.push(Problem::new(key, what));
        match (self.tls, &self.certificate_file) {
            (IntakeTls::None, Some(_)) => {
                add(
                    "certificate_file",
                    "it is not used with tls = \"none\"; write \"starttls\", or remove it",
                );
            }
            (IntakeTls::None, None) | (_, Some(_)) => {}
            (_, None) => add(
                "certificate_file",
                "TLS needs the server's certificate: name its PEM file",
            ),
        }
        if self.key_file.is_some() && self.certificate_file.is_none() {
            add("key_file", "it is not used without certificate_file");
        }
        if self.key_password_file.is_some() && self.key_password_env.is_some() {
            add(
                "key_password_file",
                "expected one of key_password_file and key_password_env, found both",
            );
        }
        let by_name = self
            .user
            .values()
            .any(|user| user.certificate_name.is_some());
        if by_name && self.client_ca_file.is_none() {
            add(
                "client_ca_file",
                "certificate_name of a user needs the authority that issues the certificates",
            );
        }
        if self.client_ca_file.is_some() && !by_name {
            add(
                "client_ca_file",
                "it is not used: no user has certificate_name",
            );
        }
        if self.asks_for_client_certificates() && self.tls == IntakeTls::None {
            add(
                "tls",
                "certificates of users need TLS: write \"starttls\" or \"implicit\"",
            );
        }
    }

    fn check_users(&self, problems: &mut Vec<Problem>) {
        let mut names = BTreeSet::new();
        for (name, user) in &self.user {
            let mut add = |key: &str, what: String| {
                problems.push(Problem::new(
                    format!("user.{}{key}", shown_name(name)),
                    what,
                ));
            };
            if name.is_empty() || name.chars().any(char::is_control) {
                add("", "expected a name without control characters".to_owned());
            }
            if !names.insert(name.to_lowercase()) {
                add(
                    "",
                    "another user has this name; case does not matter".to_owned(),
                );
            }
            if let Some(what) = self.problem_of_user(user) {
                add("", what.to_owned());
            }
            let hash = user.password_hash.as_ref();
            if let Some(Err(error)) = hash.map(|hash| PasswordHash::parse(hash.expose())) {
                add(".password_hash", error.to_string());
            }
        }
    }

    fn problem_of_user(&self, user: &UserRule) -> Option<&'static str> {
        match &user.password_hash {
            None if !user.has_certificate() => Some(
                "it cannot authenticate: add password_hash, certificate_sha256 or certificate_name",
            ),
            Some(_) if self.tls == IntakeTls::None && !self.allow_cleartext_auth => Some(
                "a password is only accepted over TLS: set tls, or allow_cleartext_auth for clients on this host",
            ),
            _ => None,
        }
    }

    fn check_limits(&self, problems: &mut Vec<Problem>) {
        let counts = [
            ("max_recipients", Some(self.max_recipients)),
            ("max_connections", Some(self.max_connections)),
            (
                "max_connections_per_client",
                Some(self.max_connections_per_client),
            ),
            (
                "max_messages_per_connection",
                Some(self.max_messages_per_connection),
            ),
            (
                "max_messages_per_minute_per_client",
                self.max_messages_per_minute_per_client,
            ),
            ("max_errors", Some(self.max_errors)),
            ("hop_limit", Some(self.hop_limit)),
        ];
        check_counts(&counts, problems);
        check_message(self.max_recipients, self.max_message_size, problems);
        if self.max_spool_size.0 < self.max_message_size.0 {
            let (found, most) = (self.max_spool_size, self.max_message_size);
            let what = format!("expected at least max_message_size, \"{most}\", found \"{found}\"");
            problems.push(Problem::new("max_spool_size", what));
        }
        if self.max_spool_age.is_zero() {
            problems.push(Problem::new("max_spool_age", "expected more than 0s"));
        }
        for (key, wait) in self.timeout.by_key() {
            if wait.is_zero() || wait > LONGEST_WAIT {
                let key = format!("timeout.{key}");
                problems.push(Problem::new(key, "expected more than 0s and at most 1d"));
            }
        }
    }
}

/// Limits of which 0 would refuse everything.
pub(super) fn check_counts(counts: &[(&str, Option<u32>)], problems: &mut Vec<Problem>) {
    for (key, _) in counts.iter().filter(|(_, count)| *count == Some(0)) {
        problems.push(Problem::new(*key, "expected at least 1, found 0"));
    }
}

/// Limits of one message.
pub(super) fn check_message(recipients: u32, size: ByteSize, problems: &mut Vec<Problem>) {
    let mut add = |key: &str, what: String| problems.push(Problem::new(key, what));
    if recipients as usize > MOST_RECIPIENTS {
        let what = format!("expected at most {MOST_RECIPIENTS}, found {recipients}");
        add("max_recipients", what);
    }
    if !(SMALLEST_MESSAGE..=LARGEST_MESSAGE).contains(&size.0) {
        let what = format!("expected \"64KiB\" to \"900MB\", found \"{size}\"");
        add("max_message_size", what);
    }
}
