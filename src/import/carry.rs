//! What an import carries over: relays, send ports, and findings about the rest.

use std::collections::BTreeSet;

use sendport_core::domain::{Charset, Mailbox};
use sendport_smtp::settings::tls::TlsMode;

use super::document;

/// A host that no name server knows (RFC 2606 section 2), where the source has none.
const PLACEHOLDER_HOST: &str = "relay.invalid";

/// Likewise a From address.
const PLACEHOLDER_FROM: &str = "alerts@example.invalid";

/// Something that could not be carried over, or not unchanged.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The object and its property, as the source names them: `account 'Reports', replyto_address`.
    pub what: String,
    /// Why it differs, and what to do, in sentences.
    pub text: String,
}

/// How a relay authenticates.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum RelayLogin {
    /// Not at all.
    None,
    /// With a user name and a password.
    Basic {
        /// The user name.
        username: String,
    },
    /// With NTLM, as the Windows account of the source's process, whose name and password the source does
    /// not contain.
    WindowsAccount,
}

/// A section `[relay.<name>]`.
#[derive(Debug, Clone)]
pub struct ImportedRelay {
    /// Its name.
    pub name: String,
    /// Name or address of the server.
    pub host: String,
    /// Its TCP port.
    pub port: u16,
    /// How the connection is encrypted.
    pub tls: TlsMode,
    /// How it authenticates.
    pub login: RelayLogin,
    /// The file for its password, relative to the configuration; `None` if it needs none.
    pub password_file: Option<String>,
}

/// When a send port may send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Window {
    /// `hh:mm`.
    pub(super) from: String,
    /// `hh:mm`, up to `24:00`.
    pub(super) to: String,
    /// IANA name.
    pub(super) time_zone: String,
}

/// Attempts with a fixed delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FixedRetry {
    pub(super) attempts: u32,
    pub(super) delay_seconds: u64,
}

/// Limits of attachments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AttachmentLimits {
    /// Bytes.
    pub(super) max_size: Option<u64>,
    pub(super) forbidden_extensions: Option<Vec<String>>,
}

/// S/MIME of a send port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Protection {
    /// `clear` or `opaque`.
    pub(super) signature: Option<&'static str>,
    pub(super) encrypts: bool,
}

/// A section `[send_port.<name>]`.
#[derive(Debug, Clone)]
pub struct ImportedPort {
    /// Its name.
    pub name: String,
    /// Header From.
    pub from: Mailbox,
    /// The relays, in order.
    pub relays: Vec<String>,
    pub(super) allow_principals: Vec<String>,
    pub(super) retry: Option<FixedRetry>,
    pub(super) attachments: Option<AttachmentLimits>,
    pub(super) window: Option<Window>,
    pub(super) biztalk_macros: bool,
    pub(super) charset: Option<Charset>,
    /// Ask for delivery status notifications of every kind.
    pub(super) asks_for_receipts: bool,
    pub(super) protection: Option<Protection>,
    /// Lines of comment in front of the section.
    pub(super) remarks: Vec<String>,
}

impl ImportedPort {
    pub(super) fn new(name: String, from: Mailbox, relays: Vec<String>) -> Self {
        Self {
            name,
            from,
            relays,
            allow_principals: Vec::new(),
            retry: None,
            attachments: None,
            window: None,
            biztalk_macros: false,
            charset: None,
            asks_for_receipts: false,
            protection: None,
            remarks: Vec::new(),
        }
    }
}

/// The result of an import.
#[derive(Debug, Clone)]
pub struct ImportedConfig {
    /// What it was made from, in words.
    pub source: String,
    /// Relays, in the order of the source.
    pub relays: Vec<ImportedRelay>,
    /// Send ports, likewise.
    pub send_ports: Vec<ImportedPort>,
    /// What could not be carried over.
    pub findings: Vec<Finding>,
    /// All of them, to find one again.
    noted: BTreeSet<Finding>,
    pub(super) log_level: Option<&'static str>,
}

impl ImportedConfig {
    pub(super) fn new(source: String) -> Self {
        Self {
            source,
            relays: Vec::new(),
            send_ports: Vec::new(),
            findings: Vec::new(),
            noted: BTreeSet::new(),
            log_level: None,
        }
    }

    /// The configuration, with the findings as comments at its beginning.
    pub fn to_toml(&self) -> String {
        document::write(self)
    }

    /// The relays whose password a person has to give, each with the name of its file.
    pub fn missing_passwords(&self) -> impl Iterator<Item = (&ImportedRelay, &str)> {
        self.relays
            .iter()
            .filter_map(|relay| Some((relay, relay.password_file.as_deref()?)))
    }

    pub(super) fn note(&mut self, what: impl Into<String>, text: impl Into<String>) {
        let finding = Finding {
            what: what.into(),
            text: text.into(),
        };
        if self.noted.insert(finding.clone()) {
            self.findings.push(finding);
        }
    }

    /// The From address of `text`; where there is none, one that has to be replaced.
    pub(super) fn mailbox_or_placeholder(&mut self, what: &str, text: &str) -> Mailbox {
        match text.parse() {
            Ok(mailbox) => mailbox,
            Err(_) => {
                let found = match text.trim() {
                    "" => "there is no address".to_owned(),
                    found => format!("'{found}' is no address"),
                };
                self.note(
                    what,
                    format!("{found}; replace {PLACEHOLDER_FROM} by the address to send from"),
                );
                PLACEHOLDER_FROM.parse().expect("an address")
            }
        }
    }

    /// Host and port of `host`, `host:port` or `host,port`; where there is no usable host, one that has to be
    /// replaced.
    pub(super) fn server_or_placeholder(
        &mut self,
        what: &str,
        written: &str,
        port: i64,
    ) -> (String, u16) {
        let (host, own_port) = split_port(written.trim());
        let port = own_port.unwrap_or(port);
        let usable_port = u16::try_from(port).ok().filter(|port| *port > 0);
        if usable_port.is_none() {
            self.note(
                what,
                format!("{port} is no TCP port (1 to 65535); the relay has port 25, correct it"),
            );
        }
        let odd = |c: char| c.is_whitespace() || c.is_control() || "/@,;\\\"'".contains(c);
        let host = match host.is_empty() || host.contains(odd) {
            false => host.to_owned(),
            true => {
                let found = match host {
                    "" => "there is no server".to_owned(),
                    found => format!("'{found}' is no name of a host"),
                };
                self.note(
                    what,
                    format!("{found}; replace {PLACEHOLDER_HOST} by the name of the mail server"),
                );
                PLACEHOLDER_HOST.to_owned()
            }
        };
        if host.eq_ignore_ascii_case("localhost") || host.starts_with("127.") || host == "." {
            self.note(
                what,
                format!(
                    "'{host}' is the machine that the settings come from; if sendport runs on another \
                     one, write the name of that machine"
                ),
            );
        }
        (host, usable_port.unwrap_or(25))
    }
}

/// `host:port`; not the last group of an IPv6 address.
fn split_port(written: &str) -> (&str, Option<i64>) {
    let bracketed = written.strip_prefix('[').and_then(|it| it.split_once(']'));
    if let Some((host, rest)) = bracketed {
        return (host, rest.strip_prefix(':').and_then(|it| it.parse().ok()));
    }
    let parts = written.rsplit_once([':', ',']);
    match parts.filter(|(host, _)| !host.contains(':')) {
        Some((host, port)) => match port.trim().parse() {
            Ok(port) => (host.trim(), Some(port)),
            Err(_) => (written, None),
        },
        None => (written, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_split_from_its_host() {
        for (written, host, port) in [
            ("mail.contoso.com", "mail.contoso.com", None),
            ("mail.contoso.com:2525", "mail.contoso.com", Some(2525)),
            ("mail.contoso.com,587", "mail.contoso.com", Some(587)),
            ("[2001:db8::1]:25", "2001:db8::1", Some(25)),
            ("2001:db8::1", "2001:db8::1", None),
            ("mail:99999", "mail", Some(99_999)),
            ("mail:x", "mail:x", None),
        ] {
            assert_eq!(split_port(written), (host, port), "{written}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_replaced_and_named() {
        let mut made = ImportedConfig::new("a test".to_owned());
        let server = made.server_or_placeholder("account 'a'", "mail server", 70_000);
        assert_eq!(server, ("relay.invalid".to_owned(), 25));
        let from = made.mailbox_or_placeholder("account 'a'", "nobody");
        assert_eq!(from.to_string(), "alerts@example.invalid");
        let texts: Vec<_> = made.findings.iter().map(|it| it.text.as_str()).collect();
        assert!(texts[0].starts_with("70000 is no TCP port"), "{texts:?}");
        assert!(
            texts[1].starts_with("'mail server' is no name"),
            "{texts:?}"
        );
        assert!(texts[2].starts_with("'nobody' is no address"), "{texts:?}");
    }
}
