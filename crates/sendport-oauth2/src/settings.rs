//! Sections `[relay.<name>.auth.oauth2]` and `[database.auth.oauth2]`: where the access token comes from.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sendport_core::secret::Secret;
use serde::{Deserialize, Serialize};

/// The source of the access token, tagged by `source`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(tag = "source", rename_all = "snake_case")]
pub enum OAuth2Config {
    /// `source = "file"`: another program writes it there.
    File(TokenFile),
    /// `source = "command"`: a program prints it.
    Command(TokenCommand),
    /// `source = "client_credentials"`: this service asks for itself (RFC 6749 section 4.4).
    ClientCredentials(Box<TokenRequest>),
    /// `source = "refresh_token"`: this service asks for a user who agreed once (RFC 6749
    /// section 6).
    RefreshToken(Box<TokenRequest>),
}

/// A file that holds the token, or a JSON object with it.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TokenFile {
    /// Read at every authentication.
    pub token_file: PathBuf,
}

/// A program that prints the token, or a JSON object with it.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TokenCommand {
    /// The program and its arguments; there is no shell.
    pub command: Vec<String>,
    /// Longest run.
    #[serde(default = "half_a_minute", with = "humantime_serde")]
    pub timeout: Duration,
}

/// A token endpoint (RFC 6749 section 3.2) and the request to it.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// Where to ask; without it the endpoint of `tenant` below `authority`.
    pub token_endpoint: Option<String>,
    /// The cloud's authorization server.
    #[serde(default = "worldwide")]
    pub authority: String,
    /// The tenant at `authority`: its id or one of its domains.
    pub tenant: Option<String>,
    /// What the token is for (RFC 6749 section 3.3).
    pub scope: Option<String>,
    /// What the token is for, at an endpoint of Entra's version 1.
    pub resource: Option<String>,
    /// The client identifier (RFC 6749 section 2.2).
    pub client_id: String,
    /// The client's password (RFC 6749 section 2.3.1).
    pub client_secret: Option<Secret>,
    /// File that holds it, as [`Secret::from_file`] reads it.
    pub client_secret_file: Option<PathBuf>,
    /// Environment variable that holds it.
    pub client_secret_env: Option<String>,
    /// PEM file of the client's certificate, instead of a secret (RFC 7523 section 2.2).
    pub certificate_file: Option<PathBuf>,
    /// PEM file of its private key.
    pub key_file: Option<PathBuf>,
    /// How the assertion is signed.
    #[serde(default)]
    pub assertion_algorithm: AssertionAlgorithm,
    /// The refresh token of a user's consent, for `source = "refresh_token"`.
    pub refresh_token: Option<Secret>,
    /// File that holds it, as [`Secret::from_file`] reads it.
    pub refresh_token_file: Option<PathBuf>,
    /// Environment variable that holds it.
    pub refresh_token_env: Option<String>,
    /// PEM file of the authorities to trust at the endpoint, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Longest wait for the endpoint's answer, the connection included.
    #[serde(default = "half_a_minute", with = "humantime_serde")]
    pub timeout: Duration,
}

/// Algorithm of the client assertion (RFC 7518 section 3.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum AssertionAlgorithm {
    /// RSASSA-PSS with SHA-256.
    #[default]
    Ps256,
    /// RSASSA-PKCS1-v1_5 with SHA-256, for AD FS and others that do not know the former.
    Rs256,
}

/// Nothing says where the token endpoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "neither tenant nor token_endpoint is given; write the tenant's id or domain, or the whole \
     address of the token endpoint"
)]
pub struct MissingEndpoint;

impl TokenRequest {
    /// The address of the token endpoint.
    ///
    /// # Errors
    /// [`MissingEndpoint`] if neither `token_endpoint` nor `tenant` is given.
    pub fn endpoint(&self) -> Result<String, MissingEndpoint> {
        if let Some(endpoint) = &self.token_endpoint {
            return Ok(endpoint.clone());
        }
        let tenant = self
            .tenant
            .as_deref()
            .filter(|tenant| !tenant.trim().is_empty());
        let tenant = tenant.ok_or(MissingEndpoint)?;
        let path = match self.resource {
            Some(_) => "oauth2/token",
            None => "oauth2/v2.0/token",
        };
        let authority = self.authority.trim_end_matches('/');
        Ok(format!("{authority}/{}/{path}", tenant.trim()))
    }

    fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let files = [
            &mut self.client_secret_file,
            &mut self.certificate_file,
            &mut self.key_file,
            &mut self.refresh_token_file,
            &mut self.ca_file,
        ];
        files.into_iter().flatten()
    }
}

impl OAuth2Config {
    /// The same for a service that wants another scope and is at another cloud's authority, where the section names
    /// neither.
    #[must_use]
    pub fn for_service(mut self, scope: &str, authority: &str) -> Self {
        if let Self::ClientCredentials(request) | Self::RefreshToken(request) = &mut self {
            if request.scope.is_none() && request.resource.is_none() {
                request.scope = Some(scope.to_owned());
            }
            if request.authority == worldwide() {
                authority.clone_into(&mut request.authority);
            }
        }
        self
    }

    /// Relative paths are relative to `folder`. A command is left as it is: its program is
    /// looked up as a shell would.
    pub fn rebase(&mut self, folder: &Path) {
        let rebase = |path: &mut PathBuf| *path = folder.join(&*path);
        match self {
            Self::File(file) => rebase(&mut file.token_file),
            Self::Command(_) => {}
            Self::ClientCredentials(request) | Self::RefreshToken(request) => {
                request.paths().for_each(rebase);
            }
        }
    }
}

fn worldwide() -> String {
    "https://login.microsoftonline.com".to_owned()
}

fn half_a_minute() -> Duration {
    Duration::from_secs(30)
}

/// True for names and addresses of this machine.
pub fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse::<std::net::IpAddr>();
    bare.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(section: &str) -> Result<String, MissingEndpoint> {
        let request: TokenRequest =
            toml::from_str(&format!("client_id = 'c'\n{section}")).expect("a section");
        request.endpoint()
    }

    #[test]
    fn the_endpoint_follows_cloud_tenant_and_version() {
        for (section, expected) in [
            (
                "tenant = 'contoso.com'",
                "https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token",
            ),
            (
                "tenant = 't'\nauthority = 'https://login.microsoftonline.us/'",
                "https://login.microsoftonline.us/t/oauth2/v2.0/token",
            ),
            (
                "tenant = 't'\nresource = 'https://outlook.office365.com'",
                "https://login.microsoftonline.com/t/oauth2/token",
            ),
            ("token_endpoint = 'https://adfs/x'", "https://adfs/x"),
        ] {
            assert_eq!(endpoint(section).as_deref(), Ok(expected));
        }
        assert!(endpoint("").is_err() && endpoint("tenant = ' '").is_err());
    }
}
