//! The notices that were published, so that a restart does not repeat them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Older notices are dropped.
const MOST: usize = 1000;

/// A file with one line for each notice.
pub(super) struct NoticeLog {
    file: PathBuf,
    lines: Vec<String>,
    known: BTreeSet<String>,
}

impl NoticeLog {
    /// Reads the file of `folder`. An unreadable file counts as empty.
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

    /// Adds a notice. True if it is new.
    pub(super) fn insert(&mut self, line: &str) -> bool {
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
    fn does_not_repeat_a_notice_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let mut notices = NoticeLog::in_folder(folder.path());
        assert!(notices.insert("a 30") && !notices.insert("a 30"));
        let mut notices = NoticeLog::in_folder(folder.path());
        assert!(!notices.insert("a 30") && notices.insert("a 14"));
    }
}
