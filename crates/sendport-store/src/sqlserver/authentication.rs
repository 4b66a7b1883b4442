//! How a new connection authenticates, and what follows a refusal.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use tiberius::AuthMethod;
use tiberius::error::Error;

use super::connection::Connection;
use super::error::is_refused_login;
use super::kerberos;
use super::settings::Settings;

/// A refused password is left alone for this long: each try brings the account nearer to its lock.
const PASSWORD_PAUSE: Duration = Duration::from_secs(15 * 60);

/// A refused token locks nothing, and a new one may be better.
const TOKEN_PAUSE: Duration = Duration::from_secs(60);

/// How a connection authenticates.
#[derive(Clone, Default)]
pub enum Authentication {
    /// As the connection string says: `User Id` and `Password`, or `Integrated Security=true`.
    #[default]
    AsWritten,
    /// With access tokens of Entra ID, which come from here.
    EntraToken(Arc<dyn AccessTokens>),
    /// As an account of Windows, with a Kerberos ticket.
    Windows(Kerberos),
}

/// The account whose tickets are used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kerberos {
    /// The keys that tickets are asked for with; `None`: the process's own tickets, as
    /// `KRB5CCNAME` and `KRB5_CLIENT_KTNAME` name them.
    pub keytab_file: Option<PathBuf>,
    /// `name@REALM`; `None`: the first of the keytab.
    pub principal: Option<String>,
}

/// Access tokens for one database. Shared by all connections; concurrent calls are normal.
#[async_trait]
pub trait AccessTokens: Send + Sync {
    /// A token that is valid now. Its waits are bounded.
    ///
    /// # Errors
    /// [`CredentialError`].
    async fn token(&self) -> Result<SecretString, CredentialError>;

    /// The server refused `token`: the next [`AccessTokens::token`] gives another, where there
    /// is one.
    async fn refused(&self, token: &SecretString);
}

/// Why there is no token or ticket to authenticate with. Holds no part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialError {
    /// A sentence that names the key to look at.
    pub what: String,
    /// Time heals it.
    pub is_transient: bool,
}

/// Why there is no connection.
pub(super) enum ConnectError {
    /// The server, or the way to it.
    Driver(Error),
    /// The server was not asked: there are no credentials.
    Proof(CredentialError),
}

impl From<Error> for ConnectError {
    fn from(error: Error) -> Self {
        Self::Driver(error)
    }
}

impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AsWritten => f.write_str("AsWritten"),
            Self::EntraToken(_) => f.write_str("EntraToken"),
            Self::Windows(kerberos) => f.debug_tuple("Windows").field(kerberos).finish(),
        }
    }
}

impl Authentication {
    /// How long a refusal keeps the pool from trying again.
    pub(super) fn pause(&self) -> Duration {
        match self {
            Self::EntraToken(_) => TOKEN_PAUSE,
            Self::AsWritten | Self::Windows(_) => PASSWORD_PAUSE,
        }
    }

    pub(super) fn is_windows(&self) -> bool {
        matches!(self, Self::Windows(_))
    }

    pub(super) fn pause_in_words(&self) -> String {
        match self.pause().as_secs() / 60 {
            1 => "a minute".to_owned(),
            minutes => format!("{minutes} minutes"),
        }
    }

    /// What makes another try worth it, in words.
    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Self::EntraToken(_) => "then it is tried with the token that there is",
            Self::AsWritten | Self::Windows(_) => "correct it and restart the service",
        }
    }
}

/// Opens an authenticated connection.
pub(super) async fn connect(
    settings: &Settings,
    generation: u64,
) -> Result<Connection, ConnectError> {
    match &settings.authentication {
        Authentication::AsWritten => Ok(Connection::open(settings, None, generation).await?),
        Authentication::EntraToken(tokens) => with_token(settings, &**tokens, generation).await,
        Authentication::Windows(kerberos) => {
            kerberos::connect(settings, kerberos, generation).await
        }
    }
}

/// A refused token is replaced once; the refusal of the next one is final, and so is one where there is no
/// other.
async fn with_token(
    settings: &Settings,
    tokens: &dyn AccessTokens,
    generation: u64,
) -> Result<Connection, ConnectError> {
    let first = tokens.token().await.map_err(ConnectError::Proof)?;
    let refusal = match present(settings, &first, generation).await {
        Err(error) if is_refused_login(&error) => error,
        other => return Ok(other?),
    };
    tokens.refused(&first).await;
    let second = match tokens.token().await {
        Ok(second) if second.expose_secret() != first.expose_secret() => second,
        _ => return Err(refusal.into()),
    };
    let presented = present(settings, &second, generation).await;
    if presented.as_ref().is_err_and(is_refused_login) {
        tokens.refused(&second).await;
    }
    Ok(presented?)
}

async fn present(
    settings: &Settings,
    token: &SecretString,
    generation: u64,
) -> Result<Connection, Error> {
    let proof = AuthMethod::AADToken(token.clone());
    Connection::open(settings, Some(proof), generation).await
}
