//! PLAIN (RFC 4616): `authzid NUL authcid NUL passwd` in one message.

use secrecy::zeroize::Zeroizing;

use super::credentials::Account;
use super::mechanism::{Mechanism, Response, nothing_more};

pub(super) struct Plain(Option<Response>);

impl Plain {
    /// Without an authorization identity: we act as who we sign in as.
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
    fn initial_response(&mut self) -> Result<Option<Response>, String> {
        Ok(self.0.take())
    }

    fn respond(&mut self, _challenge: &[u8]) -> Result<Response, String> {
        nothing_more("PLAIN")
    }
}
