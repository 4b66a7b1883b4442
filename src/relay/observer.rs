//! What happens at a relay, told to whoever counts it.

use std::time::Duration;

use crate::domain::{Fault, RelayCondition};

/// Told what happens at one relay. Called from the way of every message: must not wait.
pub trait RelayObserver: Send + Sync {
    /// Something happened.
    fn record(&self, what: RelayActivity);
}

/// Nobody counts: for a command.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoObserver;

impl RelayObserver for NoObserver {
    fn record(&self, _: RelayActivity) {}
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RelayActivity {
    /// A TCP connection was made.
    Connection(Duration),
    /// A TLS handshake succeeded.
    Handshake(Duration),
    /// A certificate, and when it ends, in seconds since 1970.
    Certificate(CertificateRole, i64),
    /// A sign-in succeeded.
    Authentication(Duration),
    /// A sign-in was refused for good.
    AuthenticationRefusal,
    /// A mail transaction ended, somehow.
    Transaction(Duration),
    /// The final dot was answered.
    FinalDot(Duration),
    /// A submission came to this.
    Submission {
        /// What decided it.
        class: SubmissionClass,
        /// Whose fault it is that it was not accepted.
        fault: Option<Fault>,
        /// Octets of the message.
        octets: usize,
    },
    /// The circuit is in another state.
    ConditionChange(RelayCondition),
    /// Less is asked of it than is configured; or no longer.
    Throttled(bool),
}

/// Whose certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateRole {
    /// The relay's, as it showed it.
    Relay,
    /// Ours, that we show.
    Client,
    /// The first of the authorities in `ca_file` that ends.
    Authority,
    /// The application's, that an OAuth2 assertion is signed with.
    Application,
}

impl CertificateRole {
    /// A word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Client => "client",
            Self::Authority => "ca",
            Self::Application => "oauth2",
        }
    }
}

/// What decided a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubmissionClass {
    /// 2yz to the final dot.
    Accepted,
    /// 4yz to the message or to every recipient.
    Transient,
    /// 5yz to the message or to every recipient.
    Permanent,
    /// The connection or a time-out ended it before the final dot.
    Broken,
    /// Nobody saw the reply to the final dot.
    InDoubt,
    /// The relay could not be reached or refused the session.
    NotBegun,
    /// The lease was not certain.
    Fenced,
}

impl SubmissionClass {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Accepted,
        Self::Transient,
        Self::Permanent,
        Self::Broken,
        Self::InDoubt,
        Self::NotBegun,
        Self::Fenced,
    ];

    /// A word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "2xx",
            Self::Transient => "4xx",
            Self::Permanent => "5xx",
            Self::Broken => "broken",
            Self::InDoubt => "in_doubt",
            Self::NotBegun => "not_begun",
            Self::Fenced => "fenced",
        }
    }
}
