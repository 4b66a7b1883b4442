//! Section `[relay.<name>.auth]`: how to authenticate.

use std::path::PathBuf;

use sendport_core::secret::Secret;
use sendport_oauth2::settings::OAuth2Config;
use serde::{Deserialize, Serialize};

/// Authentication (RFC 4954).
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AuthConfig {
    /// The mechanism.
    #[serde(default)]
    pub mechanism: AuthMechanism,
    /// The user.
    pub username: Option<String>,
    /// The password.
    #[serde(default)]
    pub password: Option<Secret>,
    /// File that holds the password; a final line ending is not part of it.
    pub password_file: Option<PathBuf>,
    /// Environment variable that holds the password.
    pub password_env: Option<String>,
    /// Where the access token comes from.
    pub oauth2: Option<OAuth2Config>,
    /// With `mechanism = "gssapi"`: the keys that Kerberos tickets are asked for with. Without
    /// it, the process's own tickets (`KRB5CCNAME`, `KRB5_CLIENT_KTNAME`).
    pub keytab_file: Option<PathBuf>,
    /// With `mechanism = "gssapi"`: the principal, `name@REALM`. Default: the first of the keytab.
    pub principal: Option<String>,
    /// Send the password over an unencrypted connection too.
    #[serde(default)]
    pub allow_cleartext_auth: bool,
    /// Answer by NTLMv1 where the server's challenge is of the old kind, without target
    /// information (Exim).
    #[serde(default)]
    pub allow_ntlmv1: bool,
}

impl AuthConfig {
    /// How many sources of a password are configured.
    pub fn passwords(&self) -> usize {
        let places = [
            self.password.is_some(),
            self.password_file.is_some(),
            self.password_env.is_some(),
        ];
        places.into_iter().filter(|&given| given).count()
    }
}

/// SASL mechanism, by its registered name in lower case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum AuthMechanism {
    /// No authentication.
    #[default]
    #[serde(rename = "none")]
    None,
    /// The strongest mechanism that the server offers and the configuration permits.
    #[serde(rename = "auto")]
    Auto,
    /// RFC 4616.
    #[serde(rename = "plain")]
    Plain,
    /// The de-facto standard of old Exchange and others.
    #[serde(rename = "login")]
    Login,
    /// RFC 2195.
    #[serde(rename = "cram-md5")]
    CramMd5,
    /// RFC 5802.
    #[serde(rename = "scram-sha-1")]
    ScramSha1,
    /// RFC 7677.
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
    /// MS-NLMP by way of MS-SMTPNTLM.
    #[serde(rename = "ntlm")]
    Ntlm,
    /// Google's and Microsoft's mechanism before RFC 7628.
    #[serde(rename = "xoauth2")]
    Xoauth2,
    /// RFC 7628.
    #[serde(rename = "oauthbearer")]
    Oauthbearer,
    /// RFC 4422 appendix A, with a TLS client certificate.
    #[serde(rename = "external")]
    External,
    /// Kerberos (RFC 4752).
    #[serde(rename = "gssapi")]
    Gssapi,
}

impl AuthMechanism {
    /// Why this build does not support "gssapi"; `None` if it does.
    pub const NO_GSSAPI: Option<&'static str> = if cfg!(windows) {
        Some(
            "on Windows \"gssapi\" (Kerberos) is done by SSPI, which this version does not use; \
             write \"ntlm\", \"auto\" or another mechanism that the relay offers",
        )
    } else if cfg!(feature = "gssapi") {
        None
    } else {
        Some(
            "this build has no \"gssapi\" (Kerberos): build with `--features gssapi`, or write \
             \"ntlm\", \"auto\" or another mechanism that the relay offers",
        )
    };

    /// Whether it requires a password.
    pub fn needs_password(self) -> bool {
        matches!(
            self,
            Self::Plain
                | Self::Login
                | Self::CramMd5
                | Self::ScramSha1
                | Self::ScramSha256
                | Self::Ntlm
        )
    }

    /// Whether it requires an access token.
    pub fn needs_token(self) -> bool {
        matches!(self, Self::Xoauth2 | Self::Oauthbearer)
    }

    /// Whether an eavesdropper on the connection gets the secret.
    pub fn shows_secret(self) -> bool {
        matches!(self, Self::Plain | Self::Login) || self.needs_token()
    }
}
