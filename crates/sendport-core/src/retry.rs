//! The decision after a reply: a pure function of attempt, reply, fault and age.

use std::time::Duration;

use crate::domain::{Disposition, Fault, Reply};

/// How often and how long a send port tries.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryPolicy {
    /// Most attempts for one recipient, the first included.
    pub attempts: u32,
    /// Delay after the first attempt; it doubles with each further one.
    pub first_delay: Duration,
    /// The delay grows no longer than this.
    pub longest_delay: Duration,
    /// Part of the delay, 0 to 1, that is left to chance: a delay `d` becomes something
    /// between `d × (1 − jitter)` and `d`, so that a thousand alerts do not come back at once.
    pub jitter: f64,
    /// An alert older than this expires.
    pub max_age: Duration,
}

impl RetryPolicy {
    /// The delay after attempt number `attempt` (1 for the first); `chance` lies in 0 to 1.
    pub fn delay_after(&self, attempt: u32, chance: f64) -> Duration {
        let doublings = attempt.saturating_sub(1).min(30);
        let full = self
            .first_delay
            .saturating_mul(1 << doublings)
            .min(self.longest_delay);
        full.mul_f64(1.0 - self.jitter.clamp(0.0, 1.0) * chance.clamp(0.0, 1.0))
    }
}

/// What is known when a recipient's fate is decided.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// Attempts spent on the recipient, this one included.
    pub attempt: u32,
    /// What was said, or happened.
    pub reply: &'a Reply,
    /// The party at fault, by the table of replies.
    pub fault: Fault,
    /// Where it is a refusal for a limit of the relay: when it may be asked again. That spends no
    /// attempt.
    pub limited_for: Option<Duration>,
    /// How old the alert is.
    pub age: Duration,
    /// A random number in 0 to 1, for the jitter.
    pub chance: f64,
}

/// Decides about one recipient.
///
/// 2yz: relayed. A permanent refusal that is the recipient's or the message's fault fails. One
/// that is the relay's or the configuration's is tried again, because time or a person can
/// heal it without touching the alert. Everything transient is tried again until the attempts
/// are spent or the age is reached; past `max_age` it expires. A refusal for a limit is tried
/// again until then, because others used the limit up.
pub fn decide(policy: &RetryPolicy, given: Circumstances<'_>) -> Disposition {
    if given.reply.is_success() {
        return Disposition::Relayed;
    }
    let hopeless = given.reply.is_permanent()
        && matches!(given.fault, Fault::Recipient | Fault::Message)
        && given.limited_for.is_none();
    if hopeless {
        Disposition::Fail
    } else if given.age >= policy.max_age {
        Disposition::Expire
    } else if let Some(wait) = given.limited_for {
        Disposition::RetryIn(wait)
    } else if given.attempt >= policy.attempts {
        Disposition::Fail
    } else {
        Disposition::RetryIn(policy.delay_after(given.attempt, given.chance))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::Command;

    const HOUR: Duration = Duration::from_secs(3600);

    fn policy() -> RetryPolicy {
        RetryPolicy {
            attempts: 5,
            first_delay: Duration::from_secs(60),
            longest_delay: HOUR,
            jitter: 0.5,
            max_age: 48 * HOUR,
        }
    }

    fn decided(code: u16, fault: Fault, attempt: u32, age: Duration) -> Disposition {
        let reply = Reply::new(Command::Rcpt, code, None, "");
        decide(
            &policy(),
            Circumstances {
                attempt,
                reply: &reply,
                fault,
                limited_for: None,
                age,
                chance: 0.0,
            },
        )
    }

    #[test]
    fn a_permanent_refusal_of_a_recipient_is_final_at_once() {
        assert_eq!(decided(550, Fault::Recipient, 1, HOUR), Disposition::Fail);
    }

    #[test]
    fn a_permanent_refusal_by_configuration_waits_for_a_person() {
        let first = Disposition::RetryIn(Duration::from_secs(60));
        assert_eq!(decided(550, Fault::Configuration, 1, HOUR), first);
    }

    #[test]
    fn a_transient_refusal_ends_with_its_attempts() {
        assert_eq!(
            decided(451, Fault::Recipient, 4, HOUR),
            Disposition::RetryIn(Duration::from_secs(480))
        );
        assert_eq!(decided(451, Fault::Recipient, 5, HOUR), Disposition::Fail);
    }

    #[test]
    fn a_refusal_for_a_limit_is_tried_again_until_the_alert_expires() {
        let reply = Reply::new(
            Command::Mail,
            432,
            None,
            "Concurrent connections limit exceeded",
        );
        let wait = Duration::from_secs(17);
        let given = |age| Circumstances {
            attempt: 1000,
            reply: &reply,
            fault: Fault::Relay,
            limited_for: Some(wait),
            age,
            chance: 0.0,
        };
        assert_eq!(decide(&policy(), given(HOUR)), Disposition::RetryIn(wait));
        assert_eq!(decide(&policy(), given(48 * HOUR)), Disposition::Expire);
    }

    #[test]
    fn past_its_age_it_expires() {
        assert_eq!(decided(0, Fault::Relay, 2, 48 * HOUR), Disposition::Expire);
    }

    proptest! {
        #[test]
        fn a_delay_never_leaves_its_bounds(attempt in 0u32..=u32::MAX, chance in 0.0f64..=1.0) {
            let delay = policy().delay_after(attempt, chance);
            prop_assert!(delay >= Duration::from_secs(30) && delay <= HOUR);
        }

        #[test]
        fn delays_do_not_shrink_as_attempts_grow(attempt in 1u32..100) {
            prop_assert!(policy().delay_after(attempt, 0.0) <= policy().delay_after(attempt + 1, 0.0));
        }
    }
}
