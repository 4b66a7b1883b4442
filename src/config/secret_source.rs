//! Secrets that stand in a file or an environment variable instead of the configuration.

use std::path::Path;

use super::secret::Secret;

impl Secret {
    /// The secret in `file` (a final line end is not part of it) or in the environment
    /// variable `variable`; `None` where neither is given.
    ///
    /// # Errors
    /// A sentence that names the file or the variable.
    pub fn from_file_or_env(
        file: Option<&Path>,
        variable: Option<&str>,
    ) -> Result<Option<Self>, String> {
        match (file, variable) {
            (Some(_), Some(_)) => {
                Err("both a file and an environment variable are given; keep one".to_owned())
            }
            (Some(file), None) => std::fs::read_to_string(file)
                .map(|text| Some(Self::new(text.trim_end_matches(['\r', '\n']).to_owned())))
                .map_err(|error| format!("the file {} cannot be read: {error}", file.display())),
            (None, Some(variable)) => std::env::var(variable)
                .map(|text| Some(Self::new(text)))
                .map_err(|_| format!("the environment variable {variable} is not set")),
            (None, None) => Ok(None),
        }
    }
}
