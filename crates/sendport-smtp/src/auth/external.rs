//! EXTERNAL (RFC 4422 appendix A): the TLS client certificate names the account.

use secrecy::zeroize::Zeroizing;

use super::error::AuthError;
use super::mechanism::{Mechanism, Response, no_further_response};

/// The authorization identity; empty: the one that the certificate names.
pub(super) struct External(Option<Response>);

impl External {
    pub(super) fn new(act_as: &str) -> Self {
        Self(Some(Zeroizing::new(act_as.as_bytes().to_vec())))
    }
}

impl Mechanism for External {
    fn initial_response(&mut self) -> Result<Option<Response>, AuthError> {
        Ok(self.0.take())
    }

    fn respond(&mut self, _challenge: &[u8]) -> Result<Response, AuthError> {
        no_further_response("EXTERNAL")
    }
}
