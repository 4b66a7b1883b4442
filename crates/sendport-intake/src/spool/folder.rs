//! The folder of a spool. A file gets its name when it is complete: what has another name never got a `250`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sendport_core::domain::{ReceivedMessage, TransactionId};

use super::SpoolError;
use super::file::{self, SpooledMessage, Unreadable};

const SUFFIX: &str = ".msg";

/// Of a file that is being written.
const INCOMPLETE: &str = ".msg.incomplete";

/// In the folder: what is not brought to the database.
const REFUSED: &str = "refused";

/// Of a refused message.
const MESSAGE_FILE: &str = ".eml";

/// The name of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) order: u64,
    pub(super) transaction: TransactionId,
}

impl Key {
    /// `None` for a name that no spool writes.
    fn parse(name: &str, suffix: &str) -> Option<Self> {
        let (order, id) = name.strip_suffix(suffix)?.split_once('_')?;
        let key = Self {
            order: order.parse().ok()?,
            transaction: TransactionId::parse(id)?,
        };
        (key.name(suffix) == name).then_some(key)
    }

    fn name(self, suffix: &str) -> String {
        format!("{:020}_{}{suffix}", self.order, self.transaction)
    }
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: Key,
    /// Of its file.
    pub(super) bytes: u64,
    /// When it was accepted, where the system says it.
    pub(super) since: Option<SystemTime>,
}

/// Why a message is not brought to the database.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The database never takes it, and says this.
    ByDatabase(String),
    /// The file is not what was written.
    Damaged(&'static str),
}

impl Refusal {
    /// What happened, why, and what to do.
    fn in_words(&self) -> (&'static str, &str, &'static str) {
        match self {
            Self::ByDatabase(why) => (
                "the database refused the message",
                why,
                "Correct what the reason names, then submit the file again.",
            ),
            Self::Damaged(what) => (
                "its file in the spool was damaged",
                what,
                "Ask the sender for the message, or compare the file with what the sender has, and submit it again.",
            ),
        }
    }
}

/// The messages of a folder, in their order.
pub(super) fn list(folder: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for file in fs::read_dir(folder)? {
        let file = file?;
        let name = file.file_name();
        let Some(key) = name.to_str().and_then(|name| Key::parse(name, SUFFIX)) else {
            continue;
        };
        match file.metadata() {
            Ok(metadata) if metadata.is_file() => entries.push(Entry {
                key,
                bytes: metadata.len(),
                since: metadata.modified().ok(),
            }),
            // No spool made it.
            Ok(_) => {}
            // It was committed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // Reading it says why.
            Err(_) => entries.push(Entry {
                key,
                bytes: 0,
                since: None,
            }),
        }
    }
    entries.sort_by_key(|entry| entry.key);
    Ok(entries)
}

/// How many refused messages are in a folder.
pub(super) fn refused(folder: &Path) -> io::Result<usize> {
    let files = match fs::read_dir(folder.join(REFUSED)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        files => files?,
    };
    let names: io::Result<Vec<_>> = files.map(|file| Ok(file?.file_name())).collect();
    let is_message = |name: &&std::ffi::OsString| {
        let name = name.to_str();
        name.is_some_and(|name| name.ends_with(MESSAGE_FILE))
    };
    Ok(names?.iter().filter(is_message).count())
}

/// Messages of one database are never brought to another one.
pub(super) fn refuse_other(
    folder: &Path,
    entries: &[Entry],
    expected: &str,
) -> Result<(), SpoolError> {
    let path = |entry: &Entry| folder.join(entry.key.name(SUFFIX));
    // What cannot be read is reported when it is its turn.
    let databases = entries
        .iter()
        .filter_map(|entry| file::database(&path(entry)).ok());
    let others: Vec<_> = databases.filter(|found| found != expected).collect();
    match others.first() {
        None => Ok(()),
        Some(found) => Err(SpoolError::OtherDatabase {
            folder: folder.to_owned(),
            count: others.len(),
            found: found.clone(),
            expected: expected.to_owned(),
        }),
    }
}

/// The folder of one spool.
pub(super) struct SpoolFolder {
    path: PathBuf,
    /// Identity of the database of its messages.
    database: String,
}

impl SpoolFolder {
    /// Makes it, and removes files that a crash left incomplete: they never got a `250`.
    pub(super) fn open(path: &Path, database: &str) -> io::Result<Self> {
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        {
            use std::os::unix::fs::DirBuilderExt as _;
            builder.mode(0o700);
        }
        builder.recursive(true).create(path)?;
        // Of the folder of the spools and the state folder, too, which may be new.
        let parents = path.ancestors().skip(1).take(2);
        parents
            .filter(|it| !it.as_os_str().is_empty())
            .try_for_each(sync)?;
        for file in fs::read_dir(path)? {
            let file = file?;
            let name = file.file_name();
            let key = name.to_str().and_then(|it| Key::parse(it, INCOMPLETE));
            if key.is_some()
                && let Err(error) = fs::remove_file(file.path())
            {
                let path = file.path();
                tracing::warn!(path = %path.display(), %error, "an incomplete file of the spool cannot be removed");
            }
        }
        Ok(Self {
            path: path.to_owned(),
            database: database.to_owned(),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Identity of the database of its messages.
    pub(super) fn database(&self) -> &str {
        &self.database
    }

    fn file(&self, key: Key) -> PathBuf {
        self.path.join(key.name(SUFFIX))
    }

    /// When this returns, no crash loses the message.
    pub(super) fn write(&self, key: Key, message: &ReceivedMessage) -> io::Result<Entry> {
        let incomplete = self.path.join(key.name(INCOMPLETE));
        let complete = self.file(key);
        let written = file::write(&incomplete, &self.database, message).and_then(|metadata| {
            fs::rename(&incomplete, &complete)?;
            sync(&self.path)?;
            Ok(Entry {
                key,
                bytes: metadata.len(),
                since: metadata.modified().ok(),
            })
        });
        if written.is_err() {
            // Nobody gets a reply: the next start removes or commits it.
            let _removed = fs::remove_file(incomplete).or_else(|_| fs::remove_file(complete));
        }
        written
    }

    /// The message.
    pub(super) fn read(&self, entry: &Entry) -> Result<SpooledMessage, Unreadable> {
        file::read(&self.file(entry.key))
    }

    /// Removes a message that is committed.
    pub(super) fn remove(&self, entry: &Entry) -> io::Result<()> {
        match fs::remove_file(self.file(entry.key)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Moves a message to the refused ones, as a message file with a text; returns its place.
    pub(super) fn refuse(
        &self,
        entry: &Entry,
        message: Option<&ReceivedMessage>,
        intake: &str,
        refusal: &Refusal,
    ) -> io::Result<PathBuf> {
        let folder = self.path.join(REFUSED);
        fs::create_dir_all(&folder)?;
        let name = format!("{}{MESSAGE_FILE}", entry.key.transaction);
        let file = folder.join(&name);
        let (what, why, advice) = refusal.in_words();
        let mut text = format!(
            "This message was accepted and not sent: a client got 250, and {what}.\n\nReason: {why}\nIntake: {intake}\n"
        );
        if let Some(message) = message {
            text += &format!("Sender: <{}>\n", message.envelope.reverse_path.as_str());
            for recipient in &message.envelope.recipients {
                text += &format!("Recipient: <{}>\n", recipient.address);
            }
        }
        text += &format!("\n{advice} Nothing removes this file.\n");
        let mut explained = File::create(folder.join(name + ".txt"))?;
        explained.write_all(text.as_bytes())?;
        explained.sync_all()?;
        fs::rename(self.file(entry.key), &file)?;
        if let Some(message) = message {
            // Without the envelope behind the octets.
            let refused = OpenOptions::new().write(true).open(&file)?;
            refused.set_len(message.content.size())?;
            refused.sync_all()?;
        }
        sync(&folder)?;
        sync(&self.path)?;
        Ok(file)
    }
}

/// Makes the names in a folder durable.
#[cfg(unix)]
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// NTFS writes names in order.
#[cfg(not(unix))]
fn sync(_: &Path) -> io::Result<()> {
    Ok(())
}
