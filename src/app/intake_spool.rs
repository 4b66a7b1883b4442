//! The spools of intakes, in the state folder.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sendport_intake::settings::{IntakeConfig, SmtpIntakeConfig};
use sendport_intake::{
    SpoolContents, SpoolDependencies, SpoolError, SpoolLimits, SpooledQueue, spool_contents,
};

use crate::config::Config;

/// In the state folder; each intake has a folder in it.
const FOLDER: &str = "intake-spool";

/// A spool of an intake that has one, or had one.
pub struct IntakeSpool {
    /// Name of its folder.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// What is in it, or why a service does not start with it.
    pub contents: Result<SpoolContents, SpoolError>,
}

/// The spools of a configuration, and what they keep for the database with this identity.
///
/// # Errors
/// What the system says.
pub fn intake_spools(config: &Config, database: Option<&str>) -> io::Result<Vec<IntakeSpool>> {
    let folder = config.service.state_folder.join(FOLDER);
    let mut names: BTreeSet<String> = folder_names(&folder)?.into_iter().collect();
    names.extend(with_spool(config).map(|(name, _)| file_name(name)));
    let spool = |name: String| {
        let folder = folder.join(&name);
        IntakeSpool {
            contents: spool_contents(&folder, database),
            name,
            folder,
        }
    };
    Ok(names.into_iter().map(spool).collect())
}

/// The spool in front of the database for one intake.
pub(super) fn open(
    config: &Config,
    name: &str,
    intake: &SmtpIntakeConfig,
    dependencies: SpoolDependencies,
) -> Result<SpooledQueue, SpoolError> {
    let limits = SpoolLimits {
        bytes: intake.max_spool_size.0,
        age: intake.max_spool_age,
        wait: intake.timeout.commit / 2,
    };
    let folder = config
        .service
        .state_folder
        .join(FOLDER)
        .join(file_name(name));
    SpooledQueue::open(name, &folder, limits, dependencies)
}

/// Spools of intakes that have none any more, and that are not empty: their messages got a 250.
pub(super) fn left_over(
    config: &Config,
    dependencies: &SpoolDependencies,
) -> Result<Vec<SpooledQueue>, SpoolError> {
    let folder = config.service.state_folder.join(FOLDER);
    let names = folder_names(&folder).map_err(|source| SpoolError::Folder {
        folder: folder.clone(),
        source,
    })?;
    let active: BTreeSet<_> = with_spool(config)
        .map(|(name, _)| file_name(name))
        .collect();
    // Nothing is accepted.
    let limits = SpoolLimits {
        bytes: 0,
        age: Duration::MAX,
        wait: Duration::ZERO,
    };
    let mut found = Vec::new();
    for name in names.into_iter().filter(|name| !active.contains(name)) {
        let folder = folder.join(&name);
        if spool_contents(&folder, None)?.messages == 0 {
            continue;
        }
        let opened = SpooledQueue::open(&name, &folder, limits, dependencies.clone());
        found.push(opened?);
    }
    Ok(found)
}

fn with_spool(config: &Config) -> impl Iterator<Item = (&String, &SmtpIntakeConfig)> {
    config
        .intake
        .iter()
        .filter_map(|(name, intake)| match intake {
            IntakeConfig::Smtp(smtp) if smtp.spool => Some((name, &**smtp)),
            _ => None,
        })
}

/// Of the folders in it.
fn folder_names(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.extend(entry.file_name().into_string().ok());
        }
    }
    Ok(names)
}

/// The name of an intake as one of a folder: everything but ASCII letters, digits, `-` and `_` as `%` and its bytes in
/// hexadecimal digits.
fn file_name(intake: &str) -> String {
    let mut name = String::new();
    for byte in intake.bytes() {
        match byte.is_ascii_alphanumeric() || b"-_".contains(&byte) {
            true => name.push(char::from(byte)),
            false => name += &format!("%{byte:02X}"),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_of_an_intake_leads_out_of_the_folder() {
        assert_eq!(file_name("local-2_A"), "local-2_A");
        assert_eq!(file_name("../a b"), "%2E%2E%2Fa%20b");
        assert_eq!(file_name("\u{fc}"), "%C3%BC");
    }
}
