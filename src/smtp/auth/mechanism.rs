//! What a SASL mechanism has to give.

use secrecy::zeroize::Zeroizing;

/// What goes to the server, before base64. It may hold a secret.
pub(super) type Response = Zeroizing<Vec<u8>>;

/// A SASL mechanism (RFC 4422 section 3): the client's half of one sign-in.
///
/// An error is a sentence: what was expected of the server, what it did. The dialogue is
/// cancelled then, and no other mechanism tries the same secret.
pub(super) trait Mechanism: Send {
    /// What stands in the command itself, where the mechanism begins with the client.
    fn initial_response(&mut self) -> Result<Option<Response>, String>;

    /// The response to a challenge, which is decoded, or empty where it was not base64.
    fn respond(&mut self, challenge: &[u8]) -> Result<Response, String>;

    /// Asked when the server says that we are in. An error where the mechanism has the server
    /// prove that it knows the secret, too, and it did not.
    fn accepted(&self) -> Result<(), String> {
        Ok(())
    }

    /// What the server gave as the reason in a challenge, for the text of its refusal.
    fn reason(&self) -> Option<&str> {
        None
    }
}

/// For mechanisms of one message: whatever is asked further is not of the mechanism.
pub(super) fn nothing_more(mechanism: &str) -> Result<Response, String> {
    Err(format!(
        "expected the server to accept or refuse after the one message of {mechanism}, it asked \
         for more"
    ))
}
