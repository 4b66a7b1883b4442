//! PLAIN (RFC 4616): `authzid NUL authcid NUL passwd` in one message.

use secrecy::zeroize::Zeroizing;

use super::credentials::Account;
use super::error::AuthError;
use super::mechanism::{Mechanism, Response, no_further_response};

pub(super) struct Plain(Option<Response>);

impl Plain {
    /// Without an authorization identity: it is derived from the user name.
    pub(super) fn new(account: &Account) -> Self {
        let (name, password) = (&account.username, account.password.expose());
        let mut message = Zeroizing::new(Vec::with_capacity(name.len() + password.len() + 2));
        message.push(0);
        message.extend_from_slice(name.as_bytes());
        message.push(0);
        message.extend_from_slice(password.as_bytes());
        Self(Some(message))
    }
}

impl Mechanism for Plain {
    fn initial_response(&mut self) -> Result<Option<Response>, AuthError> {
        Ok(self.0.take())
    }

    fn respond(&mut self, _challenge: &[u8]) -> Result<Response, AuthError> {
        no_further_response("PLAIN")
    }
}
