//! Keys `notify_...` of `[send_port.<name>]`: recipients and interval of failure digests.

use std::time::Duration;

use crate::domain::parse_address_list;
use sendport_core::problem::Problem;

/// Default interval of digests.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// Shortest interval: a shorter one would send an email for each failure.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
/// Longest interval: a digest reports failures of the last day.
const LONGEST_INTERVAL: Duration = Duration::from_secs(12 * 3600);

/// Problems of `failures_to` and `interval` of the send port `port`.
pub fn problems(port: &str, failures_to: Option<&str>, interval: Duration) -> Vec<Problem> {
    let mut found = Vec::new();
    if let Some(what) = failures_to.and_then(unusable) {
        let key = format!("{port}.notify_failures_to");
        found.push(Problem { key, what });
    }
    if !(SHORTEST_INTERVAL..=LONGEST_INTERVAL).contains(&interval) {
        let key = format!("{port}.notify_interval");
        let what = "it is not between 1s and 12h; write for example \"5m\"".to_owned();
        found.push(Problem { key, what });
    }
    found
}

fn unusable(failures_to: &str) -> Option<String> {
    let entries = parse_address_list(failures_to);
    if entries.is_empty() {
        return Some("it contains no address; leave it out to send no digests".to_owned());
    }
    let wrong = entries.into_iter().find_map(Result::err);
    wrong.map(|error| format!("{error}; write addresses, separated by ';'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(failures_to: &str, interval: Duration) -> String {
        let found = problems("send_port.p", Some(failures_to), interval);
        found.first().map_or_else(String::new, ToString::to_string)
    }

    #[test]
    fn every_address_has_to_be_one_and_the_interval_to_make_sense() {
        assert_eq!(
            found("ops@contoso.com; On call <b@contoso.com>", DEFAULT_INTERVAL),
            ""
        );
        let one = found("ops@contoso.com; oncall", DEFAULT_INTERVAL);
        assert!(
            one.starts_with("send_port.p.notify_failures_to: 'oncall'"),
            "{one}"
        );
        assert!(found(" ; ", DEFAULT_INTERVAL).contains("contains no address"));
        assert!(found("a@b", Duration::ZERO).contains("between 1s and 12h"));
        assert!(found("a@b", Duration::from_secs(24 * 3600)).contains("between 1s and 12h"));
    }
}
