//! A relay that takes every message and keeps nothing: for load tests of all in front of it.

use std::sync::Arc;

use async_trait::async_trait;

use super::synthesis::Synthesis;
use super::{FinalDotGate, NotReady, Relay};
use crate::clock::Clock;
use crate::domain::{Envelope, SecuredMessage, SessionFacts, SubmissionEnd, SubmissionReport};

/// Takes everything, keeps nothing.
pub struct DiscardRelay {
    name: String,
    clock: Arc<dyn Clock>,
}

impl DiscardRelay {
    /// A relay of this name.
    pub fn new(name: impl Into<String>, clock: Arc<dyn Clock>) -> Self {
        Self {
            name: name.into(),
            clock,
        }
    }
}

#[async_trait]
impl Relay for DiscardRelay {
    fn name(&self) -> &str {
        &self.name
    }

    async fn submit(
        &self,
        envelope: &Envelope,
        _message: &SecuredMessage,
        gate: &dyn FinalDotGate,
    ) -> SubmissionReport {
        let started_at = self.clock.now();
        let mut synthesis = Synthesis::begin(envelope);
        if synthesis.goes_on() {
            if gate.may_send_final_dot() {
                synthesis.take("discarded");
            } else {
                synthesis.end = SubmissionEnd::Fenced;
            }
        }
        SubmissionReport {
            started_at,
            ended_at: self.clock.now(),
            facts: SessionFacts::default(),
            replies: synthesis.replies,
            end: synthesis.end,
        }
    }

    async fn verify(&self) -> Result<SessionFacts, NotReady> {
        Ok(SessionFacts::default())
    }

    async fn close(&self) {}
}
