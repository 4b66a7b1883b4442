//! What was announced already, so that a restart does not say it again.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Older ones are forgotten.
const MOST: usize = 1000;

/// A file with a line for each announcement.
pub(super) struct Announced {
    file: PathBuf,
    lines: Vec<String>,
    known: BTreeSet<String>,
}

impl Announced {
    /// What cannot be read was not announced.
    pub(super) fn in_folder(folder: &Path) -> Self {
        let file = folder.join("announced-certificates");
        let text = fs::read_to_string(&file).unwrap_or_default();
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        Self {
            file,
            known: lines.iter().cloned().collect(),
            lines,
        }
    }

    /// True for the first time.
    pub(super) fn is_new(&mut self, line: &str) -> bool {
        if !self.known.insert(line.to_owned()) {
            return false;
        }
        self.lines.push(line.to_owned());
        let from = self.lines.len().saturating_sub(MOST);
        let text = self.lines[from..].join("\n") + "\n";
        if let Err(error) = fs::write(&self.file, text) {
            tracing::warn!(%error, file = %self.file.display(), "notification history not saved, notifications may repeat");
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_does_not_say_it_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut announced = Announced::in_folder(folder.path());
        assert!(announced.is_new("a 30") && !announced.is_new("a 30"));
        let mut announced = Announced::in_folder(folder.path());
        assert!(!announced.is_new("a 30") && announced.is_new("a 14"));
    }
}
