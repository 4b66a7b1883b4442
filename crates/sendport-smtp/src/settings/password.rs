//! The password of `[relay.<name>.auth]`, from whichever of its three keys is set.

use sendport_core::secret::Secret;
use sendport_core::secret_source::SecretError;

use super::auth::AuthConfig;

/// Why a relay's password cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// The file or the environment variable.
    #[error("auth.{key}: {source}")]
    Unreadable {
        /// Which key.
        key: &'static str,
        /// The reason.
        source: SecretError,
    },
    /// There is nothing in it.
    #[error("the password that auth.{key} refers to is empty; store the password there")]
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
/// [`PasswordError`] names the file or the variable.
pub fn resolve_password(auth: &AuthConfig) -> Result<Option<Secret>, PasswordError> {
    let set = auth.passwords();
    if set > 1 {
        return Err(PasswordError::Ambiguous(set));
    }
    let key = match (&auth.password_file, &auth.password_env) {
        (Some(_), _) => "password_file",
        (None, Some(_)) => "password_env",
        (None, None) => "password",
    };
    let found =
        Secret::from_file_or_env(auth.password_file.as_deref(), auth.password_env.as_deref())
            .map_err(|source| PasswordError::Unreadable { key, source })?
            .or_else(|| auth.password.clone());
    match found {
        Some(secret) if secret.expose().is_empty() => Err(PasswordError::Empty { key }),
        found => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_file_is_read_as_every_secret_file() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "\u{FEFF} se\ncret \r\n").expect("write");
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
            Err(PasswordError::Ambiguous(2))
        ));
    }

    #[test]
    fn a_missing_password_source_is_named() {
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
