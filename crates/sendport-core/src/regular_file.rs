//! Files that the configuration or the command line names.

use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io::{self, Read};
use std::path::Path;

/// The content of a regular file, or of the one that a link leads to. Nothing waits for a writer or a
/// terminal: a FIFO, a device, a socket and a folder are refused.
///
/// # Errors
/// What the system says, or what it is instead.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = open(path)?;
    let mut content = Vec::new();
    file.read_to_end(&mut content)?;
    Ok(content)
}

/// The text of a regular file.
///
/// # Errors
/// As [`read`], or that it is not UTF-8.
pub fn read_to_string(path: &Path) -> io::Result<String> {
    let not_utf8 = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    String::from_utf8(read(path)?).map_err(not_utf8)
}

/// Whether the file can be read, before a library reads it by itself.
///
/// # Errors
/// As [`read`].
pub fn check(path: &Path) -> io::Result<()> {
    open(path).map(drop)
}

/// Whether every user of the host can read the file. False where the system has no such permission.
pub fn is_readable_by_all(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;

        std::fs::metadata(path).is_ok_and(|it| it.permissions().mode() & 0o004 != 0)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

/// A regular file, or the one that a link leads to, open for reading.
///
/// # Errors
/// As [`read`].
pub fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    without_waiting(&mut options);
    let opened = options.open(path);
    // A socket cannot be opened.
    let metadata = match &opened {
        Ok(file) => file.metadata(),
        Err(_) => std::fs::metadata(path),
    };
    match metadata.as_ref().map(Metadata::file_type) {
        Ok(kind) if !kind.is_file() => Err(not_regular(kind)),
        _ => opened,
    }
}

/// Of a FIFO, `open` waits for a writer otherwise; a terminal becomes that of the process.
#[cfg(unix)]
fn without_waiting(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt;

    use rustix::fs::OFlags;

    options.custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed());
}

fn not_regular(kind: FileType) -> io::Error {
    let found = name_of(kind);
    let what = format!("expected a regular file, found {found}; write the content to a file");
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

#[cfg(unix)]
pub(crate) fn name_of(kind: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;

    match kind {
        kind if kind.is_dir() => "a folder",
        kind if kind.is_fifo() => "a pipe",
        kind if kind.is_socket() => "a socket",
        _ => "a device",
    }
}

#[cfg(not(unix))]
pub(crate) fn name_of(kind: FileType) -> &'static str {
    match kind.is_dir() {
        true => "a folder",
        false => "a device",
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn a_pipe_a_device_a_socket_and_a_folder_are_refused_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let (pipe, socket) = (folder.path().join("pipe"), folder.path().join("socket"));
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).expect("a pipe");
        let _listener = UnixListener::bind(&socket).expect("a socket");
        for (path, expected) in [
            (&*pipe, "found a pipe"),
            (&*socket, "found a socket"),
            (folder.path(), "found a folder"),
            (Path::new("/dev/zero"), "found a device"),
        ] {
            let error = read(path).expect_err("no regular file").to_string();
            assert!(error.contains(expected), "{error}");
            assert!(check(path).is_err(), "{expected}");
        }
    }

    #[test]
    fn a_link_to_a_file_is_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        std::fs::write(&file, "secret").expect("write");
        symlink(&file, &link).expect("a link");
        assert_eq!(read(&link).expect("content"), b"secret");
        let missing = read(&folder.path().join("missing")).expect_err("missing");
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }
}
