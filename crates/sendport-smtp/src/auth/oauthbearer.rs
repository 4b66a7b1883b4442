//! OAUTHBEARER (RFC 7628): a bearer token (RFC 6750) in one message.

use secrecy::zeroize::Zeroizing;
use sendport_core::secret::Secret;

use super::credentials::ServerIdentity;
use super::error::AuthError;
use super::mechanism::{Mechanism, Response, no_further_response};
use super::{oauth_error, saslname};

pub(super) struct OauthBearer {
    message: Option<Response>,
    refusal: Option<String>,
}

impl OauthBearer {
    /// RFC 7628 section 3.1.
    pub(super) fn new(username: &str, token: &Secret, server: &ServerIdentity) -> Self {
        let (name, token, port) = (saslname(username), token.expose(), server.port.to_string());
        let parts = [
            "n,a=",
            &name,
            ",\x01host=",
            &server.name,
            "\x01port=",
            &port,
            "\x01auth=Bearer ",
            token,
            "\x01\x01",
        ];
        let length = parts.iter().map(|part| part.len()).sum();
        let mut message = Zeroizing::new(Vec::with_capacity(length));
        for part in parts {
            message.extend_from_slice(part.as_bytes());
        }
        Self {
            message: Some(message),
            refusal: None,
        }
    }
}

impl Mechanism for OauthBearer {
    fn initial_response(&mut self) -> Result<Option<Response>, AuthError> {
        Ok(self.message.take())
    }

    /// A challenge holds the reason of a refusal; the refusal follows the response `^A` (RFC 7628
    /// section 3.2.3).
    fn respond(&mut self, challenge: &[u8]) -> Result<Response, AuthError> {
        if self.refusal.is_some() {
            return no_further_response("OAUTHBEARER");
        }
        self.refusal = Some(oauth_error::described(challenge));
        Ok(Zeroizing::new(vec![1]))
    }

    fn reason(&self) -> Option<&str> {
        self.refusal.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7628 section 4.1.
    #[test]
    fn writes_the_example_of_the_rfc() {
        let server = ServerIdentity {
            name: "server.example.com".to_owned(),
            port: 143,
        };
        let token = Secret::new("vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==".to_owned());
        let mut mechanism = OauthBearer::new("user@example.com", &token, &server);
        let message = mechanism.initial_response().expect("a message");
        let expected = "n,a=user@example.com,\x01host=server.example.com\x01port=143\x01\
                        auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01";
        assert_eq!(message.expect("a message").as_slice(), expected.as_bytes());
    }

    #[test]
    fn keeps_the_reason_of_a_refusal() {
        let server = ServerIdentity {
            name: "mail.example.test".to_owned(),
            port: 587,
        };
        let mut mechanism = OauthBearer::new("a=b,c", &Secret::new("t".to_owned()), &server);
        let message = mechanism.initial_response().expect("a message");
        assert!(
            message
                .expect("a message")
                .starts_with(b"n,a=a=3Db=2Cc,\x01")
        );
        let json = br#"{"status":"invalid_token","scope":"example_scope"}"#;
        let response = mechanism.respond(json).expect("a response");
        assert_eq!(response.as_slice(), b"\x01");
        assert_eq!(
            mechanism.reason(),
            Some("status 'invalid_token', expected scope 'example_scope'")
        );
        assert!(mechanism.respond(json).is_err());
    }
}
