//! A send port: how to send, and what an alert may ask of it.
//!
//! The right to insert does not allow every From, domain or send port: the rules of a send port
//! decide about the From, the recipient domains and the login that inserted the alert.

mod attachments;
mod dkim;
mod files;
mod from;
pub(crate) mod received;
mod return_path;

use std::sync::Arc;
use std::time::Duration;

use chrono::{FixedOffset, Offset, Utc};
use sendport_core::delivery_window::{DeliveryWindow, UnknownZone, Zone, shown};
use sendport_core::domain::{
    Address, Alert, AlertOrigin, Attachment, Charset, Command, DomainRule, DsnReturn,
    EnhancedStatusCode, InDoubt, LocalCause, Mailbox, Notify, RecipientAddress, Redirect, Reply,
    ReversePath, Timestamp, domain_to_ascii, resolve_macros,
};
use sendport_core::problem::Problem;
use sendport_core::retry::RetryPolicy;
use sendport_dkim::DkimKeys;
use sendport_message::mime::HeaderPolicy;
use sendport_smime::{Protection, Protector};
use tokio::sync::Semaphore;

use crate::ComposeError;
use crate::settings::{FromRule, ReceivedProtected, SendPortConfig};
use attachments::AttachmentRules;
use files::FileFolders;
pub(crate) use files::NamedFile;
pub use return_path::{ReturnPathTokens, with_detail};

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

    /// The reply in the recipients' rows: 554 5.6.0, from sendport and not from a relay.
    pub fn reply(&self) -> Reply {
        Reply::local(
            Command::Data,
            554,
            EnhancedStatusCode::new(5, 6, 0),
            self.reason.clone(),
        )
    }

    /// The reply in the row of a recipient who cannot be encrypted to: 550 5.7.5
    /// (RFC 3463 section 3.8), said by us.
    pub fn reply_to_recipient(&self) -> Reply {
        Reply::local(
            Command::Rcpt,
            550,
            EnhancedStatusCode::new(5, 7, 5),
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
    /// Gives each transaction a return path of its own, unless it passes a client's message on: none, until it is given.
    pub return_path_tokens: Option<ReturnPathTokens>,
    /// Names of relays in order.
    pub relays: Vec<String>,
    /// Right side of the Message-ID.
    pub message_id_domain: String,
    /// Minimum protection.
    pub protection: Protection,
    /// What can be done to messages: nothing, until it is given.
    pub protector: Protector,
    /// The keys that sign for the domain of From: none, until they are given.
    pub dkim: DkimKeys,
    /// What happens to messages of clients that are protected already.
    pub received_protected: ReceivedProtected,
    /// How often and how long to try.
    pub retry: RetryPolicy,
    /// What the service does with an alert in doubt.
    pub in_doubt: InDoubt,
    /// When to ask for delivery status notifications.
    pub dsn_notify: Option<Notify>,
    /// How much of the message a notification brings back.
    pub dsn_return: Option<DsnReturn>,
    /// Extra headers that an alert may bring.
    pub headers: HeaderPolicy,
    /// Messages say that no person wrote them.
    pub auto_submitted: bool,
    /// Of headers and plain text.
    pub charset: Charset,
    /// Of HTML.
    pub html_charset: Charset,
    delivery_window: Option<DeliveryWindow>,
    biztalk_macros: bool,
    biztalk_time_zone: Option<Zone>,
    attachments: AttachmentRules,
    files: FileFolders,
    allow_from: Vec<FromRule>,
    allow_recipient_domains: Vec<DomainRule>,
    allow_principals: Vec<String>,
}

/// Why a section is no send port.
#[derive(Debug, thiserror::Error)]
pub enum SendPortError {
    /// `biztalk_time_zone` is no time zone.
    #[error(transparent)]
    TimeZone(#[from] UnknownZone),
    /// The delivery window cannot be read.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    DeliveryWindow(Vec<Problem>),
}

impl SendPort {
    /// Reads the delivery window of the configuration.
    ///
    /// # Errors
    /// [`SendPortError`].
    pub fn from_config(name: &str, config: &SendPortConfig) -> Result<Self, SendPortError> {
        let from = &config.from;
        Ok(Self {
            name: name.to_owned(),
            return_path: config
                .return_path
                .clone()
                .unwrap_or_else(|| ReversePath(Some(from.address.clone()))),
            return_path_tokens: None,
            relays: config.relays.clone(),
            message_id_domain: match &config.message_id_domain {
                Some(domain) => domain.clone().into(),
                None => in_ascii(from.address.domain()),
            },
            protection: config.protection,
            protector: Protector::default(),
            dkim: DkimKeys::default(),
            received_protected: config.received_protected,
            retry: config.retry_policy(),
            in_doubt: config.in_doubt,
            dsn_notify: config.dsn_notify.clone(),
            dsn_return: config.dsn_return,
            headers: config
                .allow_headers
                .as_deref()
                .map_or_else(HeaderPolicy::default, header_policy),
            auto_submitted: config.auto_submitted,
            charset: config.charset,
            html_charset: config.charset_html.unwrap_or(config.charset),
            delivery_window: delivery_window(config)?,
            biztalk_macros: config.biztalk_macros,
            biztalk_time_zone: config
                .biztalk_time_zone
                .as_deref()
                .map(str::parse)
                .transpose()?,
            attachments: AttachmentRules::new(&config.attachments),
            files: FileFolders::new(&config.attachments.folders),
            allow_from: config.allow_from.clone(),
            allow_recipient_domains: config.allow_recipient_domains.clone(),
            allow_principals: config.allow_principals.clone(),
            from: from.clone(),
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

    /// How far from UTC the wall clock is that BizTalk's macros show for an alert.
    pub fn wall_clock(&self, alert: &Alert) -> FixedOffset {
        self.biztalk_time_zone
            .map_or_else(|| Utc.fix(), |zone| zone.offset_at(alert.created_at))
    }

    /// Replaces BizTalk's macros in an alert, if the send port does that. Their values depend on the
    /// alert alone, so they are the same at every attempt.
    pub fn resolve_macros(&self, alert: &mut Alert) {
        if self.biztalk_macros && alert.origin == AlertOrigin::Application {
            resolve_macros(alert, self.wall_clock(alert));
        }
    }

    /// Whether the login that inserted the alert may use this send port. The service itself, which inserts digests of
    /// failures and received messages, may.
    ///
    /// # Errors
    /// The refusal that fails the alert.
    pub fn check_principal(&self, alert: &Alert) -> Result<(), Refusal> {
        let open = self.allow_principals.is_empty();
        if open
            || alert.origin != AlertOrigin::Application
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

    /// The files that the alert names.
    ///
    /// # Errors
    /// The refusal that fails the alert: its login may not have one of them.
    pub(crate) fn files_of(&self, alert: &Alert) -> Result<Vec<NamedFile>, Refusal> {
        self.files.of(&self.name, alert)
    }

    /// A permit for each alert whose files are being read.
    pub(crate) fn file_readers(&self) -> Arc<Semaphore> {
        self.files.readers()
    }

    /// The one address of a redirect, where the send port may send to it. A redirect is for all alerts, of digests too.
    ///
    /// # Errors
    /// The alert waits until an operator ends the redirect.
    pub fn redirect_address(&self, redirect: &Redirect) -> Result<Address, ComposeError> {
        let waits = |why: String| {
            let id = redirect.request;
            let why = format!(
                "waits for the end of redirect {id}, whose address cannot be used: {why}; end it by \
                 sendport release --redirect {id}"
            );
            ComposeError::Deferred(self.retry.first_delay, Some(why))
        };
        let mailbox = match &redirect.to {
            RecipientAddress::Parsed(mailbox) => mailbox,
            RecipientAddress::Malformed(error) => return Err(waits(error.to_string())),
        };
        match self.refuse_recipient(&mailbox.address) {
            Some(refusal) => Err(waits(refusal.text)),
            None => Ok(mailbox.address.clone()),
        }
    }

    /// The refusal of a recipient whose domain the send port does not send to.
    pub fn refuse_recipient(&self, address: &Address) -> Option<Reply> {
        let domain = address.domain().to_lowercase();
        let rules = &self.allow_recipient_domains;
        if rules.is_empty() || rules.iter().any(|rule| rule.allows(&domain)) {
            return None;
        }
        Some(
            Reply::local(
                Command::Rcpt,
                550,
                EnhancedStatusCode::new(5, 7, 2),
                format!(
                    "the send port '{}' does not send to the domain '{domain}'",
                    self.name
                ),
            )
            .because(LocalCause::RecipientDomainNotAllowed),
        )
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

/// A domain as [`Address::domain`] has it; what is none stays, and no message is made with it.
fn in_ascii(domain: &str) -> String {
    domain_to_ascii(domain).map_or_else(|_| domain.to_owned(), Into::into)
}

fn delivery_window(config: &SendPortConfig) -> Result<Option<DeliveryWindow>, SendPortError> {
    let Some(window) = &config.delivery_window else {
        return Ok(None);
    };
    let window = window.understood("delivery_window");
    window.map(Some).map_err(SendPortError::DeliveryWindow)
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
impl SendPort {
    /// For tests: `settings` as in the section of a send port, beside `from` and `relays`.
    pub(crate) fn with_settings(name: &str, relays: &[&str], settings: &str) -> Self {
        let text = format!("from = 'A <a@contoso.com>'\nrelays = {relays:?}\n{settings}");
        let config = toml::from_str(&text).expect("the settings of a send port");
        Self::from_config(name, &config).expect("a send port")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(extra: &str) -> SendPort {
        SendPort::with_settings("p", &["d"], extra)
    }

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[test]
    fn recipient_domains_are_compared_whole() {
        let port = port("allow_recipient_domains = ['contoso.com', '.contoso.net']");
        let refused = |to| port.refuse_recipient(&address(to)).is_some();
        assert!(!refused("x@CONTOSO.com") && !refused("x@a.contoso.net"));
        assert!(refused("x@sub.contoso.com") && refused("x@contoso.net") && refused("x@evil.com"));
    }

    #[test]
    fn internationalised_domains_are_compared_as_what_they_are() {
        let port = port(
            "allow_recipient_domains = ['münchen.example', '.MÜNCHEN.example']\n\
             allow_from = ['@bücher.example']\nmessage_id_domain = 'münchen.example'",
        );
        for to in [
            "a@xn--mnchen-3ya.example",
            "a@München.example",
            "a@x.münchen.example",
        ] {
            assert_eq!(port.refuse_recipient(&address(to)), None, "{to}");
        }
        assert!(
            port.refuse_recipient(&address("a@munchen.example"))
                .is_some()
        );
        assert!(port.allows_from(&address("a@xn--bcher-kva.example")));
        assert_eq!(port.message_id_domain, "xn--mnchen-3ya.example");
    }

    #[test]
    fn macros_are_replaced_where_the_send_port_says_so() {
        let subject = |extra: &str| {
            let mut alert = Alert {
                subject: Some("%time.tz%".to_owned()),
                ..crate::fixture::alert()
            };
            port(extra).resolve_macros(&mut alert);
            alert.subject.unwrap()
        };
        assert_eq!(subject(""), "%time.tz%");
        assert_eq!(subject("biztalk_macros = true"), "090507+000");
        let vienna = "biztalk_macros = true\nbiztalk_time_zone = 'Europe/Vienna'";
        assert_eq!(subject(vienna), "100507+100");
    }

    #[test]
    fn bounces_go_to_the_from_by_default() {
        assert_eq!(port("").return_path.0.as_deref(), Some("a@contoso.com"));
        assert_eq!(port("return_path = '<>'").return_path.0, None);
    }
}
