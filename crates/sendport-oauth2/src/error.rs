//! Errors of this module: settings that cannot be used, and what is not a token.

use std::fmt;
use std::path::{Path, PathBuf};

use openssl::error::ErrorStack;
use sendport_core::domain::Timestamp;
use sendport_core::secret_source::SecretError;

use crate::settings::MissingEndpoint;

/// `auth.oauth2` cannot be used: which key, what was expected and what was found.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Keys that are missing, or exclude each other.
    #[error("{0}")]
    Keys(String),
    /// A file cannot be read.
    #[error("{key} '{}' cannot be read: {source}", path.display())]
    File {
        /// Which key.
        key: &'static str,
        /// As configured.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file holds something else.
    #[error("{key} '{}': expected {expected}, found {found}", path.display())]
    Content {
        /// Which key.
        key: &'static str,
        /// As configured.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// What it holds.
        found: &'static str,
    },
    /// Neither a token endpoint nor a tenant.
    #[error(transparent)]
    Endpoint(#[from] MissingEndpoint),
    /// A file or an environment variable with a secret cannot be read.
    #[error("{key}: {source}")]
    Secret {
        /// Which keys.
        key: &'static str,
        /// Why.
        source: SecretError,
    },
    /// A file or an environment variable holds an empty secret.
    #[error("{0}: expected a secret, found nothing in it")]
    EmptySecret(&'static str),
    /// The client assertion (RFC 7523) could not be signed.
    #[error("OpenSSL could not sign the client assertion: {0}")]
    Signature(#[from] ErrorStack),
}

impl SettingsError {
    pub(super) fn keys(what: impl Into<String>) -> Self {
        Self::Keys(what.into())
    }

    pub(super) fn content(key: &'static str, path: &Path, expected: &'static str) -> Self {
        Self::Content {
            key,
            path: path.to_owned(),
            expected,
            found: "something else",
        }
    }
}

/// What was expected to be an access token is none (RFC 6749 section 5.1). Quotes no part of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidToken {
    /// Nothing at all.
    Empty,
    /// Not of the alphabet of RFC 6750 section 2.1.
    Characters,
    /// It has expired.
    Expired { now: Timestamp, at: Timestamp },
    /// A JSON object without `access_token`.
    Missing,
    /// Another `token_type` than Bearer.
    Type(String),
    /// Malformed JSON.
    Json { line: usize, column: usize },
    /// Not UTF-8.
    NotUtf8,
}

impl fmt::Display for InvalidToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("expected a token, found nothing"),
            Self::Characters => f.write_str(
                "expected a token of one line of visible ASCII characters, found others or several \
                 lines",
            ),
            Self::Expired { now, at } => write!(
                f,
                "expected a token that is valid now ({now}), found one that expired at {at}; where \
                 that is wrong, check this host's clock"
            ),
            Self::Missing => {
                f.write_str("expected a JSON object with access_token, found one without")
            }
            Self::Type(found) => write!(f, "expected a token of the type Bearer, found '{found}'"),
            Self::Json { line, column } => write!(
                f,
                "expected a token or a JSON object with access_token, found JSON that cannot be \
                 read at line {line} column {column}"
            ),
            Self::NotUtf8 => f.write_str("expected a token, found output that is not UTF-8"),
        }
    }
}
