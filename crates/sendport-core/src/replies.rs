//! The one table of replies: what was said → whose fault, why, what to do.
//!
//! Serves the retry policy, the circuits and the database (`ReplyExplanation`). The table is
//! `config/replies.toml`, compiled in; a file
//! of an administrator may go before it.

use std::sync::OnceLock;

use regex::bytes::{Regex, RegexBuilder};
use serde::Deserialize;

use crate::domain::{Command, EnhancedStatusCode, Fault, Limit, Reply};

const TABLE: &str = include_str!("../../../config/replies.toml");

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

    fn check(&self) -> Result<(), TableError> {
        let Some(text) = &self.pattern.text else {
            return Ok(());
        };
        text.compiled()
            .map(drop)
            .map_err(|problem| TableError::Pattern {
                key: self.key.clone(),
                problem: problem.clone(),
            })
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

/// A reply says in its beginning what it is about; octets of it that are looked at.
const LOOKED_AT: usize = 2048;

/// The table; its expressions are compiled when they are asked.
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
        Self::read(TABLE, &[]).expect("config/replies.toml is valid")
    }

    /// Reads a table.
    ///
    /// # Errors
    /// [`TableError`] naming the entry.
    pub fn parse(text: &str) -> Result<Self, TableError> {
        Self::read(text, &[])?.checked()
    }

    /// Reads a table. An entry takes what it does not say from the first one of its key, here or
    /// in `behind`. The expressions are not compiled: most of a table is never asked.
    fn read(text: &str, behind: &[Entry]) -> Result<Self, TableError> {
        let file: TableFile = toml::from_str(text)?;
        let mut entries: Vec<Entry> = Vec::with_capacity(file.reply.len());
        for entry in file.reply {
            let mut earlier = entries.iter().chain(behind);
            let model = earlier.find(|earlier| earlier.key == entry.key);
            let entry = compile(entry, model)?;
            entries.push(entry);
        }
        Ok(Self { entries })
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
        let mut own = Self::read(text, &built_in)?.checked()?;
        own.entries.append(&mut built_in);
        Ok(own)
    }

    /// Every entry in the table's order; several may share a key.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// The first entry that fits a refusal; none fits a success, for which nothing is compared.
    pub fn explain(&self, reply: &Reply) -> Option<&Entry> {
        let mut entries = self.entries.iter().filter(|_| !reply.is_success());
        entries.find(|entry| entry.pattern.fits(reply))
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
}

/// A regular expression over the text of a reply. Of a whole table few are ever asked, and each
/// takes its memory, so it is compiled when it is.
#[derive(Debug, Clone)]
struct TextPattern {
    source: String,
    compiled: OnceLock<Result<Regex, String>>,
}

impl TextPattern {
    fn new(source: String) -> Self {
        Self {
            source,
            compiled: OnceLock::new(),
        }
    }

    fn compiled(&self) -> Result<&Regex, &String> {
        let compiled = self.compiled.get_or_init(|| expression(&self.source));
        compiled.as_ref()
    }

    fn is_match(&self, text: &str) -> bool {
        let looked_at = &text.as_bytes()[..text.len().min(LOOKED_AT)];
        self.compiled().is_ok_and(|it| it.is_match(looked_at))
    }
}

/// Its letters are those of ASCII: `\b` beside others is a thousand times slower. A message may be
/// refused for ten thousand recipients, and each refusal is explained.
fn expression(source: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(source)
        .case_insensitive(true)
        .unicode(false)
        .build();
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

    /// Itself, unless it would fit every reply.
    fn that_says_something(self) -> Result<Self, String> {
        let says = self.own
            || !self.commands.is_empty()
            || self.code.is_some()
            || self.enhanced.is_some()
            || self.text.is_some();
        let silent = "it would fit every reply; give a command, code, enhanced or text";
        if says {
            Ok(self)
        } else {
            Err(silent.to_owned())
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
    let problem = |problem: String| TableError::Pattern {
        key: key.clone(),
        problem,
    };
    let missing = |what: &str| {
        problem(format!(
            "expected {what}, or an entry further up of the same key that has one; found none"
        ))
    };
    let fault = file.fault.or(model.map(|it| it.fault));
    let cause = file.cause.or_else(|| model.map(|it| it.cause.clone()));
    let advice = file.advice.or_else(|| model.map(|it| it.advice.clone()));
    Ok(Entry {
        fault: fault.ok_or_else(|| missing("a fault"))?,
        cause: cause.ok_or_else(|| missing("a cause"))?,
        advice: advice.ok_or_else(|| missing("an advice"))?,
        limit: file.limit,
        pattern: Pattern {
            own: file.own,
            code: file
                .code
                .map(|it| digits_of(&it))
                .transpose()
                .map_err(problem)?,
            enhanced: file
                .enhanced
                .map(|it| three(it.split('.')))
                .transpose()
                .map_err(problem)?,
            text: file.text.map(TextPattern::new),
            commands: known_commands(file.command).map_err(problem)?,
        }
        .that_says_something()
        .map_err(problem)?,
        key: file.key,
    })
}

fn known_commands(words: Vec<String>) -> Result<Vec<String>, String> {
    let known = |word: &String| COMMANDS.iter().any(|command| command.as_str() == word);
    match words.iter().find(|word| !known(word)) {
        Some(unknown) => Err(format!("'{unknown}' is no command of a session")),
        None => Ok(words),
    }
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

fn digits_of(code: &str) -> Result<[Option<u16>; 3], String> {
    three(code.split("").filter(|digit| !digit.is_empty()))
}

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
mod tests;
