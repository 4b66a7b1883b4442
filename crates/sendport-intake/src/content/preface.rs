//! What is added in front of a message: `Received` (RFC 5321 section 4.4), and `Date` and `Message-ID` where they are
//! missing (RFC 6409 section 8).

use std::net::IpAddr;

use sendport_core::clock;
use sendport_core::domain::{
    Address, AlertOrigin, Timestamp, TransactionId, address_literal, domain_to_ascii,
};

use super::header::HeaderSection;

/// Longest name in a comment of `Received`.
const LONGEST_NAME: usize = 255;

/// The protocol of a session (RFC 3848, RFC 6531 section 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Protocol {
    /// The client said EHLO.
    pub(crate) is_extended: bool,
    pub(crate) is_encrypted: bool,
    pub(crate) is_authenticated: bool,
    /// The message has the parameter SMTPUTF8.
    pub(crate) is_international: bool,
}

impl Protocol {
    fn keyword(self) -> String {
        let is_plain = !self.is_extended && !self.is_encrypted && !self.is_authenticated;
        let name = match (self.is_international, is_plain) {
            (true, _) => "UTF8SMTP",
            (false, true) => "SMTP",
            (false, false) => "ESMTP",
        };
        let encrypted = if self.is_encrypted { "S" } else { "" };
        let authenticated = if self.is_authenticated { "A" } else { "" };
        format!("{name}{encrypted}{authenticated}")
    }
}

/// Where a message came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source<'a> {
    /// A client of the SMTP server.
    Smtp {
        helo: Option<&'a str>,
        client: IpAddr,
        protocol: Protocol,
        /// TLS version and cipher.
        tls: Option<&'a str>,
    },
    /// A program on this host, which wrote a file.
    File {
        origin: AlertOrigin,
        /// The owner of the file.
        user: Option<&'a str>,
    },
}

impl Source<'_> {
    /// The clauses of `Received` in front of `id`. A file has no FROM clause, as RFC 5321 section 4.4 only requires one
    /// of SMTP.
    fn clauses(&self, hostname: &str) -> String {
        match *self {
            Self::Smtp {
                helo,
                client,
                protocol,
                tls,
            } => {
                let client = address_literal(client);
                let from = match helo {
                    Some(helo) if is_host(helo) => format!("{helo} ({client})"),
                    Some(helo) if !helo.is_empty() => format!("{client} (HELO {})", harmless(helo)),
                    _ => client,
                };
                let tls = tls.map(|tls| format!(" ({tls})")).unwrap_or_default();
                let protocol = protocol.keyword();
                format!("from {from}\r\n\tby {hostname} with {protocol}{tls}")
            }
            Self::File { origin, user } => {
                let user = user.map(harmless);
                let user = user
                    .map(|user| format!(", user {user}"))
                    .unwrap_or_default();
                format!("by {hostname} (sendport {origin}{user})")
            }
        }
    }
}

/// How a message came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trace<'a> {
    pub(crate) source: Source<'a>,
    pub(crate) hostname: &'a str,
    pub(crate) transaction: TransactionId,
    /// The recipient, if there is one alone.
    pub(crate) recipient: Option<&'a Address>,
    pub(crate) at: Timestamp,
}

/// The fields that a message may get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Preface {
    received: String,
    date: String,
    message_id: String,
}

impl Preface {
    pub(crate) fn new(trace: &Trace<'_>) -> Self {
        let date = clock::format(trace.at, "%a, %d %b %Y %H:%M:%S +0000");
        let recipient = trace.recipient.filter(|it| !it.is_international());
        let recipient = recipient
            .map(|it| format!("\r\n\tfor <{it}>"))
            .unwrap_or_default();
        let id = trace.transaction.0.simple();
        let hostname = trace.hostname;
        let clauses = trace.source.clauses(hostname);
        Self {
            received: format!("Received: {clauses}\r\n\tid {id}{recipient};\r\n\t{date}\r\n"),
            date,
            message_id: format!("<{}@{hostname}>", trace.transaction.0),
        }
    }

    /// The fields in front of this header section, which has a Message-ID afterwards.
    pub(super) fn complete(&self, header: &mut HeaderSection) -> String {
        let mut fields = self.received.clone();
        if !header.has_date {
            fields += &format!("Date: {}\r\n", self.date);
        }
        if header.message_id.is_none() {
            fields += &format!("Message-ID: {}\r\n", self.message_id);
            header.message_id = Some(self.message_id.clone());
        }
        fields
    }
}

/// A domain or an address literal.
fn is_host(helo: &str) -> bool {
    helo.is_ascii() && domain_to_ascii(helo).is_ok()
}

/// A name of a host or a user, for a comment.
fn harmless(name: &str) -> String {
    let letter = |c: char| match c {
        c if c.is_ascii_alphanumeric() || ".-_:@".contains(c) => c,
        _ => '?',
    };
    name.chars().take(LONGEST_NAME).map(letter).collect()
}
