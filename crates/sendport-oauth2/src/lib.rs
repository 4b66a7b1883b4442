//! Access tokens (RFC 6749) for relays with XOAUTH2 or OAUTHBEARER, and for a database with Entra ID.
//!
//! [`source`] makes a [`TokenSource`] from the section `[relay.<name>.auth.oauth2]` or
//! `[database.auth.oauth2]`. No log, `Debug` or error contains a secret or a token.
//!
//! `token_file` reads the token at every authentication. `token_command` and `grant` (with
//! `client_authentication`, `assertion` and `endpoint`) issue one; `token_cache` keeps it, renews it
//! ahead of its expiry, and allows one request at a time.

mod access_token;
mod assertion;
mod claims;
mod client_authentication;
mod endpoint;
mod error;
mod error_response;
mod form;
mod grant;
pub mod http_client;
mod redaction;
mod retry_after;
mod secret_source;
pub mod settings;
mod token_cache;
mod token_command;
mod token_file;
mod token_response;
mod token_source;
mod unexpected_response;

use std::sync::Arc;

pub use claims::TokenClaims;
pub use error::SettingsError;
pub use redaction::redacted;
pub use retry_after::retry_after;
pub use token_source::{TokenError, TokenErrorKind, TokenSource};

use sendport_core::clock::Clock;

use crate::settings::OAuth2Config;

/// The source that the section of `holder`, a relay or the database, configures. Reads keys and
/// secrets once, so that a missing one is reported at the start; requests no token.
///
/// # Errors
/// [`SettingsError`] names the key, what was expected and what was found.
pub fn source(
    holder: &str,
    config: &OAuth2Config,
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn TokenSource>, SettingsError> {
    let issuer: Box<dyn token_cache::Issuer> = match config {
        OAuth2Config::File(file) => return Ok(Arc::new(token_file::TokenFile::new(file, clock))),
        OAuth2Config::Command(command) => Box::new(token_command::TokenCommand::new(command)?),
        OAuth2Config::ClientCredentials(request) => {
            Box::new(grant::EndpointGrant::client_credentials(request)?)
        }
        OAuth2Config::RefreshToken(request) => {
            Box::new(grant::EndpointGrant::refresh_token(request)?)
        }
    };
    Ok(Arc::new(token_cache::TokenCache::new(
        holder, issuer, clock,
    )))
}
