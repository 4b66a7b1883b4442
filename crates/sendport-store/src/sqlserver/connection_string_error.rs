//! Why a connection string cannot be used.

use super::connection_string_auth::entra_advice;
use super::server_name::ServerNameError;

/// Advice for values with a semicolon.
const QUOTE: &str = "a value with ; or quotation marks in it has to be in quotation marks, such as \
    Password='a;b' (a mark of the same kind inside is doubled)";

/// A connection string that cannot be used. Its text says what to write instead, and shows no
/// password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ConnectionStringError {
    /// The first part has no `=`.
    #[error("expected 'Key=value;Key=value', found a part without '='")]
    NoPair,
    /// A later part has no `=`.
    #[error("behind '{0}' is a part without '='; {QUOTE}")]
    NoPairBehind(&'static str),
    /// A quoted value does not end.
    #[error("the quotation of '{0}' has no end, or something follows it; {QUOTE}")]
    Unclosed(String),
    /// A key of another driver, or one that cannot be ignored.
    #[error("'{key}' cannot be used here: {instead}")]
    Unsupported { key: String, instead: &'static str },
    /// Probably a misspelt key.
    #[error("'{key}' is not known; did you mean '{nearest}'?")]
    Misspelt { key: String, nearest: &'static str },
    /// It may be a part of the password, and is not shown.
    #[error("the key behind the password is not known; {QUOTE}")]
    UnknownBehindPassword,
    /// An unknown key.
    #[error("'{0}' is not known; remove it")]
    UnknownKey(String),
    /// A value that is none of the known ones.
    #[error("'{key}={value}': expected {expected}")]
    Value {
        key: String,
        value: String,
        expected: &'static str,
    },
    /// A value out of its range.
    #[error("'{key}={value}' is not a {what}")]
    Range {
        key: String,
        value: String,
        what: &'static str,
    },
    /// No `Database`.
    #[error("it names no database; add 'Database=...', the database with the alerts")]
    NoDatabase,
    /// No `Server`.
    #[error(
        "it names no server; add 'Server=host' or 'Server=host\\instance' or 'Server=tcp:host,1433'"
    )]
    NoServer,
    /// The value of `Server`.
    #[error("'Server={text}': {source}")]
    Server {
        text: String,
        source: ServerNameError,
    },
    /// `Encrypt=Strict` with `TrustServerCertificate`.
    #[error(
        "'Encrypt=Strict' always checks the server's certificate; remove 'TrustServerCertificate', \
         and name its authority, 'TrustServerCertificateCA=<PEM file>'"
    )]
    StrictTrustsAny,
    /// `TrustServerCertificate` with `TrustServerCertificateCA`.
    #[error(
        "'TrustServerCertificate' trusts any certificate, and 'TrustServerCertificateCA' one \
         authority; keep one"
    )]
    TwoTrusts,
    /// Nothing says how to authenticate.
    #[error(
        "it names no SQL login; add 'User Id=...;Password=...', or say in [database.auth] how to \
         authenticate without one"
    )]
    NoLogin,
    /// An unknown value of `Authentication`.
    #[error(
        "'Authentication={0}' is not known; write 'User Id=...;Password=...', or say in \
         [database.auth] how to authenticate"
    )]
    UnknownAuthentication(String),
    /// The string requests Entra ID, and has no place for what that needs.
    #[error(
        "'Authentication={0}' asks for Entra ID; remove it and 'User Id' and 'Password', and write a \
         section [database.auth] with kind = \"entra_token\" and a section [database.auth.oauth2]: {advice}",
        advice = entra_advice(.0)
    )]
    Entra(String),
    /// The string requests Entra ID, and the section a Windows login.
    #[error(
        "'Authentication={0}' asks for Entra ID, and database.auth.kind is \"windows\"; keep one"
    )]
    EntraBesideWindows(String),
    /// The string requests a Windows login, which is not possible.
    #[error("'{key}={value}' asks for a Windows login: {source}")]
    WindowsPair {
        key: String,
        value: String,
        source: WindowsLoginError,
    },
    /// The section requests a Windows login, which is not possible.
    #[error("database.auth.kind is \"windows\": {0}")]
    WindowsSection(#[source] WindowsLoginError),
    /// The string requests a Windows login, and the section a token.
    #[error(
        "'{key}={value}' asks for a Windows login, and database.auth.kind is \"entra_token\"; keep one"
    )]
    WindowsBesideToken { key: String, value: String },
    /// A SQL login beside a token.
    #[error(
        "database.auth.kind is \"entra_token\", which authenticates with the token alone; remove \
         'User Id' and 'Password'"
    )]
    LoginBesideToken,
    /// The token would be sent in cleartext.
    #[error("'Encrypt={0}' would show the access token to the network; write 'Encrypt=true'")]
    UnencryptedToken(String),
}

/// Why a Windows login is not possible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum WindowsLoginError {
    /// A SQL login beside it.
    #[error("'User Id' names a SQL login beside it; remove one of the two")]
    SqlLogin,
    /// This build cannot do it.
    #[error("{0}")]
    Absent(&'static str),
}
