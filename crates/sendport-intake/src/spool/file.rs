//! One file of a spool: the octets of a message; the rest of it and its database in JSON; the length of that; the
//! SHA-256 of all before; a mark.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use openssl::sha::Sha256;
use sendport_core::domain::ReceivedMessage;
use sendport_core::received_content::ReceivedContent;
use sendport_core::regular_file;
use serde::{Deserialize, Serialize};

/// The end of a complete file; the number is that of its form.
const MARK: &[u8; 8] = b"SPOOLED1";

const LENGTH: usize = 8;
const DIGEST: usize = 32;

/// The length, the digest and the mark.
const TRAILER: usize = LENGTH + DIGEST + MARK.len();

/// Longest JSON: an envelope of 10,000 recipients has less.
const LONGEST_REST: u64 = 64 << 20;

/// Bytes of one write.
const PIECE: usize = 256 * 1024;

/// What is behind the octets.
#[derive(Serialize)]
struct Rest<'a> {
    database: &'a str,
    message: &'a ReceivedMessage,
}

/// A message that was kept for a database.
#[derive(Debug, Deserialize)]
pub(super) struct SpooledMessage {
    /// Identity of the database.
    pub(super) database: String,
    /// Its octets are read from the file when they are needed.
    pub(super) message: ReceivedMessage,
}

/// Why a file has no message.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// What the system says.
    Io(io::Error),
    /// The file is not what was written.
    Damaged {
        what: &'static str,
        /// Where the end of the file can still be read.
        message: Option<Box<ReceivedMessage>>,
    },
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => damaged("it is cut"),
            _ => Self::Io(error),
        }
    }
}

fn damaged(what: &'static str) -> Unreadable {
    Unreadable::Damaged {
        what,
        message: None,
    }
}

/// Writes a new file, and syncs it.
pub(super) fn write(
    path: &Path,
    database: &str,
    message: &ReceivedMessage,
) -> io::Result<Metadata> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = BufWriter::new(options.open(path)?);
    let mut hash = Sha256::new();
    let mut put = |bytes: &[u8]| {
        hash.update(bytes);
        file.write_all(bytes)
    };
    message.content.pieces(PIECE, &mut put)?;
    let rest = serde_json::to_vec(&Rest { database, message })?;
    put(&rest)?;
    put(&(rest.len() as u64).to_be_bytes())?;
    file.write_all(&hash.finish())?;
    file.write_all(MARK)?;
    file.flush()?;
    file.get_ref().sync_all()?;
    file.get_ref().metadata()
}

/// The message, after all bytes were compared with their digest.
pub(super) fn read(path: &Path) -> Result<SpooledMessage, Unreadable> {
    let mut end = FileEnd::read(path)?;
    let rest = serde_json::from_slice::<SpooledMessage>(&end.rest);
    let found = end.digest()?;
    let spooled = rest.ok().map(|spooled| SpooledMessage {
        message: ReceivedMessage {
            content: ReceivedContent::File {
                file: end.file,
                length: end.content,
            },
            ..spooled.message
        },
        ..spooled
    });
    match spooled {
        Some(spooled) if found == end.expected => Ok(spooled),
        spooled => Err(Unreadable::Damaged {
            what: "its bytes are not those that were written (SHA-256)",
            message: spooled.map(|it| Box::new(it.message)),
        }),
    }
}

/// The database of the message; the digest is not looked at.
pub(super) fn database(path: &Path) -> Result<String, Unreadable> {
    #[derive(Deserialize)]
    struct Owner {
        database: String,
    }
    let end = FileEnd::read(path)?;
    let owner: Result<Owner, _> = serde_json::from_slice(&end.rest);
    let owner = owner.map_err(|_| damaged("its end cannot be read"))?;
    Ok(owner.database)
}

/// A file, and what is behind its octets.
struct FileEnd {
    file: File,
    /// The number of its octets.
    content: u64,
    rest: Vec<u8>,
    expected: [u8; DIGEST],
}

impl FileEnd {
    fn read(path: &Path) -> Result<Self, Unreadable> {
        let mut file = regular_file::open(path)?;
        let at = file.metadata()?.len().checked_sub(TRAILER as u64);
        let at = at.ok_or_else(|| damaged("it is cut"))?;
        let mut length = [0; LENGTH];
        let mut expected = [0; DIGEST];
        let mut mark = [0; MARK.len()];
        file.seek(SeekFrom::Start(at))?;
        for part in [&mut length[..], &mut expected, &mut mark] {
            file.read_exact(part)?;
        }
        if mark != *MARK {
            return Err(damaged("its end is missing"));
        }
        let length = u64::from_be_bytes(length);
        let content = at.checked_sub(length).filter(|_| length <= LONGEST_REST);
        let content = content.ok_or_else(|| damaged("its length is wrong"))?;
        file.seek(SeekFrom::Start(content))?;
        let mut rest = Vec::new();
        (&file).take(length).read_to_end(&mut rest)?;
        Ok(Self {
            file,
            content,
            rest,
            expected,
        })
    }

    /// Of all that was read, and of the octets.
    fn digest(&mut self) -> io::Result<[u8; DIGEST]> {
        let mut hash = Sha256::new();
        let mut buffer = vec![0; PIECE];
        self.file.seek(SeekFrom::Start(0))?;
        let mut octets = (&self.file).take(self.content);
        loop {
            match octets.read(&mut buffer)? {
                0 => break,
                length => hash.update(&buffer[..length]),
            }
        }
        hash.update(&self.rest);
        hash.update(&(self.rest.len() as u64).to_be_bytes());
        Ok(hash.finish())
    }
}
