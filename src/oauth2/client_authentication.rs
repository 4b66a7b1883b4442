//! Who asks, and how that is proved to the token endpoint (RFC 6749 section 2.3).

use super::assertion::Assertion;
use super::form::Form;
use super::secret_source::SecretSource;
use crate::config::oauth2::TokenRequest;
use crate::domain::Timestamp;
use crate::secret::Secret;

/// RFC 7523 section 2.2.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A client.
pub(super) struct ClientAuthentication {
    id: String,
    proof: Option<Proof>,
}

enum Proof {
    Secret(SecretSource),
    Certificate(Assertion),
}

impl ClientAuthentication {
    /// # Errors
    /// A sentence that names the key.
    pub(super) fn new(request: &TokenRequest) -> Result<Self, String> {
        let secret = SecretSource::find(
            "client_secret",
            request.client_secret.as_ref(),
            request.client_secret_file.as_ref(),
            request.client_secret_env.as_ref(),
        )?;
        let proof = match (secret, Assertion::new(request)?) {
            (Some(_), Some(_)) => {
                return Err(
                    "expected client_secret or certificate_file, found both: keep one".into(),
                );
            }
            (Some(secret), None) => Some(Proof::Secret(secret)),
            (None, assertion) => assertion.map(Proof::Certificate),
        };
        Ok(Self {
            id: request.client_id.clone(),
            proof,
        })
    }

    /// True where it can prove itself.
    pub(super) fn is_confidential(&self) -> bool {
        self.proof.is_some()
    }

    /// Adds what the endpoint recognises the client by.
    ///
    /// # Errors
    /// A sentence, where a file or a variable cannot be read any more.
    pub(super) fn add_to(
        &self,
        form: &mut Form,
        endpoint: &str,
        now: Timestamp,
    ) -> Result<(), String> {
        form.add("client_id", &self.id);
        match &self.proof {
            None => {}
            Some(Proof::Secret(place)) => {
                let secret = place
                    .read()
                    .map_err(|what| format!("client_secret: {what}"))?;
                form.add_secret("client_secret", &secret);
            }
            Some(Proof::Certificate(assertion)) => {
                let signed = assertion.sign(&self.id, endpoint, now)?;
                form.add("client_assertion_type", JWT_BEARER);
                form.add_secret("client_assertion", &Secret::new(signed));
            }
        }
        Ok(())
    }
}
