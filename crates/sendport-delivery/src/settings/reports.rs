//! Keys of `[send_port.<name>]` about reports to the senders of submitted messages (RFC 3464).

use std::time::Duration;

use sendport_core::problem::Problem;
use serde::{Deserialize, Serialize};

/// Default of `reports_per_minute`.
pub const DEFAULT_PER_MINUTE: u32 = 60;
/// Default of `report_delay_after`.
pub const DEFAULT_DELAY_AFTER: Duration = Duration::from_secs(4 * 3600);
/// Shortest `report_delay_after`: a shorter one would report every second attempt.
const SHORTEST_DELAY: Duration = Duration::from_secs(1);

/// Who is notified of the failure of a message that a client submitted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ReportsTo {
    /// The reverse-path gets a delivery status notification.
    #[default]
    Sender,
    /// Nobody but those of `notify_failures_to`.
    Operators,
}

/// What is wrong with `reports_per_minute` and `report_delay_after` of the send port `port`.
pub fn problems(port: &str, per_minute: u32, delay_after: Duration) -> Vec<Problem> {
    let rules = [
        (
            per_minute == 0,
            "reports_per_minute",
            "0 would send no report; write reports_to = \"operators\" for that",
        ),
        (
            delay_after < SHORTEST_DELAY,
            "report_delay_after",
            "it is shorter than a second; write for example \"4h\"",
        ),
    ];
    let broken = rules.into_iter().filter(|(broken, ..)| *broken);
    let problem = |(_, key, what)| Problem::new(format!("{port}.{key}"), what);
    broken.map(problem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_values_that_mean_something_else() {
        assert!(problems("send_port.p", 1, Duration::from_secs(1)).is_empty());
        let found = problems("send_port.p", 0, Duration::ZERO);
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert!(found[0].contains("reports_to = \"operators\""), "{found:?}");
        assert!(found[1].contains("report_delay_after"), "{found:?}");
    }
}
