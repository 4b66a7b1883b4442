//! The table of replies: the fault, the cause and the advice for a reply.
//!
//! The retry policy, the circuits and the database (`ReplyExplanation`) use it. The table is
//! `config/replies.toml`, compiled in; the entries of an administrator's file come before it.

mod pattern;

use std::sync::atomic::{AtomicU32, Ordering};

use serde::Deserialize;

use crate::domain::{BounceClass, Fault, Limit, LocalCause, Reply};

pub use pattern::PatternError;
use pattern::{Pattern, TextPattern, digits_of, known_commands, three};

const TABLE: &str = include_str!("../../../config/replies.toml");
const BOUNCES: &str = include_str!("../../../config/bounces.toml");

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
    /// The class of a bounce; every entry of the table of bounces has one.
    pub class: Option<BounceClass>,
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

    /// The table of bounces that is compiled in, `config/bounces.toml`: what the servers behind the
    /// relay say in their reports, and the class of the bounce.
    ///
    /// # Panics
    /// Never in a program that passed its tests: the table is part of it.
    #[expect(clippy::expect_used, reason = "compiled in, and parsed by a test")]
    pub fn of_bounces() -> Self {
        Self::read(BOUNCES, &[]).expect("config/bounces.toml is valid")
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
    class: Option<BounceClass>,
    cause: Option<String>,
    advice: Option<String>,
}

fn compile(file: EntryFile, model: Option<&Entry>) -> Result<Entry, TableError> {
    let key = file.key.clone();
    complete(file, model).map_err(|source| TableError::Pattern { key, source })
}

fn complete(file: EntryFile, model: Option<&Entry>) -> Result<Entry, PatternError> {
    let class = file.class.or(model.and_then(|it| it.class));
    let of_class = class.map(BounceClass::fault);
    let fault = file.fault.or(model.map(|it| it.fault)).or(of_class);
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
        class,
        pattern: pattern.restricted()?,
        key: file.key,
    })
}

#[cfg(test)]
mod tests;
