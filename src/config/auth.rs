//! Section `[relay.<name>.auth]`: how to sign in.

use std::path::PathBuf;

use serde::Deserialize;

use super::secret::Secret;

/// How to sign in (RFC 4954).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthConfig {
    /// Which mechanism.
    #[serde(default)]
    pub mechanism: AuthMechanism,
    /// Who signs in.
    pub username: Option<String>,
    /// With what.
    #[serde(default)]
    pub password: Option<Secret>,
    /// File that holds the password; a final line ending is not part of it.
    pub password_file: Option<PathBuf>,
    /// Environment variable that holds the password.
    pub password_env: Option<String>,
    /// Accept that the password travels over an unencrypted connection.
    #[serde(default)]
    pub allow_cleartext_auth: bool,
}

/// SASL mechanism.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMechanism {
    /// Do not sign in.
    #[default]
    None,
    /// The strongest of what is offered and known here.
    Auto,
    /// RFC 4616.
    Plain,
    /// The de-facto standard of old Exchange and others.
    Login,
}
