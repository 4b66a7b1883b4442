//! What the engine's errors mean to us.

use tiberius::error::{Error, IoErrorKind, TokenError};

use super::authentication::{Authentication, CredentialError};
use super::known_errors::{self, REFUSED_LOGINS, classify};
use crate::{StoreError, StoreErrorKind};

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
        Error::Server(e) => classify(e.code(), e.message()).1,
        // A time-out may be the engine's load: trying at once would add to it.
        Error::Io { kind, .. } if *kind != IoErrorKind::TimedOut => Remedy::Reconnect,
        _ => Remedy::None,
    }
}

/// Another transaction has locked what a statement needs, for longer than it waits.
pub(super) fn is_lock_timeout(error: &StoreError) -> bool {
    of_server(error).is_some_and(|e| match e.code() {
        known_errors::UNMAPPED => e.message().contains("lock timeout"),
        code => code == 1222,
    })
}

/// The server refused a statement, which did nothing thereby, and might not refuse it of other rows.
pub(super) fn may_be_of_one_row(error: &StoreError) -> bool {
    of_server(error).is_some_and(|e| match error.kind() {
        StoreErrorKind::Rejected | StoreErrorKind::Unknown => true,
        _ => known_errors::DAMAGED_PAGE.contains(&e.code()),
    })
}

fn of_server(error: &StoreError) -> Option<&TokenError> {
    use std::error::Error as _;
    match error.source()?.downcast_ref()? {
        Error::Server(e) => Some(e),
        _ => None,
    }
}

/// The login itself was refused: another try brings the account nearer to its lock.
pub(super) fn is_refused_login(error: &Error) -> bool {
    error
        .code()
        .is_some_and(|code| REFUSED_LOGINS.contains(&code))
}

/// The error as the store's callers see it.
pub(super) fn store_error(
    doing: &'static str,
    authentication: &Authentication,
    error: Error,
) -> StoreError {
    let kind = kind(&error);
    let mut message = match &error {
        Error::Server(e) if is_refused_login(&error) => {
            let (code, state) = (e.code(), e.state());
            format!("the server answers {code} (state {state}): {}", e.message())
        }
        Error::Server(e) => format!("the server answers {}: {}", e.code(), e.message()),
        Error::Io { message, .. } | Error::Tls(message) => message.clone(),
        other => other.to_string(),
    };
    let advice = advice(authentication, &error);
    if !advice.is_empty() {
        message = format!("{message}; {advice}");
    }
    StoreError::explained(kind, doing, message, error)
}

/// The server was not asked.
pub(super) fn no_proof(doing: &'static str, why: CredentialError) -> StoreError {
    let kind = match why.is_transient {
        true => StoreErrorKind::Unavailable,
        false => StoreErrorKind::Refused,
    };
    StoreError::new(kind, doing, why.what)
}

fn kind(error: &Error) -> StoreErrorKind {
    match error {
        Error::Server(e) => classify(e.code(), e.message()).0,
        Error::Io { .. } | Error::Routing { .. } => StoreErrorKind::Unavailable,
        Error::Tls(text) if text.contains("certificate") => StoreErrorKind::Refused,
        Error::Tls(_) => StoreErrorKind::Unavailable,
        // The driver, about a value on its way to the server.
        Error::Protocol(text) if text.contains("too long") => StoreErrorKind::Rejected,
        Error::BulkInput(_) => StoreErrorKind::Rejected,
        // Or about what came from it.
        _ => StoreErrorKind::Unknown,
    }
}

fn advice(authentication: &Authentication, error: &Error) -> String {
    match error {
        Error::Server(_) if is_refused_login(error) => {
            login_advice(authentication, error).to_owned()
        }
        Error::Server(e) => known_errors::advice(e.code(), e.message()),
        _ => String::new(),
    }
}

/// The server hides the reason; its own error log has it under the state.
fn login_advice(authentication: &Authentication, error: &Error) -> &'static str {
    match (authentication, error) {
        (Authentication::EntraToken(_), Error::Server(e)) if e.message().contains("expired") => {
            "the access token has expired: look at what renews it (database.auth.oauth2), and at \
             this host's clock"
        }
        (Authentication::EntraToken(_), _) => {
            "the access token has to be for https://database.windows.net/ (scope \
             https://database.windows.net/.default), and of a principal that is a user of this \
             database: CREATE USER [name] FROM EXTERNAL PROVIDER"
        }
        (Authentication::Windows(_), _) => {
            "make the account of the ticket a login, CREATE LOGIN [DOMAIN\\account] FROM WINDOWS, \
             and a user of this database; for an untrusted domain, look at the realm of the ticket \
             and at the SPN MSSQLSvc/host:port"
        }
        (Authentication::AsWritten, _) => {
            "check 'User Id' and 'Password' of the connection string and that SQL logins are \
             enabled; the server's error log says under the state why"
        }
    }
}

/// An answer of another shape than the statement gives.
pub(super) fn unexpected(
    doing: &'static str,
    what: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> StoreError {
    StoreError::unexpected(doing, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_the_driver_cannot_write_is_about_the_data() {
        let long = "string is too long for a US_VARCHAR (65536 UTF-16 code units, max 65535)";
        let kind_of = |text: &'static str| kind(&Error::Protocol(text.into()));
        assert_eq!(kind_of(long), StoreErrorKind::Rejected);
        assert_eq!(kind_of("invalid token type 7"), StoreErrorKind::Unknown);
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
