//! The file of a slot: one JSON object a line, appended to, and compacted when most entries are removed.
//!
//! Only whole lines count. A line that a crash or a loss of power cut off is ignored: a final dot follows its
//! intent only after the system has taken the whole line.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sendport_core::domain::{AlertId, InstanceId, LeaseToken, Outcome, SubmissionIntent};
use serde::{Deserialize, Serialize};

/// Most lines are shorter than this, in bytes.
const LINE: usize = 2048;

/// A shorter file is not compacted, in bytes.
pub(super) const SHORT: usize = 1024 * 1024;

/// One line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SpoolEntry<'a> {
    /// The owner from here on.
    SpoolOwner(Cow<'a, SpoolOwner>),
    /// A final dot is about to be sent.
    Note(Cow<'a, SubmissionIntent>),
    /// The outcome of a lease; replaces its intent.
    Outcome(Cow<'a, Outcome>),
    /// Recorded by the database.
    Forget(Vec<Key>),
}

impl SpoolEntry<'_> {
    pub(super) fn line(&self) -> io::Result<Vec<u8>> {
        let mut line = Vec::with_capacity(LINE);
        serde_json::to_writer(&mut line, self)?;
        line.push(b'\n');
        Ok(line)
    }
}

/// The instance that writes, and its database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SpoolOwner {
    pub(super) instance: InstanceId,
    pub(super) database: String,
}

/// One lease of one alert.
pub(super) type Key = (AlertId, LeaseToken);

/// An open file of a slot.
#[derive(Debug)]
pub(super) struct SpoolFile {
    path: PathBuf,
    file: File,
    /// Of whole lines, in bytes.
    length: u64,
    /// A write was cut off behind `length`.
    torn: bool,
    /// As the file says.
    owner: Option<SpoolOwner>,
    /// The next owner, where that could not be written yet.
    next_owner: Option<SpoolOwner>,
    /// The last line about each lease that is not removed.
    live: BTreeMap<Key, Vec<u8>>,
}

impl SpoolFile {
    /// Opens the file, or creates an empty one that only its owner may read.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = create(path, false)?;
        let found = std::fs::read(path)?;
        let last_end = found.iter().rposition(|byte| *byte == b'\n');
        let whole = last_end.map_or(0, |end| end + 1);
        let mut journal = Self {
            path: path.to_owned(),
            file,
            length: whole as u64,
            torn: whole < found.len(),
            owner: None,
            next_owner: None,
            live: BTreeMap::new(),
        };
        for line in found.split_inclusive(|byte| *byte == b'\n') {
            journal.read(line);
        }
        Ok(journal)
    }

    fn read(&mut self, line: &[u8]) {
        match serde_json::from_slice(line) {
            Ok(SpoolEntry::SpoolOwner(owner)) => self.owner = Some(owner.into_owned()),
            Ok(SpoolEntry::Note(note)) => self.keep((note.alert, note.token), line),
            Ok(SpoolEntry::Outcome(outcome)) => self.keep((outcome.alert, outcome.token), line),
            Ok(SpoolEntry::Forget(keys)) => self.live.retain(|key, _| !keys.contains(key)),
            Err(error) => {
                tracing::warn!(%error, file = %self.path.display(), "incomplete spool line ignored");
            }
        }
    }

    fn keep(&mut self, key: Key, line: &[u8]) {
        self.live.insert(key, line.to_vec());
    }

    pub(super) fn owner(&self) -> Option<&SpoolOwner> {
        self.owner.as_ref()
    }

    /// How many leases have an entry.
    pub(super) fn live(&self) -> usize {
        self.live.len()
    }

    /// Of the whole lines, in bytes.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// One for each lease.
    pub(super) fn entries(&self) -> impl Iterator<Item = io::Result<SpoolEntry<'static>>> {
        let lines = self.live.values();
        lines.map(|line| Ok(serde_json::from_slice(line)?))
    }

    /// Changes the owner: at once, or, where that cannot be written now, before the next line.
    pub(super) fn begin(&mut self, owner: SpoolOwner) -> io::Result<()> {
        self.next_owner = Some(owner);
        self.hand_over()
    }

    fn hand_over(&mut self) -> io::Result<()> {
        let Some(next_owner) = self.next_owner.clone() else {
            return Ok(());
        };
        self.append(&SpoolEntry::SpoolOwner(Cow::Borrowed(&next_owner)).line()?)?;
        (self.owner, self.next_owner) = (Some(next_owner), None);
        Ok(())
    }

    /// Appends a line about a lease.
    pub(super) fn write(&mut self, key: Key, line: Vec<u8>) -> io::Result<()> {
        self.hand_over()?;
        self.append(&line)?;
        self.live.insert(key, line);
        Ok(())
    }

    /// Removes entries.
    pub(super) fn forget(&mut self, keys: impl Iterator<Item = Key>) -> io::Result<()> {
        let known = keys.filter(|key| self.live.remove(key).is_some());
        let known: Vec<_> = known.collect();
        if known.is_empty() {
            return Ok(());
        }
        let grown = self.length >= SHORT as u64 && self.length / 2 > self.bytes_live();
        if grown && self.compact().is_ok() {
            return Ok(());
        }
        self.append(&SpoolEntry::Forget(known).line()?)
    }

    fn bytes_live(&self) -> u64 {
        self.live.values().map(|line| line.len() as u64).sum()
    }

    /// Releases the file. Entries remain, with the owner's id.
    pub(super) fn end(&mut self) -> io::Result<()> {
        if !self.live.is_empty() {
            return Ok(());
        }
        (self.owner, self.next_owner) = (None, None);
        self.file.set_len(0)?;
        (self.length, self.torn) = (0, false);
        Ok(())
    }

    /// Makes everything written so far durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Writes a line whole or not at all: the rest of one that did not fit on the disk is cut off before the next.
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        if self.torn {
            self.file.set_len(self.length)?;
        }
        self.torn = true;
        self.file.write_all(line)?;
        self.torn = false;
        self.length += line.len() as u64;
        Ok(())
    }

    /// Empties a file without entries: on a full disk its space is needed.
    fn start_over(&mut self) -> io::Result<()> {
        self.next_owner = self.next_owner.take().or(self.owner.take());
        self.file.set_len(0)?;
        (self.length, self.torn) = (0, false);
        self.hand_over()
    }

    /// Writes a new file with the entries, which replaces the old one once it is on the disk.
    pub(super) fn compact(&mut self) -> io::Result<()> {
        if self.live.is_empty() {
            return self.start_over();
        }
        let beside = self.path.with_extension("new");
        let mut text = Vec::new();
        if let Some(owner) = self.next_owner.as_ref().or(self.owner.as_ref()) {
            text = SpoolEntry::SpoolOwner(Cow::Borrowed(owner)).line()?;
        }
        for line in self.live.values() {
            text.extend_from_slice(line);
        }
        let mut file = create(&beside, true)?;
        file.write_all(&text)?;
        file.sync_data()?;
        std::fs::rename(&beside, &self.path)?;
        (self.file, self.length, self.torn) = (file, text.len() as u64, false);
        self.owner = self.next_owner.take().or(self.owner.take());
        Ok(())
    }
}

/// Opened to append; only its owner may read it.
pub(super) fn create(path: &Path, anew: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    if anew {
        file.set_len(0)?;
    }
    Ok(file)
}
