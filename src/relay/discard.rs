//! The relay that keeps nothing: for measuring everything in front of it.

use std::sync::Arc;

use async_trait::async_trait;

use super::{FinalDotGate, NotReady, Relay, local};
use crate::clock::Clock;
use crate::domain::{Envelope, SecuredMessage, SessionFacts, SubmissionEnd, SubmissionReport};

/// Accepts every message and forgets it.
pub struct DiscardRelay {
    name: String,
    clock: Arc<dyn Clock>,
}

impl DiscardRelay {
    /// A relay of this name.
    pub fn new(name: &str, clock: Arc<dyn Clock>) -> Self {
        Self {
            name: name.to_owned(),
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
        let now = self.clock.now();
        if gate.may_send_final_dot() {
            local::accepted(envelope, now, &*self.clock, "discarded")
        } else {
            local::report(now, &*self.clock, Vec::new(), SubmissionEnd::Fenced)
        }
    }

    async fn verify(&self) -> Result<SessionFacts, NotReady> {
        Ok(SessionFacts::default())
    }

    async fn close(&self) {}
}
