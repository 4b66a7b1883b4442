//! The password of `[relay.<name>.auth]`, from whichever of its three keys is set.

use sendport_core::secret::Secret;

use super::auth::AuthConfig;

/// The password that the configuration points to cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file is missing, unreadable or not UTF-8.
    #[error("auth.password_file '{path}' cannot be read: {cause}")]
    File {
        /// As configured.
        path: String,
        /// What the system says.
        cause: std::io::Error,
    },
    /// The variable is not set, or not UTF-8.
    #[error("auth.password_env names the environment variable '{name}': {cause}")]
    Variable {
        /// As configured.
        name: String,
        /// What is wrong with it.
        cause: std::env::VarError,
    },
    /// There is nothing in it.
    #[error("auth.{key} leads to an empty password; write the password there")]
    Empty {
        /// Which key.
        key: &'static str,
    },
    /// More than one place is named.
    #[error(
        "auth.password: expected one of password, password_file and password_env, found {0}: \
         remove the others"
    )]
    Ambiguous(usize),
}

/// The password of a relay, from whichever of the three keys is set; `None` where none is.
///
/// # Errors
/// [`SecretError`] names the file or the variable.
pub fn resolve_password(auth: &AuthConfig) -> Result<Option<Secret>, SecretError> {
    let set = auth.passwords();
    if set > 1 {
        return Err(SecretError::Ambiguous(set));
    }
    let (key, found) = match (&auth.password_file, &auth.password_env) {
        (Some(path), _) => {
            let secret = Secret::from_file(path).map_err(|cause| SecretError::File {
                path: path.display().to_string(),
                cause,
            })?;
            ("password_file", Some(secret))
        }
        (None, Some(name)) => {
            let text = std::env::var(name).map_err(|cause| SecretError::Variable {
                name: name.clone(),
                cause,
            })?;
            ("password_env", Some(Secret::new(text)))
        }
        (None, None) => ("password", auth.password.clone()),
    };
    match found {
        Some(secret) if secret.expose().is_empty() => Err(SecretError::Empty { key }),
        found => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_file_is_read_as_every_secret_file() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "\u{FEFF} se\ncret \r\n\n").expect("write");
        let mut auth = AuthConfig {
            password_file: Some(file.path().to_owned()),
            ..AuthConfig::default()
        };
        let secret = resolve_password(&auth).expect("readable").expect("set");
        assert_eq!(secret.expose(), " se\ncret ");
        std::fs::write(file.path(), "\n").expect("write");
        let error = resolve_password(&auth).expect_err("empty").to_string();
        assert!(error.contains("password_file"), "{error}");
        auth.password_env = Some("X".into());
        assert!(matches!(
            resolve_password(&auth),
            Err(SecretError::Ambiguous(2))
        ));
    }

    #[test]
    fn what_is_missing_is_named() {
        let mut auth = AuthConfig {
            password_env: Some("SENDPORT_NO_SUCH_VARIABLE".into()),
            ..AuthConfig::default()
        };
        let error = resolve_password(&auth).expect_err("not set").to_string();
        assert!(error.contains("SENDPORT_NO_SUCH_VARIABLE"), "{error}");
        auth.password_env = None;
        auth.password_file = Some("/no/such/file".into());
        let error = resolve_password(&auth).expect_err("no file").to_string();
        assert!(error.contains("/no/such/file"), "{error}");
    }
}
