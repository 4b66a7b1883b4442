//! What the database does not know yet, kept on this machine.
//!
//! A folder holds a slot for each instance that runs on it: a journal, and a lock that ends
//! with its process. Into the journal goes a note right before each final dot, and each outcome
//! as soon as it is known; both are crossed out when the database has recorded them. So what
//! is left over after a death says which few attempts are in doubt, and that nothing else was
//! handed over.
//!
//! Notes and outcomes survive the death of the process at once (no fsync); [`Spool::sync`]
//! makes them survive the machine's, when the database cannot take them.

mod journal;
mod preparations;
mod slot;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use crate::domain::{
    AlertId, Decision, InstanceId, LeaseToken, Outcome, OutcomeKind, SubmissionIntent,
};
use journal::{Entry, Journal, Owner};
use preparations::{MOST_DEATHS, Preparations};
use slot::Slot;

/// So many octets have to fit into a state folder at least: a note, and an outcome.
const LINE: usize = 8192;

/// So many have to fit into one that was full: as long as a journal becomes before it is written
/// anew. With less it would soon be full again.
const ROOM: usize = journal::SHORT;

/// Why a spool cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The folder or a file in it.
    #[error("the state folder {} cannot be used: {problem}", .folder.display())]
    Folder {
        /// Which.
        folder: PathBuf,
        /// What the system says.
        problem: String,
    },
    /// What is left over belongs to another database.
    #[error(
        "the state folder {} holds {count} outcomes for {found}, but this service works on {expected}; \
         run it on {found} once, or name another service.state_folder", .folder.display()
    )]
    OtherDatabase {
        /// Which folder.
        folder: PathBuf,
        /// How much is left over.
        count: usize,
        /// Whose it is.
        found: String,
        /// What is configured.
        expected: String,
    },
}

/// What a dead instance left over.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LeftOver {
    /// Its id: its leases may still stand in the database.
    pub instance: Option<InstanceId>,
    /// Known, but perhaps not recorded.
    pub outcomes: Vec<Outcome>,
    /// The final dot was about to be sent, and nobody saw what became of it.
    pub in_doubt: Vec<SubmissionIntent>,
}

/// What a service finds in a state folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// It can write.
    Enough,
    /// It can write, but one that found it full would still wait for more room.
    Little,
    /// The folder is not there; it makes it.
    ToBeMade,
}

/// What is kept about one database is not recorded in another.
fn refuse_other(journal: &Journal, folder: &Path, expected: &str) -> Result<(), SpoolError> {
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

/// One slot of a state folder, ours until it is dropped or the process ends.
#[derive(Debug)]
pub struct Spool {
    journal: Mutex<Journal>,
    preparations: Mutex<Preparations>,
    slot: Slot,
}

impl Spool {
    /// Enters a state folder: takes a free slot, and every slot in which a dead instance left
    /// something over. The first of the result is to be worked with, all are to be recovered.
    ///
    /// # Errors
    /// [`SpoolError`], before anything was changed.
    pub fn enter(folder: &Path, database: &str) -> Result<Vec<Self>, SpoolError> {
        let slots = slot::take_free(folder)?;
        let spools = slots.into_iter().map(|slot| Self::open(slot, database));
        let spools: Vec<_> = spools.collect::<Result<_, _>>()?;
        spools.iter().try_for_each(Self::try_line)?;
        Ok(spools)
    }

    /// Whether a service could write in a state folder, and work on `database` with what is kept there; a
    /// service that runs on it is not disturbed, and the folder is not made.
    ///
    /// # Errors
    /// [`SpoolError`], as [`Self::enter`].
    pub fn try_folder(folder: &Path, database: Option<&str>) -> Result<Room, SpoolError> {
        let told = |error: &std::io::Error| slot::unusable(folder, error);
        let there = std::path::absolute(folder).map_err(|error| told(&error))?;
        let there = there.ancestors().find(|it| it.exists()).unwrap_or(folder);
        let trial = there.join(format!(".sendport-trial-{}", std::process::id()));
        try_file(&trial, LINE).map_err(|error| told(&error))?;
        if there != folder && !folder.exists() {
            return Ok(Room::ToBeMade);
        }
        let used = slot::take_used(folder).map_err(|error| told(&error))?;
        for slot in &used {
            let journal = Journal::open(slot.file()).map_err(|error| told(&error))?;
            database.map_or(Ok(()), |it| refuse_other(&journal, folder, it))?;
        }
        let room = try_file(&trial, ROOM).is_ok();
        Ok(if room { Room::Enough } else { Room::Little })
    }

    /// Whether the next line can be written.
    ///
    /// # Errors
    /// [`SpoolError::Folder`].
    pub fn try_line(&self) -> Result<(), SpoolError> {
        self.told(try_file(&self.slot.file().with_extension("trial"), LINE))
    }

    /// Whether everything can be written until the journal is written anew.
    ///
    /// # Errors
    /// [`SpoolError::Folder`].
    pub fn try_room(&self) -> Result<(), SpoolError> {
        self.told(try_file(&self.slot.file().with_extension("trial"), ROOM))
    }

    fn open(slot: Slot, expected: &str) -> Result<Self, SpoolError> {
        let journal = Journal::open(slot.file()).map_err(|error| slot.problem(&error))?;
        refuse_other(&journal, slot.folder(), expected)?;
        let beside = slot.file().with_extension("preparing");
        let mut preparations = Preparations::open(&beside).map_err(|error| slot.problem(&error))?;
        if journal.owner().is_none_or(|it| it.database != expected) {
            preparations.clear().map_err(|error| slot.problem(&error))?;
        }
        Ok(Self {
            journal: Mutex::new(journal),
            preparations: Mutex::new(preparations),
            slot,
        })
    }

    /// What was left over; empty where the last instance ended in order.
    ///
    /// # Errors
    /// [`SpoolError::Folder`].
    pub fn left_over(&self) -> Result<LeftOver, SpoolError> {
        let journal = self.journal.lock();
        let mut left = LeftOver {
            instance: journal.owner().map(|owner| owner.instance),
            ..LeftOver::default()
        };
        for entry in journal.entries() {
            match self.told(entry)? {
                Entry::Outcome(outcome) => left.outcomes.push(outcome.into_owned()),
                Entry::Note(note) => left.in_doubt.push(note.into_owned()),
                Entry::Owner(_) | Entry::Forget(_) => {}
            }
        }
        Ok(left)
    }

    /// From now on the slot is this instance's, also where that cannot be written yet.
    ///
    /// # Errors
    /// [`SpoolError::Folder`]; written before the next note then.
    pub fn begin(&self, instance: InstanceId, database: &str) -> Result<(), SpoolError> {
        let owner = Owner {
            instance,
            database: database.to_owned(),
        };
        self.told(self.journal.lock().begin(owner))
    }

    /// The instance has ended. What is left over stays, with its name.
    ///
    /// # Errors
    /// [`SpoolError::Folder`].
    pub fn end(&self) -> Result<(), SpoolError> {
        self.told(self.journal.lock().end())
    }

    /// The database has everything that was noted here.
    pub fn is_empty(&self) -> bool {
        self.journal.lock().live() == 0
    }

    /// Writes the file anew: afterwards the folder has proved that it can be written.
    ///
    /// # Errors
    /// [`SpoolError::Folder`]: it cannot; nothing was lost.
    pub fn write_anew(&self) -> Result<(), SpoolError> {
        self.told(self.journal.lock().write_anew())
    }

    /// Notes that the message of an alert is being made: if this process dies meanwhile, that is
    /// held against the alert.
    ///
    /// # Errors
    /// [`SpoolError::Folder`].
    pub fn preparing(&self, alert: AlertId, token: LeaseToken) -> Result<(), SpoolError> {
        self.told(self.preparations.lock().begin(alert, token))
    }

    /// Notes that it is made, or is not to be made: no death is held against the alert any more.
    ///
    /// # Errors
    /// [`SpoolError::Folder`].
    pub fn prepared(&self, alert: AlertId) -> Result<(), SpoolError> {
        self.told(self.preparations.lock().end(alert))
    }

    /// An instance died here while it made the message of this alert, among others perhaps.
    pub fn is_suspect(&self, alert: AlertId) -> bool {
        self.preparations.lock().is_suspect(alert)
    }

    /// Holds the death of the instance that worked here against the alerts whose messages it was
    /// making. One that this is the third death for fails: that is left over as its outcome. Those.
    ///
    /// # Errors
    /// [`SpoolError::Folder`]; nothing is held against any then.
    pub fn charge_death(&self) -> Result<Vec<Outcome>, SpoolError> {
        let fatal = self.preparations.lock().fatal().into_iter();
        let fatal: Vec<_> = fatal.map(|(it, token)| fatal_outcome(it, token)).collect();
        fatal.iter().try_for_each(|outcome| self.keep(outcome))?;
        self.told(self.preparations.lock().charge())?;
        Ok(fatal)
    }

    /// Notes that a final dot is about to be sent.
    ///
    /// # Errors
    /// [`SpoolError::Folder`]: the dot must not be sent then.
    pub fn note(&self, note: &SubmissionIntent) -> Result<(), SpoolError> {
        let line = Entry::Note(Cow::Borrowed(note)).line();
        self.told(line.and_then(|line| self.journal.lock().write((note.alert, note.token), line)))
    }

    /// Notes an outcome that decides something.
    ///
    /// # Errors
    /// [`SpoolError::Folder`].
    pub fn keep(&self, outcome: &Outcome) -> Result<(), SpoolError> {
        if matches!(outcome.kind, OutcomeKind::Released { .. }) {
            return Ok(());
        }
        let line = Entry::Outcome(Cow::Borrowed(outcome)).line();
        self.told(line.and_then(|line| {
            self.journal
                .lock()
                .write((outcome.alert, outcome.token), line)
        }))
    }

    /// The database has recorded these.
    ///
    /// # Errors
    /// [`SpoolError::Folder`]; they are recorded again after a restart, which changes nothing.
    pub fn forget(&self, outcomes: &[Outcome]) -> Result<(), SpoolError> {
        let keys = outcomes
            .iter()
            .map(|outcome| (outcome.alert, outcome.token));
        self.told(self.journal.lock().forget(keys))
    }

    /// Everything written so far survives a loss of power.
    ///
    /// # Errors
    /// [`SpoolError::Folder`].
    pub fn sync(&self) -> Result<(), SpoolError> {
        self.told(self.journal.lock().sync())
    }

    /// How many entries it holds, and the octets of its file.
    pub fn size(&self) -> (usize, u64) {
        let journal = self.journal.lock();
        (journal.live(), journal.length())
    }

    fn told<T>(&self, result: std::io::Result<T>) -> Result<T, SpoolError> {
        result.map_err(|error| self.slot.problem(&error))
    }
}

/// Writes so many octets beside the journal, and takes them away again.
fn try_file(file: &Path, octets: usize) -> std::io::Result<()> {
    let written = std::fs::write(file, vec![b' '; octets]);
    let removed = std::fs::remove_file(file);
    written.and(removed)
}

fn fatal_outcome(alert: AlertId, token: LeaseToken) -> Outcome {
    let why = format!(
        "the service died {MOST_DEATHS} times while it made the message of this alert; insert it again with less in it, and report what was in it"
    );
    Outcome {
        alert,
        token,
        kind: OutcomeKind::Decided(Box::new(Decision::failed(why))),
    }
}

#[cfg(test)]
mod tests;
