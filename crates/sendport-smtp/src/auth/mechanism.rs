//! The client's side of a SASL mechanism (RFC 4422).

use secrecy::zeroize::Zeroizing;

use super::error::AuthError;

/// A response before base64. It may hold a secret.
pub(super) type Response = Zeroizing<Vec<u8>>;

/// A SASL mechanism (RFC 4422 section 3) in one authentication exchange.
///
/// An error cancels the exchange, and no other mechanism tries the same secret.
pub(super) trait Mechanism: Send {
    /// The initial response (RFC 4954 section 4), where the client begins.
    fn initial_response(&mut self) -> Result<Option<Response>, AuthError>;

    /// The response to a decoded challenge; the challenge is empty where it was not base64.
    fn respond(&mut self, challenge: &[u8]) -> Result<Response, AuthError>;

    /// Called after the server's success. An error where the mechanism authenticates the server,
    /// too, and the server did not prove that it knows the secret.
    fn accepted(&self) -> Result<(), AuthError> {
        Ok(())
    }

    /// The reason that the server gave in a challenge, for the text of its refusal.
    fn reason(&self) -> Option<&str> {
        None
    }
}

/// For mechanisms of one message: a further challenge is not part of the mechanism.
pub(super) fn no_further_response(mechanism: &str) -> Result<Response, AuthError> {
    Err(AuthError::unexpected(format!(
        "expected the server to accept or refuse after the one message of {mechanism}, it asked \
         for more"
    )))
}
