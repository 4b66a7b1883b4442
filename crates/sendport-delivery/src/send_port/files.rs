//! Which files a send port reads for a login: decided by the paths alone, before a file is looked at.

use std::path::PathBuf;
use std::sync::Arc;

use sendport_core::domain::Alert;
use sendport_store::attachments::MOST_FILES;
use tokio::sync::Semaphore;

use super::Refusal;
use crate::settings::FileFolderConfig;
use crate::settings::attachments::EVERY_PRINCIPAL;
use crate::settings::written_path::WrittenPath;

/// Alerts whose files are read at a time: a share that hangs keeps no more threads.
const READERS: usize = 4;

/// The folders of one send port.
#[derive(Debug, Clone)]
pub(super) struct FileFolders {
    folders: Vec<FileFolder>,
    readers: Arc<Semaphore>,
}

#[derive(Debug, Clone)]
struct FileFolder {
    folder: PathBuf,
    written: WrittenPath,
    principals: Vec<String>,
}

/// A file that an alert names and may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedFile {
    /// The path as the application wrote it, for people.
    pub(crate) shown: String,
    /// A folder of this machine.
    pub(crate) folder: PathBuf,
    /// The names from there on, the file's own last; none where the folder itself is named.
    pub(crate) names: Vec<String>,
}

impl NamedFile {
    /// Its own name.
    pub(crate) fn name(&self) -> &str {
        self.names.last().map_or("", String::as_str)
    }
}

impl FileFolders {
    /// What the configuration refuses is left out.
    pub(super) fn new(config: &[FileFolderConfig]) -> Self {
        let folder = |it: &FileFolderConfig| {
            Some(FileFolder {
                folder: it.folder.clone(),
                written: WrittenPath::parse(&it.written())?,
                principals: it.allow_principals.clone(),
            })
        };
        Self {
            folders: config.iter().filter_map(folder).collect(),
            readers: Arc::new(Semaphore::new(READERS)),
        }
    }

    pub(super) fn readers(&self) -> Arc<Semaphore> {
        self.readers.clone()
    }

    /// The files that the alert names; the refusal fails it, and names the path. It is the same whether the file
    /// exists or not.
    pub(super) fn of(&self, port: &str, alert: &Alert) -> Result<Vec<NamedFile>, Refusal> {
        let count = alert.named_files().count();
        if count > MOST_FILES {
            let why = format!(
                "it names {count} files, and at most {MOST_FILES} are read; insert several alerts"
            );
            return Err(Refusal::new(
                "attachment-too-large",
                format!("FileAttachments: {why}"),
            ));
        }
        let found = alert.named_files().map(|path| self.one(port, alert, path));
        found.collect()
    }

    fn one(&self, port: &str, alert: &Alert, written: &str) -> Result<NamedFile, Refusal> {
        let shown = shown(written);
        let refused = |why: &str| {
            let reason = format!("FileAttachments: '{shown}' {why}");
            Err(Refusal::new("file-not-allowed", reason))
        };
        let Some(path) = WrittenPath::parse(written) else {
            return refused(
                "is no absolute path; write the whole path, such as /srv/reports/late.pdf or C:\\Reports\\late.pdf",
            );
        };
        if path.leads_up() {
            return refused("contains '..'; write the path without it");
        }
        let may = self
            .folders
            .iter()
            .filter(|it| it.is_for(&alert.created_by));
        let beneath = may.filter_map(|it| Some((it, path.beneath(&it.written)?)));
        match beneath.max_by_key(|(it, _)| it.written.depth()) {
            Some((it, names)) => Ok(NamedFile {
                shown,
                folder: it.folder.clone(),
                names: names.to_vec(),
            }),
            None => refused(&format!(
                "is in no folder that the send port '{port}' names for the login '{}'; copy the file to such a folder, \
                 or add one to folders in the section attachments of the send port",
                alert.created_by
            )),
        }
    }
}

impl FileFolder {
    fn is_for(&self, login: &str) -> bool {
        let mut principals = self.principals.iter();
        principals.any(|it| it == EVERY_PRINCIPAL || it.eq_ignore_ascii_case(login))
    }
}

/// One line, not too long.
fn shown(path: &str) -> String {
    let visible = |c: char| if c.is_control() { '\u{FFFD}' } else { c };
    path.chars().take(300).map(visible).collect()
}

#[cfg(test)]
mod tests {
    use sendport_core::domain::Alert;

    use super::*;
    use crate::send_port::SendPort;

    const FOLDERS: &str = r"
        [attachments]
        folders = [
            { folder = '/srv/all', allow_principals = ['*'] },
            { folder = '/srv/all/orders', allow_principals = ['CONTOSO\orders'] },
            { folder = '/mnt/reports', written_as = 'C:\Reports', allow_principals = ['CONTOSO\orders', 'night'] },
            { folder = '/mnt/share', written_as = '\\files\share', allow_principals = ['night'] },
        ]";

    fn resolved(login: &str, list: &str) -> Result<Vec<(String, String)>, Refusal> {
        let port = SendPort::with_settings("p", &["d"], FOLDERS);
        let alert = Alert {
            created_by: login.to_owned(),
            file_attachments: Some(list.to_owned()),
            ..crate::fixture::alert()
        };
        let found = port.files_of(&alert)?.into_iter();
        let found = found.map(|it| (it.folder.display().to_string(), it.names.join("|")));
        Ok(found.collect())
    }

    #[test]
    fn each_login_has_the_files_of_its_folders() {
        for (login, path, folder, names) in [
            ("anyone", "/srv/all/a/b.pdf", "/srv/all", "a|b.pdf"),
            (
                "contoso\\ORDERS",
                "/srv/all/orders/b.pdf",
                "/srv/all/orders",
                "b.pdf",
            ),
            (
                "anyone",
                "/srv/all/orders/b.pdf",
                "/srv/all",
                "orders|b.pdf",
            ),
            (
                "night",
                r"c:\reports\Mai\B.pdf",
                "/mnt/reports",
                "Mai|B.pdf",
            ),
            ("night", r"\\FILES\share\b.pdf", "/mnt/share", "b.pdf"),
        ] {
            let found = resolved(login, path).expect(path);
            assert_eq!(found, [(folder.to_owned(), names.to_owned())]);
        }
        let several =
            resolved("night", r" /srv/all/a ;; C:\Reports\b; /srv/all/a;").expect("files");
        assert_eq!(several.len(), 3);
    }

    #[test]
    fn what_is_not_allowed_is_refused_by_its_path() {
        let other = "is in no folder that the send port 'p' names for the login";
        for (login, path, why) in [
            ("orders", r"C:\Reports\b.pdf", other),
            ("CONTOSO\\orders", r"\\files\share\b.pdf", other),
            ("night", r"\\files\other\b.pdf", other),
            ("night", "/etc/shadow", other),
            ("night", "/srv/all2/x", other),
            ("night", "/mnt/reports/b.pdf", other),
            ("night", "/srv/all/../../etc/shadow", "contains '..'"),
            ("night", r"C:\Reports\..\b.pdf", "contains '..'"),
            ("night", "b.pdf", "is no absolute path"),
            ("night", ";", "is no absolute path"),
            ("night", " ; ;", "is no absolute path"),
            ("night", "//files/share/b.pdf", other),
            ("night", "/srv/all/a;b.pdf", "is no absolute path"),
            ("night", "/srv/all/a.pdf; /etc/passwd", other),
        ] {
            let refusal = resolved(login, path).expect_err(path);
            assert_eq!(refusal.explanation, "file-not-allowed");
            let last = path.rsplit("; ").next().unwrap_or_default();
            let last = match path {
                " ; ;" => "; ;",
                "/srv/all/a;b.pdf" => "b.pdf",
                _ => last,
            };
            let start = format!("FileAttachments: '{last}' {why}");
            assert!(refusal.reason.starts_with(&start), "{}", refusal.reason);
        }
    }

    #[test]
    fn an_alert_names_a_thousand_files_at_most() {
        let list = "/srv/all/x;".repeat(1_000);
        assert_eq!(resolved("x", &list).expect("files").len(), 1_000);
        let refusal = resolved("x", &(list + "/srv/all/x")).expect_err("too many");
        assert!(
            refusal.reason.contains("it names 1001 files"),
            "{}",
            refusal.reason
        );
    }
}
