//! Refused files, each with a text that says why.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use sendport_core::clock;
use sendport_core::domain::Timestamp;

/// What the text says.
pub(super) struct Refused<'a> {
    pub(super) original: &'a str,
    pub(super) intake: &'a str,
    pub(super) folder: &'a Path,
    pub(super) reason: &'a str,
    pub(super) at: Timestamp,
}

/// Writes the text beside the place of the refused file.
pub(super) fn explain(badmail: &Path, name: &str, refused: &Refused<'_>) -> io::Result<()> {
    let at = clock::format(refused.at, "%Y-%m-%d %H:%M:%S UTC");
    let folder = refused.folder.display();
    let text = format!(
        "This message was not sent.\n\n\
         Reason:  {}\n\
         File:    {}\n\
         Intake:  {}, folder {folder}\n\
         Refused: {at}\n\n\
         Correct the file or the section [intake.{}] of the configuration, then move the file to {folder} again.\n\
         Nothing removes this file.\n",
        refused.reason, refused.original, refused.intake, refused.intake
    );
    let mut file = File::create(badmail.join(format!("{name}.txt")))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Moves a file, to another disk too.
pub(super) fn move_file(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            // A link is not followed: it is not worth keeping.
            if fs::symlink_metadata(from)?.is_file() {
                fs::copy(from, to)?;
                File::open(to)?.sync_all()?;
            }
            fs::remove_file(from)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        moved => moved,
    }
}
