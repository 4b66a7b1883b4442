//! Messages as files for a pickup directory: its reader sees a whole file or none.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sendport_core::header_fields::without_fields;
use uuid::Uuid;

/// The fields of [`envelope_lines`].
const ENVELOPE: [&[u8]; 2] = [b"X-Sender", b"X-Receiver"];

/// Longest part of the name that comes from the Message-ID.
const MAX_STEM: usize = 120;

/// A message on disk under a temporary name, which readers of the folder ignore.
pub struct TemporaryFile {
    temporary: PathBuf,
    published: PathBuf,
}

impl TemporaryFile {
    /// Writes and syncs the file. Blocks the thread. The name is `message_id` with a unique suffix,
    /// so that nothing is overwritten.
    pub fn write(folder: &Path, message_id: &str, parts: &[&[u8]]) -> io::Result<Self> {
        let name = format!("{}-{}", safe_stem(message_id), Uuid::new_v4().simple());
        let temporary_file = Self {
            temporary: folder.join(format!(".{name}.tmp")),
            published: folder.join(format!("{name}.eml")),
        };
        let mut file = File::create_new(&temporary_file.temporary)?;
        for part in parts {
            file.write_all(part)?;
        }
        file.sync_all()?;
        Ok(temporary_file)
    }

    /// Renames the file to its final name and syncs the folder.
    pub fn publish(mut self) -> io::Result<PathBuf> {
        let published = std::mem::take(&mut self.published);
        fs::rename(&self.temporary, &published)?;
        sync_folder(&published)?;
        Ok(published)
    }
}

/// Removes a file that was not published.
impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.temporary)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "temporary file removal failed");
        }
    }
}

/// The envelope as IIS and Exchange read it, in front of the header.
pub fn envelope_lines<'a>(sender: &str, receivers: impl IntoIterator<Item = &'a str>) -> String {
    let sender = if sender.is_empty() { "<>" } else { sender };
    let mut lines = format!("X-Sender: {sender}\r\n");
    for receiver in receivers {
        lines += &format!("X-Receiver: {receiver}\r\n");
    }
    lines
}

#[cfg(unix)]
fn sync_folder(file: &Path) -> io::Result<()> {
    file.parent()
        .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// NTFS journals names, and cannot open a folder as a file.
#[cfg(not(unix))]
fn sync_folder(_file: &Path) -> io::Result<()> {
    Ok(())
}

fn safe_stem(message_id: &str) -> String {
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() || "@-_".contains(c) {
            c
        } else {
            '_'
        }
    };
    let inner = message_id.trim_start_matches('<').trim_end_matches('>');
    let stem: String = inner.chars().take(MAX_STEM).map(safe).collect();
    if stem.is_empty() {
        "message".to_owned()
    } else {
        stem
    }
}

/// The message without the fields of a client that a reader of the folder could take for the envelope.
pub(super) fn without_envelope_lines(message: &[u8]) -> Vec<u8> {
    without_fields(message.to_vec(), |name| {
        ENVELOPE.iter().any(|it| name.eq_ignore_ascii_case(it))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_id_cannot_leave_the_folder() {
        assert_eq!(safe_stem("<a.b-1@contoso.com>"), "a_b-1@contoso_com");
        assert_eq!(safe_stem("../../etc/x\0\\:y"), "______etc_x___y");
        assert_eq!(safe_stem("<>"), "message");
        assert_eq!(safe_stem(&"x".repeat(999)).len(), MAX_STEM);
    }

    #[test]
    fn no_field_of_a_client_is_taken_for_the_envelope() {
        let message =
            b"Received: x\r\nX-Receiver: evil@x.com,\r\n more@x.com\r\nx-sender : e@x.com\r\n\
            X-Sender-Id: 1\r\n\r\nX-Receiver: text\r\n";
        let kept = String::from_utf8(without_envelope_lines(message)).expect("UTF-8");
        assert_eq!(
            kept,
            "Received: x\r\nX-Sender-Id: 1\r\n\r\nX-Receiver: text\r\n"
        );
        for same in ["", "\r\n", "Subject: x", "no header\r\n\r\n"] {
            assert_eq!(without_envelope_lines(same.as_bytes()), same.as_bytes());
        }
    }

    #[test]
    fn a_file_that_is_not_published_is_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let temporary_file =
            TemporaryFile::write(folder.path(), "<a@b>", &[b"x"]).expect("written");
        drop(temporary_file);
        assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 0);
    }
}
