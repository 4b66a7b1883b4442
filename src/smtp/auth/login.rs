//! LOGIN (draft-murchison-sasl-login): the server asks for the name, then for the password.

use secrecy::zeroize::Zeroizing;

use super::credentials::Account;
use super::mechanism::{Mechanism, Response};

/// The answers that are left, last first. What the server's prompts say differs from one to
/// the next; their order does not.
pub(super) struct Login(Vec<Response>);

impl Login {
    pub(super) fn new(account: &Account) -> Self {
        let answer = |text: &str| Zeroizing::new(text.as_bytes().to_vec());
        Self(vec![
            answer(account.password.expose()),
            answer(&account.username),
        ])
    }
}

impl Mechanism for Login {
    /// Not all servers take the name in the command.
    fn initial_response(&mut self) -> Result<Option<Response>, String> {
        Ok(None)
    }

    fn respond(&mut self, _challenge: &[u8]) -> Result<Response, String> {
        let answer = self.0.pop();
        answer.ok_or_else(|| {
            "expected the server to ask for name and password of LOGIN, it asked a third time"
                .to_owned()
        })
    }
}
