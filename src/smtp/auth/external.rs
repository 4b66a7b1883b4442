//! EXTERNAL (RFC 4422 appendix A): who we are stands in the TLS client certificate.

use secrecy::zeroize::Zeroizing;

use super::mechanism::{Mechanism, Response, nothing_more};

/// The authorization identity; empty: whoever the certificate names.
pub(super) struct External(Option<Response>);

impl External {
    pub(super) fn new(act_as: &str) -> Self {
        Self(Some(Zeroizing::new(act_as.as_bytes().to_vec())))
    }
}

impl Mechanism for External {
    fn initial_response(&mut self) -> Result<Option<Response>, String> {
        Ok(self.0.take())
    }

    fn respond(&mut self, _challenge: &[u8]) -> Result<Response, String> {
        nothing_more("EXTERNAL")
    }
}
