//! PLAIN (RFC 4616): `authzid NUL authcid NUL passwd` in one message.

use secrecy::zeroize::Zeroizing;

use super::{Credentials, Mechanism};

pub(super) struct Plain(Option<Zeroizing<Vec<u8>>>);

impl Plain {
    /// Without an authorization identity: we act as who we sign in as.
    pub(super) fn new(credentials: &Credentials) -> Self {
        let (name, password) = (&credentials.username, credentials.password.expose());
        let mut message = Zeroizing::new(Vec::with_capacity(name.len() + password.len() + 2));
        message.push(0);
        message.extend_from_slice(name.as_bytes());
        message.push(0);
        message.extend_from_slice(password.as_bytes());
        Self(Some(message))
    }
}

impl Mechanism for Plain {
    fn initial_response(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        self.0.take()
    }

    fn respond(&mut self, _challenge: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        None
    }
}
