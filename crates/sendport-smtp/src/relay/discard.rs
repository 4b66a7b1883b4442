//! A relay that accepts every message and stores nothing: for load tests of the service and the
//! database.

use std::sync::Arc;

use async_trait::async_trait;
use sendport_core::clock::Clock;
use sendport_core::domain::{Envelope, SessionFacts, SubmissionEnd, SubmissionReport};
use sendport_smime::SecuredMessage;

use super::limits::Limiter;
use super::synthetic_replies::SyntheticReplies;
use super::{Relay, SessionError, SubmissionGate};
use crate::settings::limits::Limits;

/// Messages that are accepted at the same time.
const AT_A_TIME: u32 = 64;

/// Accepts everything, stores nothing.
pub struct DiscardRelay {
    name: String,
    limiter: Arc<Limiter>,
    clock: Arc<dyn Clock>,
}

impl DiscardRelay {
    /// A relay of this name.
    pub fn new(name: impl Into<String>, clock: Arc<dyn Clock>) -> Self {
        Self {
            name: name.into(),
            limiter: Arc::new(Limiter::new(Limits::of_each(AT_A_TIME))),
            clock,
        }
    }
}

#[async_trait]
impl Relay for DiscardRelay {
    fn name(&self) -> &str {
        &self.name
    }

    fn limiter(&self) -> &Arc<Limiter> {
        &self.limiter
    }

    async fn submit(
        &self,
        envelope: &Envelope,
        _message: &SecuredMessage,
        gate: &dyn SubmissionGate,
    ) -> SubmissionReport {
        let started_at = self.clock.now();
        let mut synthetic = SyntheticReplies::begin(envelope);
        if !envelope.forward_paths.is_empty() {
            if gate.may_begin().await && gate.may_send_final_dot(synthetic.before_final_dot()) {
                synthetic.accept("discarded");
            } else {
                synthetic.end = SubmissionEnd::Fenced;
            }
        }
        SubmissionReport {
            started_at,
            ended_at: self.clock.now(),
            facts: SessionFacts::default(),
            replies: synthetic.replies,
            end: synthetic.end,
        }
    }

    async fn verify(&self) -> Result<SessionFacts, SessionError> {
        Ok(SessionFacts::default())
    }

    async fn close(&self) {}
}
