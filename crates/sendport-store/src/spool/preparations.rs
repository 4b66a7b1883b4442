//! The alerts whose messages an instance is making: if it crashes, one of them may be the cause.
//!
//! A file beside the spool's, one JSON object a line. It is best effort: a line that cannot be read is ignored, and
//! nothing is synced.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use sendport_core::domain::{AlertId, LeaseToken};
use serde::{Deserialize, Serialize};

/// An alert with so many crashes is not tried again.
pub(super) const MOST_CRASHES: u32 = 3;

/// A longer file is compacted, in bytes.
const LONG: u64 = 256 * 1024;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PreparationLine {
    /// Its message is being made.
    Begin(AlertId, LeaseToken),
    /// It is made, or will not be.
    End(AlertId),
    /// So many instances crashed while they made it.
    Crashes(AlertId, u32),
}

#[derive(Debug)]
pub(super) struct Preparations {
    file: File,
    length: u64,
    under_way: BTreeMap<AlertId, LeaseToken>,
    crashes: BTreeMap<AlertId, u32>,
}

impl Preparations {
    /// Opens the file, or creates an empty one that only its owner may read.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = super::spool_file::create(path, false)?;
        let found = std::fs::read(path)?;
        let mut preparations = Self {
            file,
            length: found.len() as u64,
            under_way: BTreeMap::new(),
            crashes: BTreeMap::new(),
        };
        let lines = found.split(|byte| *byte == b'\n');
        for line in lines.filter_map(|line| serde_json::from_slice(line).ok()) {
            preparations.apply(&line);
        }
        Ok(preparations)
    }

    pub(super) fn begin(&mut self, alert: AlertId, token: LeaseToken) -> io::Result<()> {
        self.note(&PreparationLine::Begin(alert, token))
    }

    pub(super) fn end(&mut self, alert: AlertId) -> io::Result<()> {
        self.note(&PreparationLine::End(alert))
    }

    /// Whether an instance crashed while it made this one's message, possibly among others.
    pub(super) fn is_suspect(&self, alert: AlertId) -> bool {
        self.crashes.contains_key(&alert)
    }

    /// Those for which the crash of this instance is one too many.
    pub(super) fn fatal(&self) -> Vec<(AlertId, LeaseToken)> {
        let fatal = |alert: &AlertId| self.crashes_with_this(*alert) >= MOST_CRASHES;
        let under_way = self.under_way.iter().filter(|(alert, _)| fatal(alert));
        under_way.map(|(alert, token)| (*alert, *token)).collect()
    }

    /// Charges the crash of this instance to the alerts whose messages it was making.
    pub(super) fn charge(&mut self) -> io::Result<()> {
        if self.under_way.is_empty() {
            return Ok(());
        }
        for alert in std::mem::take(&mut self.under_way).into_keys() {
            match self.crashes_with_this(alert) {
                MOST_CRASHES.. => self.crashes.remove(&alert),
                crashes => self.crashes.insert(alert, crashes),
            };
        }
        self.compact()
    }

    /// Forgets all alerts.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        if self.under_way.is_empty() && self.crashes.is_empty() {
            return Ok(());
        }
        self.under_way.clear();
        self.crashes.clear();
        self.compact()
    }

    fn crashes_with_this(&self, alert: AlertId) -> u32 {
        self.crashes.get(&alert).copied().unwrap_or_default() + 1
    }

    fn note(&mut self, line: &PreparationLine) -> io::Result<()> {
        self.apply(line);
        if self.length > LONG {
            return self.compact();
        }
        self.append([line])
    }

    fn apply(&mut self, line: &PreparationLine) {
        match line {
            PreparationLine::Begin(alert, token) => {
                self.under_way.insert(*alert, *token);
            }
            PreparationLine::End(alert) => {
                self.under_way.remove(alert);
                self.crashes.remove(alert);
            }
            PreparationLine::Crashes(alert, crashes) => {
                self.crashes.insert(*alert, *crashes);
            }
        }
    }

    fn compact(&mut self) -> io::Result<()> {
        let crashes = self.crashes.iter();
        let crashes = crashes.map(|(alert, crashes)| PreparationLine::Crashes(*alert, *crashes));
        let under_way = self.under_way.iter();
        let under_way = under_way.map(|(alert, token)| PreparationLine::Begin(*alert, *token));
        let lines: Vec<_> = crashes.chain(under_way).collect();
        self.file.set_len(0)?;
        self.length = 0;
        self.append(&lines)
    }

    fn append<'l>(
        &mut self,
        lines: impl IntoIterator<Item = &'l PreparationLine>,
    ) -> io::Result<()> {
        let mut text = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut text, line)?;
            text.push(b'\n');
        }
        self.file.write_all(&text)?;
        self.length += text.len() as u64;
        Ok(())
    }
}
