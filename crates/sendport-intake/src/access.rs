//! Who may relay, with which reverse-paths, to which domains, and over which send port.

use std::collections::BTreeMap;
use std::net::IpAddr;

use sendport_core::domain::{Address, Network, parse_mailbox};

use crate::reply::Reply;
use crate::settings::{
    AddressPattern, ClientRule, DomainPattern, PickupConfig, SmtpIntakeConfig, UserRule,
};

/// The rules of an intake.
#[derive(Debug)]
pub(crate) struct AccessRules {
    send_port: String,
    by_sender: Vec<(AddressPattern, String)>,
    senders: Vec<AddressPattern>,
    null_sender: bool,
    recipient_domains: Vec<DomainPattern>,
    clients: Vec<Network>,
    client_rules: Vec<ClientRule>,
    users: BTreeMap<String, UserRule>,
}

/// What a session may do: the rules of its user, else of its client, else of the intake.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grant<'a> {
    /// Its client or its user may relay.
    pub(crate) may_relay: bool,
    rules: &'a AccessRules,
    client: Option<&'a ClientRule>,
    user: Option<&'a UserRule>,
}

impl AccessRules {
    pub(crate) fn new(settings: &SmtpIntakeConfig) -> Self {
        let by_sender = settings.send_port_by_sender.clone().into_iter();
        let users = settings.user.iter();
        Self {
            send_port: settings.send_port.clone(),
            by_sender: by_sender.collect(),
            senders: settings.allow_senders.clone(),
            null_sender: settings.allow_null_sender,
            recipient_domains: settings.allow_recipient_domains.clone(),
            clients: settings.allow_clients.clone(),
            client_rules: settings.client.values().cloned().collect(),
            users: users
                .map(|(name, rule)| (name.clone(), rule.clone()))
                .collect(),
        }
    }

    /// Of a folder. Who may write files there may send.
    pub(crate) fn of_folder(settings: &PickupConfig) -> Self {
        Self {
            send_port: settings.send_port.clone(),
            by_sender: settings.send_port_by_sender.clone().into_iter().collect(),
            senders: settings.allow_senders.clone(),
            null_sender: settings.allow_null_sender,
            recipient_domains: settings.allow_recipient_domains.clone(),
            clients: Vec::new(),
            client_rules: Vec::new(),
            users: BTreeMap::new(),
        }
    }

    /// What a file in the folder may do.
    pub(crate) fn grant_of_file(&self) -> Grant<'_> {
        Grant {
            may_relay: true,
            rules: self,
            client: None,
            user: None,
        }
    }

    /// What a session of this client, with this authenticated user, may do.
    pub(crate) fn grant(&self, client: IpAddr, user: Option<&str>) -> Grant<'_> {
        let specificity = |rule: &&ClientRule| {
            let networks = rule.addresses.iter();
            let matching = networks.filter(|network| network.contains(client));
            matching.map(Network::specificity).max()
        };
        let matching = self
            .client_rules
            .iter()
            .filter(|rule| specificity(rule).is_some());
        let client_rule = matching.max_by_key(specificity);
        let user = user.and_then(|name| self.users.get(name));
        let is_allowed = self.clients.iter().any(|network| network.contains(client));
        Grant {
            may_relay: is_allowed || client_rule.is_some() || user.is_some(),
            rules: self,
            client: client_rule,
            user,
        }
    }
}

impl<'a> Grant<'a> {
    fn rule<T>(
        &self,
        of_user: impl FnOnce(&'a UserRule) -> Option<T>,
        of_client: impl FnOnce(&'a ClientRule) -> Option<T>,
        of_intake: T,
    ) -> T {
        let user = self.user.and_then(of_user);
        user.or_else(|| self.client.and_then(of_client))
            .unwrap_or(of_intake)
    }

    /// Whether MAIL may have this reverse-path, `None` for the null one.
    pub(crate) fn check_sender(&self, sender: Option<&Address>) -> Result<(), Reply> {
        let rules = self.rules;
        let is_allowed = match sender {
            None => self.rule(
                |user| user.allow_null_sender,
                |client| client.allow_null_sender,
                rules.null_sender,
            ),
            Some(address) => {
                let senders = self.rule(
                    |user| user.allow_senders.as_ref(),
                    |client| client.allow_senders.as_ref(),
                    &rules.senders,
                );
                senders.iter().any(|pattern| pattern.matches(address))
            }
        };
        match is_allowed {
            true => Ok(()),
            false => {
                let sender = sender.map_or("", |address| address.as_str());
                let what = format!("<{sender}> is no reverse-path that you may use here");
                Err(Reply::new(550, "5.7.1", what))
            }
        }
    }

    /// Whether the client may use what From says: one address, which may be its reverse-path.
    pub(crate) fn allows_from(&self, from: Option<&str>) -> bool {
        let mailbox = from.and_then(|from| parse_mailbox(from).ok());
        mailbox.is_some_and(|from| self.check_sender(Some(&from.address)).is_ok())
    }

    /// Whether RCPT may have this forward-path.
    pub(crate) fn check_recipient(&self, recipient: &Address) -> Result<(), Reply> {
        let domains = self.rule(
            |user| user.allow_recipient_domains.as_ref(),
            |client| client.allow_recipient_domains.as_ref(),
            &self.rules.recipient_domains,
        );
        let is_allowed = domains
            .iter()
            .any(|pattern| pattern.matches(recipient.domain()));
        match (self.may_relay, is_allowed) {
            (true, true) => Ok(()),
            (true, false) => {
                let what = format!(
                    "relaying denied: {} is no domain that you may send to",
                    recipient.domain()
                );
                Err(Reply::new(550, "5.7.1", what))
            }
            (false, _) => {
                let what = "relaying denied: your address may not send here without authentication";
                Err(Reply::new(550, "5.7.1", what))
            }
        }
    }

    /// The send port of a message with this reverse-path.
    pub(crate) fn send_port(&self, sender: Option<&Address>) -> &'a str {
        let by_sender = self.rules.by_sender.iter();
        let matching =
            by_sender.filter(|(pattern, _)| sender.is_some_and(|it| pattern.matches(it)));
        let by_sender = matching.max_by_key(|(pattern, _)| pattern.specificity());
        by_sender.map_or_else(
            || {
                self.rule(
                    |user| user.send_port.as_deref(),
                    |client| client.send_port.as_deref(),
                    &*self.rules.send_port,
                )
            },
            |(_, port)| &**port,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: &str = r#"
        kind = "smtp"
        listen = ["127.0.0.1:25"]
        send_port = "default"
        allow_senders = ["contoso.com"]
        allow_recipient_domains = ["contoso.com", "fabrikam.com"]
        [send_port_by_sender]
        "contoso.com" = "by-domain"
        "erp@contoso.com" = "by-address"
        [client.net]
        addresses = ["10.0.0.0/8"]
        send_port = "net"
        allow_senders = ["*"]
        [client.host]
        addresses = ["10.0.0.1"]
        send_port = "host"
        allow_null_sender = true
        [user.Erp]
        password_hash = "x"
        send_port = "user"
        allow_recipient_domains = ["*"]
    "#;

    fn rules() -> AccessRules {
        match toml::from_str(SETTINGS).unwrap() {
            crate::settings::IntakeConfig::Smtp(settings) => AccessRules::new(&settings),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn from_is_allowed_as_the_reverse_path_is() {
        let rules = rules();
        let grant = rules.grant("127.0.0.1".parse().unwrap(), None);
        for (from, allowed) in [
            (Some("Ops <ops@contoso.com>"), true),
            (Some("ops@contoso.com"), true),
            (Some("ops@fabrikam.com"), false),
            (Some("ops@contoso.com, boss@contoso.com"), false),
            (Some("nobody"), false),
            (None, false),
        ] {
            assert_eq!(grant.allows_from(from), allowed, "{from:?}");
        }
    }

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[test]
    fn only_allowed_clients_and_users_relay() {
        let rules = rules();
        let may = |client: &str, user| rules.grant(client.parse().unwrap(), user).may_relay;
        for client in [
            "127.0.0.1",
            "::1",
            "::ffff:127.0.0.1",
            "10.9.9.9",
            "::ffff:10.0.0.1",
        ] {
            assert!(may(client, None), "{client}");
        }
        for client in ["192.0.2.1", "::ffff:192.0.2.1", "::", "fe80::1", "11.0.0.1"] {
            assert!(!may(client, None), "{client}");
            assert!(
                may(client, Some("Erp")) && !may(client, Some("other")),
                "{client}"
            );
        }
    }

    #[test]
    fn the_user_counts_before_the_client_before_the_intake() {
        let rules = rules();
        let port = |client: &str, user, sender: &str| {
            let grant = rules.grant(client.parse().unwrap(), user);
            grant.send_port(Some(&address(sender))).to_owned()
        };
        assert_eq!(port("127.0.0.1", None, "a@fabrikam.com"), "default");
        assert_eq!(port("10.2.0.1", None, "a@fabrikam.com"), "net");
        assert_eq!(port("10.0.0.1", None, "a@fabrikam.com"), "host");
        assert_eq!(port("10.0.0.1", Some("Erp"), "a@fabrikam.com"), "user");
        assert_eq!(port("10.0.0.1", Some("Erp"), "a@Contoso.com"), "by-domain");
        assert_eq!(port("10.0.0.1", None, "ERP@contoso.com"), "by-address");
    }

    #[test]
    fn a_reverse_path_is_one_that_the_client_may_use() {
        let rules = rules();
        let accepted = |client: &str, sender: Option<&str>| {
            let sender = sender.map(address);
            rules
                .grant(client.parse().unwrap(), None)
                .check_sender(sender.as_ref())
                .is_ok()
        };
        assert!(accepted("127.0.0.1", Some("a@contoso.com")));
        assert!(!accepted("127.0.0.1", Some("a@fabrikam.com")));
        assert!(!accepted("127.0.0.1", None));
        assert!(accepted("10.2.0.1", Some("a@fabrikam.com")) && !accepted("10.2.0.1", None));
        assert!(!accepted("10.0.0.1", Some("a@fabrikam.com")) && accepted("10.0.0.1", None));
    }

    #[test]
    fn a_refused_recipient_says_why() {
        let rules = rules();
        let reply = |client: &str, user, recipient: &str| {
            let grant = rules.grant(client.parse().unwrap(), user);
            grant.check_recipient(&address(recipient)).err()
        };
        assert_eq!(reply("127.0.0.1", None, "a@fabrikam.com"), None);
        let of_domain = reply("127.0.0.1", None, "a@evil.example").unwrap();
        let of_client = reply("192.0.2.1", None, "a@fabrikam.com").unwrap();
        assert_eq!((of_domain.code, of_client.code), (550, 550));
        assert_ne!(of_domain, of_client);
        assert_eq!(reply("192.0.2.1", Some("Erp"), "a@evil.example"), None);
        assert!(reply("192.0.2.1", Some("Erp"), "a@[192.0.2.1]").is_some());
    }
}
