//! Who signs in, to what, and with what.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;

use super::choice::{Choice, Sasl};
use super::ntlm::Circumstances;
use crate::clock::Clock;
use crate::config::auth::{AuthConfig, AuthMechanism};
use crate::config::oauth2::OAuth2Config;
use crate::config::relay::SmtpRelay;
use crate::file_watch::WatchedFiles;
use crate::relay::TokenSource;
use crate::secret::Secret;

/// The files that hold a relay's credentials.
pub(in crate::smtp) fn secret_files(auth: &AuthConfig) -> WatchedFiles {
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

/// A name and its password.
pub(super) struct Account {
    pub(super) username: String,
    pub(super) password: Secret,
}

/// Whose tickets GSSAPI takes; without a keytab, those of the process.
#[derive(Clone)]
#[cfg_attr(
    not(all(feature = "gssapi", unix)),
    expect(dead_code, reason = "nothing takes tickets in this build")
)]
pub(super) struct Kerberos {
    pub(super) keytab: Option<PathBuf>,
    pub(super) principal: Option<String>,
}

/// What the server is called by us.
pub(super) struct Server {
    /// The name that its certificate has to bear.
    pub(super) name: String,
    pub(super) port: u16,
}

/// Everything that one relay is signed in to with.
pub(in crate::smtp) struct Credentials {
    pub(super) mechanism: AuthMechanism,
    /// Empty only with EXTERNAL and GSSAPI, or with a password alone that nothing asks for.
    pub(super) username: String,
    password: RwLock<Option<Secret>>,
    pub(super) tokens: Option<Arc<dyn TokenSource>>,
    pub(super) has_client_certificate: bool,
    #[cfg_attr(
        not(all(feature = "gssapi", unix)),
        expect(dead_code, reason = "nothing takes tickets in this build")
    )]
    pub(super) kerberos: Kerberos,
    pub(super) server: Server,
    pub(super) allow_cleartext: bool,
    allow_ntlmv1: bool,
    clock: Arc<dyn Clock>,
}

impl Credentials {
    /// `None` where the relay is not signed in to.
    ///
    /// # Errors
    /// A sentence that names the key that is missing or unusable.
    pub(in crate::smtp) fn new(
        config: &SmtpRelay,
        password: Option<Secret>,
        clock: Arc<dyn Clock>,
    ) -> Result<Option<Self>, String> {
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
            server: Server {
                name: name.trim_end_matches('.').to_owned(),
                port: config.port(),
            },
            allow_cleartext: auth.allow_cleartext_auth,
            allow_ntlmv1: auth.allow_ntlmv1,
            clock,
        }))
    }

    /// Who signs in.
    pub(in crate::smtp) fn username(&self) -> &str {
        &self.username
    }

    /// The password, where there is one.
    pub(in crate::smtp) fn password(&self) -> Option<Secret> {
        self.password.read().clone()
    }

    /// From now on `password` is the one, if it can be used.
    pub(in crate::smtp) fn set_password(&self, password: Option<Secret>) {
        if check_password(self.mechanism, password.as_ref()).is_ok() {
            let mut kept = self.password.write();
            *kept = password;
        }
    }

    /// Where the tokens of OAuth 2.0 come from.
    pub(in crate::smtp) fn set_token_source(&mut self, tokens: Arc<dyn TokenSource>) {
        self.tokens = Some(tokens);
    }

    /// See [`TokenSource::cooldown_remaining`].
    pub(in crate::smtp) fn token_cooldown_remaining(&self) -> Option<Duration> {
        self.tokens.as_ref()?.cooldown_remaining()
    }

    /// The configured mechanism, or the strongest of what is offered and possible.
    pub(super) fn choose(&self, offered: &[String], encrypted: bool) -> Result<Sasl, String> {
        let choice = Choice {
            has_password: self.password().is_some(),
            has_tokens: self.tokens.is_some(),
            has_certificate: self.has_client_certificate,
            names_domain: self.username.contains('\\'),
            encrypted,
            allow_cleartext: self.allow_cleartext,
        };
        choice.of(self.mechanism, offered)
    }

    /// What NTLM has to know beside name and password.
    pub(super) fn circumstances(&self, tls_server_end_point: Option<Vec<u8>>) -> Circumstances {
        Circumstances {
            host: self.server.name.clone(),
            tls_server_end_point,
            now: self.clock.now(),
            allow_v1: self.allow_ntlmv1,
        }
    }

    /// Name and password, for the mechanisms that need one.
    pub(super) fn account(&self) -> Result<Account, String> {
        let password = self.password().ok_or_else(no_password)?;
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

fn username(auth: &AuthConfig) -> Result<String, String> {
    let username = auth.username.clone().unwrap_or_default();
    let needed = !matches!(
        auth.mechanism,
        AuthMechanism::External | AuthMechanism::Gssapi
    );
    if username.is_empty() && needed {
        return Err("auth.mechanism is set, so auth.username must say who signs in".into());
    }
    if username.chars().any(char::is_control) {
        return Err("auth.username must not contain a control character".into());
    }
    Ok(username)
}

fn check_password(mechanism: AuthMechanism, password: Option<&Secret>) -> Result<(), String> {
    match password {
        None if mechanism.needs_password() => Err(no_password()),
        Some(password) if password.expose().contains('\0') => {
            Err("auth.password must not contain a NUL".into())
        }
        _ => Ok(()),
    }
}

fn no_password() -> String {
    "auth.mechanism is set, so one of auth.password_file, auth.password_env or auth.password must \
     be"
    .into()
}
