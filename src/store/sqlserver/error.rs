//! What the engine's errors mean to us.

use tiberius::error::{Error, IoErrorKind};

use super::sign_in::{NoProof, SignIn};
use crate::store::{StoreError, StoreErrorKind};

/// Of an engine that maps its own errors to no number of SQL Server's.
const UNMAPPED: u32 = 33_557_097;

/// What may be done at once about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Try again after a moment: deadlock victim, serialization failure.
    Again,
    /// Try again on a fresh connection: this one is gone, its idle siblings probably too.
    Reconnect,
    /// Nothing here.
    None,
}

/// What can be done about `error` before the caller hears of it.
pub(super) fn remedy(error: &Error) -> Remedy {
    match error {
        Error::Server(e) => match e.code() {
            1205 | 3960 => Remedy::Again,
            UNMAPPED if is_serialization(e.message()) => Remedy::Again,
            code if is_fail_over(code) => Remedy::Reconnect,
            _ => Remedy::None,
        },
        // A time-out may be the engine's load: trying at once would add to it.
        Error::Io { kind, .. } if *kind != IoErrorKind::TimedOut => Remedy::Reconnect,
        _ => Remedy::None,
    }
}

/// The login itself was refused: another try brings the account nearer to its lock.
pub(super) fn is_refused_login(error: &Error) -> bool {
    matches!(error.code(), Some(18452 | 18456 | 18470 | 18486..=18488))
}

/// The error as the store's callers see it. `had_connected`: a connection to the database
/// has stood before, so that "cannot open database" means a fail-over.
pub(super) fn store_error(
    doing: &'static str,
    had_connected: bool,
    sign_in: &SignIn,
    error: Error,
) -> StoreError {
    let kind = kind(had_connected, &error);
    let mut message = match &error {
        Error::Server(e) if is_refused_login(&error) => {
            let (code, state) = (e.code(), e.state());
            format!("the server answers {code} (state {state}): {}", e.message())
        }
        Error::Server(e) => format!("the server answers {}: {}", e.code(), e.message()),
        other => other.to_string(),
    };
    if let Some(advice) = advice(kind, sign_in, &error) {
        message = format!("{message}; {advice}");
    }
    StoreError::explained(kind, doing, message, error)
}

/// The server was not asked.
pub(super) fn no_proof(doing: &'static str, why: NoProof) -> StoreError {
    let kind = match why.is_transient {
        true => StoreErrorKind::Unavailable,
        false => StoreErrorKind::Refused,
    };
    StoreError::new(kind, doing, why.what)
}

fn kind(had_connected: bool, error: &Error) -> StoreErrorKind {
    match error {
        Error::Io { .. } | Error::Routing { .. } => StoreErrorKind::Unavailable,
        Error::Tls(text) if text.contains("certificate") => StoreErrorKind::Refused,
        Error::Tls(_) => StoreErrorKind::Unavailable,
        // Raised where the driver does not understand the stream, or the SQL Browser is mute.
        Error::Protocol(_) => StoreErrorKind::Unavailable,
        Error::Conversion(text) if text.contains("SQL browser") => StoreErrorKind::Unavailable,
        Error::Server(e) if e.code() == UNMAPPED => unmapped_kind(e.message()),
        Error::Server(e) => server_kind(had_connected, e.code()),
        _ => StoreErrorKind::Rejected,
    }
}

fn server_kind(had_connected: bool, code: u32) -> StoreErrorKind {
    match code {
        4060 if !had_connected => StoreErrorKind::Schema,
        1205 | 1222 | 3960 | 701 | 802 | 8645 | 8651 => StoreErrorKind::Unavailable,
        code if is_fail_over(code) => StoreErrorKind::Unavailable,
        // Read-only database or replica; log or file group or quota full.
        3906 | 3908 | 9002 | 1105 | 1101 | 40544 => StoreErrorKind::ReadOnly,
        18452 | 18456 | 18470 | 18486..=18488 | 40532 | 40607 | 40615 | 47073 => {
            StoreErrorKind::Refused
        }
        229 | 230 | 262 | 297 | 300 | 916 | 15247 | 2760 => StoreErrorKind::Refused,
        207 | 208 | 911 | 2715 | 2812 => StoreErrorKind::Schema,
        _ => StoreErrorKind::Rejected,
    }
}

/// Failing over, shutting down, throttling, or moving: another try in a while succeeds.
fn is_fail_over(code: u32) -> bool {
    matches!(
        code,
        4060 | 40197 | 40501 | 40613 | 40143 | 40540 | 10928 | 10929 | 49918
            ..=49920
                | 921
                | 922
                | 976
                | 978
                | 979
                | 981
                | 982
                | 983
                | 596
                | 6005
                | 17142
                | 17187
                | 64
                | 121
                | 233
                | 10053
                | 10054
                | 10060
    )
}

fn is_serialization(message: &str) -> bool {
    [
        "deadlock detected",
        "could not serialize",
        "concurrently updated",
    ]
    .iter()
    .any(|part| message.contains(part))
}

fn unmapped_kind(message: &str) -> StoreErrorKind {
    let has = |part| message.contains(part);
    if is_serialization(message)
        || has("lock timeout")
        || has("terminating connection")
        || has("too many clients")
    {
        StoreErrorKind::Unavailable
    } else if has("read-only transaction") || has("No space left") {
        StoreErrorKind::ReadOnly
    } else if has("permission denied") {
        StoreErrorKind::Refused
    } else if has("does not exist") {
        StoreErrorKind::Schema
    } else {
        StoreErrorKind::Rejected
    }
}

fn advice(kind: StoreErrorKind, sign_in: &SignIn, error: &Error) -> Option<&'static str> {
    match (kind, error) {
        (_, Error::Server(e)) if e.code() == 40613 => Some(
            "the database is moving, or was paused and wakes now: it is tried again; where this \
             lasts, look at its state in the portal",
        ),
        (StoreErrorKind::Schema, Error::Server(e))
            if e.code() == 4060 || e.message().starts_with("database ") =>
        {
            Some("create the database, or let 'sendport migrate' create it")
        }
        (StoreErrorKind::Schema, _) => Some("run 'sendport migrate' on this database"),
        (StoreErrorKind::Refused, Error::Tls(_)) => Some(
            "install the certificate's authority on this machine, or write TrustServerCertificateCA=<file>, \
             or, on a network that you trust, TrustServerCertificate=true",
        ),
        (StoreErrorKind::Refused, Error::Server(e)) if matches!(e.code(), 40615 | 47073) => Some(
            "let this machine's address through the firewall of the server, or connect by its \
             private endpoint",
        ),
        (StoreErrorKind::Refused, Error::Server(e)) if e.code() == 40607 => Some(
            "Azure SQL Database knows no Windows logins: write [database.auth] with kind = \
             \"entra_token\"",
        ),
        (StoreErrorKind::Refused, e) if is_refused_login(e) => Some(login_advice(sign_in, e)),
        (StoreErrorKind::Refused, _) => Some(
            "make the service's user a member of the role sendport_service (for 'migrate' of db_owner)",
        ),
        _ => None,
    }
}

/// The server hides the reason; its own error log has it under the state.
fn login_advice(sign_in: &SignIn, error: &Error) -> &'static str {
    match (sign_in, error) {
        (SignIn::EntraToken(_), Error::Server(e)) if e.message().contains("expired") => {
            "the access token has expired: look at what renews it (database.auth.oauth2), and at \
             this host's clock"
        }
        (SignIn::EntraToken(_), _) => {
            "the access token has to be for https://database.windows.net/ (scope \
             https://database.windows.net/.default), and of somebody who is a user of this \
             database: CREATE USER [name] FROM EXTERNAL PROVIDER"
        }
        (SignIn::Windows(_), _) => {
            "make the account of the ticket a login, CREATE LOGIN [DOMAIN\\account] FROM WINDOWS, \
             and a user of this database; for an untrusted domain, look at the realm of the ticket \
             and at the SPN MSSQLSvc/host:port"
        }
        (SignIn::AsWritten, _) => {
            "check 'User Id' and 'Password' of the connection string and that SQL logins are \
             enabled; the server's error log says under the state why"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cannot_open_database_is_a_fail_over_only_after_it_was_open() {
        assert_eq!(server_kind(false, 4060), StoreErrorKind::Schema);
        assert_eq!(server_kind(true, 4060), StoreErrorKind::Unavailable);
    }

    #[test]
    fn kinds_follow_the_number() {
        for (code, expected) in [
            (1205, StoreErrorKind::Unavailable),
            (1222, StoreErrorKind::Unavailable),
            (40613, StoreErrorKind::Unavailable),
            (49919, StoreErrorKind::Unavailable),
            (3906, StoreErrorKind::ReadOnly),
            (18456, StoreErrorKind::Refused),
            (229, StoreErrorKind::Refused),
            (208, StoreErrorKind::Schema),
            (8152, StoreErrorKind::Rejected),
        ] {
            assert_eq!(server_kind(true, code), expected, "{code}");
        }
    }

    #[test]
    fn unmapped_errors_are_told_apart_by_their_words() {
        assert_eq!(
            unmapped_kind("deadlock detected"),
            StoreErrorKind::Unavailable
        );
        assert_eq!(
            unmapped_kind("database \"x\" does not exist"),
            StoreErrorKind::Schema
        );
        assert_eq!(
            unmapped_kind("permission denied for table alertrow"),
            StoreErrorKind::Refused
        );
        assert_eq!(unmapped_kind("syntax error"), StoreErrorKind::Rejected);
    }

    #[test]
    fn a_time_out_is_not_tried_again_at_once_and_a_lost_connection_is() {
        let io = |kind| Error::Io {
            kind,
            message: String::new(),
        };
        assert_eq!(remedy(&io(IoErrorKind::TimedOut)), Remedy::None);
        assert_eq!(remedy(&io(IoErrorKind::ConnectionReset)), Remedy::Reconnect);
    }
}
