//! LOGIN (draft-murchison-sasl-login): the server asks for the name, then for the password.

use secrecy::zeroize::Zeroizing;

use super::{Credentials, Mechanism};

/// The answers that are left, last first. What the server's prompts say differs from one to
/// the next; their order does not.
pub(super) struct Login(Vec<Zeroizing<Vec<u8>>>);

impl Login {
    pub(super) fn new(credentials: &Credentials) -> Self {
        let answer = |text: &str| Zeroizing::new(text.as_bytes().to_vec());
        Self(vec![
            answer(credentials.password.expose()),
            answer(&credentials.username),
        ])
    }
}

impl Mechanism for Login {
    /// Not all servers take the name in the command.
    fn initial_response(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        None
    }

    fn respond(&mut self, _challenge: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        self.0.pop()
    }
}
