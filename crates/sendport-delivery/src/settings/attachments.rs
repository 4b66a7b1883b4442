//! Section `[send_port.<name>.attachments]`: which attachments an alert may have.

use std::path::PathBuf;

use sendport_core::byte_size::ByteSize;
use sendport_core::problem::Problem;
use serde::{Deserialize, Serialize};

use super::written_path::WrittenPath;

/// `allow_principals` of a folder that every login may use.
pub const EVERY_PRINCIPAL: &str = "*";

/// Limits of the content as stored in the database; base64 makes it a third longer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct AttachmentsConfig {
    /// Longest attachment.
    pub max_size: ByteSize,
    /// All attachments of one alert together.
    pub max_total_size: ByteSize,
    /// Extensions of file names that are refused, without regard to case.
    pub forbidden_extensions: Vec<String>,
    /// The folders that the service reads files from which the column FileAttachments names; empty: none.
    pub folders: Vec<FileFolderConfig>,
}

/// A folder with files that alerts may name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FileFolderConfig {
    /// A folder of this machine.
    pub folder: PathBuf,
    /// Its path as applications write it, such as `C:\Reports` or `\\server\reports`; without it that of `folder`.
    pub written_as: Option<String>,
    /// Logins (`Alert.CreatedBy`) that may name its files; [`EVERY_PRINCIPAL`]: any that may use the send port.
    pub allow_principals: Vec<String>,
}

impl FileFolderConfig {
    /// The path that an application writes before the name of a file.
    pub fn written(&self) -> String {
        let own = || self.folder.to_string_lossy().into_owned();
        self.written_as.clone().unwrap_or_else(own)
    }

    fn problems(&self, key: &str) -> Vec<Problem> {
        let mut found = Vec::new();
        let (written, below) = (
            self.written(),
            match self.written_as {
                Some(_) => "written_as",
                None => "folder",
            },
        );
        let path = WrittenPath::parse(&written);
        if path.is_none_or(|it| it.leads_up()) {
            found.push(Problem::new(
                format!("{key}.{below}"),
                format!(
                    "'{written}' is no absolute path; write it like \"/srv/reports\", 'C:\\Reports' or '\\\\server\\reports'"
                ),
            ));
        }
        if written.contains(';') {
            found.push(Problem::new(
                format!("{key}.{below}"),
                format!("'{written}' contains ';', which separates paths: no alert can name it; use another path"),
            ));
        }
        if self.allow_principals.is_empty() {
            found.push(Problem::new(
                format!("{key}.allow_principals"),
                "no login may name its files; write logins, or \"*\" for every login that may use the send port",
            ));
        }
        let is_alone = self.allow_principals.len() == 1;
        let mut wrong = |what: String| {
            found.push(Problem::new(format!("{key}.allow_principals"), what));
        };
        for login in &self.allow_principals {
            if login.trim().is_empty() {
                wrong(format!(
                    "'{login}' is no login; write logins, or only \"*\""
                ));
            } else if login.contains('*') && (login != EVERY_PRINCIPAL || !is_alone) {
                wrong(format!(
                    "'{login}' contains '*', which means every login, and only alone; write each login, or only \"*\""
                ));
            }
        }
        found
    }

    /// Whether some login may use both, and writes the same path for both.
    fn is_like(&self, other: &Self) -> bool {
        let [own, others] = [self, other].map(|it| WrittenPath::parse(&it.written()));
        let is_same_path = own
            .zip(others)
            .is_some_and(|(own, others)| own.is_same(&others));
        let is_for = |folder: &Self, login: &str| {
            let mut logins = folder.allow_principals.iter();
            logins.any(|it| it == EVERY_PRINCIPAL || it.eq_ignore_ascii_case(login))
        };
        let has_login_of = |a: &Self, b: &Self| b.allow_principals.iter().any(|it| is_for(a, it));
        is_same_path && (has_login_of(self, other) || has_login_of(other, self))
    }
}

impl Default for AttachmentsConfig {
    fn default() -> Self {
        Self {
            max_size: ByteSize(10_000_000),
            max_total_size: ByteSize(25_000_000),
            forbidden_extensions: ["exe", "dll", "vbs", "js"].map(str::to_owned).to_vec(),
            folders: Vec::new(),
        }
    }
}

impl AttachmentsConfig {
    /// Its problems; `key` is that of the section. A rule that matches no file would allow what it
    /// was meant to forbid.
    pub fn problems(&self, key: &str) -> Vec<Problem> {
        let mut found = Vec::new();
        for written in &self.forbidden_extensions {
            let bare = written.trim().trim_start_matches('.');
            let is_extension = |c: char| !c.is_whitespace() && !"*?.,;/\\:".contains(c);
            if bare.is_empty() || !bare.chars().all(is_extension) {
                found.push(Problem::new(
                    format!("{key}.forbidden_extensions"),
                    format!(
                        "'{written}' is no extension; write the text after a name's last dot, such as \"exe\""
                    ),
                ));
            }
        }
        if self.max_size > self.max_total_size {
            let (one, all) = (self.max_size, self.max_total_size);
            found.push(Problem::new(
                format!("{key}.max_size"),
                format!("{one} is more than max_total_size, which is {all}; raise that, too"),
            ));
        }
        for (n, folder) in self.folders.iter().enumerate() {
            found.extend(folder.problems(&format!("{key}.folders[{n}]")));
            if let Some(first) = self.folders[..n].iter().position(|it| it.is_like(folder)) {
                found.push(Problem::new(
                    format!("{key}.folders[{n}]"),
                    format!(
                        "'{}' is folders[{first}] too, for a login of both; write another path (written_as), or other logins",
                        folder.written()
                    ),
                ));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(section: &str) -> Vec<String> {
        let section: AttachmentsConfig = toml::from_str(section).expect("understood");
        let found = section.problems("send_port.default.attachments");
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_extension_that_no_file_has_is_refused() {
        for written in ["*.exe", "tar.gz", "", ".", "exe,com", "exe com", "a\\\\b"] {
            let found = problems(&format!("forbidden_extensions = [\"{written}\"]"));
            let shown = written.replace("\\\\", "\\");
            assert_eq!(
                found,
                [format!(
                    "send_port.default.attachments.forbidden_extensions: '{shown}' is no extension; write the text after a name's last dot, such as \"exe\""
                )]
            );
        }
        let none: [String; 0] = [];
        assert_eq!(problems("forbidden_extensions = [\".EXE\", \"7z\"]"), none);
        assert_eq!(problems("forbidden_extensions = []"), none);
    }

    #[test]
    fn one_file_cannot_be_longer_than_all_of_them() {
        let found = problems("max_size = \"30MB\"");
        assert_eq!(
            found,
            [
                "send_port.default.attachments.max_size: 30MB is more than max_total_size, which is 25MB; raise that, too"
            ]
        );
    }

    #[test]
    fn a_folder_of_files_has_an_absolute_path_and_logins() {
        for (folder, wrong) in [
            (
                "folder = 'reports', allow_principals = ['*']",
                "folders[0].folder: 'reports' is no absolute path",
            ),
            (
                "folder = '/srv/a/../b', allow_principals = ['*']",
                "folders[0].folder: '/srv/a/../b' is no absolute path",
            ),
            (
                "folder = '/srv', written_as = 'reports', allow_principals = ['*']",
                "folders[0].written_as: 'reports' is no absolute path",
            ),
            (
                "folder = '/srv', allow_principals = []",
                "folders[0].allow_principals: no login",
            ),
            (
                r"folder = '/srv', allow_principals = ['CONTOSO\*']",
                "folders[0].allow_principals: 'CONTOSO\\*' contains '*'",
            ),
            (
                "folder = '/srv', allow_principals = ['*', 'x']",
                "folders[0].allow_principals: '*' contains '*', which means every login, and only alone",
            ),
            (
                "folder = '/srv', allow_principals = ['']",
                "folders[0].allow_principals: '' is no login",
            ),
            (
                "folder = '/srv/a;b', allow_principals = ['x']",
                "folders[0].folder: '/srv/a;b' contains ';'",
            ),
            (
                r"folder = '/a', written_as = 'C:\x', allow_principals = ['a', 'b'] },
                  { folder = '/b', written_as = 'c:/X/', allow_principals = ['B']",
                "folders[1]: 'c:/X/' is folders[0] too, for a login of both",
            ),
            (
                "folder = '/a', allow_principals = ['x'] }, { folder = '/a', allow_principals = ['*']",
                "folders[1]: '/a' is folders[0] too",
            ),
        ] {
            let found = problems(&format!("folders = [{{ {folder} }}]"));
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].contains(wrong), "{found:?}");
        }
        let fine = r"folders = [
            { folder = '/srv/reports', allow_principals = ['CONTOSO\orders'] },
            { folder = 'reports', written_as = 'C:\Reports\', allow_principals = ['*'] },
            { folder = '/mnt/reports', written_as = '\\files\reports', allow_principals = ['a'] },
            { folder = '/mnt/others', written_as = '\\files\reports', allow_principals = ['b'] },
        ]";
        let none: [String; 0] = [];
        assert_eq!(problems(fine), none);
    }
}
