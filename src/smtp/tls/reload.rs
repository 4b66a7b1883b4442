//! TLS whose files may be replaced while the service runs, as certificates are before they end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::{Tls, TlsSettingsError};
use crate::config::relay::SmtpRelay;
use crate::file_watch::WatchedFiles;
use crate::relay::observer::{RelayActivity, RelayObserver};

/// How often files that could not be used are read again.
const TRIAL_EVERY: Duration = Duration::from_secs(1);

/// The TLS settings of one relay, as its files are now.
pub(in crate::smtp) struct ReloadableTls {
    relay: String,
    files: WatchedFiles,
    state: Mutex<State>,
}

struct State {
    tls: Arc<Tls>,
    /// When what the files hold now was tried last and could not be used: not all of them are
    /// replaced yet, or it is wrong.
    failed: Option<Instant>,
}

impl ReloadableTls {
    /// Reads them for the first time.
    pub(in crate::smtp) fn new(relay: &str, config: &SmtpRelay) -> Result<Self, TlsSettingsError> {
        // Looked at before they are read: what is replaced meanwhile is noticed.
        let files = WatchedFiles::new([
            config.ca_file.as_ref(),
            config.client_certificate_file.as_ref(),
            config.client_key_file.as_ref(),
            config.client_key_password_file.as_ref(),
        ]);
        let state = State {
            tls: Arc::new(Tls::new(config)?),
            failed: None,
        };
        Ok(Self {
            relay: relay.to_owned(),
            files,
            state: Mutex::new(state),
        })
    }

    /// For the next connection.
    pub(in crate::smtp) fn current(&self) -> Arc<Tls> {
        self.state.lock().tls.clone()
    }

    /// Reads the files anew where they were replaced. True where they are used from here on; as
    /// long as they cannot be, the old ones are.
    pub(in crate::smtp) fn reload_if_changed(
        &self,
        config: &SmtpRelay,
        observer: &dyn RelayObserver,
    ) -> bool {
        let mut state = self.state.lock();
        let changed = self.files.are_changed();
        let again = state.failed.is_some_and(|at| at.elapsed() >= TRIAL_EVERY);
        if !changed && !again {
            return false;
        }
        match Tls::new(config) {
            Ok(tls) => {
                *state = State {
                    tls: Arc::new(tls),
                    failed: None,
                };
                tracing::info!(relay = self.relay, "TLS files reloaded");
                state.tls.report_expiry_of_configured(observer);
                true
            }
            Err(error) => {
                if changed {
                    tracing::warn!(relay = self.relay, %error, "TLS file reload failed, previous files used");
                }
                state.failed = Some(Instant::now());
                false
            }
        }
    }
}

impl Tls {
    /// Tells when the certificates of the configuration end.
    pub(in crate::smtp) fn report_expiry_of_configured(&self, observer: &dyn RelayObserver) {
        for (whose, not_after) in &self.certificates {
            observer.record(RelayActivity::Certificate(*whose, *not_after));
        }
    }
}
