//! Files beneath a folder, named by others: no name leads out of the folder, and no link is followed.

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;

use crate::regular_file::name_of;

/// Why a file beneath a folder was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder itself cannot be opened: it is missing, or the server of a share does not answer.
    #[error("the folder cannot be opened: {0}")]
    Folder(io::Error),
    /// A part of the path is a link.
    #[error("'{0}' is a link, and links are not followed; name the file itself")]
    Link(String),
    /// Something else has this name.
    #[error("it is {0}, not a regular file")]
    NotRegular(&'static str),
    /// The file has further names, which may be anywhere on the disk.
    #[error("the file has further names (hard links); copy it")]
    HardLink,
    /// Nothing has this name.
    #[error("there is no such file")]
    Missing,
    /// The system does not allow it to this process.
    #[error("the account of the service may not read it: {0}")]
    Denied(io::Error),
    /// Anything else, which may pass.
    #[error(transparent)]
    System(io::Error),
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::InvalidFilename => Self::Missing,
            io::ErrorKind::PermissionDenied => Self::Denied(error),
            _ => Self::System(error),
        }
    }
}

/// Opens a regular file by the names of its folders and its own, from `folder` on. Waits for no writer of a FIFO.
///
/// # Errors
/// [`OpenError`]. None of the names may be `..` or empty, or contain a separator: that is [`OpenError::Missing`].
pub fn open(folder: &Path, names: &[String]) -> Result<File, OpenError> {
    let Some((last, folders)) = names.split_last() else {
        return Err(OpenError::NotRegular("a folder"));
    };
    if !names.iter().all(|name| is_plain(name)) {
        return Err(OpenError::Missing);
    }
    let file = platform::open(folder, folders, last)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(OpenError::NotRegular(name_of(metadata.file_type())));
    }
    if platform::has_further_names(&metadata) {
        return Err(OpenError::HardLink);
    }
    Ok(file)
}

/// Whether the folder exists and its files can be reached.
///
/// # Errors
/// What the system says.
pub fn check_folder(folder: &Path) -> io::Result<()> {
    // The dot needs the right to search the folder, and mounts what is mounted when it is used.
    match std::fs::metadata(folder.join("."))?.is_dir() {
        true => Ok(()),
        false => Err(io::ErrorKind::NotADirectory.into()),
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && platform::is_plain(name)
}

#[cfg(unix)]
mod platform {
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::MetadataExt as _;

    use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, openat, statat};

    use super::{File, Metadata, OpenError, Path};

    /// To reach what is in a folder, the right to search it is enough.
    #[cfg(target_os = "linux")]
    const SEARCH: OFlags = OFlags::PATH;
    #[cfg(not(target_os = "linux"))]
    const SEARCH: OFlags = OFlags::RDONLY;

    pub(super) fn is_plain(name: &str) -> bool {
        !name.contains(['/', '\0'])
    }

    /// Each folder is opened in the one before it, so that nothing that is renamed or replaced meanwhile leads out.
    pub(super) fn open(folder: &Path, folders: &[String], last: &str) -> Result<File, OpenError> {
        let search = SEARCH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, folder.join("."), search, Mode::empty());
        let mut at = root.map_err(|error| OpenError::Folder(error.into()))?;
        for name in folders {
            let opened = openat(&at, name, search | OFlags::NOFOLLOW, Mode::empty());
            at = opened.map_err(|error| because(&at, name, error))?;
        }
        let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // Of a FIFO, it waits for a writer otherwise; a terminal becomes that of the process.
        let read = read | OFlags::NONBLOCK | OFlags::NOCTTY;
        let opened = openat(&at, last, read, Mode::empty());
        let file = opened.map_err(|error| because(&at, last, error))?;
        Ok(file.into())
    }

    /// The error, or what has this name instead.
    fn because(at: &OwnedFd, name: &str, error: rustix::io::Errno) -> OpenError {
        let found = statat(at, name, AtFlags::SYMLINK_NOFOLLOW);
        match found.map(|it| FileType::from_raw_mode(it.st_mode)) {
            Ok(FileType::Symlink) => OpenError::Link(name.to_owned()),
            // It cannot be opened.
            Ok(FileType::Socket) => OpenError::NotRegular("a socket"),
            _ => std::io::Error::from(error).into(),
        }
    }

    pub(super) fn has_further_names(metadata: &Metadata) -> bool {
        metadata.nlink() > 1
    }
}

#[cfg(not(unix))]
mod platform {
    use std::os::windows::fs::{MetadataExt as _, OpenOptionsExt as _};

    use super::{File, Metadata, OpenError, Path};

    /// `FILE_ATTRIBUTE_REPARSE_POINT`, `FILE_FLAG_OPEN_REPARSE_POINT`.
    const IS_REPARSE_POINT: u32 = 0x400;
    const OPEN_REPARSE_POINT: u32 = 0x0020_0000;

    /// Win32 gives these names another meaning: streams, devices, and dots and blanks that are left out.
    pub(super) fn is_plain(name: &str) -> bool {
        let stem = name.split('.').next().unwrap_or_default().trim_end();
        let is_numbered = |device: &str| {
            let rest = stem.get(..3).filter(|it| it.eq_ignore_ascii_case(device));
            rest.is_some() && stem.chars().count() == 4
        };
        let devices = ["con", "prn", "aux", "nul", "conin$", "conout$"];
        let is_device = devices.iter().any(|it| stem.eq_ignore_ascii_case(it));
        let odd = |c: char| c.is_control() || "<>:\"/\\|?*".contains(c);
        !name.ends_with(['.', ' '])
            && !name.contains(odd)
            && !is_device
            && !is_numbered("com")
            && !is_numbered("lpt")
    }

    /// By paths, as this system has no other way without unsafe code: each part is looked at before it is used, and
    /// the whole once more when the file is open.
    pub(super) fn open(folder: &Path, folders: &[String], last: &str) -> Result<File, OpenError> {
        let root = std::fs::canonicalize(folder).map_err(OpenError::Folder)?;
        let mut path = root.clone();
        for name in folders.iter().map(String::as_str).chain([last]) {
            path.push(name);
            let found = std::fs::symlink_metadata(&path)?;
            if found.file_attributes() & IS_REPARSE_POINT != 0 {
                return Err(OpenError::Link(name.to_owned()));
            }
        }
        let mut options = std::fs::OpenOptions::new();
        let file = options
            .read(true)
            .custom_flags(OPEN_REPARSE_POINT)
            .open(&path)?;
        match std::fs::canonicalize(&path)?.starts_with(&root) {
            true => Ok(file),
            false => Err(OpenError::Link(last.to_owned())),
        }
    }

    /// The standard library does not say.
    pub(super) fn has_further_names(_: &Metadata) -> bool {
        false
    }
}

#[cfg(all(test, unix))]
#[path = "file_beneath_tests.rs"]
mod tests;
