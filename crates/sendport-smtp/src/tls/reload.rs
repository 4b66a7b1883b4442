//! TLS settings that follow their files: certificates are replaced while the service runs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sendport_core::file_watch::WatchedFiles;

use super::{Tls, TlsSettingsError};
use crate::relay::observer::{RelayActivity, RelayObserver};
use crate::settings::relay::SmtpRelay;

/// Interval between attempts to read unusable files.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// The TLS settings of one relay, as its files are now.
pub(crate) struct ReloadableTls {
    files: WatchedFiles,
    state: Mutex<State>,
}

struct State {
    tls: Arc<Tls>,
    /// When the files were last found unusable: not all of them are replaced yet, or one is wrong.
    failed: Option<Instant>,
}

impl ReloadableTls {
    /// Reads the files for the first time.
    pub(crate) fn new(config: &SmtpRelay) -> Result<Self, TlsSettingsError> {
        // Watched before they are read, so that no change is missed.
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
            files,
            state: Mutex::new(state),
        })
    }

    /// For the next connection.
    pub(crate) fn current(&self) -> Arc<Tls> {
        self.state.lock().tls.clone()
    }

    /// Reads the files again where they changed. True where the new ones are used; while they are
    /// unusable, the old ones are.
    pub(crate) fn reload_if_changed(
        &self,
        config: &SmtpRelay,
        observer: &dyn RelayObserver,
    ) -> bool {
        let mut state = self.state.lock();
        let changed = self.files.are_changed();
        let again = state.failed.is_some_and(|at| at.elapsed() >= RETRY_EVERY);
        if !changed && !again {
            return false;
        }
        match Tls::new(config) {
            Ok(tls) => {
                *state = State {
                    tls: Arc::new(tls),
                    failed: None,
                };
                tracing::info!("TLS files reloaded");
                state.tls.report_expiry_of_configured(observer);
                true
            }
            Err(error) => {
                if changed {
                    tracing::warn!(%error, "TLS file reload failed, previous files used");
                }
                state.failed = Some(Instant::now());
                false
            }
        }
    }
}

impl Tls {
    /// Records the expiry of the configured certificates.
    pub(crate) fn report_expiry_of_configured(&self, observer: &dyn RelayObserver) {
        for (whose, not_after) in &self.certificates {
            observer.record(RelayActivity::Certificate(*whose, *not_after));
        }
    }
}
