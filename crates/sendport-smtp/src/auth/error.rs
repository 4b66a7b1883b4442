//! Why an authentication was not carried to its end on this side.

use std::borrow::Cow;

use openssl::error::ErrorStack;
use sendport_core::domain::LocalCause;

use super::choice::{Credential, Sasl};
use super::credentials::CredentialsError;

/// The client gave up: before `AUTH`, or within the exchange (RFC 4954 section 4), which it then
/// cancels. A server's refusal is a reply, and not one of these.
#[derive(Debug, thiserror::Error)]
pub(super) enum AuthError {
    /// The server offers none of the wanted mechanisms (RFC 4954 section 3).
    #[error("{}", not_offered(.wanted, .offered))]
    MechanismNotOffered {
        wanted: Vec<Sasl>,
        offered: Vec<String>,
    },
    /// The mechanism would send a secret over an unencrypted connection (RFC 4954 section 4).
    #[error(
        "AUTH {} would send the {} over an unencrypted connection: set tls to \"starttls\" or \
         \"implicit\", or accept it with auth.allow_cleartext_auth = true",
        .0.name(), secret_of(*.0)
    )]
    CleartextForbidden(Sasl),
    /// The mechanism needs what is not configured.
    #[error("{}", missing(*.0))]
    MissingCredential(Sasl),
    /// The configured credentials cannot be used.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The mechanism cannot use this name or password.
    #[error("{0}")]
    UnusableCredential(String),
    /// This build has no such mechanism.
    #[error("{0}")]
    Unsupported(&'static str),
    /// The challenge is not one of the mechanism (RFC 4422 section 3).
    #[error("{0}")]
    UnexpectedChallenge(Cow<'static, str>),
    /// The mechanism authenticates the server, too, and the server failed it.
    #[error("{0}")]
    ServerNotAuthenticated(Cow<'static, str>),
    /// OpenSSL failed.
    #[error("{what}: {source}")]
    Crypto {
        what: &'static str,
        source: ErrorStack,
    },
    /// The GSS-API failed (RFC 2743).
    #[cfg(all(feature = "gssapi", unix))]
    #[error(transparent)]
    Gssapi(#[from] sendport_gssapi::Error),
}

impl AuthError {
    pub(super) fn unexpected(what: impl Into<Cow<'static, str>>) -> Self {
        Self::UnexpectedChallenge(what.into())
    }

    /// The kind that the table of replies explains.
    pub(super) fn cause(&self) -> LocalCause {
        match self {
            Self::MechanismNotOffered { .. } => LocalCause::AuthMechanismNotOffered,
            Self::CleartextForbidden(_) => LocalCause::CleartextAuthForbidden,
            _ => LocalCause::AuthNotPossible,
        }
    }
}

fn not_offered(wanted: &[Sasl], offered: &[String]) -> String {
    let wanted: Vec<_> = wanted.iter().map(|sasl| sasl.name()).collect();
    let wanted = wanted.join(" or ");
    if offered.is_empty() {
        return format!(
            "expected the server to offer AUTH {wanted}, it offers no authentication on this \
             connection: check port and tls, or set auth.mechanism = \"none\""
        );
    }
    format!(
        "expected the server to offer AUTH {wanted}, it offers {}: set auth.mechanism to one \
         that both support",
        offered.join(" ")
    )
}

fn secret_of(sasl: Sasl) -> &'static str {
    match sasl.credential() {
        Credential::Token => "access token",
        _ => "password",
    }
}

fn missing(sasl: Sasl) -> String {
    let name = sasl.name();
    match sasl.credential() {
        Credential::Password => format!(
            "AUTH {name} needs a password: set one of auth.password_file, auth.password_env and \
             auth.password"
        ),
        Credential::Token => {
            format!("AUTH {name} needs an access token: write a section auth.oauth2")
        }
        Credential::Certificate => format!(
            "AUTH {name} needs a connection with TLS and a client certificate: set tls to \
             \"starttls\" or \"implicit\", client_certificate_file and client_key_file"
        ),
        Credential::Ticket => format!("AUTH {name} needs a ticket: set auth.keytab_file"),
    }
}
