//! XOAUTH2, as Google and Microsoft document it: the name and a bearer token in one message.

use secrecy::zeroize::Zeroizing;
use sendport_core::secret::Secret;

use super::error::AuthError;
use super::mechanism::{Mechanism, Response, no_further_response};
use super::oauth_error;

pub(super) struct Xoauth2 {
    message: Option<Response>,
    refusal: Option<String>,
}

impl Xoauth2 {
    pub(super) fn new(username: &str, token: &Secret) -> Self {
        let token = token.expose();
        let mut message = Zeroizing::new(Vec::with_capacity(username.len() + token.len() + 24));
        for part in ["user=", username, "\x01auth=Bearer ", token, "\x01\x01"] {
            message.extend_from_slice(part.as_bytes());
        }
        Self {
            message: Some(message),
            refusal: None,
        }
    }
}

impl Mechanism for Xoauth2 {
    fn initial_response(&mut self) -> Result<Option<Response>, AuthError> {
        Ok(self.message.take())
    }

    /// A challenge holds the reason of a refusal; the refusal follows an empty response.
    fn respond(&mut self, challenge: &[u8]) -> Result<Response, AuthError> {
        if self.refusal.is_some() {
            return no_further_response("XOAUTH2");
        }
        self.refusal = Some(oauth_error::described(challenge));
        Ok(Response::default())
    }

    fn reason(&self) -> Option<&str> {
        self.refusal.as_deref()
    }
}
