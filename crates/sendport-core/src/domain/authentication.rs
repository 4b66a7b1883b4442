//! When credentials may be tried. Refused credentials, and those that were twice in a row left
//! unanswered, are not tried again by another connection, instance or mechanism until they change
//! or 15 minutes have passed.

use std::time::Duration;

use super::Reply;

/// Time until refused credentials may be tried again, so that no account is locked.
pub const AUTH_COOLDOWN: Duration = Duration::from_secs(15 * 60);

/// A relay and the credentials that it is authenticated to with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AuthKey {
    /// Name of the relay.
    pub relay: String,
    /// Eight hexadecimal digits of a slow hash of account and secret: they differ where the
    /// credentials do, and reveal next to nothing of them.
    pub credential_fingerprint: String,
}

/// Whether credentials may be tried now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthDecision {
    /// They were accepted before: try them.
    Proceed,
    /// Not yet known to be right: try them alone, and report the outcome.
    ProceedAlone,
    /// Another instance is trying them.
    Wait,
    /// They were refused, or twice in a row left unanswered, to this instance or another.
    Refused {
        /// The relay's reply, or the local reply in its place.
        reply: Reply,
        /// Time until they may be tried again.
        retry_in: Duration,
    },
}

/// The outcome of an authentication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthOutcome {
    /// Accepted.
    Accepted,
    /// Refused (RFC 4954 section 6: 5yz): not tried again for [`AUTH_COOLDOWN`].
    Refused(Reply),
    /// The relay answered neither 2yz nor 5yz: a lost connection, a time-out, 421, 454. The second
    /// in a row counts as a refusal, because some servers lock accounts like this.
    Unanswered(Reply),
    /// The session ended before AUTH.
    NotAttempted,
}
