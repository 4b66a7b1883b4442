//! Messages as .eml files, the way pickup directories have them: the envelope as `X-Sender`
//! and `X-Receiver` lines in front of the header.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::domain::ReversePath;

/// Writes a message so that nobody ever sees a part of it: into a hidden file of the same
/// folder, synchronised, and then renamed. The name is made from `stem` and never one that
/// exists. Blocks: call it off the async threads.
///
/// # Errors
/// What the file system says.
pub fn write(
    folder: &Path,
    stem: &str,
    envelope: Option<(&ReversePath, &[String])>,
    octets: &[u8],
) -> std::io::Result<PathBuf> {
    let unique = uuid::Uuid::new_v4().simple().to_string();
    let name = format!("{}-{}.eml", safe(stem), &unique[..8]);
    let hidden = folder.join(format!(".{name}.part"));
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&hidden)?;
    let written = write_content(&mut file, envelope, octets);
    let target = folder.join(name);
    let moved = written.and_then(|()| std::fs::rename(&hidden, &target));
    if let Err(error) = moved {
        // The error that counts is the first one.
        let _ = std::fs::remove_file(&hidden);
        return Err(error);
    }
    synchronise(folder)?;
    Ok(target)
}

fn write_content(
    file: &mut std::fs::File,
    envelope: Option<(&ReversePath, &[String])>,
    octets: &[u8],
) -> std::io::Result<()> {
    if let Some((sender, receivers)) = envelope {
        write!(
            file,
            "X-Sender: {}\r\n",
            sender.0.as_deref().unwrap_or("<>")
        )?;
        for receiver in receivers {
            write!(file, "X-Receiver: {receiver}\r\n")?;
        }
    }
    file.write_all(octets)?;
    file.sync_all()
}

/// A rename is durable when its folder is.
#[cfg(unix)]
fn synchronise(folder: &Path) -> std::io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn synchronise(_folder: &Path) -> std::io::Result<()> {
    Ok(())
}

/// Letters, digits, `.`, `-`, `_` and `@`; everything else, and a dot in front, becomes `_`.
fn safe(stem: &str) -> String {
    let kept = |c: char| c.is_ascii_alphanumeric() || "-_@.".contains(c);
    let cut = stem.trim_matches(['<', '>']).chars().take(100);
    let name: String = cut.map(|c| if kept(c) { c } else { '_' }).collect();
    match name.strip_prefix('.') {
        Some(rest) => format!("_{rest}"),
        None if name.is_empty() => "message".to_owned(),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_leaves_its_folder_and_never_replaces_another() {
        let folder = tempfile::tempdir().unwrap();
        let one = write(folder.path(), "<../../etc/passwd>", None, b"1").unwrap();
        let two = write(folder.path(), "<../../etc/passwd>", None, b"2").unwrap();
        assert_ne!(one, two);
        assert_eq!(one.parent(), Some(folder.path()));
        assert_eq!(std::fs::read(one).unwrap(), b"1");
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            2,
            "no hidden rest"
        );
    }

    #[test]
    fn the_envelope_stands_in_front_as_pickup_directories_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let receivers = ["a@x.com".to_owned(), "b@x.com".to_owned()];
        let sender = ReversePath(Some("s@x.com".to_owned()));
        let file = write(
            folder.path(),
            "m",
            Some((&sender, &receivers)),
            b"Subject: s\r\n\r\n",
        )
        .unwrap();
        let text = std::fs::read_to_string(file).unwrap();
        assert_eq!(
            text,
            "X-Sender: s@x.com\r\nX-Receiver: a@x.com\r\nX-Receiver: b@x.com\r\nSubject: s\r\n\r\n"
        );
    }
}
