//! Where a secret stands: it is read anew for each request, so that a changed one is found
//! without a restart.

use std::path::PathBuf;

use crate::secret::Secret;

/// One of the three places.
#[derive(Debug, Clone)]
pub(super) enum SecretSource {
    Value(Secret),
    File(PathBuf),
    Variable(String),
}

impl SecretSource {
    /// The one place that is given; `None` where none is. `key` is what its keys begin with.
    ///
    /// # Errors
    /// A sentence, where more than one is given or there is no secret in it.
    pub(super) fn find(
        key: &str,
        value: Option<&Secret>,
        file: Option<&PathBuf>,
        variable: Option<&String>,
    ) -> Result<Option<Self>, String> {
        let places = [
            value.cloned().map(Self::Value),
            file.cloned().map(Self::File),
            variable.cloned().map(Self::Variable),
        ];
        let mut given = places.into_iter().flatten();
        let found = given.next();
        if given.next().is_some() {
            return Err(format!(
                "expected one of {key}, {key}_file and {key}_env, found more: keep one"
            ));
        }
        if let Some(place) = &found {
            place.read().map_err(|what| format!("{key}: {what}"))?;
        }
        Ok(found)
    }

    /// The secret.
    ///
    /// # Errors
    /// A sentence that names the file or the variable.
    pub(super) fn read(&self) -> Result<Secret, String> {
        let found = match self {
            Self::Value(secret) => Some(secret.clone()),
            Self::File(file) => Secret::from_file_or_env(Some(file), None)?,
            Self::Variable(name) => Secret::from_file_or_env(None, Some(name))?,
        };
        found
            .filter(|secret| !secret.expose().is_empty())
            .ok_or_else(|| "expected a secret, found nothing in it".to_owned())
    }
}
