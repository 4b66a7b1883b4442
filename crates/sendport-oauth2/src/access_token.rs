//! An access token with its lifetime.

use chrono::TimeDelta;
use sendport_core::domain::Timestamp;
use sendport_core::secret::Secret;

use super::claims::TokenClaims;
use super::error::InvalidToken;

/// Lifetime of a token without a known expiry.
const DEFAULT_LIFETIME: TimeDelta = TimeDelta::minutes(5);

/// No authentication begins with a token this close to its expiry.
const LONGEST_MARGIN: TimeDelta = TimeDelta::seconds(30);

/// An access token (RFC 6749 section 1.4).
#[derive(Debug, Clone)]
pub(super) struct AccessToken {
    pub(super) secret: Secret,
    usable_until: Timestamp,
    refresh_at: Timestamp,
}

impl AccessToken {
    /// Without `expires_at`, the token itself may have its expiry (RFC 7519 section 4.1.4).
    ///
    /// # Errors
    /// [`InvalidToken`], where it is no token (RFC 6750 section 2.1) or has expired.
    pub(super) fn new(
        secret: Secret,
        expires_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Self, InvalidToken> {
        if secret.expose().is_empty() {
            return Err(InvalidToken::Empty);
        }
        if !secret.expose().bytes().all(|b| b.is_ascii_graphic()) {
            return Err(InvalidToken::Characters);
        }
        let expires_at = expires_at
            .or_else(|| TokenClaims::read(&secret)?.expires_at)
            .unwrap_or(now + DEFAULT_LIFETIME);
        if expires_at <= now {
            let at = expires_at;
            return Err(InvalidToken::Expired { now, at });
        }
        let life = expires_at - now;
        Ok(Self {
            secret,
            usable_until: expires_at - LONGEST_MARGIN.min(life / 10),
            refresh_at: now + life * 4 / 5,
        })
    }

    /// An authentication may begin with it.
    pub(super) fn is_usable(&self, now: Timestamp) -> bool {
        now < self.usable_until
    }

    /// Four fifths of its lifetime are over.
    pub(super) fn is_due_for_renewal(&self, now: Timestamp) -> bool {
        self.refresh_at <= now
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn at(second: i64) -> Timestamp {
        DateTime::from_timestamp(1_800_000_000 + second, 0).expect("a time")
    }

    fn token(text: &str, expires_at: Option<Timestamp>) -> Result<AccessToken, InvalidToken> {
        AccessToken::new(Secret::new(text.to_owned()), expires_at, at(0))
    }

    #[test]
    fn an_hour_is_renewed_after_48_minutes_and_used_up_to_its_last_30_seconds() {
        let token = token("t", Some(at(3600))).expect("a token");
        assert!(!token.is_due_for_renewal(at(2879)) && token.is_due_for_renewal(at(2880)));
        assert!(token.is_usable(at(3569)) && !token.is_usable(at(3570)));
    }

    #[test]
    fn takes_the_expiry_from_a_jwt() {
        // {"exp":1800000100} in the middle.
        let token = token("e30.eyJleHAiOjE4MDAwMDAxMDB9.c2ln", None).expect("a token");
        assert!(token.is_usable(at(89)) && !token.is_usable(at(90)));
    }

    #[test]
    fn a_token_without_expiry_is_kept_for_five_minutes() {
        let token = token("ya29.opaque", None).expect("a token");
        assert!(token.is_usable(at(269)) && !token.is_usable(at(300)));
    }

    #[test]
    fn refuses_what_is_no_token_without_quoting_it() {
        for text in ["", "two words", "line\nend", "schl\u{fc}ssel"] {
            let error = token(text, None).expect_err("no token").to_string();
            assert!(text.is_empty() || !error.contains(text), "{error}");
        }
        let expired = InvalidToken::Expired {
            now: at(0),
            at: at(0),
        };
        assert_eq!(token("t", Some(at(0))).err(), Some(expired));
    }
}
