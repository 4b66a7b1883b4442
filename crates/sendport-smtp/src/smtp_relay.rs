//! A relay that speaks SMTP: its settings and its place behind the [`Relay`] trait.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sendport_core::clock::Clock;
use sendport_core::domain::{AuthKey, Command, Envelope, SessionFacts, SubmissionReport};
use sendport_core::file_watch::WatchedFiles;
use sendport_core::secret::Secret;
use sendport_oauth2::TokenSource;
use sendport_smime::SecuredMessage;
use tokio::time::Instant;

use super::auth::{Credentials, CredentialsError, secret_files};
use super::authentication_guard::{AuthGuard, credential_fingerprint};
use super::chunking::Chunking;
use super::desync::DesyncGuard;
use super::ehlo_name::{self, InvalidEhloName};
use super::mail_hosts::ResolverError;
use super::observer::{ObserverHandle, SessionObserver};
use super::pipelining::Pipelining;
use super::pool::Pool;
use super::session::Settings;
use super::tls::{ReloadableTls, TlsSettingsError};
use super::transaction::Job;
use crate::relay::authentication::AuthLedger;
use crate::relay::limits::Limiter;
use crate::relay::observer::{NoObserver, RelayObserver};
use crate::relay::{Relay, SessionError, SubmissionGate};
use crate::settings::password::resolve_password;
use crate::settings::relay::SmtpRelay as Config;

/// A relay's section of the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("relay.{relay}.{source}")]
pub struct SettingsError {
    /// Name of the relay.
    pub relay: String,
    /// The key, what was expected and what was found.
    pub source: SettingsErrorKind,
}

/// What is wrong with a relay's section.
#[derive(Debug, thiserror::Error)]
pub enum SettingsErrorKind {
    /// About `auth` (RFC 4954).
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// About `ehlo_name` (RFC 5321 section 4.1.4).
    #[error(transparent)]
    EhloName(#[from] InvalidEhloName),
    /// About TLS (RFC 8446).
    #[error(transparent)]
    Tls(#[from] TlsSettingsError),
    /// About `dns_servers`.
    #[error("dns_servers: {0}")]
    NameServers(#[from] ResolverError),
}

/// What a relay needs besides its section of the configuration.
pub struct RelayDependencies {
    /// What [`crate::settings::password::resolve_password`] found.
    pub password: Option<Secret>,
    /// Used where the section names none; without both, the address literal of the local end of
    /// each connection is.
    pub default_ehlo_name: Option<String>,
    /// Refused credentials, shared by all instances.
    pub authentications: Arc<dyn AuthLedger>,
    /// Wall-clock time, for reports.
    pub clock: Arc<dyn Clock>,
}

/// An SMTP server that messages are submitted to.
pub struct SmtpRelay {
    pub(super) name: String,
    pub(super) settings: Settings,
    limiter: Arc<Limiter>,
    pub(super) pool: Arc<Pool>,
    pub(super) authentication: AuthGuard,
    secret_files: WatchedFiles,
    pub(super) pipelining: Pipelining,
    pub(super) chunking: Chunking,
    pub(super) desync_guard: DesyncGuard,
    pub(super) clock: Arc<dyn Clock>,
}

impl SmtpRelay {
    /// Reads the authorities and checks the settings. Opens no connection.
    ///
    /// # Errors
    /// [`SettingsError`] names the key, what was expected and what was found.
    pub fn new(
        name: impl Into<String>,
        config: &Config,
        dependencies: RelayDependencies,
    ) -> Result<Self, SettingsError> {
        let name = name.into();
        let settings = settings(config, &dependencies).map_err(|source| SettingsError {
            relay: name.clone(),
            source,
        })?;
        let fingerprint = settings
            .credentials
            .as_ref()
            .map(|credentials| fingerprint_of(&name, credentials));
        let key = AuthKey {
            relay: name.clone(),
            credential_fingerprint: fingerprint.unwrap_or_default(),
        };
        let limiter = Arc::new(Limiter::new(config.limits()));
        let clock = dependencies.clock;
        Ok(Self {
            pool: Pool::new(config, limiter.clone()),
            limiter,
            settings,
            secret_files: secret_files(&config.auth),
            authentication: AuthGuard::new(key, dependencies.authentications, clock.clone()),
            clock,
            pipelining: Pipelining::default(),
            chunking: Chunking::default(),
            desync_guard: DesyncGuard::default(),
            name,
        })
    }

    /// Sets the source of access tokens, for `mechanism = "xoauth2"`, `"oauthbearer"` or `"auto"`.
    #[must_use]
    pub fn with_token_source(mut self, tokens: Arc<dyn TokenSource>) -> Self {
        if let Some(credentials) = &mut self.settings.credentials {
            credentials.set_token_source(tokens);
        }
        self
    }

    /// Sets the observer of the relay's activity, and records the expiry of the configured
    /// certificates.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn RelayObserver>) -> Self {
        self.settings
            .tls
            .current()
            .report_expiry_of_configured(&*observer);
        self.settings.relay_observer = observer;
        self
    }

    /// Sets the observer of every step of every session.
    #[must_use]
    pub fn with_session_observer(mut self, observer: Arc<dyn SessionObserver>) -> Self {
        self.settings.observer = ObserverHandle::new(observer);
        self
    }
}

impl SmtpRelay {
    /// As [`Relay::submit`], but not longer than until `end`.
    pub(super) async fn submit_before(
        &self,
        envelope: &Envelope,
        message: &SecuredMessage,
        gate: &dyn SubmissionGate,
        end: Instant,
    ) -> SubmissionReport {
        let job = Job {
            envelope,
            message,
            gate,
            until: Command::EndOfData,
        };
        self.submit_job(job, Some(end)).await
    }
}

#[async_trait]
impl Relay for SmtpRelay {
    fn name(&self) -> &str {
        &self.name
    }

    fn limiter(&self) -> &Arc<Limiter> {
        &self.limiter
    }

    async fn submit(
        &self,
        envelope: &Envelope,
        message: &SecuredMessage,
        gate: &dyn SubmissionGate,
    ) -> SubmissionReport {
        let until = Command::EndOfData;
        let job = Job {
            envelope,
            message,
            gate,
            until,
        };
        self.submit_job(job, None).await
    }

    async fn verify(&self) -> Result<SessionFacts, SessionError> {
        self.open_and_quit(Command::Auth).await
    }

    fn cooldown_remaining(&self) -> Option<Duration> {
        self.authentication.cooldown_remaining()
    }

    fn token_cooldown_remaining(&self) -> Option<Duration> {
        self.settings
            .credentials
            .as_ref()?
            .token_cooldown_remaining()
    }

    fn credentials_changed(&self) -> bool {
        let (tls, config) = (&self.settings.tls, &self.settings.config);
        // In a submission the span of the attempt names the relay.
        let span = tracing::error_span!("relay", relay = self.name);
        let reloaded =
            span.in_scope(|| tls.reload_if_changed(config, &*self.settings.relay_observer));
        let is_refused = self.authentication.cooldown_remaining().is_some();
        let credentials = self.settings.credentials.as_ref();
        let Some(refused) = credentials.filter(|_| is_refused) else {
            return reloaded;
        };
        // A client certificate may be the credentials.
        let by_certificate = reloaded && refused.password().is_none();
        if !self.secret_files.are_changed() && !by_certificate {
            return reloaded;
        }
        let auth = &self.settings.config.auth;
        if auth.password_file.is_some() {
            let Ok(password) = resolve_password(auth) else {
                return false;
            };
            refused.set_password(password);
        }
        let fingerprint = fingerprint_of(&self.name, refused);
        self.authentication.set_fingerprint(fingerprint);
        true
    }

    fn shed(&self) {
        self.pool.shed();
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}

fn settings(
    config: &Config,
    dependencies: &RelayDependencies,
) -> Result<Settings, SettingsErrorKind> {
    let password = dependencies.password.clone();
    let credentials = Credentials::new(config, password, Arc::clone(&dependencies.clock))?;
    let ehlo_name = config.ehlo_name.as_ref();
    let ehlo_name = ehlo_name.or(dependencies.default_ehlo_name.as_ref());
    Ok(Settings {
        config: config.clone(),
        ehlo_name: ehlo_name.map(|name| ehlo_name::checked(name)).transpose()?,
        tls: ReloadableTls::new(config)?,
        credentials,
        relay_observer: Arc::new(NoObserver),
        observer: ObserverHandle::default(),
    })
}

/// Without a password no account can be locked: each start of the service counts as new
/// credentials.
fn fingerprint_of(relay: &str, credentials: &Credentials) -> String {
    match credentials.password() {
        Some(password) => credential_fingerprint(relay, credentials.username(), password.expose()),
        None => uuid::Uuid::new_v4().simple().to_string()[..8].to_owned(),
    }
}
