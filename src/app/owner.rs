//! The owner of the folders that a verb would create files in. The service cannot open files that
//! another user creates there, for example root's database in `/var/lib/sendport`.

use std::path::{Path, PathBuf};

use crate::config::{Config, USUAL_FILES, sqlite_file};

/// Another user, in whose folder a verb would create a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileOwner {
    /// A name, or `#` and a number if there is none.
    pub user: String,
    /// The folder.
    pub folder: PathBuf,
    /// The file that would be created.
    pub file: PathBuf,
    /// The option that names the configuration, unless it is a default file.
    option: String,
}

impl FileOwner {
    /// The line that runs this program as that user.
    pub fn command(&self, arguments: &str) -> String {
        let option = &self.option;
        match self.user.strip_prefix('#') {
            Some(number) => format!(
                "setpriv --reuid={number} --regid={number} --clear-groups sendport {option}{arguments}"
            ),
            None => format!("runuser -u {} -- sendport {option}{arguments}", self.user),
        }
    }
}

/// The owner of the folder that the SQLite file would be made in, if that is not this user.
pub fn owner_of_database(config: &Config) -> Option<FileOwner> {
    let connection = config.database.resolve().ok()?;
    let file = sqlite_file(connection.expose())?;
    (!file.exists())
        .then(|| other_owner(config, &file))
        .flatten()
}

/// The owner of the state folder, or of the one that it would be made in, if that is not this user.
pub fn owner_of_state_folder(config: &Config) -> Option<FileOwner> {
    other_owner(config, &config.service.state_folder.join("spool-1.jsonl"))
}

/// The user of the operating system that runs this program.
pub fn user_name() -> String {
    let variable = || std::env::var("USERNAME").unwrap_or_else(|_| "unknown".to_owned());
    os_user().unwrap_or_else(variable)
}

#[cfg(unix)]
fn os_user() -> Option<String> {
    effective_user().map(name_of)
}

#[cfg(not(unix))]
fn os_user() -> Option<String> {
    None
}

#[cfg(unix)]
fn other_owner(config: &Config, file: &Path) -> Option<FileOwner> {
    use std::os::unix::fs::MetadataExt as _;
    let file = std::path::absolute(file).ok()?;
    let folder = file.ancestors().skip(1).find(|folder| folder.is_dir())?;
    let owner = folder.metadata().ok()?.uid();
    let us = effective_user()?;
    // The system refuses users without write access; root can write everywhere.
    (us == 0 && owner != us).then(|| FileOwner {
        user: name_of(owner),
        folder: folder.to_owned(),
        file: file.clone(),
        option: option(config),
    })
}

#[cfg(unix)]
fn option(config: &Config) -> String {
    let named = config.file.as_deref();
    let named = named.filter(|file| !USUAL_FILES.map(Path::new).contains(file));
    named.map_or_else(String::new, |file| format!("--config {} ", file.display()))
}

#[cfg(not(unix))]
fn other_owner(_: &Config, _: &Path) -> Option<FileOwner> {
    None
}

#[cfg(target_os = "linux")]
fn effective_user() -> Option<u32> {
    Some(rustix::process::geteuid().as_raw())
}

#[cfg(all(unix, not(target_os = "linux")))]
fn effective_user() -> Option<u32> {
    None
}

#[cfg(unix)]
fn name_of(user: u32) -> String {
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(user)).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| format!("#{user}"))
}
