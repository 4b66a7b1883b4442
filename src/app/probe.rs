//! A probe, put together as the service puts its relays together.

use std::sync::Arc;
use std::time::Duration;

use super::parts::make_smtp_relay;
use super::{AppError, system_clock};
use crate::config::auth::AuthMechanism;
use crate::config::relay::SmtpRelay as SmtpConfig;
use crate::probe::{self, Listener, Plan, Recorder, Report};
use crate::relay::authentication::{AuthLedger, NoSharedLedger};
use crate::replies::ReplyTable;
use crate::smtp::{SmtpRelay, ehlo_name};

/// One server to look at.
pub struct Look<'a> {
    /// The name that stands in messages: of the section, or of the host.
    pub name: &'a str,
    /// The section as the service would read it.
    pub section: &'a SmtpConfig,
    /// What is known of refused secrets.
    pub authentications: &'a Arc<dyn AuthLedger>,
    /// What replies mean.
    pub replies: &'a Arc<ReplyTable>,
    /// What takes longer is spoken of.
    pub slow: Duration,
}

impl Look<'_> {
    /// A relay of this section that is looked on at.
    fn relay(&self, listener: Listener) -> Result<(SmtpRelay, Arc<Recorder>), AppError> {
        let replies = Arc::clone(self.replies);
        let recorder = Recorder::new(replies, &*system_clock(), self.slow, listener);
        let recorder = Arc::new(recorder);
        let relay = make_smtp_relay(self.name, self.section, self.authentications)?;
        Ok((relay.with_session_observer(recorder.clone()), recorder))
    }
}

/// Carries a plan out by the service's own relay.
///
/// # Errors
/// [`AppError::Config`] where the section cannot be used.
pub async fn probe(look: &Look<'_>, plan: &Plan, listener: Listener) -> Result<Report, AppError> {
    let (relay, recorder) = look.relay(listener)?;
    let report = probe::run(&relay, &recorder, plan, system_clock().now()).await;
    report.map_err(|error| AppError::Config(error.to_string()))
}

/// Asks, without signing in, for a recipient that is none of the server's; nothing is sent. True
/// where it was taken; `None` where the session did not come so far.
///
/// # Errors
/// As [`probe()`].
pub async fn open_relay_check(
    look: &Look<'_>,
    plan: &Plan,
    listener: Listener,
) -> Result<(Report, Option<bool>), AppError> {
    let mut section = look.section.clone();
    section.auth.mechanism = AuthMechanism::None;
    section.auth.oauth2 = None;
    let authentications: Arc<dyn AuthLedger> = Arc::new(NoSharedLedger);
    let look = Look {
        section: &section,
        authentications: &authentications,
        ..*look
    };
    let (relay, recorder) = look.relay(listener)?;
    let now = system_clock().now();
    let answer = probe::relays_for_strangers(&relay, &recorder, plan, now).await;
    answer.map_err(|error| AppError::Config(error.to_string()))
}

/// This host's fully qualified name, if it has one.
pub fn name_of_this_host() -> Option<String> {
    ehlo_name::of_this_host()
}
