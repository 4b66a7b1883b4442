//! LOGIN (draft-murchison-sasl-login): the server asks for the name, then for the password.

use secrecy::zeroize::Zeroizing;

use super::credentials::Account;
use super::error::AuthError;
use super::mechanism::{Mechanism, Response};

/// The remaining responses, last first. The texts of prompts differ among servers, their order does
/// not.
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
    /// Not every server accepts the name in the command.
    fn initial_response(&mut self) -> Result<Option<Response>, AuthError> {
        Ok(None)
    }

    fn respond(&mut self, _challenge: &[u8]) -> Result<Response, AuthError> {
        let answer = self.0.pop();
        answer.ok_or_else(|| {
            AuthError::unexpected(
                "expected the server to ask for name and password of LOGIN, it asked a third time",
            )
        })
    }
}
