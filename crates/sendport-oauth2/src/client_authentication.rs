//! The client and its authentication to the token endpoint (RFC 6749 section 2.3).

use sendport_core::domain::Timestamp;
use sendport_core::secret::Secret;

use super::assertion::Assertion;
use super::error::SettingsError;
use super::form::Form;
use super::secret_source::SecretSource;
use crate::settings::TokenRequest;

/// RFC 7523 section 2.2.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A client and its credentials.
pub(super) struct ClientAuthentication {
    id: String,
    credentials: Option<ClientCredentials>,
}

enum ClientCredentials {
    Secret(SecretSource),
    Certificate(Assertion),
}

impl ClientAuthentication {
    /// # Errors
    /// [`SettingsError`] names the key.
    pub(super) fn new(request: &TokenRequest) -> Result<Self, SettingsError> {
        let secret = SecretSource::find(
            "client_secret",
            request.client_secret.as_ref(),
            request.client_secret_file.as_ref(),
            request.client_secret_env.as_ref(),
        )?;
        let credentials = match (secret, Assertion::new(request)?) {
            (Some(_), Some(_)) => {
                return Err(SettingsError::keys(
                    "expected client_secret or certificate_file, found both: keep one",
                ));
            }
            (Some(secret), None) => Some(ClientCredentials::Secret(secret)),
            (None, assertion) => assertion.map(ClientCredentials::Certificate),
        };
        Ok(Self {
            id: request.client_id.clone(),
            credentials,
        })
    }

    /// True of a client with credentials (RFC 6749 section 2.1).
    pub(super) fn is_confidential(&self) -> bool {
        self.credentials.is_some()
    }

    /// Adds the client's identifier and credentials.
    ///
    /// # Errors
    /// [`SettingsError`], where a file or a variable cannot be read any more.
    pub(super) fn add_to(
        &self,
        form: &mut Form,
        endpoint: &str,
        now: Timestamp,
    ) -> Result<(), SettingsError> {
        form.add("client_id", &self.id);
        match &self.credentials {
            None => {}
            Some(ClientCredentials::Secret(source)) => {
                form.add_secret("client_secret", &source.read("client_secret")?);
            }
            Some(ClientCredentials::Certificate(assertion)) => {
                let signed = assertion.sign(&self.id, endpoint, now)?;
                form.add("client_assertion_type", JWT_BEARER);
                form.add_secret("client_assertion", &Secret::new(signed));
            }
        }
        Ok(())
    }
}
