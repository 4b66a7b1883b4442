//! The files of a spool: the octets of a message, then the rest of it in JSON, then the length of that, then a mark.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sendport_core::domain::{ReceivedMessage, TransactionId};
use sendport_core::received_content::ReceivedContent;

/// The end of a complete file; the number is that of its form.
const MARK: &[u8; 8] = b"SPOOLED1";

/// The length and the mark.
const TRAILER: u64 = 16;

/// Longest JSON: an envelope of 10,000 recipients has less.
const LONGEST_ENVELOPE: u64 = 64 << 20;

const SUFFIX: &str = ".msg";

/// Bytes of one write.
const PIECE: usize = 256 * 1024;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) order: u64,
    transaction: TransactionId,
    /// Of its file.
    pub(super) bytes: u64,
    /// When it was accepted.
    pub(super) since: SystemTime,
}

impl Entry {
    fn parse(name: &str) -> Option<(u64, TransactionId)> {
        let (order, id) = name.strip_suffix(SUFFIX)?.split_once('_')?;
        Some((order.parse().ok()?, TransactionId::parse(id)?))
    }
}

fn name(order: u64, transaction: TransactionId) -> String {
    format!("{order:020}_{transaction}{SUFFIX}")
}

/// Why a file has no message.
#[derive(Debug)]
pub(super) enum Unreadable {
    Io(io::Error),
    Malformed(String),
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Malformed("it is cut".to_owned()),
            _ => Self::Io(error),
        }
    }
}

/// Complete and other files of a folder, in their order; none where there is no folder.
pub(super) fn list(folder: &Path) -> io::Result<Vec<Entry>> {
    let found = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        found => found?,
    };
    let mut entries = Vec::new();
    for file in found {
        let file = file?;
        let name = file.file_name();
        let Some((order, transaction)) = name.to_str().and_then(Entry::parse) else {
            continue;
        };
        let metadata = match file.metadata() {
            // It was committed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            metadata => metadata?,
        };
        entries.push(Entry {
            order,
            transaction,
            bytes: metadata.len(),
            since: metadata.modified()?,
        });
    }
    entries.sort_by_key(|entry| entry.order);
    Ok(entries)
}

/// The folder of one spool.
pub(super) struct SpoolFolder(PathBuf);

impl SpoolFolder {
    /// Makes it, lists its messages, and removes files that a crash left incomplete: nobody got a reply to them.
    pub(super) fn open(folder: &Path) -> io::Result<(Self, Vec<Entry>)> {
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        {
            use std::os::unix::fs::DirBuilderExt as _;
            builder.mode(0o700);
        }
        builder.recursive(true).create(folder)?;
        // Of the folder of the spools and the state folder, too, which may be new.
        let parents = folder.ancestors().skip(1).take(2);
        parents
            .filter(|it| !it.as_os_str().is_empty())
            .try_for_each(sync)?;
        let opened = Self(folder.to_owned());
        let mut entries = list(folder)?;
        let mut incomplete = Vec::new();
        entries.retain(|entry| match opened.is_complete(entry) {
            Ok(true) => true,
            Ok(false) => {
                incomplete.push(entry.clone());
                false
            }
            // `read` says why.
            Err(_) => true,
        });
        incomplete
            .iter()
            .try_for_each(|entry| opened.remove(entry))?;
        Ok((opened, entries))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    fn file(&self, entry: &Entry) -> PathBuf {
        self.0.join(name(entry.order, entry.transaction))
    }

    fn is_complete(&self, entry: &Entry) -> io::Result<bool> {
        let file = File::open(self.file(entry))?;
        let length = file.metadata()?.len();
        match length.checked_sub(MARK.len() as u64) {
            Some(at) => Ok(bytes_at(file, at, MARK.len() as u64)? == MARK),
            None => Ok(false),
        }
    }

    /// When this returns, no crash loses the message.
    pub(super) fn write(&self, order: u64, message: &ReceivedMessage) -> io::Result<Entry> {
        let transaction = message.transaction;
        let path = self.0.join(name(order, transaction));
        let written = write(&path, message).and_then(|metadata| {
            sync(&self.0)?;
            Ok(Entry {
                order,
                transaction,
                bytes: metadata.len(),
                since: metadata.modified()?,
            })
        });
        if written.is_err() {
            // It has no mark, or nobody gets a reply: the next start removes or commits it.
            let _removed = fs::remove_file(path);
        }
        written
    }

    /// The message, whose octets are read from the file when they are needed.
    pub(super) fn read(&self, entry: &Entry) -> Result<ReceivedMessage, Unreadable> {
        let file = File::open(self.file(entry))?;
        let malformed = |what: &str| Unreadable::Malformed(what.to_owned());
        let at = file.metadata()?.len().checked_sub(TRAILER);
        let at = at.ok_or_else(|| malformed("it is cut"))?;
        let trailer = bytes_at(file.try_clone()?, at, TRAILER)?;
        let (length, mark) = trailer.split_at(8);
        if mark != MARK {
            return Err(malformed("it is not complete"));
        }
        let length = u64::from_be_bytes(length.try_into().unwrap_or_default());
        let content = at
            .checked_sub(length)
            .filter(|_| length <= LONGEST_ENVELOPE);
        let content = content.ok_or_else(|| malformed("its length is wrong"))?;
        let envelope = bytes_at(file.try_clone()?, content, length)?;
        let message: ReceivedMessage = serde_json::from_slice(&envelope)
            .map_err(|error| Unreadable::Malformed(error.to_string()))?;
        Ok(ReceivedMessage {
            content: ReceivedContent::File {
                file,
                length: content,
            },
            ..message
        })
    }

    /// Removes a message that is committed.
    pub(super) fn remove(&self, entry: &Entry) -> io::Result<()> {
        match fs::remove_file(self.file(entry)) {
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
        why: &str,
    ) -> io::Result<PathBuf> {
        let folder = self.0.join("refused");
        fs::create_dir_all(&folder)?;
        let file = folder.join(format!("{}.eml", entry.transaction));
        let mut text = format!(
            "This message was accepted and not sent: a client got 250, and the database refused the message.\n\n\
             Reason: {why}\nIntake: {intake}\n"
        );
        if let Some(message) = message {
            text += &format!("Sender: <{}>\n", message.envelope.reverse_path.as_str());
            for recipient in &message.envelope.recipients {
                text += &format!("Recipient: <{}>\n", recipient.address);
            }
        }
        text +=
            "\nCorrect what the reason names, then submit the file again. Nothing removes it.\n";
        let mut explained = File::create(folder.join(format!("{}.eml.txt", entry.transaction)))?;
        explained.write_all(text.as_bytes())?;
        explained.sync_all()?;
        fs::rename(self.file(entry), &file)?;
        if let Some(message) = message {
            // Without the envelope behind the octets.
            let refused = OpenOptions::new().write(true).open(&file)?;
            refused.set_len(message.content.size())?;
            refused.sync_all()?;
        }
        sync(&folder)?;
        sync(&self.0)?;
        Ok(file)
    }
}

fn write(path: &Path, message: &ReceivedMessage) -> io::Result<Metadata> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = BufWriter::new(options.open(path)?);
    message
        .content
        .pieces(PIECE, |piece| file.write_all(piece))?;
    let envelope = serde_json::to_vec(message)?;
    file.write_all(&envelope)?;
    file.write_all(&(envelope.len() as u64).to_be_bytes())?;
    file.write_all(MARK)?;
    file.flush()?;
    file.get_ref().sync_all()?;
    file.get_ref().metadata()
}

/// So many bytes at this offset.
fn bytes_at(file: File, at: u64, length: u64) -> io::Result<Vec<u8>> {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let mut file = file;
    file.seek(SeekFrom::Start(at))?;
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
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
