//! CRAM-MD5 (RFC 2195): the name, and HMAC-MD5 of the server's challenge under the password.

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use secrecy::zeroize::Zeroizing;
use sendport_core::secret::Secret;

use super::credentials::Account;
use super::error::AuthError;
use super::hexadecimal;
use super::mechanism::{Mechanism, Response};

pub(super) struct CramMd5 {
    username: String,
    password: Secret,
}

impl CramMd5 {
    pub(super) fn new(account: &Account) -> Self {
        Self {
            username: account.username.clone(),
            password: account.password.clone(),
        }
    }
}

impl Mechanism for CramMd5 {
    fn initial_response(&mut self) -> Result<Option<Response>, AuthError> {
        Ok(None)
    }

    /// Refuses an empty challenge: its digest would be the same every time.
    fn respond(&mut self, challenge: &[u8]) -> Result<Response, AuthError> {
        if challenge.is_empty() {
            return Err(AuthError::unexpected(
                "expected a challenge of CRAM-MD5 in base64, found none",
            ));
        }
        let mut mac =
            Hmac::<Md5>::new_from_slice(self.password.expose().as_bytes()).map_err(|error| {
                AuthError::UnusableCredential(format!("HMAC-MD5 refused the password: {error}"))
            })?;
        mac.update(challenge);
        let digest = hexadecimal(&mac.finalize().into_bytes());
        let response = format!("{} {digest}", self.username);
        Ok(Zeroizing::new(response.into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 2195 section 2.
    #[test]
    fn computes_the_example_of_rfc_2195() {
        let account = Account {
            username: "tim".to_owned(),
            password: Secret::new("tanstaaftanstaaf".to_owned()),
        };
        let response =
            CramMd5::new(&account).respond(b"<1896.697170952@postoffice.reston.mci.net>");
        assert_eq!(
            response.expect("a response").as_slice(),
            b"tim b913a602c7eda7a495b4e6e7334d3890"
        );
        assert!(CramMd5::new(&account).respond(b"").is_err());
    }
}
