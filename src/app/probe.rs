//! Builds a probe with the same relay as the service.

use std::sync::Arc;
use std::time::Duration;

use sendport_core::replies::ReplyTable;
use sendport_smtp::relay::authentication::{AuthLedger, NoSharedLedger};
use sendport_smtp::settings::auth::AuthMechanism;
use sendport_smtp::settings::relay::SmtpRelay as SmtpConfig;
use sendport_smtp::{SmtpRelay, ehlo_name};

use super::components::make_smtp_relay;
use super::{AppError, system_clock};
use crate::probe::{self, Listener, Plan, Recorder, Report};

/// What a probe of one server needs.
pub struct ProbeContext<'a> {
    /// The name in messages: that of the section, or of the host.
    pub name: &'a str,
    /// The section, with the same keys as the service reads.
    pub section: &'a SmtpConfig,
    /// Knows refused credentials.
    pub authentications: &'a Arc<dyn AuthLedger>,
    /// Explains replies.
    pub replies: &'a Arc<ReplyTable>,
    /// A step that takes longer is reported.
    pub slow: Duration,
}

impl ProbeContext<'_> {
    /// A relay of this section, with a recorder of its session.
    fn relay(&self, listener: Listener) -> Result<(SmtpRelay, Arc<Recorder>), AppError> {
        let replies = Arc::clone(self.replies);
        let recorder = Recorder::new(replies, &*system_clock(), self.slow, listener);
        let recorder = Arc::new(recorder);
        let relay = make_smtp_relay(self.name, self.section, self.authentications)?;
        Ok((relay.with_session_observer(recorder.clone()), recorder))
    }
}

/// Runs a plan on the service's own relay code.
///
/// # Errors
/// [`AppError::Config`] if the section cannot be used.
pub async fn probe(
    context: &ProbeContext<'_>,
    plan: &Plan,
    listener: Listener,
) -> Result<Report, AppError> {
    let (relay, recorder) = context.relay(listener)?;
    let report = probe::run(&relay, &recorder, plan, system_clock().now()).await;
    report.map_err(AppError::config)
}

/// Asks without authentication for a recipient of a foreign domain; sends nothing. True if the server
/// accepted it; `None` if the session ended before.
///
/// # Errors
/// As [`probe()`].
pub async fn open_relay_check(
    context: &ProbeContext<'_>,
    plan: &Plan,
    listener: Listener,
) -> Result<(Report, Option<bool>), AppError> {
    let mut section = context.section.clone();
    section.auth.mechanism = AuthMechanism::None;
    section.auth.oauth2 = None;
    let authentications: Arc<dyn AuthLedger> = Arc::new(NoSharedLedger);
    let context = ProbeContext {
        section: &section,
        authentications: &authentications,
        ..*context
    };
    let (relay, recorder) = context.relay(listener)?;
    let now = system_clock().now();
    let answer = probe::is_open_relay(&relay, &recorder, plan, now).await;
    answer.map_err(AppError::config)
}

/// This host's fully qualified name, if it has one.
pub fn name_of_this_host() -> Option<String> {
    ehlo_name::of_this_host()
}
