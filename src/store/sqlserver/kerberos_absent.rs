//! Windows sign-in in builds that have none.

use super::authentication::{Kerberos, NoConnection, NoProof};
use super::connection::Connection;
use super::settings::Settings;

/// Why this build cannot do it.
pub(super) const ABSENT: Option<&str> = Some(if cfg!(windows) {
    "on Windows it is SSPI that signs in so, which this version does not use; write a SQL login, \
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
) -> Result<Connection, NoConnection> {
    Err(NoConnection::Proof(NoProof {
        what: ABSENT.unwrap_or_default().to_owned(),
        is_transient: false,
    }))
}
