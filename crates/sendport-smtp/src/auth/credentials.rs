//! The account, its secrets and the server that they are for.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use sendport_core::clock::Clock;
use sendport_core::file_watch::WatchedFiles;
use sendport_core::secret::Secret;
use sendport_oauth2::TokenSource;
use sendport_oauth2::settings::OAuth2Config;

use super::choice::{Choice, Sasl};
use super::error::AuthError;
use super::ntlm::NtlmContext;
use crate::settings::auth::{AuthConfig, AuthMechanism};
use crate::settings::relay::SmtpRelay;

/// The configured credentials cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// A mechanism without a user name.
    #[error("auth.mechanism is set, so auth.username must be the account's name")]
    NoUsername,
    /// It would break a command.
    #[error("auth.username must not contain a control character")]
    ControlCharacterInUsername,
    /// A mechanism that needs a password.
    #[error(
        "auth.mechanism is set, so one of auth.password_file, auth.password_env or auth.password \
         must be"
    )]
    NoPassword,
    /// NUL separates the parts of a PLAIN message (RFC 4616 section 2).
    #[error("auth.password must not contain a NUL")]
    NulInPassword,
}

/// A user name and its password.
pub(super) struct Account {
    pub(super) username: String,
    pub(super) password: Secret,
}

/// The Kerberos principal and its keytab; without a keytab, the tickets of the process are used.
#[derive(Clone)]
#[cfg_attr(
    not(all(feature = "gssapi", unix)),
    expect(dead_code, reason = "this build has no GSSAPI")
)]
pub(super) struct Kerberos {
    pub(super) keytab: Option<PathBuf>,
    pub(super) principal: Option<String>,
}

/// The server, as mechanisms name it.
pub(super) struct ServerIdentity {
    /// The name that its certificate must have.
    pub(super) name: String,
    pub(super) port: u16,
}

/// The credentials of one relay.
pub(crate) struct Credentials {
    pub(super) mechanism: AuthMechanism,
    /// Empty only with EXTERNAL and GSSAPI.
    pub(super) username: String,
    password: RwLock<Option<Secret>>,
    pub(super) tokens: Option<Arc<dyn TokenSource>>,
    pub(super) has_client_certificate: bool,
    #[cfg_attr(
        not(all(feature = "gssapi", unix)),
        expect(dead_code, reason = "this build has no GSSAPI")
    )]
    pub(super) kerberos: Kerberos,
    pub(super) server: ServerIdentity,
    pub(super) allow_cleartext: bool,
    allow_ntlmv1: bool,
    clock: Arc<dyn Clock>,
}

impl Credentials {
    /// `None` with `mechanism = "none"`.
    ///
    /// # Errors
    /// [`CredentialsError`] names the key that is missing or unusable.
    pub(crate) fn new(
        config: &SmtpRelay,
        password: Option<Secret>,
        clock: Arc<dyn Clock>,
    ) -> Result<Option<Self>, CredentialsError> {
        let auth = &config.auth;
        if auth.mechanism == AuthMechanism::None {
            return Ok(None);
        }
        let username = username(auth)?;
        check_password(auth.mechanism, password.as_ref())?;
        let name = config.verify_name.as_deref().unwrap_or(&config.host);
        Ok(Some(Self {
            mechanism: auth.mechanism,
            username,
            password: RwLock::new(password),
            tokens: None,
            has_client_certificate: config.client_certificate_file.is_some(),
            kerberos: Kerberos {
                keytab: auth.keytab_file.clone(),
                principal: auth.principal.clone(),
            },
            server: ServerIdentity {
                name: name.trim_end_matches('.').to_owned(),
                port: config.port(),
            },
            allow_cleartext: auth.allow_cleartext_auth,
            allow_ntlmv1: auth.allow_ntlmv1,
            clock,
        }))
    }

    /// `auth.username`.
    pub(crate) fn username(&self) -> &str {
        &self.username
    }

    /// The password, where there is one.
    pub(crate) fn password(&self) -> Option<Secret> {
        self.password.read().clone()
    }

    /// Replaces the password, if the new one can be used.
    pub(crate) fn set_password(&self, password: Option<Secret>) {
        if check_password(self.mechanism, password.as_ref()).is_ok() {
            let mut kept = self.password.write();
            *kept = password;
        }
    }

    /// Sets the source of access tokens.
    pub(crate) fn set_token_source(&mut self, tokens: Arc<dyn TokenSource>) {
        self.tokens = Some(tokens);
    }

    /// See [`TokenSource::cooldown_remaining`].
    pub(crate) fn token_cooldown_remaining(&self) -> Option<Duration> {
        self.tokens.as_ref()?.cooldown_remaining()
    }

    /// The configured mechanism, or the strongest of what is offered and possible.
    pub(super) fn choose(&self, offered: &[String], encrypted: bool) -> Result<Sasl, AuthError> {
        let choice = Choice {
            has_password: self.password().is_some(),
            has_tokens: self.tokens.is_some(),
            has_certificate: self.has_client_certificate,
            names_domain: self.username.contains('\\'),
            encrypted,
            allow_cleartext: self.allow_cleartext,
        };
        choice.choose(self.mechanism, offered)
    }

    /// What NTLM needs besides name and password.
    pub(super) fn ntlm_context(&self, tls_server_end_point: Option<Vec<u8>>) -> NtlmContext {
        NtlmContext {
            host: self.server.name.clone(),
            tls_server_end_point,
            now: self.clock.now(),
            allow_v1: self.allow_ntlmv1,
        }
    }

    /// Name and password, for the mechanisms that need them.
    pub(super) fn account(&self) -> Result<Account, CredentialsError> {
        let password = self.password().ok_or(CredentialsError::NoPassword)?;
        Ok(Account {
            username: self.username.clone(),
            password,
        })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("mechanism", &self.mechanism)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// The files that hold a relay's credentials.
pub(crate) fn secret_files(auth: &AuthConfig) -> WatchedFiles {
    let token = match &auth.oauth2 {
        Some(OAuth2Config::File(file)) => Some(&file.token_file),
        _ => None,
    };
    WatchedFiles::new([
        auth.password_file.as_ref(),
        auth.keytab_file.as_ref(),
        token,
    ])
}

fn username(auth: &AuthConfig) -> Result<String, CredentialsError> {
    let username = auth.username.clone().unwrap_or_default();
    let needed = !matches!(
        auth.mechanism,
        AuthMechanism::External | AuthMechanism::Gssapi
    );
    if username.is_empty() && needed {
        return Err(CredentialsError::NoUsername);
    }
    if username.chars().any(char::is_control) {
        return Err(CredentialsError::ControlCharacterInUsername);
    }
    Ok(username)
}

fn check_password(
    mechanism: AuthMechanism,
    password: Option<&Secret>,
) -> Result<(), CredentialsError> {
    match password {
        None if mechanism.needs_password() => Err(CredentialsError::NoPassword),
        Some(password) if password.expose().contains('\0') => Err(CredentialsError::NulInPassword),
        _ => Ok(()),
    }
}
