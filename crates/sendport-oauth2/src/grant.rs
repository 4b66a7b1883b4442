//! Tokens from a token endpoint: the client credentials grant (RFC 6749 section 4.4) and the
//! refresh token grant (section 6).

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use sendport_core::domain::Timestamp;
use sendport_core::secret::Secret;

use super::access_token::AccessToken;
use super::client_authentication::ClientAuthentication;
use super::endpoint::TokenEndpoint;
use super::error::SettingsError;
use super::form::Form;
use super::secret_source::SecretSource;
use super::token_cache::Issuer;
use crate::TokenError;
use crate::settings::TokenRequest;

/// The scope for mailboxes of Exchange Online.
const EXCHANGE_ONLINE: &str = "https://outlook.office365.com/.default";

/// A grant, its client and its endpoint.
pub(super) struct EndpointGrant(Arc<Inner>);

struct Inner {
    endpoint: TokenEndpoint,
    client: ClientAuthentication,
    kind: Kind,
    scope: Option<String>,
    resource: Option<String>,
}

enum Kind {
    ClientCredentials,
    RefreshToken {
        source: SecretSource,
        /// The new refresh token from the endpoint (RFC 6749 section 6), until a restart.
        newest: Mutex<Option<Secret>>,
    },
}

impl EndpointGrant {
    /// # Errors
    /// [`SettingsError`] names the key.
    pub(super) fn client_credentials(request: &TokenRequest) -> Result<Self, SettingsError> {
        let client = ClientAuthentication::new(request)?;
        if !client.is_confidential() {
            return Err(SettingsError::keys(
                "expected client_secret_file, client_secret_env, client_secret or \
                 certificate_file, found none",
            ));
        }
        let default = request
            .resource
            .is_none()
            .then(|| EXCHANGE_ONLINE.to_owned());
        Self::new(request, client, Kind::ClientCredentials, default)
    }

    /// # Errors
    /// [`SettingsError`] names the key.
    pub(super) fn refresh_token(request: &TokenRequest) -> Result<Self, SettingsError> {
        let source = SecretSource::find(
            "refresh_token",
            request.refresh_token.as_ref(),
            request.refresh_token_file.as_ref(),
            request.refresh_token_env.as_ref(),
        )?;
        let source = source.ok_or_else(|| {
            SettingsError::keys(
                "expected refresh_token_file, refresh_token_env or refresh_token, found none",
            )
        })?;
        let newest = Mutex::default();
        let kind = Kind::RefreshToken { source, newest };
        Self::new(request, ClientAuthentication::new(request)?, kind, None)
    }

    fn new(
        request: &TokenRequest,
        client: ClientAuthentication,
        kind: Kind,
        default_scope: Option<String>,
    ) -> Result<Self, SettingsError> {
        let scope = request.scope.clone().or(default_scope);
        Ok(Self(Arc::new(Inner {
            endpoint: TokenEndpoint::new(request)?,
            client,
            kind,
            scope: scope.filter(|scope| !scope.is_empty()),
            resource: request.resource.clone(),
        })))
    }
}

#[async_trait]
impl Issuer for EndpointGrant {
    async fn issue(&self, now: Timestamp) -> Result<AccessToken, TokenError> {
        let inner = Arc::clone(&self.0);
        let asked = tokio::task::spawn_blocking(move || inner.ask(now)).await;
        asked.unwrap_or_else(|_| {
            Err(TokenError::unavailable(
                "the request to the token endpoint was aborted",
            ))
        })
    }
}

impl Inner {
    fn ask(&self, now: Timestamp) -> Result<AccessToken, TokenError> {
        let form = self
            .form(now)
            .map_err(|error| TokenError::configuration(format!("auth.oauth2.{error}")))?;
        let response = self.endpoint.ask(&form, now)?;
        if let Some(next) = &response.refresh_token {
            self.kind.note(next);
        }
        response.into_token(now, now).map_err(|what| {
            let url = self.endpoint.url();
            TokenError::invalid(format!("the token endpoint {url}: {what}"))
        })
    }

    fn form(&self, now: Timestamp) -> Result<Form, SettingsError> {
        let mut form = Form::default();
        self.kind.add_to(&mut form)?;
        self.client.add_to(&mut form, self.endpoint.url(), now)?;
        for (name, value) in [("scope", &self.scope), ("resource", &self.resource)] {
            if let Some(value) = value {
                form.add(name, value);
            }
        }
        Ok(form)
    }
}

impl Kind {
    fn add_to(&self, form: &mut Form) -> Result<(), SettingsError> {
        match self {
            Self::ClientCredentials => form.add("grant_type", "client_credentials"),
            Self::RefreshToken { source, newest } => {
                let newest = newest.lock().clone();
                let token = newest.map_or_else(|| source.read("refresh_token"), Ok)?;
                form.add("grant_type", "refresh_token");
                form.add_secret("refresh_token", &token);
            }
        }
        Ok(())
    }

    fn note(&self, next: &Secret) {
        if let Self::RefreshToken { newest, .. } = self {
            *newest.lock() = Some(next.clone());
        }
    }
}
