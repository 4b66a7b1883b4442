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

#[cfg(not(target_os = "linux"))]
fn effective_user() -> Option<u32> {
    None
}

/// The name of a user, or `#` and its number.
fn name_of(user: u32) -> String {
    account(user).map_or_else(|| format!("#{user}"), |(name, _)| name)
}

/// The full name of the user who runs this program, if `/etc/passwd` has one.
pub fn full_name() -> Option<String> {
    effective_user().and_then(account)?.1
}

/// The name of the user who owns a file, by its number. `None` for the number that stands for users whom a namespace of
/// this process does not have (`PrivateUsers` of systemd).
pub(super) fn owner_of_file(user: u32) -> Option<String> {
    let number = std::fs::read_to_string("/proc/sys/kernel/overflowuid").unwrap_or_default();
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let has_all_users = map.split_whitespace().eq(["0", "0", "4294967295"]);
    let is_unknown = number.trim().parse() == Ok(user) && !has_all_users;
    (!is_unknown).then(|| name_of(user))
}

/// Name and full name of a user in `/etc/passwd`.
fn account(user: u32) -> Option<(String, Option<String>)> {
    let accounts = std::fs::read_to_string("/etc/passwd").ok()?;
    accounts.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let &[name, _, number, _, about, ..] = &fields[..] else {
            return None;
        };
        let full_name = about.split(',').next().filter(|it| !it.is_empty());
        (number.parse() == Ok(user)).then(|| (name.to_owned(), full_name.map(str::to_owned)))
    })
}
