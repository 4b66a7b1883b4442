//! A send port at work: how to send, and what an alert may ask of it.
//!
//! Who may insert may not do everything: the rules of a send port decide about the From, the
//! recipient domains and the login that inserted the alert.

mod attachments;

use std::time::Duration;

use attachments::AttachmentRules;

use crate::config::{Problem, SendPortConfig};
use crate::delivery_window::{DeliveryWindow, shown};
use crate::domain::{
    Alert, AlertOrigin, Attachment, Command, DsnReturn, EnhancedStatusCode, InDoubt, Mailbox,
    Notify, Reply, ReversePath, Timestamp, parse_mailbox,
};
use crate::mime::HeaderPolicy;
use crate::retry::RetryPolicy;
use crate::smime::Protection;

/// Why an alert as a whole cannot be sent: the key into the table of replies and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Key into the table of replies.
    pub explanation: &'static str,
    /// Names the column, what was expected, what was found.
    pub reason: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(explanation: &'static str, reason: impl Into<String>) -> Self {
        Self {
            explanation,
            reason: reason.into(),
        }
    }

    /// What stands in the recipients' rows: 554 5.6.0, said by us and not by a relay.
    pub fn reply(&self) -> Reply {
        Reply::local(
            Command::Data,
            554,
            EnhancedStatusCode::new(5, 6, 0),
            self.reason.clone(),
        )
    }
}

/// A send port, its configuration understood.
#[derive(Debug, Clone)]
pub struct SendPort {
    /// As `Alert.SendPort` has it.
    pub name: String,
    /// Header `From`.
    pub from: Mailbox,
    /// `MAIL FROM`.
    pub return_path: ReversePath,
    /// Names of relays in order.
    pub relays: Vec<String>,
    /// Right side of the Message-ID.
    pub message_id_domain: String,
    /// Minimum protection.
    pub protection: Protection,
    /// How often and how long to try.
    pub retry: RetryPolicy,
    /// What becomes of an attempt whose end was not seen.
    pub in_doubt: InDoubt,
    /// When to ask for delivery status notifications.
    pub dsn_notify: Option<Notify>,
    /// How much of the message a notification brings back.
    pub dsn_return: Option<DsnReturn>,
    /// Extra headers that an alert may bring.
    pub headers: HeaderPolicy,
    delivery_window: Option<DeliveryWindow>,
    attachments: AttachmentRules,
    allow_from: Vec<String>,
    allow_recipient_domains: Vec<String>,
    allow_principals: Vec<String>,
}

impl SendPort {
    /// Reads addresses and delivery window of the configuration.
    ///
    /// # Errors
    /// A sentence about the address or the window that cannot be read.
    pub fn from_config(name: &str, config: &SendPortConfig) -> Result<Self, String> {
        let from = parse_mailbox(&config.from).map_err(|error| error.to_string())?;
        let return_path = match config.return_path.as_deref() {
            None => Some(from.address.clone()),
            Some("<>") => None,
            Some(path) => Some(
                parse_mailbox(path)
                    .map_err(|error| error.to_string())?
                    .address,
            ),
        };
        let own_domain = || from.domain().to_owned();
        Ok(Self {
            name: name.to_owned(),
            return_path: ReversePath(return_path),
            relays: config.relays.clone(),
            message_id_domain: config.message_id_domain.clone().unwrap_or_else(own_domain),
            protection: config.protection,
            retry: config.retry_policy(),
            in_doubt: config.in_doubt,
            dsn_notify: config.dsn_notify.clone(),
            dsn_return: config.dsn_return,
            headers: config
                .allow_headers
                .as_deref()
                .map_or_else(HeaderPolicy::default, header_policy),
            delivery_window: delivery_window(config)?,
            attachments: AttachmentRules::new(&config.attachments),
            allow_from: config.allow_from.clone(),
            allow_recipient_domains: config.allow_recipient_domains.clone(),
            allow_principals: config.allow_principals.clone(),
            from,
        })
    }

    /// How long `alert` has to wait for the delivery window to open, counted from `moment`;
    /// `None` where it may be sent then. A digest of failures waits for nothing.
    pub fn opens_in(&self, alert: &Alert, moment: Timestamp) -> Option<Duration> {
        let window = self.delivery_window.as_ref()?;
        if alert.origin == AlertOrigin::Digest || window.lets_pass(alert) {
            return None;
        }
        window.opens_in(moment)
    }

    /// Whether the delivery window is open, for people; `None` where there is none.
    pub fn window_state(&self, now: Timestamp) -> Option<String> {
        let window = self.delivery_window.as_ref()?;
        Some(match window.opens_in(now) {
            None => "open now".to_owned(),
            Some(wait) => format!("shut, opens at {}", shown(now, wait)),
        })
    }

    /// Whether the login that inserted the alert may use this send port. The service itself,
    /// which inserts digests of failures, may.
    ///
    /// # Errors
    /// The refusal that fails the alert.
    pub fn check_principal(&self, alert: &Alert) -> Result<(), Refusal> {
        let open = self.allow_principals.is_empty();
        if open
            || alert.origin == AlertOrigin::Digest
            || self
                .allow_principals
                .iter()
                .any(|p| p.eq_ignore_ascii_case(&alert.created_by))
        {
            return Ok(());
        }
        Err(Refusal::new(
            "principal-not-allowed",
            format!(
                "the login '{}' may not use the send port '{}'",
                alert.created_by, self.name
            ),
        ))
    }

    /// Whether the send port takes all of these, by their names and lengths.
    ///
    /// # Errors
    /// The refusal that fails the alert.
    pub fn check_attachments(&self, attachments: &[Attachment]) -> Result<(), Refusal> {
        self.attachments.check(&self.name, attachments)
    }

    /// The From of an alert: its own where the send port allows it, else the send port's.
    ///
    /// # Errors
    /// The refusal that fails the alert.
    pub fn decide_from(&self, alert: &Alert) -> Result<Mailbox, Refusal> {
        let Some(written) = alert
            .from_address
            .as_deref()
            .filter(|from| !from.trim().is_empty())
        else {
            return Ok(self.from.clone());
        };
        let asked = parse_mailbox(written)
            .map_err(|error| Refusal::new("bad-from", format!("FromAddress: {error}")))?;
        if self.allows_from(&asked) {
            return Ok(asked);
        }
        Err(Refusal::new(
            "bad-from",
            format!(
                "FromAddress: the send port '{}' does not send as {}",
                self.name, asked.address
            ),
        ))
    }

    fn allows_from(&self, asked: &Mailbox) -> bool {
        let address = asked.address.to_lowercase();
        let fits = |rule: &String| {
            let rule = rule.to_lowercase();
            rule == address || (rule.starts_with('@') && address.ends_with(&rule))
        };
        address == self.from.address.to_lowercase() || self.allow_from.iter().any(fits)
    }

    /// The refusal of a recipient whose domain the send port does not send to.
    pub fn refuse_recipient(&self, mailbox: &Mailbox) -> Option<Reply> {
        let domain = mailbox.domain().to_lowercase();
        let fits = |rule: &String| {
            let rule = rule.to_lowercase();
            rule == domain || (rule.starts_with('.') && domain.ends_with(&rule))
        };
        let rules = &self.allow_recipient_domains;
        if rules.is_empty() || rules.iter().any(fits) {
            return None;
        }
        Some(Reply::local(
            Command::Rcpt,
            550,
            EnhancedStatusCode::new(5, 7, 2),
            format!(
                "the send port '{}' does not send to the domain '{domain}'",
                self.name
            ),
        ))
    }

    /// What the alert's column Protection and the send port's minimum come to.
    ///
    /// # Errors
    /// The refusal that fails the alert: a word that is none.
    pub fn decide_protection(&self, alert: &Alert) -> Result<Protection, Refusal> {
        let Some(written) = alert.protection.as_deref().filter(|p| !p.trim().is_empty()) else {
            return Ok(self.protection);
        };
        let asked: Protection = written.parse().map_err(|error| {
            Refusal::new("protection-not-available", format!("Protection: {error}"))
        })?;
        Ok(self.protection.and(asked))
    }
}

fn delivery_window(config: &SendPortConfig) -> Result<Option<DeliveryWindow>, String> {
    let Some(window) = &config.delivery_window else {
        return Ok(None);
    };
    let said = |problems: Vec<Problem>| {
        let sentences: Vec<_> = problems.iter().map(ToString::to_string).collect();
        sentences.join("; ")
    };
    let understood = window.understood("delivery_window");
    understood.map(Some).map_err(said)
}

/// What Exchange acts on stays refused unless the operator wrote exactly that.
fn header_policy(allowed: &[String]) -> HeaderPolicy {
    let dangerous = ["X-MS-Exchange-*", "X-Sender", "X-Receiver"];
    let refused = dangerous
        .into_iter()
        .filter(|name| !allowed.iter().any(|a| a.eq_ignore_ascii_case(name)));
    HeaderPolicy::new(allowed.to_vec(), refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn port(extra: &str) -> SendPort {
        let text = format!(
            "[relay.d]\nkind = 'discard'\n[send_port.p]\nfrom = 'A <a@contoso.com>'\nrelays = ['d']\n{extra}"
        );
        SendPort::from_config("p", &Config::from_text(&text).unwrap().send_port["p"]).unwrap()
    }

    #[test]
    fn the_from_of_an_alert_needs_permission() {
        let asked = |extra: &str, from: &str| port(extra).allows_from(&Mailbox::bare(from));
        assert!(asked("", "A@contoso.com"));
        assert!(!asked("", "boss@contoso.com"));
        assert!(asked("allow_from = ['@contoso.com']", "boss@Contoso.com"));
        assert!(!asked(
            "allow_from = ['@contoso.com']",
            "boss@evilcontoso.com"
        ));
    }

    #[test]
    fn recipient_domains_are_compared_whole() {
        let port = port("allow_recipient_domains = ['contoso.com', '.contoso.net']");
        let refused = |address: &str| port.refuse_recipient(&Mailbox::bare(address)).is_some();
        assert!(!refused("x@CONTOSO.com") && !refused("x@a.contoso.net"));
        assert!(refused("x@sub.contoso.com") && refused("x@contoso.net") && refused("x@evil.com"));
    }

    #[test]
    fn bounces_go_to_the_from_unless_said_otherwise() {
        assert_eq!(port("").return_path.0.as_deref(), Some("a@contoso.com"));
        assert_eq!(port("return_path = '<>'").return_path.0, None);
    }
}
