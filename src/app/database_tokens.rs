//! Access tokens for the database, from the same sources as those for relays.

use std::sync::Arc;

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use sendport_core::secret::Secret;
use sendport_oauth2::TokenSource;
use sendport_store::sqlserver::{AccessTokens, CredentialError};

/// Adapts a [`TokenSource`] to the store.
pub(super) struct DatabaseTokens(pub(super) Arc<dyn TokenSource>);

#[async_trait]
impl AccessTokens for DatabaseTokens {
    async fn token(&self) -> Result<SecretString, CredentialError> {
        let token = self.0.token().await.map_err(|error| CredentialError {
            is_transient: error.is_transient(),
            what: format!("there is no access token for the database: {error}"),
        })?;
        Ok(SecretString::from(token.expose()))
    }

    async fn refused(&self, token: &SecretString) {
        let token = Secret::new(token.expose_secret().to_owned());
        self.0.refused(&token).await;
    }
}
