//! The one table of replies: what was said → whose fault, why, what to do.
//!
//! Serves the retry policy, the circuits and the database (`ReplyExplanation`). The table is
//! `config/replies.toml`, compiled in; a file
//! of an administrator may go before it.

use std::sync::OnceLock;

use regex::{Regex, RegexBuilder};
use serde::Deserialize;

use crate::domain::{Command, EnhancedStatusCode, Fault, Limit, Reply};

const TABLE: &str = include_str!("../config/replies.toml");

/// One entry: a pattern and what it means.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What `ExplanationKey` holds.
    pub key: String,
    /// Whose fault.
    pub fault: Fault,
    /// Why a server says this.
    pub cause: String,
    /// What to do.
    pub advice: String,
    /// What the server has had too much of, where it means "slower".
    pub limit: Option<Limit>,
    pattern: Pattern,
}

impl Entry {
    /// A reason of our own, asked for by its key; no reply finds it.
    pub fn is_own_reason(&self) -> bool {
        self.pattern.own
    }
}

/// Why a table could not be used.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// Not the TOML that the head of the file describes.
    #[error("the table of replies cannot be read: {0}")]
    Syntax(#[from] toml::de::Error),
    /// A pattern is malformed.
    #[error("entry '{key}' of the table of replies: {problem}")]
    Pattern {
        /// Which entry.
        key: String,
        /// What is wrong.
        problem: String,
    },
}

/// The table, its patterns compiled.
#[derive(Debug, Clone)]
pub struct ReplyTable {
    entries: Vec<Entry>,
}

impl ReplyTable {
    /// The table that is compiled in.
    ///
    /// # Panics
    /// Never in a program that passed its tests: the table is part of it.
    #[expect(clippy::expect_used, reason = "compiled in, and parsed by a test")]
    pub fn built_in() -> Self {
        Self::parse(TABLE).expect("config/replies.toml is valid")
    }

    /// Reads a table.
    ///
    /// # Errors
    /// [`TableError`] naming the entry.
    pub fn parse(text: &str) -> Result<Self, TableError> {
        let file: TableFile = toml::from_str(text)?;
        let entries = file.reply.into_iter().map(compile);
        Ok(Self {
            entries: entries.collect::<Result<_, _>>()?,
        })
    }

    /// The table that is compiled in, with the entries of `text` in front.
    ///
    /// # Errors
    /// [`TableError`] naming the entry of `text`.
    pub fn with_own(text: &str) -> Result<Self, TableError> {
        let mut own = Self::parse(text)?;
        own.entries.append(&mut Self::built_in().entries);
        Ok(own)
    }

    /// Every entry in the table's order; several may share a key.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// The first entry that fits a refusal.
    pub fn explain(&self, reply: &Reply) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.pattern.fits(reply))
    }

    /// Whose fault a refusal is.
    pub fn fault(&self, reply: &Reply) -> Fault {
        fault_of(self.explain(reply))
    }

    /// What the server has had too much of, where a refusal means "slower".
    pub fn limit(&self, reply: &Reply) -> Option<Limit> {
        self.explain(reply).and_then(|entry| entry.limit)
    }

    /// The entry of a key, the first one where several patterns share it.
    pub fn by_key(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// Every key once, in the table's order.
    pub fn explanations(&self) -> impl Iterator<Item = &Entry> {
        let mut seen = std::collections::HashSet::new();
        self.entries
            .iter()
            .filter(move |entry| seen.insert(&entry.key))
    }
}

/// Whose fault what was found for a refusal calls it; where no entry fits, the relay's.
pub fn fault_of(entry: Option<&Entry>) -> Fault {
    entry.map_or(Fault::Relay, |entry| entry.fault)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TableFile {
    reply: Vec<EntryFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryFile {
    key: String,
    #[serde(default)]
    command: Vec<String>,
    code: Option<String>,
    enhanced: Option<String>,
    text: Option<String>,
    /// A reason of our own: fits no reply, is asked for by its key.
    #[serde(default)]
    own: bool,
    fault: Fault,
    limit: Option<Limit>,
    cause: String,
    advice: String,
}

#[derive(Debug, Clone)]
struct Pattern {
    own: bool,
    commands: Vec<String>,
    code: Option<[Option<u16>; 3]>,
    enhanced: Option<[Option<u16>; 3]>,
    text: Option<TextPattern>,
}

/// A regular expression over the text of a reply. Of a whole table few are ever asked, and each
/// takes its memory, so it is compiled when it is.
#[derive(Debug, Clone)]
struct TextPattern {
    source: String,
    compiled: OnceLock<Option<Regex>>,
}

impl TextPattern {
    fn new(source: &str) -> Result<Self, String> {
        expression(source)?;
        Ok(Self {
            source: source.to_owned(),
            compiled: OnceLock::new(),
        })
    }

    fn is_match(&self, text: &str) -> bool {
        let compiled = self.compiled.get_or_init(|| expression(&self.source).ok());
        compiled.as_ref().is_some_and(|it| it.is_match(text))
    }
}

fn expression(source: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(source).case_insensitive(true).build();
    built.map_err(|error| error.to_string())
}

impl Pattern {
    fn fits(&self, reply: &Reply) -> bool {
        !self.own
            && self.fits_command(reply.command)
            && self
                .code
                .is_none_or(|code| fits_digits(code, digits(reply.code)))
            && self.enhanced.is_none_or(|wanted| {
                reply
                    .enhanced
                    .is_some_and(|found| fits_digits(wanted, numbers(found)))
            })
            && self
                .text
                .as_ref()
                .is_none_or(|text| text.is_match(&reply.text))
    }

    fn fits_command(&self, command: Command) -> bool {
        self.commands.is_empty() || self.commands.iter().any(|c| c == command.as_str())
    }
}

fn fits_digits(wanted: [Option<u16>; 3], found: [u16; 3]) -> bool {
    wanted
        .iter()
        .zip(found)
        .all(|(wanted, found)| wanted.is_none_or(|wanted| wanted == found))
}

fn digits(code: u16) -> [u16; 3] {
    [code / 100, code / 10 % 10, code % 10]
}

fn numbers(code: EnhancedStatusCode) -> [u16; 3] {
    [code.class.into(), code.subject, code.detail]
}

fn compile(file: EntryFile) -> Result<Entry, TableError> {
    let problem = |problem: String| TableError::Pattern {
        key: file.key.clone(),
        problem,
    };
    let code = file
        .code
        .as_deref()
        .map(|code| three(code.split("").filter(|d| !d.is_empty())));
    let enhanced = file.enhanced.as_deref().map(|code| three(code.split('.')));
    let text = file.text.as_deref().map(TextPattern::new);
    let known = |command: &String| COMMANDS.iter().any(|c| c.as_str() == command);
    if let Some(unknown) = file.command.iter().find(|command| !known(command)) {
        return Err(problem(format!("'{unknown}' is no command of a session")));
    }
    if !file.own
        && file.command.is_empty()
        && code.is_none()
        && enhanced.is_none()
        && text.is_none()
    {
        return Err(problem(
            "it would fit every reply; give a command, code, enhanced or text".to_owned(),
        ));
    }
    Ok(Entry {
        pattern: Pattern {
            own: file.own,
            code: code.transpose().map_err(problem)?,
            enhanced: enhanced.transpose().map_err(problem)?,
            text: text.transpose().map_err(problem)?,
            commands: file.command,
        },
        key: file.key,
        fault: file.fault,
        cause: file.cause,
        advice: file.advice,
        limit: file.limit,
    })
}

const COMMANDS: [Command; 9] = [
    Command::Connect,
    Command::Greeting,
    Command::Ehlo,
    Command::StartTls,
    Command::Auth,
    Command::Mail,
    Command::Rcpt,
    Command::Data,
    Command::EndOfData,
];

fn three<'a>(parts: impl Iterator<Item = &'a str>) -> Result<[Option<u16>; 3], String> {
    let parse = |part: &str| match part {
        "x" => Ok(None),
        number => number
            .parse()
            .map(Some)
            .map_err(|_| format!("'{number}' is neither a number nor x")),
    };
    let parts: Vec<_> = parts.map(parse).collect::<Result<_, _>>()?;
    <[_; 3]>::try_from(parts).map_err(|parts| format!("3 parts expected, {} found", parts.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(command: Command, code: u16, enhanced: &str, text: &str) -> String {
        let enhanced = enhanced.parse().ok();
        let table = ReplyTable::built_in();
        let reply = Reply::new(command, code, enhanced, text);
        table
            .explain(&reply)
            .map(|e| e.key.clone())
            .unwrap_or_default()
    }

    #[test]
    fn refusals_that_people_meet_find_their_entry() {
        use Command::{Auth, Connect, Data, EndOfData, Mail, Rcpt};
        assert_eq!(key(Rcpt, 550, "5.1.1", "User unknown"), "unknown-recipient");
        assert_eq!(
            key(Rcpt, 554, "5.7.1", "<a@b>: Relay access denied"),
            "relaying-denied"
        );
        assert_eq!(key(Rcpt, 550, "", "relay not permitted"), "relaying-denied");
        assert_eq!(
            key(Auth, 535, "5.7.8", "Error: authentication failed"),
            "password-refused"
        );
        for (text, expected) in [
            (
                "expected the server to offer AUTH PLAIN, it offers NTLM: set",
                "auth-mechanism-not-offered",
            ),
            (
                "AUTH PLAIN would send the password over an unencrypted connection: set",
                "password-withheld",
            ),
            (
                "AUTH SCRAM-SHA-1: the server says that we are signed in, but",
                "sign-in-impossible",
            ),
            ("AUTH: no answer within 5.0s", "connection-lost"),
        ] {
            assert_eq!(key(Auth, 0, "", text), expected);
        }
        assert_eq!(
            key(Auth, 535, "5.7.139", "basic authentication is disabled"),
            "basic-auth-disabled"
        );
        assert_eq!(
            key(Mail, 530, "5.7.1", "Client was not authenticated"),
            "authentication-required"
        );
        assert_eq!(
            key(Rcpt, 421, "4.7.0", "Error: too many errors"),
            "too-many-errors"
        );
        assert_eq!(key(Rcpt, 450, "4.2.0", "Greylisted"), "greylisted");
        assert_eq!(key(EndOfData, 0, "", "time-out"), "in-doubt");
        assert_eq!(key(Data, 0, "", "connection reset"), "connection-lost");
        assert_eq!(
            key(Connect, 0, "", "connection refused"),
            "connection-refused"
        );
        assert_eq!(key(Rcpt, 571, "", "whatever"), "recipient-refused");
    }

    fn limit((command, code, text): (Command, u16, &str)) -> Option<Limit> {
        let (enhanced, text) = match text.split_once(' ') {
            Some((first, rest)) if first.parse::<EnhancedStatusCode>().is_ok() => (first, rest),
            _ => ("", text),
        };
        let reply = Reply::new(command, code, enhanced.parse().ok(), text);
        ReplyTable::built_in().limit(&reply)
    }

    #[test]
    fn refusals_of_too_many_connections_are_known() {
        use Command::{EndOfData, Greeting};
        let said = [
            (
                EndOfData,
                432,
                "4.3.2 Concurrent connections limit exceeded",
            ),
            (
                EndOfData,
                432,
                "4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded",
            ),
            (
                Greeting,
                421,
                "4.3.2 The maximum number of concurrent connections per source has exceeded a limit",
            ),
            (
                Greeting,
                421,
                "4.7.0 mx.test Error: too many connections from 192.0.2.1",
            ),
            (
                Greeting,
                421,
                "Too many concurrent SMTP connections; please try again later.",
            ),
        ];
        for reply in said {
            assert_eq!(limit(reply), Some(Limit::Connections), "{reply:?}");
        }
    }

    #[test]
    fn refusals_of_too_many_messages_or_recipients_are_known() {
        use Command::{EndOfData, Mail, Rcpt};
        let said = [
            (Mail, 450, "4.7.1 Error: too much mail from 192.0.2.1"),
            (Rcpt, 450, "4.7.1 Error: too many recipients from 192.0.2.1"),
            (
                Mail,
                451,
                "4.7.500 Server busy. Please try again later from [192.0.2.1]",
            ),
            (
                EndOfData,
                421,
                "4.7.28 Our system has detected an unusual rate of mail",
            ),
            (
                Mail,
                421,
                "4.4.2 Message submission rate for this client has exceeded the configured limit",
            ),
        ];
        for reply in said {
            assert_eq!(limit(reply), Some(Limit::Rate), "{reply:?}");
        }
        let too_many = (Rcpt, 452, "4.5.3 Error: too many recipients");
        assert_eq!(limit(too_many), Some(Limit::Recipients));
    }

    #[test]
    fn other_refusals_do_not_slow_us_down() {
        use Command::{Connect, Greeting, Mail, Rcpt};
        let said = [
            (Rcpt, 421, "4.7.0 Error: too many errors"),
            (Greeting, 421, "4.3.2 Service not available"),
            (
                Rcpt,
                450,
                "4.2.1 The user you are trying to contact is receiving mail at a rate",
            ),
            (Mail, 451, "4.3.0 mail server temporarily rejected message"),
            (Connect, 0, "connection refused"),
        ];
        for reply in said {
            assert_eq!(limit(reply), None, "{reply:?}");
        }
    }

    #[test]
    fn every_refusal_finds_some_entry() {
        let table = ReplyTable::built_in();
        for command in COMMANDS {
            for code in [0].into_iter().chain(400..600) {
                let reply = Reply::new(command, code, None, "");
                assert!(table.explain(&reply).is_some(), "{command} {code}");
            }
        }
    }

    #[test]
    fn every_reason_of_our_own_is_explained() {
        let table = ReplyTable::built_in();
        let ours = [
            "header-injection",
            "header-not-allowed",
            "bad-headers",
            "bad-reply-to",
            "bad-attachment",
            "attachment-too-large",
            "attachment-forbidden",
            "attachment-gone",
            "bad-from",
            "bad-message-id-domain",
            "no-recipients",
            "template-unknown",
            "bad-payload",
            "template-error",
            "nothing-to-send",
            "principal-not-allowed",
            "protection-not-available",
            "protection-failed",
            "signing-address-differs",
            "recipient-certificate-missing",
            "recipient-certificate-expired",
            "recipient-certificate-unusable",
            "expired",
            "no-such-send-port",
            "attempts-spent",
        ];
        for key in ours {
            assert!(table.by_key(key).is_some(), "{key}");
        }
    }

    #[test]
    fn a_pattern_that_would_fit_everything_is_refused() {
        let text = "[[reply]]\nkey = 'k'\nfault = 'relay'\ncause = 'c'\nadvice = 'a'\n";
        let error = ReplyTable::parse(text).unwrap_err().to_string();
        assert!(
            error.contains("'k'") && error.contains("every reply"),
            "{error}"
        );
    }
}
