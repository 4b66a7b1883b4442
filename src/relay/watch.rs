//! What happens at a relay, told to whoever counts it.

use std::time::Duration;

use crate::domain::{Fault, RelayCondition};

/// Told what happens at one relay. Called from the way of every message: must not wait.
pub trait RelayWatch: Send + Sync {
    /// Something happened.
    fn saw(&self, what: Seen);
}

/// Nobody counts: for a command.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwatched;

impl RelayWatch for Unwatched {
    fn saw(&self, _: Seen) {}
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Seen {
    /// A TCP connection was made.
    Connected(Duration),
    /// A TLS handshake succeeded.
    Secured(Duration),
    /// A certificate, and when it ends, in seconds since 1970.
    Certificate(Certificate, i64),
    /// A sign-in succeeded.
    Authenticated(Duration),
    /// A sign-in was refused for good.
    AuthRefused,
    /// A mail transaction ended, somehow.
    Transaction(Duration),
    /// The final dot was answered.
    FinalDot(Duration),
    /// A submission came to this.
    Submitted {
        /// What decided it.
        class: SubmissionClass,
        /// Whose fault it is that it was not accepted.
        fault: Option<Fault>,
        /// Octets of the message.
        octets: usize,
    },
    /// The circuit is in another state.
    Changed(RelayCondition),
    /// Less is asked of it than is configured; or no longer.
    Slowed(bool),
}

/// Whose certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    /// The relay's, as it showed it.
    Relay,
    /// Ours, that we show.
    Client,
    /// The first of the authorities in `ca_file` that ends.
    Authority,
    /// The application's, that an OAuth2 assertion is signed with.
    Application,
}

impl Certificate {
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
