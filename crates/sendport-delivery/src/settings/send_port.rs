//! Section `[send_port.<name>]`: a named way to send.

use std::collections::BTreeMap;
use std::time::Duration;

use sendport_core::delivery_window::Zone;
use sendport_core::domain::{
    Charset, DomainRule, DsnReturn, InDoubt, Mailbox, Notify, ReversePath,
};
use sendport_core::problem::Problem;
use sendport_core::retry::RetryPolicy;
use sendport_dkim::DkimConfig;
use sendport_smime::{HeaderProtection, Protection};
use serde::{Deserialize, Serialize};

use super::attachments::AttachmentsConfig;
use super::audit::AuditConfig;
use super::delivery_window::DeliveryWindowConfig;
use super::encryption::EncryptionConfig;
use super::notify::{self, DigestRecipients};
use super::received::ReceivedProtected;
use super::reports::{self, ReportsTo};
use super::retention::SendPortRetention;
use super::rules::{FromRule, MessageIdDomain};
use super::signing::SigningConfig;
use crate::send_port::with_detail;

/// From, relays in order, protection, retry, and what each login may use it for.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SendPortConfig {
    /// Header `From`, with or without a display name.
    pub from: Mailbox,
    /// `MAIL FROM`, where bounces go; without it the address of `from`; `<>` is the null
    /// reverse-path.
    pub return_path: Option<ReversePath>,
    /// Each transaction has a `return_path` of its own, so that reports prove what they are about.
    #[serde(default)]
    pub return_path_token: bool,
    /// Names of relays, tried in this order.
    pub relays: Vec<String>,
    /// Right side of the Message-ID; without it the domain of `from`.
    pub message_id_domain: Option<MessageIdDomain>,
    /// Character set of headers and plain text; what it lacks is written in UTF-8.
    #[serde(default)]
    pub charset: Charset,
    /// Character set of HTML; without it that of `charset`. What it lacks is written as
    /// character references.
    pub charset_html: Option<Charset>,
    /// Minimum protection of every message.
    #[serde(default)]
    pub protection: Protection,
    /// The identity that signs; without it nothing can be signed.
    pub signing: Option<SigningConfig>,
    /// Encryption settings; without them nothing can be encrypted.
    pub encryption: Option<EncryptionConfig>,
    /// Keys that sign for domains (DKIM), by name.
    #[serde(default)]
    pub dkim: BTreeMap<String, DkimConfig>,
    /// Protection of the header of signed or encrypted messages.
    #[serde(default)]
    pub header_protection: HeaderProtection,
    /// What to do with a message of a client that is signed, encrypted or a report already.
    #[serde(default)]
    pub received_protected: ReceivedProtected,
    /// An alert older than this expires.
    #[serde(default = "max_age", with = "humantime_serde")]
    pub max_age: Duration,
    /// What to do with an alert that the relay may have accepted without a reply.
    #[serde(default = "in_doubt")]
    pub in_doubt: InDoubt,
    /// When to ask for delivery status notifications, beside the alerts that ask themselves;
    /// without it the relay decides.
    pub dsn_notify: Option<Notify>,
    /// How much of the message a notification brings back; without it the relay decides.
    pub dsn_return: Option<DsnReturn>,
    /// How often and how long to try.
    #[serde(default)]
    pub retry: RetryConfig,
    /// When it may send; without it at any time.
    pub delivery_window: Option<DeliveryWindowConfig>,
    /// What may go with an alert.
    #[serde(default)]
    pub attachments: AttachmentsConfig,
    /// Copies of what is submitted; without it none are kept.
    pub audit: Option<AuditConfig>,
    /// How long its alerts are kept; without it as in `[retention]`.
    pub retention: Option<SendPortRetention>,
    /// Recipients of failure digests: addresses, separated by `;` or `,`.
    pub notify_failures_to: Option<DigestRecipients>,
    /// At most one digest in this time, of all instances together.
    #[serde(default = "notify_interval", with = "humantime_serde")]
    pub notify_interval: Duration,
    /// Who is notified when a recipient of a submitted message fails.
    #[serde(default)]
    pub reports_to: ReportsTo,
    /// Header `From` of reports to senders; without it the address of `from`.
    pub report_from: Option<Mailbox>,
    /// Most reports to senders a minute, of all instances together; more wait, for a day at most.
    #[serde(default = "reports_per_minute")]
    pub reports_per_minute: u32,
    /// A submitted message that is as old is late, and its sender is notified who asked for that.
    #[serde(default = "report_delay_after", with = "humantime_serde")]
    pub report_delay_after: Duration,
    /// Write the header Auto-Submitted, for which some ticket systems drop a message.
    #[serde(default = "auto_submitted")]
    pub auto_submitted: bool,
    /// BizTalk's macros in Subject and recipients are replaced.
    #[serde(default)]
    pub biztalk_macros: bool,
    /// The time zone of `%datetime.tz%` and `%time.tz%`: an IANA name; without it UTC.
    pub biztalk_time_zone: Option<String>,
    /// From addresses that an alert may ask for beside `from`: `a@b`, or `@b` for a domain.
    #[serde(default)]
    pub allow_from: Vec<FromRule>,
    /// Recipient domains; empty: any. A leading dot means subdomains.
    #[serde(default)]
    pub allow_recipient_domains: Vec<DomainRule>,
    /// Extra headers that an alert may bring, `*` at the end matches anything; default:
    /// the built-in list.
    pub allow_headers: Option<Vec<String>>,
    /// Logins (`Alert.CreatedBy`) that may use it; empty: any.
    #[serde(default)]
    pub allow_principals: Vec<String>,
}

/// How often and how long to try.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryConfig {
    /// Most attempts for one recipient.
    pub attempts: u32,
    /// Delay after the first attempt; it doubles with each further one.
    #[serde(with = "humantime_serde")]
    pub first_delay: Duration,
    /// Longest delay.
    #[serde(with = "humantime_serde")]
    pub longest_delay: Duration,
    /// Random part of the delay, 0 to 1.
    pub jitter: f64,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            attempts: 50,
            first_delay: Duration::from_secs(60),
            longest_delay: Duration::from_secs(3600),
            jitter: 0.2,
        }
    }
}

impl RetryConfig {
    fn problems(&self, key: &str) -> Vec<Problem> {
        let jitter = format!("{} is not between 0 and 1", self.jitter);
        let rules = [
            (
                self.attempts == 0,
                "attempts",
                "0 would never send; write at least 1",
            ),
            (
                self.first_delay > self.longest_delay,
                "first_delay",
                "it is longer than longest_delay",
            ),
            (!(0.0..=1.0).contains(&self.jitter), "jitter", &jitter),
        ];
        let broken = rules.into_iter().filter(|(broken, ..)| *broken);
        let problem = |(_, below, what)| Problem::new(format!("{key}.{below}"), what);
        broken.map(problem).collect()
    }
}

impl SendPortConfig {
    /// Its problems; `key` is that of the section. Whether its relays exist is for the configuration
    /// to say.
    pub fn problems(&self, key: &str) -> Vec<Problem> {
        let mut found = self.protection_problems(key);
        if self.return_path == Some(ReversePath(None))
            && matches!(self.dsn_notify, Some(Notify::On(_)))
        {
            found.push(Problem::new(
                format!("{key}.dsn_notify"),
                "return_path is \"<>\", so no address would get the notifications; write an address \
                 there, or \"never\" here, or leave it out",
            ));
        }
        found.extend(self.return_path_token_problem(key));
        if self.max_age.is_zero() {
            found.push(Problem::new(
                format!("{key}.max_age"),
                "0 would expire every alert before it is sent; write for example \"2d\"",
            ));
        }
        found.extend(self.retry.problems(&format!("{key}.retry")));
        found.extend(self.attachments.problems(&format!("{key}.attachments")));
        if let Some(zone) = &self.biztalk_time_zone
            && let Err(error) = zone.parse::<Zone>()
        {
            found.push(Problem::new(
                format!("{key}.biztalk_time_zone"),
                error.to_string(),
            ));
        }
        if let Some(window) = &self.delivery_window {
            let understood = window.understood(&format!("{key}.delivery_window"));
            found.extend(understood.err().unwrap_or_default());
        }
        if let Some(audit) = &self.audit {
            found.extend(audit.problems(&format!("{key}.audit")));
        }
        for (name, dkim) in &self.dkim {
            found.extend(dkim.problems(&format!("{key}.dkim.{name}")));
        }
        found.extend(DkimConfig::published_twice(key, &self.dkim));
        found.extend(notify::problem(key, self.notify_interval));
        found.extend(reports::problems(
            key,
            self.reports_per_minute,
            self.report_delay_after,
        ));
        found.extend(self.wildcard_problems(key));
        for login in self
            .allow_principals
            .iter()
            .filter(|it| it.trim().is_empty())
        {
            let what = format!("'{login}' is no login; write logins such as \"CONTOSO\\\\orders\"");
            found.push(Problem::new(format!("{key}.allow_principals"), what));
        }
        if let Some(retention) = &self.retention {
            found.extend(retention.problems(&format!("{key}.retention")));
        }
        found
    }

    /// A token follows the local part of `return_path`.
    fn return_path_token_problem(&self, key: &str) -> Option<Problem> {
        let token_key = format!("{key}.return_path_token");
        if !self.return_path_token {
            return None;
        }
        let Some(ReversePath(Some(address))) = &self.return_path else {
            let what = "there is no return_path; write the address of a mailbox that a [feedback.source] reads, such as \
                        \"bounces@contoso.com\"";
            return Some(Problem::new(token_key, what));
        };
        with_detail(address).err()?;
        let what = format!(
            "return_path '{address}' has no room for a token: its part before the @ has to have at most 10 characters, all \
             of them ASCII"
        );
        Some(Problem::new(token_key, what))
    }

    /// `*` matches nothing but itself in these settings. RFC 5321 allows it in an address.
    fn wildcard_problems(&self, key: &str) -> Vec<Problem> {
        let of_address = "the address; write each address";
        let of_login = "the login; write each login";
        let from = std::iter::once(("from", self.from.address.as_ref(), of_address));
        let return_path = self.return_path.iter().filter_map(|it| it.0.as_ref());
        let return_path = return_path.map(|it| ("return_path", it.as_ref(), of_address));
        let notified = self
            .notify_failures_to
            .iter()
            .flat_map(DigestRecipients::addresses);
        let notified = notified.map(|it| ("notify_failures_to", it.as_ref(), of_address));
        let logins = self.allow_principals.iter();
        let logins = logins.map(|it| ("allow_principals", it.as_str(), of_login));
        let report_from = self.report_from.iter();
        let report_from = report_from.map(|it| ("report_from", it.address.as_ref(), of_address));
        let written = from.chain(return_path).chain(report_from);
        let written = written.chain(notified).chain(logins);
        let problem = |(below, text, is): (&str, &str, &str)| {
            let what = format!("'{text}' contains '*', which is no wildcard here but part of {is}");
            Problem::new(format!("{key}.{below}"), what)
        };
        written
            .filter(|(_, text, _)| text.contains('*'))
            .map(problem)
            .collect()
    }

    /// What is allowed and may surprise; `key` is that of the section.
    pub fn warnings(&self, key: &str) -> Vec<Problem> {
        let passes = self.received_protected == ReceivedProtected::Pass;
        let unprotected = (passes && self.protection != Protection::None).then(|| {
            Problem::new(
                format!("{key}.received_protected"),
                format!(
                    "messages that a client signed or encrypted, and reports, are sent without the protection \"{}\"",
                    self.protection.as_str()
                ),
            )
        });
        let notifies_nobody =
            self.reports_to == ReportsTo::Operators && self.notify_failures_to.is_none();
        let unnoticed = notifies_nobody.then(|| {
            Problem::new(
                format!("{key}.reports_to"),
                "without notify_failures_to nobody is notified when a submitted message fails",
            )
        });
        unprotected.into_iter().chain(unnoticed).collect()
    }

    fn protection_problems(&self, key: &str) -> Vec<Problem> {
        let wanted = self.protection;
        let sections = [
            ("signing", wanted.signs() && self.signing.is_none()),
            ("encryption", wanted.encrypts() && self.encryption.is_none()),
        ];
        let missing = sections.into_iter().filter(|(_, missing)| *missing);
        let problem = |(section, _)| {
            let what = format!("\"{}\" needs a section [{key}.{section}]", wanted.as_str());
            Problem::new(format!("{key}.protection"), what)
        };
        let mut found: Vec<_> = missing.map(problem).collect();
        if let Some(signing) = &self.signing {
            found.extend(signing.problems(&format!("{key}.signing")));
        }
        if let Some(encryption) = &self.encryption {
            found.extend(encryption.problems(&format!("{key}.encryption")));
        }
        found
    }

    /// The retry policy.
    pub fn retry_policy(&self) -> RetryPolicy {
        RetryPolicy {
            attempts: self.retry.attempts,
            first_delay: self.retry.first_delay,
            longest_delay: self.retry.longest_delay,
            jitter: self.retry.jitter,
            max_age: self.max_age,
        }
    }
}

fn notify_interval() -> Duration {
    notify::DEFAULT_INTERVAL
}

fn reports_per_minute() -> u32 {
    reports::DEFAULT_PER_MINUTE
}

fn report_delay_after() -> Duration {
    reports::DEFAULT_DELAY_AFTER
}

fn auto_submitted() -> bool {
    true
}

fn in_doubt() -> InDoubt {
    InDoubt::Retry
}

fn max_age() -> Duration {
    Duration::from_secs(2 * 24 * 3600)
}
