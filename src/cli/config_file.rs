//! Which configuration a verb works with.

use std::path::{Path, PathBuf};

use super::Failure;
use crate::config::{Config, USUAL_FILES};

/// Without a file, variables of the environment are enough if they say which database it is.
const NAMES_A_DATABASE: &str = "SENDPORT__DATABASE__CONNECTION";

/// The named file, or the first of the usual ones that exists; `None` if variables of the
/// environment replace it.
///
/// # Errors
/// [`Failure::Config`] saying where it was looked for.
pub(super) fn find(named: Option<PathBuf>) -> Result<Option<PathBuf>, Failure> {
    let file = named.or_else(usual);
    if file.is_none() && !named_by_the_environment() {
        return Err(Failure::Config(nowhere()));
    }
    Ok(file)
}

/// One that cannot be looked at is there: reading it says what is wrong. Not so in a folder that this
/// user may not enter: `runuser` leaves the service's user in root's home.
fn usual() -> Option<PathBuf> {
    let there = |file: &&&str| {
        let file = Path::new(file);
        file.try_exists().unwrap_or(file.is_absolute())
    };
    USUAL_FILES.iter().find(there).map(PathBuf::from)
}

fn named_by_the_environment() -> bool {
    std::env::vars_os().any(|(name, _)| {
        let name = name.to_string_lossy().to_ascii_uppercase();
        name.starts_with(NAMES_A_DATABASE)
    })
}

fn nowhere() -> String {
    let looked: Vec<_> = USUAL_FILES
        .iter()
        .map(|file| {
            let file = std::path::absolute(file).unwrap_or_else(|_| file.into());
            format!("\n  {}", file.display())
        })
        .collect();
    format!(
        "no configuration file found; looked for{}\nname yours with --config FILE, or create one: sendport init",
        looked.concat()
    )
}

/// Reads it.
///
/// # Errors
/// [`Failure::Config`] where there is none, or it cannot be understood.
pub(super) fn load(named: Option<PathBuf>) -> Result<Config, Failure> {
    Ok(Config::load(find(named)?.as_deref())?)
}

/// The same for a verb that can do without: the defaults where there is none.
///
/// # Errors
/// [`Failure::Config`] where it cannot be understood.
pub(super) fn load_if_any(named: Option<PathBuf>) -> Result<Config, Failure> {
    Ok(Config::load(named.or_else(usual).as_deref())?)
}
