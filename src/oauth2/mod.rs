//! Access tokens (RFC 6749) for relays that are signed in to by XOAUTH2 or OAUTHBEARER, and for
//! a database that is signed in to with Entra ID.
//!
//! In comes the section `[relay.<name>.auth.oauth2]` or `[database.auth.oauth2]`, out goes a
//! [`TokenSource`]. No secret and no token stands in a log, a
//! `Debug` or an error.
//!
//! `file` reads the token at every sign-in. `command` and `grant` (with `client`, `assertion`
//! and `endpoint`) issue one, and `cache` keeps it, renews it ahead of its end, and sees to it
//! that one request is under way at most.

mod access_token;
mod assertion;
mod client_authentication;
mod endpoint;
mod error_response;
mod form;
mod grant;
mod redaction;
mod secret_source;
mod token_cache;
mod token_command;
mod token_file;
mod token_response;
mod unexpected_response;

use std::sync::Arc;

use crate::clock::Clock;
use crate::config::oauth2::OAuth2Config;
use crate::relay::TokenSource;

/// Makes what the section of `holder`, a relay or the database, describes. Reads keys and secrets once, so that a missing one is
/// found at the start; asks nobody for a token.
///
/// # Errors
/// A sentence that names the key, what was expected and what was found.
pub fn source(
    holder: &str,
    config: &OAuth2Config,
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn TokenSource>, String> {
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
