//! One server to submit to, with its sessions: an address of a host, and how it is encrypted.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lru::LruCache;
use parking_lot::Mutex;
use sendport_core::clock::Clock;
use sendport_core::domain::{Command, LocalCause, Reply, SubmissionEnd, SubmissionReport};
use tokio::time::Instant;

use crate::relay::authentication::NoSharedLedger;
use crate::relay::limits::{SubmissionPermit, Usage};
use crate::relay::observer::{NoObserver, RelayObserver};
use crate::relay::{Relay, SessionError};
use crate::settings::auth::AuthConfig;
use crate::settings::mx::MxRelay as Config;
use crate::settings::relay::SmtpRelay as SmtpConfig;
use crate::settings::tls::{MinTlsVersion, TlsMode};
use crate::smtp_relay::{RelayDependencies, SettingsError, SmtpRelay};

/// Servers whose sessions and failures are known at the same time.
const MOST_SERVERS: NonZeroUsize = NonZeroUsize::new(256).expect("not 0");

/// A server that did not take a connection is tried after the others for so long.
const AVOIDED_FOR: Duration = Duration::from_secs(60);

/// What distinguishes one server from another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ServerKey {
    /// The name of the host, which a verified certificate has to contain.
    pub(super) name: String,
    /// The address to connect to; `None` looks the name up as that of a smart host.
    pub(super) address: Option<IpAddr>,
    pub(super) port: u16,
    pub(super) tls: TlsMode,
    pub(super) ca_file: Option<PathBuf>,
}

impl ServerKey {
    /// `mx1.contoso.com [192.0.2.1]`, for texts.
    pub(super) fn shown(&self) -> String {
        match self.address {
            Some(address) => format!("{} [{address}]", self.name),
            None => format!("{} port {}", self.name, self.port),
        }
    }

    fn config(&self, config: &Config) -> SmtpConfig {
        let host = self.address.map(|address| address.to_string());
        SmtpConfig {
            host: host.unwrap_or_else(|| self.name.clone()),
            port: Some(self.port),
            tls: self.tls,
            ca_file: self.ca_file.clone(),
            // Without verification no authority is needed, and they take megabytes for each server.
            ca_file_only: self.ca_file.is_some() || !verifies(self.tls),
            verify_name: Some(self.name.clone()),
            verify_certificate: true,
            min_tls_version: MinTlsVersion::default(),
            pin_sha256: Vec::new(),
            client_certificate_file: None,
            client_key_file: None,
            client_key_password_file: None,
            client_key_password_env: None,
            ehlo_name: config.ehlo_name.clone(),
            local_address: config.local_address,
            auth: AuthConfig::default(),
            ignore_extensions: config.ignore_extensions.clone(),
            max_connections: Some(config.max_connections_per_host),
            messages_per_connection: config.messages_per_connection,
            idle_timeout: config.idle_timeout,
            connect_rate: None,
            message_rate: config.message_rate_per_host,
            recipients_per_message: None,
            return_path_token: true,
            timeout: config.timeout.clone(),
        }
    }
}

fn verifies(tls: TlsMode) -> bool {
    matches!(tls, TlsMode::Starttls | TlsMode::Implicit)
}

/// A server with its sessions.
pub(super) struct MailServer {
    pub(super) relay: SmtpRelay,
    failed: Mutex<Option<Instant>>,
}

impl MailServer {
    /// It did not take a connection lately.
    pub(super) fn is_avoided(&self) -> bool {
        let failed = self.failed.lock();
        failed.is_some_and(|at| at.elapsed() < AVOIDED_FOR)
    }

    /// A permit to use the server.
    ///
    /// # Errors
    /// The limit that allows none now. Another server may have room.
    pub(super) fn acquire(&self) -> Result<SubmissionPermit, SessionError> {
        let limiter = self.relay.limiter();
        let full = |key: &str| {
            let server = &self.relay.name;
            let what = format!("{key} of the relay allows no other message to {server} now");
            let reply = Reply::absent(Command::Connect, what);
            SessionError::new(reply.because(LocalCause::HostLimit))
        };
        let permit = limiter.try_acquire();
        let permit = permit.ok_or_else(|| full("max_connections_per_host"))?;
        let begun = limiter.begin(permit, false);
        begun.map_err(|_| full("message_rate_per_host"))
    }

    /// Notes the end of a submission.
    pub(super) fn note(&self, permit: SubmissionPermit, report: &SubmissionReport) {
        let not_begun = matches!(report.end, SubmissionEnd::NotBegun { .. });
        *self.failed.lock() = not_begun.then(Instant::now);
        permit.end(Usage {
            transactions: u32::from(!report.replies.is_empty()),
            accepted: report.is_accepted(),
            ..Usage::default()
        });
    }
}

/// The servers that were used last.
pub(super) struct MailServers {
    cache: Mutex<LruCache<ServerKey, Arc<MailServer>>>,
    config: Arc<Config>,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn RelayObserver>,
}

impl MailServers {
    pub(super) fn new(config: Arc<Config>, clock: Arc<dyn Clock>) -> Self {
        Self {
            cache: Mutex::new(LruCache::new(MOST_SERVERS)),
            config,
            clock,
            observer: Arc::new(NoObserver),
        }
    }

    pub(super) fn observe(&mut self, observer: Arc<dyn RelayObserver>) {
        self.observer = observer;
    }

    /// Makes a server without keeping it.
    ///
    /// # Errors
    /// [`SettingsError`]: its `ca_file` cannot be used.
    pub(super) fn make(&self, name: String, key: &ServerKey) -> Result<SmtpRelay, SettingsError> {
        let dependencies = RelayDependencies {
            password: None,
            default_ehlo_name: None,
            authentications: Arc::new(NoSharedLedger),
            clock: self.clock.clone(),
        };
        let relay = SmtpRelay::new(name, &key.config(&self.config), dependencies)?;
        Ok(relay.with_observer(self.observer.clone()))
    }

    /// The server of this key.
    ///
    /// # Errors
    /// [`SettingsError`]: its `ca_file` cannot be used.
    pub(super) fn get(&self, key: &ServerKey) -> Result<Arc<MailServer>, SettingsError> {
        if let Some(known) = self.cache.lock().get(key) {
            return Ok(known.clone());
        }
        let server = Arc::new(MailServer {
            relay: self.make(key.shown(), key)?,
            failed: Mutex::default(),
        });
        // Made without the lock: another task may have been faster.
        let mut cache = self.cache.lock();
        if let Some(known) = cache.get(key) {
            return Ok(known.clone());
        }
        if let Some((_, unused)) = cache.push(key.clone(), server.clone()) {
            tokio::spawn(async move { unused.relay.close().await });
        }
        Ok(server)
    }

    fn all(&self) -> Vec<Arc<MailServer>> {
        let cache = self.cache.lock();
        cache.iter().map(|(_, server)| server.clone()).collect()
    }

    /// Connections that are open.
    pub(super) fn established(&self) -> u32 {
        let open = |server: &Arc<MailServer>| server.relay.limiter().established();
        self.all().iter().map(open).sum()
    }

    /// Quits every idle session.
    pub(super) async fn close(&self) {
        let mut closing = tokio::task::JoinSet::new();
        for server in self.all() {
            closing.spawn(async move { server.relay.close().await });
        }
        closing.join_all().await;
    }
}
