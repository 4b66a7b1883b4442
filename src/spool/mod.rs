//! What the database does not know yet, kept on this machine.
//!
//! A folder holds a slot for each instance that runs on it: a small SQLite file, and a lock
//! that ends with its process. Into a slot goes a note right before each final dot, and each
//! outcome as soon as it is known; both leave it when the database has recorded them. So what
//! is left over after a death says which few attempts are in doubt, and that nothing else was
//! handed over.
//!
//! Notes and outcomes survive the death of the process at once (no fsync); [`Spool::sync`]
//! makes them survive the machine's, when the database cannot take them.

mod slot;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, params};
use uuid::Uuid;

use crate::domain::{AlertId, DotNote, InstanceId, LeaseToken, Outcome, OutcomeKind};
use slot::Slot;

/// Why a spool cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The folder or a file in it.
    #[error("the state folder {} cannot be used: {problem}", .folder.display())]
    Folder {
        /// Which.
        folder: PathBuf,
        /// What the system or SQLite says.
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
        count: u32,
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
    pub in_doubt: Vec<DotNote>,
}

/// One slot of a state folder, ours until it is dropped or the process ends.
#[derive(Debug)]
pub struct Spool {
    connection: Mutex<Connection>,
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
        spools.collect()
    }

    fn open(slot: Slot, database: &str) -> Result<Self, SpoolError> {
        let problem = |error: rusqlite::Error| slot.problem(&error);
        let connection = Connection::open(slot.file()).map_err(problem)?;
        connection
            .execute_batch(include_str!("sql/open.sql"))
            .map_err(problem)?;
        let spool = Self {
            connection: Mutex::new(connection),
            slot,
        };
        spool.check_database(database)?;
        Ok(spool)
    }

    fn check_database(&self, expected: &str) -> Result<(), SpoolError> {
        let connection = self.lock();
        let count = "SELECT count(*) FROM Work";
        let count: u32 = self.told(connection.query_row(count, [], |row| row.get(0)))?;
        let found = connection.query_row("SELECT Database FROM Owner", [], |row| row.get(0));
        let found: Option<String> = self.told(rusqlite::OptionalExtension::optional(found))?;
        match found.filter(|found| found != expected && count > 0) {
            None => Ok(()),
            Some(found) => Err(SpoolError::OtherDatabase {
                folder: self.slot.folder().to_owned(),
                count,
                found,
                expected: expected.to_owned(),
            }),
        }
    }

    /// What was left over; empty where the last instance ended in order.
    ///
    /// # Errors
    /// [`SpoolError::Folder`].
    pub fn left_over(&self) -> Result<LeftOver, SpoolError> {
        let connection = self.lock();
        let owner = connection.query_row("SELECT InstanceId FROM Owner", [], |row| {
            row.get::<_, String>(0)
        });
        let owner = self.told(rusqlite::OptionalExtension::optional(owner))?;
        let mut left = LeftOver {
            instance: owner
                .and_then(|id| Uuid::parse_str(&id).ok())
                .map(InstanceId),
            ..LeftOver::default()
        };
        let mut statement = self.told(connection.prepare("SELECT Outcome, Note FROM Work"))?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        for row in self.told(rows)? {
            let (outcome, note): (Option<String>, Option<String>) = self.told(row)?;
            match (outcome, note) {
                (Some(outcome), _) => left.outcomes.push(self.read(&outcome)?),
                (None, Some(note)) => left.in_doubt.push(self.read(&note)?),
                (None, None) => {}
            }
        }
        Ok(left)
    }

    fn read<T: serde::de::DeserializeOwned>(&self, json: &str) -> Result<T, SpoolError> {
        serde_json::from_str(json).map_err(|error| self.slot.problem(&error))
    }

    /// From now on the slot is this instance's.
    ///
    /// # Errors
    /// [`SpoolError::Folder`].
    pub fn begin(&self, instance: InstanceId, database: &str) -> Result<(), SpoolError> {
        let mut connection = self.lock();
        let transaction = self.told(connection.transaction())?;
        self.told(transaction.execute("DELETE FROM Owner", []))?;
        let insert = "INSERT INTO Owner (InstanceId, Database) VALUES (?1, ?2)";
        let values = params![instance.0.to_string(), database];
        self.told(transaction.execute(insert, values))?;
        self.told(transaction.commit())
    }

    /// Nothing is left over: everything was recorded or released.
    ///
    /// # Errors
    /// [`SpoolError::Folder`].
    pub fn clear(&self) -> Result<(), SpoolError> {
        self.told(
            self.lock()
                .execute_batch("DELETE FROM Work; DELETE FROM Owner"),
        )
    }

    /// Notes that a final dot is about to be sent.
    ///
    /// # Errors
    /// [`SpoolError::Folder`]: the dot must not be sent then.
    pub fn note(&self, note: &DotNote) -> Result<(), SpoolError> {
        let json = serde_json::to_string(note).map_err(|error| self.slot.problem(&error))?;
        self.write(include_str!("sql/note.sql"), note.alert, note.token, &json)
    }

    /// Notes an outcome that decides something.
    ///
    /// # Errors
    /// [`SpoolError::Folder`].
    pub fn keep(&self, outcome: &Outcome) -> Result<(), SpoolError> {
        if matches!(outcome.kind, OutcomeKind::Released { .. }) {
            return Ok(());
        }
        let json = serde_json::to_string(outcome).map_err(|error| self.slot.problem(&error))?;
        self.write(
            include_str!("sql/keep.sql"),
            outcome.alert,
            outcome.token,
            &json,
        )
    }

    fn write(
        &self,
        sql: &str,
        alert: AlertId,
        token: LeaseToken,
        json: &str,
    ) -> Result<(), SpoolError> {
        let connection = self.lock();
        let mut statement = self.told(connection.prepare_cached(sql))?;
        self.told(statement.execute(params![alert.0, token.0.to_string(), json]))?;
        Ok(())
    }

    /// The database has recorded these.
    ///
    /// # Errors
    /// [`SpoolError::Folder`]; they are recorded again after a restart, which changes nothing.
    pub fn forget(&self, outcomes: &[Outcome]) -> Result<(), SpoolError> {
        let mut connection = self.lock();
        let transaction = self.told(connection.transaction())?;
        {
            let mut statement =
                self.told(transaction.prepare_cached(include_str!("sql/forget.sql")))?;
            for outcome in outcomes {
                self.told(
                    statement.execute(params![outcome.alert.0, outcome.token.0.to_string()]),
                )?;
            }
        }
        self.told(transaction.commit())
    }

    /// Everything written so far survives a loss of power.
    ///
    /// # Errors
    /// [`SpoolError::Folder`].
    pub fn sync(&self) -> Result<(), SpoolError> {
        self.told(self.lock().execute_batch(include_str!("sql/sync.sql")))
    }

    /// How many entries it holds, and the octets of its file.
    ///
    /// # Errors
    /// [`SpoolError::Folder`].
    pub fn size(&self) -> Result<(i64, i64), SpoolError> {
        let sql = include_str!("sql/size.sql");
        let numbers = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        self.told(self.lock().query_row(sql, [], numbers))
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn told<T>(&self, result: rusqlite::Result<T>) -> Result<T, SpoolError> {
        result.map_err(|error| self.slot.problem(&error))
    }
}

#[cfg(test)]
mod tests;
