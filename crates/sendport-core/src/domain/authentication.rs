//! Whether a password may be tried now: one refused, or twice in a row not answered, is not tried
//! again by another connection, instance or mechanism until it changed or a quarter of an hour
//! passed.

use std::time::Duration;

use super::Reply;

/// A refused secret is not tried again before this, so that no account is locked.
pub const AUTH_COOLDOWN: Duration = Duration::from_secs(15 * 60);

/// What is signed in to, and with what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AuthKey {
    /// Name of the relay.
    pub relay: String,
    /// Tells one secret from another and says next to nothing of it: eight hexadecimal digits
    /// of a slow hash of account and secret.
    pub credential_fingerprint: String,
}

/// What may be done with a secret now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthDecision {
    /// It was accepted before: try it.
    Proceed,
    /// Nobody knows yet whether it is right: try it alone, and tell.
    ProceedAlone,
    /// Another instance is trying it.
    Wait,
    /// It was refused, or twice in a row not answered, to this instance or another.
    Refused {
        /// What the relay said, or what happened.
        reply: Reply,
        /// When it may be tried again.
        retry_in: Duration,
    },
}

/// How a sign-in ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthOutcome {
    /// Accepted.
    Accepted,
    /// Refused for good (RFC 4954 section 6: 5yz): nobody tries it again for now.
    Refused(Reply),
    /// It was tried, and the relay answered neither 2yz nor 5yz: a lost connection, a time-out,
    /// 421, 454. The second in a row counts as a refusal: who locks accounts may do it like this.
    Unanswered(Reply),
    /// It was not tried: the session ended before AUTH.
    NotAttempted,
}
