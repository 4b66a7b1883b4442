//! A small disk that can be filled: a file system in memory.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Room for a database and its log, in MiB.
const SIZE: u32 = 48;

/// Unmounted at the end.
pub(crate) struct Disk(PathBuf);

impl Disk {
    /// Whether this machine lets us mount one.
    pub(crate) fn available() -> bool {
        let folder = tempfile::tempdir().expect("a folder");
        Self::mount(folder.path()).is_some()
    }

    pub(crate) fn mount(folder: &Path) -> Option<Self> {
        let size = format!("size={SIZE}m");
        let mut command = Command::new("mount");
        command
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(folder);
        let mounted = command.output().is_ok_and(|output| output.status.success());
        mounted.then(|| Self(folder.to_owned()))
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }

    /// Not a byte fits any more.
    pub(crate) fn fill(&self) {
        let mut file = File::create(self.ballast()).expect("create");
        for block in [1 << 20, 1 << 12, 1] {
            while file.write_all(&vec![0; block]).is_ok() {}
        }
    }

    pub(crate) fn make_room(&self) {
        std::fs::remove_file(self.ballast()).expect("remove");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
