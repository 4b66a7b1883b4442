//! What is wrong with the folders of a pickup, for a person who sets it up.

use std::fs::{self, Metadata};
use std::path::Path;

use sendport_core::problem::Problem;

use super::lock::{FolderOwner, Holder, holder};
use crate::settings::PickupConfig;

/// Keys are relative to `[intake.<name>]`.
#[derive(Debug, Default)]
pub struct FolderFindings {
    /// The intake would not start, or take no file.
    pub problems: Vec<Problem>,
    /// It works, and should be known.
    pub warnings: Vec<Problem>,
    /// The process that takes files now, such as the running service.
    pub taken_by: Option<String>,
}

impl FolderFindings {
    fn problem(&mut self, key: &str, what: String) {
        self.problems.push(Problem::new(key, what));
    }

    fn warning(&mut self, what: String) {
        self.warnings.push(Problem::new("folder", what));
    }
}

/// Looks at the folders, as this user, for a service with this database. Makes and changes nothing.
pub fn folder_findings(
    settings: &PickupConfig,
    is_sendmail: bool,
    database: &str,
) -> FolderFindings {
    let mut found = FolderFindings::default();
    let folder = &settings.folder;
    let shown = folder.display();
    let metadata = match fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() => metadata,
        Ok(_) => {
            found.problem("folder", format!("{shown} is no folder"));
            return found;
        }
        Err(error) => {
            let example = if is_sendmail { "3733" } else { "2770" };
            let what = format!(
                "{shown}: {error}; create it for the user of the service, for example: install -d -o sendport -g \
                 sendport -m {example} {shown}"
            );
            found.problem("folder", what);
            return found;
        }
    };
    if !is_usable(folder) {
        let what = format!(
            "{shown}: the service has to list it and to rename files in it; this user may not"
        );
        found.problem("folder", what);
    }
    for (key, own) in [
        ("folder", settings.taken()),
        ("badmail", settings.badmail()),
    ] {
        let at = match own.exists() {
            true => &*own,
            false => parent(&own),
        };
        if !is_usable(at) {
            let what = format!(
                "{}: this user may not create it, or files in it",
                own.display()
            );
            found.problem(key, what);
        }
    }
    if !is_same_disk(&metadata, &settings.taken()) {
        let what = format!(
            "{} has to be on the same disk as {shown}",
            settings.taken().display()
        );
        found.problem("folder", what);
    }
    warn_of_mode(&metadata, is_sendmail, &mut found);
    match holder(&settings.taken()) {
        Holder::Nobody => {}
        Holder::Process(Some(FolderOwner { process, database: other })) if other != database => {
            let what = format!(
                "{process} takes the files of {shown} for {other}; give each database a folder of its own"
            );
            found.problem("folder", what);
        }
        Holder::Process(owner) => {
            let process = owner.map(|it| it.process);
            found.taken_by = Some(process.unwrap_or_else(|| "another process".to_owned()));
        }
        Holder::Unsupported(error) => found.warning(format!(
            "the disk has no locks ({error}): make sure that no other service takes files from {shown}"
        )),
    }
    found
}

/// Of a folder that is named without another one, the current one.
fn parent(folder: &Path) -> &Path {
    match folder.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        parent => parent.unwrap_or(folder),
    }
}

#[cfg(unix)]
fn warn_of_mode(metadata: &Metadata, is_sendmail: bool, found: &mut FolderFindings) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = metadata.permissions().mode();
    let has = |bits: u32| mode & bits == bits;
    if has(0o002) && !is_sendmail {
        found.warning(
            "every user of this host can write files there, and so send; restrict it: chmod o-w"
                .to_owned(),
        );
    }
    if has(0o002) && !has(0o1000) {
        found.warning(
            "every user of this host can remove the files of others; set the sticky bit: chmod +t"
                .to_owned(),
        );
    }
    if is_sendmail && !has(0o2000) {
        found.warning(
            "the service cannot read files of other users; set the set-group-ID bit: chmod g+s"
                .to_owned(),
        );
    }
}

#[cfg(not(unix))]
fn warn_of_mode(_: &Metadata, _: bool, _: &mut FolderFindings) {}

#[cfg(target_os = "linux")]
fn is_usable(folder: &Path) -> bool {
    use rustix::fs::{Access, access};
    access(folder, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn is_usable(folder: &Path) -> bool {
    folder.is_dir()
}

#[cfg(unix)]
fn is_same_disk(folder: &Metadata, taken: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let taken = fs::metadata(taken).or_else(|_| fs::metadata(parent(taken)));
    taken.is_ok_and(|taken| taken.dev() == folder.dev())
}

#[cfg(not(unix))]
fn is_same_disk(_: &Metadata, _: &Path) -> bool {
    true
}
