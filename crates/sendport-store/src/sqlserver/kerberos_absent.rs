//! Windows authentication in builds without it.

use super::authentication::{ConnectError, CredentialError, Kerberos};
use super::connection::Connection;
use super::settings::Settings;

/// Why this build cannot do it.
pub(super) const ABSENT: Option<&str> = Some(if cfg!(windows) {
    "Windows authentication on Windows needs SSPI, which this version does not use; write a SQL login, \
     'User Id=...;Password=...', or [database.auth] with kind = \"entra_token\""
} else {
    "this build does not speak it: build with `--features sqlserver-gssapi`, or write a SQL \
     login, 'User Id=...;Password=...', or [database.auth] with kind = \"entra_token\""
});

#[expect(clippy::unused_async, reason = "as the one that asks the KDC")]
pub(super) async fn connect(
    _settings: &Settings,
    _kerberos: &Kerberos,
    _generation: u64,
) -> Result<Connection, ConnectError> {
    Err(ConnectError::Proof(CredentialError {
        what: ABSENT.unwrap_or_default().to_owned(),
        is_transient: false,
    }))
}
