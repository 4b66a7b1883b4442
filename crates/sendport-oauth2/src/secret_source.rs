//! The source of a secret. Each request reads it again, so that a changed secret needs no restart.

use std::path::PathBuf;

use sendport_core::secret::Secret;

use super::error::SettingsError;

/// One of the three sources.
#[derive(Debug, Clone)]
pub(super) enum SecretSource {
    Value(Secret),
    File(PathBuf),
    Variable(String),
}

impl SecretSource {
    /// The configured source; `None` where there is none. `key` is the prefix of its keys.
    ///
    /// # Errors
    /// [`SettingsError`], where there is more than one, or no secret in it.
    pub(super) fn find(
        key: &'static str,
        value: Option<&Secret>,
        file: Option<&PathBuf>,
        variable: Option<&String>,
    ) -> Result<Option<Self>, SettingsError> {
        let sources = [
            value.cloned().map(Self::Value),
            file.cloned().map(Self::File),
            variable.cloned().map(Self::Variable),
        ];
        let mut configured = sources.into_iter().flatten();
        let found = configured.next();
        if configured.next().is_some() {
            return Err(SettingsError::keys(format!(
                "expected one of {key}, {key}_file and {key}_env, found more: keep one"
            )));
        }
        if let Some(source) = &found {
            source.read(key)?;
        }
        Ok(found)
    }

    /// The secret.
    ///
    /// # Errors
    /// [`SettingsError`] names the key, and the file or the variable.
    pub(super) fn read(&self, key: &'static str) -> Result<Secret, SettingsError> {
        let found = match self {
            Self::Value(secret) => Ok(Some(secret.clone())),
            Self::File(file) => Secret::from_file_or_env(Some(file), None),
            Self::Variable(name) => Secret::from_file_or_env(None, Some(name)),
        };
        found
            .map_err(|source| SettingsError::Secret { key, source })?
            .filter(|secret| !secret.expose().is_empty())
            .ok_or(SettingsError::EmptySecret(key))
    }
}
