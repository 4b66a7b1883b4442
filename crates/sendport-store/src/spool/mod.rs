//! Outcomes that the database does not have yet, on this machine.
//!
//! A state folder has a slot for each instance that runs on it: a file, and a lock that ends with its process.
//! A [`SubmissionIntent`] is written to the file right before each final dot, and each outcome as soon as it is
//! known; both are removed when the database has recorded them. So what a dead instance leaves behind says which
//! few attempts are in doubt, and that nothing else was submitted.
//!
//! Both survive a crash of the process at once (no fsync); [`OutcomeSpool::sync`] makes them survive a loss of
//! power, when the database cannot take them.

mod preparations;
mod slot;
mod spool_file;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use sendport_core::domain::{
    AlertId, Decision, InstanceId, LeaseToken, Outcome, OutcomeKind, SubmissionIntent,
};

use preparations::{MOST_CRASHES, Preparations};
use slot::SpoolSlot;
use spool_file::{SpoolEntry, SpoolFile, SpoolOwner};

/// Bytes that must fit into a state folder: an intent, and an outcome.
const LINE: usize = 8192;

/// Bytes that must fit into a folder that was full: the length at which a file is compacted. With less it would
/// soon be full again.
const ROOM: usize = spool_file::SHORT;

/// Why a state folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The folder or a file in it cannot be read or written.
    #[error("the state folder {} cannot be used: {source}{advice}", .folder.display())]
    Folder {
        /// Which.
        folder: PathBuf,
        /// The system's error.
        source: std::io::Error,
        /// What to do about it; empty where the error says enough.
        advice: &'static str,
    },
    /// Its entries belong to another database.
    #[error(
        "the state folder {} holds {count} outcomes for {found}, but this service works on {expected}; \
         run it on {found} once, or name another service.state_folder", .folder.display()
    )]
    OtherDatabase {
        /// Which folder.
        folder: PathBuf,
        /// How many entries.
        count: usize,
        /// Their database.
        found: String,
        /// The configured database.
        expected: String,
    },
}

/// What a dead instance left behind.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Its id: its leases may still be in the database.
    pub instance: Option<InstanceId>,
    /// Outcomes that may not be recorded.
    pub outcomes: Vec<Outcome>,
    /// Attempts whose final dot was about to be sent, with an unknown result.
    pub in_doubt: Vec<SubmissionIntent>,
}

/// How much space a state folder has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FolderSpace {
    /// A service can write.
    Enough,
    /// A service can write; one that found the folder full would still wait for more space.
    Little,
    /// The folder does not exist; a service creates it.
    ToBeCreated,
}

/// Entries about one database are never recorded in another.
fn refuse_other(journal: &SpoolFile, folder: &Path, expected: &str) -> Result<(), SpoolError> {
    let count = journal.live();
    let owner = journal.owner().filter(|_| count > 0);
    match owner.filter(|owner| owner.database != expected) {
        None => Ok(()),
        Some(owner) => Err(SpoolError::OtherDatabase {
            folder: folder.to_owned(),
            count,
            found: owner.database.clone(),
            expected: expected.to_owned(),
        }),
    }
}

/// One slot of a state folder, owned until it is dropped or the process ends.
#[derive(Debug)]
pub struct OutcomeSpool {
    journal: Mutex<SpoolFile>,
    preparations: Mutex<Preparations>,
    slot: SpoolSlot,
}

impl OutcomeSpool {
    /// Opens a state folder: takes a free slot, and every slot with entries of a dead instance. The first of the
    /// result is for this instance, all are to be recovered.
    ///
    /// # Errors
    /// [`SpoolError`]; nothing is changed.
    pub fn enter(folder: &Path, database: &str) -> Result<Vec<Self>, SpoolError> {
        let slots = slot::take_free(folder)?;
        let spools = slots.into_iter().map(|slot| Self::open(slot, database));
        let spools: Vec<_> = spools.collect::<Result<_, _>>()?;
        spools.iter().try_for_each(Self::try_line)?;
        Ok(spools)
    }

    /// Whether a service could write to a state folder, and record its entries in `database`. A running service is
    /// not disturbed, and the folder is not created.
    ///
    /// # Errors
    /// [`SpoolError`], as [`Self::enter`].
    pub fn try_folder(folder: &Path, database: Option<&str>) -> Result<FolderSpace, SpoolError> {
        let unusable = |error| slot::unusable(folder, error);
        let there = std::path::absolute(folder).map_err(unusable)?;
        let there = there.ancestors().find(|it| it.exists()).unwrap_or(folder);
        let trial = there.join(format!(".sendport-trial-{}", std::process::id()));
        try_file(&trial, LINE).map_err(unusable)?;
        if there != folder && !folder.exists() {
            return Ok(FolderSpace::ToBeCreated);
        }
        let used = slot::take_used(folder).map_err(unusable)?;
        for slot in &used {
            let journal = SpoolFile::open(slot.file()).map_err(unusable)?;
            database.map_or(Ok(()), |it| refuse_other(&journal, folder, it))?;
        }
        let room = try_file(&trial, ROOM).is_ok();
        Ok(if room {
            FolderSpace::Enough
        } else {
            FolderSpace::Little
        })
    }

    /// Whether the next line can be written.
    ///
    /// # Errors
    /// [`SpoolError::Folder`].
    pub fn try_line(&self) -> Result<(), SpoolError> {
        self.map_error(try_file(&self.slot.file().with_extension("trial"), LINE))
    }

    /// Whether there is space until the file is compacted.
    ///
    /// # Errors
    /// [`SpoolError::Folder`].
    pub fn try_space(&self) -> Result<(), SpoolError> {
        self.map_error(try_file(&self.slot.file().with_extension("trial"), ROOM))
    }

    fn open(slot: SpoolSlot, expected: &str) -> Result<Self, SpoolError> {
        let journal = SpoolFile::open(slot.file()).map_err(|error| slot.problem(error))?;
        refuse_other(&journal, slot.folder(), expected)?;
        let beside = slot.file().with_extension("preparing");
        let mut preparations = Preparations::open(&beside).map_err(|error| slot.problem(error))?;
        if journal.owner().is_none_or(|it| it.database != expected) {
            preparations.clear().map_err(|error| slot.problem(error))?;
        }
        Ok(Self {
            journal: Mutex::new(journal),
            preparations: Mutex::new(preparations),
            slot,
        })
    }

    /// The entries of the last instance; empty where it stopped in order.
    ///
    /// # Errors
    /// [`SpoolError::Folder`].
    pub fn left_over(&self) -> Result<Leftovers, SpoolError> {
        let journal = self.journal.lock();
        let mut left = Leftovers {
            instance: journal.owner().map(|owner| owner.instance),
            ..Leftovers::default()
        };
        for entry in journal.entries() {
            match self.map_error(entry)? {
                SpoolEntry::Outcome(outcome) => left.outcomes.push(outcome.into_owned()),
                SpoolEntry::Note(note) => left.in_doubt.push(note.into_owned()),
                SpoolEntry::SpoolOwner(_) | SpoolEntry::Forget(_) => {}
            }
        }
        Ok(left)
    }

    /// Assigns the slot to this instance, also where that cannot be written yet.
    ///
    /// # Errors
    /// [`SpoolError::Folder`]; then it is written before the next intent.
    pub fn begin(&self, instance: InstanceId, database: &str) -> Result<(), SpoolError> {
        let owner = SpoolOwner {
            instance,
            database: database.to_owned(),
        };
        self.map_error(self.journal.lock().begin(owner))
    }

    /// Releases the slot. Entries remain, with the instance's id.
    ///
    /// # Errors
    /// [`SpoolError::Folder`].
    pub fn end(&self) -> Result<(), SpoolError> {
        self.map_error(self.journal.lock().end())
    }

    /// Whether the database has everything that was written here.
    pub fn is_empty(&self) -> bool {
        self.journal.lock().live() == 0
    }

    /// Compacts the file, which proves that the folder can be written.
    ///
    /// # Errors
    /// [`SpoolError::Folder`]: it cannot; nothing is lost.
    pub fn compact(&self) -> Result<(), SpoolError> {
        self.map_error(self.journal.lock().compact())
    }

    /// Records that the message of an alert is being made: a crash of this process is then charged to the alert.
    ///
    /// # Errors
    /// [`SpoolError::Folder`].
    pub fn preparing(&self, alert: AlertId, token: LeaseToken) -> Result<(), SpoolError> {
        self.map_error(self.preparations.lock().begin(alert, token))
    }

    /// Records that the message is made, or will not be: no crash is charged to the alert any more.
    ///
    /// # Errors
    /// [`SpoolError::Folder`].
    pub fn prepared(&self, alert: AlertId) -> Result<(), SpoolError> {
        self.map_error(self.preparations.lock().end(alert))
    }

    /// Whether an instance crashed while it made the message of this alert, possibly among others.
    pub fn is_suspect(&self, alert: AlertId) -> bool {
        self.preparations.lock().is_suspect(alert)
    }

    /// Charges the crash of the last instance to the alerts whose messages it was making. An alert with a third crash
    /// fails: its outcome becomes an entry. Returns those outcomes.
    ///
    /// # Errors
    /// [`SpoolError::Folder`]; then no crash is charged.
    pub fn charge_crash(&self) -> Result<Vec<Outcome>, SpoolError> {
        let fatal = self.preparations.lock().fatal().into_iter();
        let fatal: Vec<_> = fatal.map(|(it, token)| fatal_outcome(it, token)).collect();
        fatal.iter().try_for_each(|outcome| self.keep(outcome))?;
        self.map_error(self.preparations.lock().charge())?;
        Ok(fatal)
    }

    /// Writes that a final dot is about to be sent.
    ///
    /// # Errors
    /// [`SpoolError::Folder`]: then the dot must not be sent.
    pub fn note(&self, note: &SubmissionIntent) -> Result<(), SpoolError> {
        let line = SpoolEntry::Note(Cow::Borrowed(note)).line();
        self.map_error(
            line.and_then(|line| self.journal.lock().write((note.alert, note.token), line)),
        )
    }

    /// Writes an outcome; a release decides nothing and is left out.
    ///
    /// # Errors
    /// [`SpoolError::Folder`].
    pub fn keep(&self, outcome: &Outcome) -> Result<(), SpoolError> {
        if matches!(outcome.kind, OutcomeKind::Released { .. }) {
            return Ok(());
        }
        let line = SpoolEntry::Outcome(Cow::Borrowed(outcome)).line();
        self.map_error(line.and_then(|line| {
            self.journal
                .lock()
                .write((outcome.alert, outcome.token), line)
        }))
    }

    /// Removes outcomes that the database has recorded.
    ///
    /// # Errors
    /// [`SpoolError::Folder`]; they are recorded again after a restart, which is harmless.
    pub fn forget(&self, outcomes: &[Outcome]) -> Result<(), SpoolError> {
        let keys = outcomes
            .iter()
            .map(|outcome| (outcome.alert, outcome.token));
        self.map_error(self.journal.lock().forget(keys))
    }

    /// Makes everything written so far survive a loss of power.
    ///
    /// # Errors
    /// [`SpoolError::Folder`].
    pub fn sync(&self) -> Result<(), SpoolError> {
        self.map_error(self.journal.lock().sync())
    }

    /// The number of entries, and the length of the file in bytes.
    pub fn size(&self) -> (usize, u64) {
        let journal = self.journal.lock();
        (journal.live(), journal.length())
    }

    fn map_error<T>(&self, result: std::io::Result<T>) -> Result<T, SpoolError> {
        result.map_err(|error| self.slot.problem(error))
    }
}

/// Writes so many bytes beside the file, and removes them.
fn try_file(file: &Path, bytes: usize) -> std::io::Result<()> {
    let written = std::fs::write(file, vec![b' '; bytes]);
    let removed = std::fs::remove_file(file);
    written.and(removed)
}

fn fatal_outcome(alert: AlertId, token: LeaseToken) -> Outcome {
    let why = format!(
        "the service crashed {MOST_CRASHES} times while it made the message of this alert; insert it again with less content, and report what it contained"
    );
    Outcome {
        alert,
        token,
        kind: OutcomeKind::Decided(Box::new(Decision::failed(why))),
    }
}

#[cfg(test)]
mod tests;
