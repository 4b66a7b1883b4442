//! Section `[database]`: where the alerts are.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::secret::Secret;

/// How to reach the database.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseConfig {
    /// `sqlite:<file>`, or an ADO.NET connection string for SQL Server. It may hold a
    /// password and is therefore a secret.
    pub connection: Secret,
    /// File that holds the connection string, instead.
    pub connection_file: Option<PathBuf>,
    /// Environment variable that holds it, instead.
    pub connection_env: Option<String>,
}

impl DatabaseConfig {
    /// The connection string, from whichever place holds it.
    ///
    /// # Errors
    /// A sentence that names the file or the variable.
    pub fn resolve(&self) -> Result<Secret, String> {
        let elsewhere = Secret::from_file_or_env(
            self.connection_file.as_deref(),
            self.connection_env.as_deref(),
        )?;
        Ok(elsewhere.unwrap_or_else(|| self.connection.clone()))
    }

    /// A relative `sqlite:` file means: beside the configuration file.
    pub(super) fn rebase(&mut self, folder: &Path) {
        if let Some(file) = sqlite_file(self.connection.expose())
            && file.is_relative()
        {
            self.connection = Secret::new(format!("sqlite:{}", folder.join(file).display()));
        }
    }
}

/// The file of a `sqlite:` connection, or `None` for an ADO.NET string.
pub fn sqlite_file(connection: &str) -> Option<PathBuf> {
    let file = connection.trim().strip_prefix("sqlite:")?;
    Some(PathBuf::from(file.strip_prefix("//").unwrap_or(file)))
}
