//! The activity of a relay, for metrics.

use std::time::Duration;

use sendport_core::domain::{Fault, RelayCondition};

/// Records the activity of one relay. Every message calls it: it must not wait.
pub trait RelayObserver: Send + Sync {
    /// Records one measurement.
    fn record(&self, activity: RelayActivity);
}

/// For commands: records nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoObserver;

impl RelayObserver for NoObserver {
    fn record(&self, _: RelayActivity) {}
}

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RelayActivity {
    /// A TCP connection was made.
    Connection(Duration),
    /// A TLS handshake succeeded.
    Handshake(Duration),
    /// A certificate and its expiry, in seconds since 1970.
    Certificate(CertificateRole, i64),
    /// An authentication succeeded.
    Authentication(Duration),
    /// An authentication was refused with 5yz.
    AuthenticationRefusal,
    /// A mail transaction ended, with any result.
    Transaction(Duration),
    /// The final dot was answered.
    FinalDot(Duration),
    /// A submission ended.
    Submission {
        /// Its result.
        class: SubmissionClass,
        /// The party at fault where it was not accepted.
        fault: Option<Fault>,
        /// Size of the message in bytes.
        bytes: usize,
    },
    /// The circuit changed its state.
    ConditionChange(RelayCondition),
    /// True: the relay is used less than configured. False: no longer.
    Throttled(bool),
}

/// The owner of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateRole {
    /// The relay's, from the handshake.
    Relay,
    /// Our client certificate.
    Client,
    /// The authority in `ca_file` that expires first.
    Authority,
    /// The one that signs OAuth2 client assertions.
    Application,
}

impl CertificateRole {
    /// The value of its label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Client => "client",
            Self::Authority => "ca",
            Self::Application => "oauth2",
        }
    }
}

/// The result of a submission.
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
    /// The reply to the final dot never came.
    InDoubt,
    /// The relay could not be reached or refused the session.
    NotBegun,
    /// An operator wants something else of the alert, or the lease was not certain.
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

    /// The value of its label.
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
