//! Section `[send_port.<name>.audit]`: copies of what is submitted.

use std::path::PathBuf;

use sendport_core::domain::AuditStage;
use sendport_core::problem::Problem;
use serde::{Deserialize, Serialize};

/// Which bytes are kept, and where.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AuditConfig {
    /// Before protection, after it, or both.
    pub keep: AuditKeep,
    /// A folder that exists.
    pub folder: Option<PathBuf>,
    /// The table `AuditCopy`.
    #[serde(default)]
    pub database: bool,
}

/// Which bytes an audit keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AuditKeep {
    /// Those that were built.
    Before,
    /// Those that go over the wire.
    After,
    /// One copy of each.
    Both,
}

impl AuditConfig {
    /// The stages of which copies are kept.
    pub fn stages(&self) -> Vec<AuditStage> {
        match self.keep {
            AuditKeep::Before => vec![AuditStage::Before],
            AuditKeep::After => vec![AuditStage::After],
            AuditKeep::Both => vec![AuditStage::Before, AuditStage::After],
        }
    }

    /// What keeps it from working; `key` is that of the section.
    pub fn problems(&self, key: &str) -> Vec<Problem> {
        let folder = self.folder.as_ref();
        let what = if folder.is_some_and(|folder| folder.as_os_str().is_empty()) {
            "it is empty; write the path of a folder, or leave it out and write database = true"
        } else if folder.is_none() && !self.database {
            "there is no place for the copies; write a folder, or database = true"
        } else {
            return Vec::new();
        };
        vec![Problem {
            key: format!("{key}.folder"),
            what: what.to_owned(),
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audit(text: &str) -> AuditConfig {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_copy_needs_a_place() {
        let nowhere = audit("keep = 'both'").problems("send_port.p.audit");
        assert!(
            nowhere[0]
                .to_string()
                .starts_with("send_port.p.audit.folder: there is no place")
        );
        assert_eq!(audit("keep = 'both'\nfolder = ''").problems("k").len(), 1);
        assert_eq!(audit("keep = 'both'\nfolder = '/a'").problems("k"), []);
        assert_eq!(audit("keep = 'both'\ndatabase = true").problems("k"), []);
    }
}
