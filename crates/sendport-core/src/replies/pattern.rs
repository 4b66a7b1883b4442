//! What a reply has to look like for an entry of the table of replies.

use std::sync::OnceLock;

use regex::bytes::{Regex, RegexBuilder};

use crate::domain::{Command, EnhancedStatusCode, LocalCause, Reply};

/// What is wrong with an entry.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PatternError {
    /// Neither the entry nor an earlier one of its key has this field.
    #[error("expected {0}, or an entry further up of the same key that has one; found none")]
    Missing(&'static str),
    /// Nothing restricts it.
    #[error("it would fit every reply; give a command, code, enhanced, text or local")]
    MatchesEverything,
    /// An unknown word in `command`.
    #[error("'{0}' is no command of a session")]
    UnknownCommand(String),
    /// A part of `code` or `enhanced`.
    #[error("'{0}' is neither a number nor x")]
    NotANumber(String),
    /// `code` or `enhanced` with fewer or more parts.
    #[error("3 parts expected, {0} found")]
    NotThreeParts(usize),
    /// `text` is no regular expression.
    #[error(transparent)]
    Text(#[from] regex::Error),
}

/// Bytes of a reply's text that are compared: its beginning says what it is about.
const COMPARED: usize = 2048;

/// The conditions of an entry.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    pub(super) own: bool,
    pub(super) commands: Vec<String>,
    pub(super) code: Option<[Option<u16>; 3]>,
    pub(super) enhanced: Option<[Option<u16>; 3]>,
    pub(super) text: Option<TextPattern>,
    pub(super) local: Option<LocalCause>,
}

/// A regular expression over the text of a reply. It is compiled at its first use: most of a
/// table is never used, and each compiled expression takes memory.
#[derive(Debug, Clone)]
pub(super) struct TextPattern {
    source: String,
    pub(super) compiled: OnceLock<Result<Regex, regex::Error>>,
}

impl TextPattern {
    pub(super) fn new(source: String) -> Self {
        Self {
            source,
            compiled: OnceLock::new(),
        }
    }

    pub(super) fn compiled(&self) -> Result<&Regex, &regex::Error> {
        let compiled = self.compiled.get_or_init(|| expression(&self.source));
        compiled.as_ref()
    }

    fn is_match(&self, text: &str) -> bool {
        let compared = &text.as_bytes()[..text.len().min(COMPARED)];
        self.compiled().is_ok_and(|it| it.is_match(compared))
    }
}

/// ASCII only: `\b` with Unicode is a thousand times slower. A message may be refused for ten
/// thousand recipients, and each refusal is explained.
fn expression(source: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(source)
        .case_insensitive(true)
        .unicode(false)
        .build()
}

impl Pattern {
    pub(super) fn fits(&self, reply: &Reply) -> bool {
        !self.own
            && self.local.is_none_or(|local| reply.local == Some(local))
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

    /// The same pattern, unless it would fit every reply.
    pub(super) fn restricted(self) -> Result<Self, PatternError> {
        let is_restricted = self.own
            || !self.commands.is_empty()
            || self.code.is_some()
            || self.enhanced.is_some()
            || self.text.is_some()
            || self.local.is_some();
        match is_restricted {
            true => Ok(self),
            false => Err(PatternError::MatchesEverything),
        }
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

/// Words of `command`.
pub(super) fn known_commands(words: Vec<String>) -> Result<Vec<String>, PatternError> {
    let known = |word: &String| COMMANDS.iter().any(|command| command.as_str() == word);
    match words.iter().find(|word| !known(word)) {
        Some(unknown) => Err(PatternError::UnknownCommand(unknown.clone())),
        None => Ok(words),
    }
}

/// The commands that an entry may name.
pub(super) const COMMANDS: [Command; 10] = [
    Command::Connect,
    Command::Greeting,
    Command::Ehlo,
    Command::StartTls,
    Command::Auth,
    Command::Mail,
    Command::Rcpt,
    Command::Data,
    Command::EndOfData,
    Command::Post,
];

/// Three digits or `x`.
pub(super) fn digits_of(code: &str) -> Result<[Option<u16>; 3], PatternError> {
    three(code.split("").filter(|digit| !digit.is_empty()))
}

/// Three numbers or `x`.
pub(super) fn three<'a>(
    parts: impl Iterator<Item = &'a str>,
) -> Result<[Option<u16>; 3], PatternError> {
    let parse = |part: &str| match part {
        "x" => Ok(None),
        number => match number.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(PatternError::NotANumber(number.to_owned())),
        },
    };
    let parts: Vec<_> = parts.map(parse).collect::<Result<_, _>>()?;
    <[_; 3]>::try_from(parts).map_err(|parts| PatternError::NotThreeParts(parts.len()))
}
