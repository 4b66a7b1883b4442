//! The table of replies: the fault, the cause and the advice for a reply.
//!
//! The retry policy, the circuits and the database (`ReplyExplanation`) use it. The table is
//! `config/replies.toml`, compiled in; the entries of an administrator's file come before it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use regex::bytes::{Regex, RegexBuilder};
use serde::Deserialize;

use crate::domain::{Command, EnhancedStatusCode, Fault, Limit, LocalCause, Reply};

const TABLE: &str = include_str!("../../../config/replies.toml");

/// One entry: a pattern and what it means.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What `ExplanationKey` holds.
    pub key: String,
    /// The party at fault.
    pub fault: Fault,
    /// Why a server says this.
    pub cause: String,
    /// What to do.
    pub advice: String,
    /// The limit that was exceeded, where the reply means "slower".
    pub limit: Option<Limit>,
    pattern: Pattern,
}

impl Entry {
    /// True where no reply matches it: sendport gives the reason by its key.
    pub fn is_own_reason(&self) -> bool {
        self.pattern.own
    }

    fn check(&self) -> Result<(), TableError> {
        let Some(text) = &self.pattern.text else {
            return Ok(());
        };
        text.compiled()
            .map(drop)
            .map_err(|error| TableError::Pattern {
                key: self.key.clone(),
                source: PatternError::Text(error.clone()),
            })
    }
}

/// Why a table could not be used.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// Not the TOML that the head of the file describes.
    #[error("the table of replies cannot be read: {0}")]
    Syntax(#[from] toml::de::Error),
    /// An entry is incomplete, or its pattern is malformed.
    #[error("entry '{key}' of the table of replies: {source}")]
    Pattern {
        /// Which entry.
        key: String,
        /// What is wrong with it.
        source: PatternError,
    },
}

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

/// The table. Its expressions are compiled at their first use.
#[derive(Debug, Clone)]
pub struct ReplyTable {
    /// Distinguishes the tables of a process; a reply remembers which one explained it.
    number: u32,
    entries: Vec<Entry>,
}

impl ReplyTable {
    /// The table that is compiled in.
    ///
    /// # Panics
    /// Never in a program that passed its tests: the table is part of it.
    #[expect(clippy::expect_used, reason = "compiled in, and parsed by a test")]
    pub fn built_in() -> Self {
        Self::read(TABLE, &[]).expect("config/replies.toml is valid")
    }

    /// Reads a table.
    ///
    /// # Errors
    /// [`TableError`] naming the entry.
    pub fn parse(text: &str) -> Result<Self, TableError> {
        Self::read(text, &[])?.checked()
    }

    /// Reads a table. An entry takes the fields that it lacks from the first one of its key, here
    /// or in `behind`. Compiles no expression: most of a table is never used.
    fn read(text: &str, behind: &[Entry]) -> Result<Self, TableError> {
        let file: TableFile = toml::from_str(text)?;
        let mut entries: Vec<Entry> = Vec::with_capacity(file.reply.len());
        for entry in file.reply {
            let mut earlier = entries.iter().chain(behind);
            let model = earlier.find(|earlier| earlier.key == entry.key);
            let entry = compile(entry, model)?;
            entries.push(entry);
        }
        Ok(Self::new(entries))
    }

    fn new(entries: Vec<Entry>) -> Self {
        static TABLES: AtomicU32 = AtomicU32::new(0);
        let number = TABLES.fetch_add(1, Ordering::Relaxed);
        Self { number, entries }
    }

    /// The table, its expressions compiled.
    fn checked(self) -> Result<Self, TableError> {
        for entry in &self.entries {
            entry.check()?;
        }
        Ok(self)
    }

    /// The table that is compiled in, with the entries of `text` in front.
    ///
    /// # Errors
    /// [`TableError`] naming the entry of `text`.
    pub fn with_own(text: &str) -> Result<Self, TableError> {
        let mut built_in = Self::built_in().entries;
        let mut own = Self::read(text, &built_in)?.checked()?.entries;
        own.append(&mut built_in);
        Ok(Self::new(own))
    }

    /// Every entry in the table's order; several may share a key.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// The first entry that fits a refusal; none fits a success, for which nothing is compared.
    /// A reply is looked up once and remembers its entry.
    pub fn explain(&self, reply: &Reply) -> Option<&Entry> {
        if reply.is_success() {
            return None;
        }
        let look_up = || self.entries.iter().position(|it| it.pattern.fits(reply));
        let found = reply.explained.in_table(self.number, look_up)?;
        self.entries.get(found)
    }

    /// The party at fault for a refusal.
    pub fn fault(&self, reply: &Reply) -> Fault {
        fault_of(self.explain(reply))
    }

    /// The limit that was exceeded, where a refusal means "slower".
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

/// The party at fault for a refusal with this entry; without an entry, the relay.
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
    local: Option<LocalCause>,
    /// No reply matches it; sendport gives the reason by its key.
    #[serde(default)]
    own: bool,
    fault: Option<Fault>,
    limit: Option<Limit>,
    cause: Option<String>,
    advice: Option<String>,
}

#[derive(Debug, Clone)]
struct Pattern {
    own: bool,
    commands: Vec<String>,
    code: Option<[Option<u16>; 3]>,
    enhanced: Option<[Option<u16>; 3]>,
    text: Option<TextPattern>,
    local: Option<LocalCause>,
}

/// A regular expression over the text of a reply. It is compiled at its first use: most of a
/// table is never used, and each compiled expression takes memory.
#[derive(Debug, Clone)]
struct TextPattern {
    source: String,
    compiled: OnceLock<Result<Regex, regex::Error>>,
}

impl TextPattern {
    fn new(source: String) -> Self {
        Self {
            source,
            compiled: OnceLock::new(),
        }
    }

    fn compiled(&self) -> Result<&Regex, &regex::Error> {
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
    fn fits(&self, reply: &Reply) -> bool {
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
    fn restricted(self) -> Result<Self, PatternError> {
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

fn compile(file: EntryFile, model: Option<&Entry>) -> Result<Entry, TableError> {
    let key = file.key.clone();
    complete(file, model).map_err(|source| TableError::Pattern { key, source })
}

fn complete(file: EntryFile, model: Option<&Entry>) -> Result<Entry, PatternError> {
    let fault = file.fault.or(model.map(|it| it.fault));
    let cause = file.cause.or_else(|| model.map(|it| it.cause.clone()));
    let advice = file.advice.or_else(|| model.map(|it| it.advice.clone()));
    let enhanced = file.enhanced.map(|it| three(it.split('.')));
    let pattern = Pattern {
        own: file.own,
        code: file.code.map(|it| digits_of(&it)).transpose()?,
        enhanced: enhanced.transpose()?,
        text: file.text.map(TextPattern::new),
        local: file.local,
        commands: known_commands(file.command)?,
    };
    Ok(Entry {
        fault: fault.ok_or(PatternError::Missing("a fault"))?,
        cause: cause.ok_or(PatternError::Missing("a cause"))?,
        advice: advice.ok_or(PatternError::Missing("an advice"))?,
        limit: file.limit,
        pattern: pattern.restricted()?,
        key: file.key,
    })
}

fn known_commands(words: Vec<String>) -> Result<Vec<String>, PatternError> {
    let known = |word: &String| COMMANDS.iter().any(|command| command.as_str() == word);
    match words.iter().find(|word| !known(word)) {
        Some(unknown) => Err(PatternError::UnknownCommand(unknown.clone())),
        None => Ok(words),
    }
}

const COMMANDS: [Command; 10] = [
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

fn digits_of(code: &str) -> Result<[Option<u16>; 3], PatternError> {
    three(code.split("").filter(|digit| !digit.is_empty()))
}

fn three<'a>(parts: impl Iterator<Item = &'a str>) -> Result<[Option<u16>; 3], PatternError> {
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

#[cfg(test)]
mod tests;
