//! Sections `[retention]` and `[send_port.<name>.retention]`: how long rows are kept.

use std::fmt;
use std::time::Duration;

use humantime_serde::re::humantime;
use sendport_core::byte_size::ByteSize;
use sendport_core::domain::AlertStatus;
use sendport_core::problem::Problem;
use serde::{Deserialize, Serialize};

/// Seconds.
const DAY: u64 = 24 * 3600;

/// Shortest time that bodies are kept.
const SHORTEST_BODIES: Duration = Duration::from_secs(3600);

/// Shortest time that alerts are kept: failure digests report those of the last day.
const SHORTEST_ALERTS: Duration = Duration::from_secs(24 * 3600);

/// How long something is kept: `30d`, `5y`, or `forever`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum RetentionAge {
    /// So long.
    For(Duration),
    /// It is never deleted.
    Forever,
}

/// The text is no age.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a duration such as \"30d\", or \"forever\", found \"{0}\"")]
pub struct NotAnAge(String);

/// Shortest time that events and counts are kept: the views for monitoring show the last day.
const SHORTEST_ROWS: RetentionAge = RetentionAge::For(Duration::from_secs(DAY));

impl RetentionAge {
    /// `None`: forever.
    pub fn duration(self) -> Option<Duration> {
        match self {
            Self::For(age) => Some(age),
            Self::Forever => None,
        }
    }
}

impl TryFrom<String> for RetentionAge {
    type Error = NotAnAge;

    fn try_from(text: String) -> Result<Self, NotAnAge> {
        if text.trim() == "forever" {
            return Ok(Self::Forever);
        }
        let age = humantime::parse_duration(&text);
        age.map(Self::For).map_err(|_| NotAnAge(text))
    }
}

impl From<RetentionAge> for String {
    fn from(age: RetentionAge) -> Self {
        age.to_string()
    }
}

/// Whole days as days, which people count in.
impl fmt::Display for RetentionAge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::For(age) if age.subsec_nanos() == 0 && age.as_secs() % DAY == 0 => {
                write!(f, "{}d", age.as_secs() / DAY)
            }
            Self::For(age) => humantime::format_duration(*age).fmt(f),
            Self::Forever => f.write_str("forever"),
        }
    }
}

/// How long alerts of one final status are kept, counted from `FinalAt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct StatusRetention {
    /// Body, Payload, Headers and attachments. Without them an alert cannot be sent again.
    pub bodies: RetentionAge,
    /// The alert with its recipients, attempts and replies.
    pub alerts: RetentionAge,
}

impl StatusRetention {
    fn problems(&self, key: &str) -> Vec<Problem> {
        let (bodies, alerts) = (self.bodies, self.alerts);
        let rules = [
            (
                bodies < RetentionAge::For(SHORTEST_BODIES),
                "bodies",
                "it is shorter than 1h; write for example \"30d\"".to_owned(),
            ),
            (
                alerts < RetentionAge::For(SHORTEST_ALERTS),
                "alerts",
                "it is shorter than 1d, and failure digests report the failures of a day; write for example \"90d\""
                    .to_owned(),
            ),
            (
                bodies > alerts,
                "bodies",
                format!("{bodies} is longer than alerts, which is {alerts}: a body is deleted with its alert at the latest"),
            ),
        ];
        let broken = rules.into_iter().filter(|(broken, ..)| *broken);
        let problem = |(_, below, what)| Problem::new(format!("{key}.{below}"), what);
        broken.map(problem).collect()
    }
}

/// The section `[retention]`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionConfig {
    /// False: the service deletes nothing.
    pub enabled: bool,
    /// Alerts that were relayed to all recipients.
    pub relayed: StatusRetention,
    /// Relayed to some.
    pub partial: StatusRetention,
    /// Relayed to none.
    pub failed: StatusRetention,
    /// Expired before they could be relayed.
    pub expired: StatusRetention,
    /// Cancelled by an operator.
    pub cancelled: StatusRetention,
    /// Suppressed.
    pub suppressed: StatusRetention,
    /// Rows of `EventLog`.
    pub event_log: RetentionAge,
    /// Rows of `MinuteCount` and `MinuteLatency`.
    pub minute_counts: RetentionAge,
    /// Rows of `DailyCount`.
    pub daily_counts: RetentionAge,
    /// Most rows that are deleted in a second.
    pub rows_per_second: u32,
    /// Most bytes of bodies and attachments that are deleted in a second.
    pub bytes_per_second: ByteSize,
}

impl RetentionConfig {
    /// Of alerts with this status; `None` where it is not final.
    pub fn of(&self, status: AlertStatus) -> Option<StatusRetention> {
        Some(match status {
            AlertStatus::Relayed => self.relayed,
            AlertStatus::Partial => self.partial,
            AlertStatus::Failed => self.failed,
            AlertStatus::Expired => self.expired,
            AlertStatus::Cancelled => self.cancelled,
            AlertStatus::Suppressed => self.suppressed,
            AlertStatus::Queued
            | AlertStatus::Sending
            | AlertStatus::Delayed
            | AlertStatus::Held => {
                return None;
            }
        })
    }

    /// Its problems.
    pub fn problems(&self) -> Vec<Problem> {
        let of_status = |&status: &AlertStatus| {
            let retention = self.of(status)?;
            Some(retention.problems(&format!("retention.{status}")))
        };
        let mut found: Vec<_> = AlertStatus::ALL
            .iter()
            .filter_map(of_status)
            .flatten()
            .collect();
        let rows = [
            ("event_log", self.event_log),
            ("minute_counts", self.minute_counts),
            ("daily_counts", self.daily_counts),
        ];
        let too_short = rows.into_iter().filter(|(_, age)| *age < SHORTEST_ROWS);
        found.extend(too_short.map(|(key, age)| {
            let what = format!("{age} is shorter than 1d; write at least \"1d\"");
            Problem::new(format!("retention.{key}"), what)
        }));
        if self.rows_per_second == 0 {
            found.push(Problem::new(
                "retention.rows_per_second",
                "0 would delete nothing; write at least 1, or enabled = false",
            ));
        }
        if self.bytes_per_second == ByteSize(0) {
            found.push(Problem::new(
                "retention.bytes_per_second",
                "0 would delete nothing; write for example \"20MB\", or enabled = false",
            ));
        }
        found
    }
}

/// The section `[send_port.<name>.retention]`: what is not in it is as in `[retention]`.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct SendPortRetention {
    /// As in `[retention]`.
    pub relayed: Option<StatusRetention>,
    /// As in `[retention]`.
    pub partial: Option<StatusRetention>,
    /// As in `[retention]`.
    pub failed: Option<StatusRetention>,
    /// As in `[retention]`.
    pub expired: Option<StatusRetention>,
    /// As in `[retention]`.
    pub cancelled: Option<StatusRetention>,
    /// As in `[retention]`.
    pub suppressed: Option<StatusRetention>,
}

impl SendPortRetention {
    /// Of alerts with this status, where it is written here.
    pub fn of(&self, status: AlertStatus) -> Option<StatusRetention> {
        match status {
            AlertStatus::Relayed => self.relayed,
            AlertStatus::Partial => self.partial,
            AlertStatus::Failed => self.failed,
            AlertStatus::Expired => self.expired,
            AlertStatus::Cancelled => self.cancelled,
            AlertStatus::Suppressed => self.suppressed,
            AlertStatus::Queued
            | AlertStatus::Sending
            | AlertStatus::Delayed
            | AlertStatus::Held => None,
        }
    }

    /// Its problems; `key` is that of the section.
    pub fn problems(&self, key: &str) -> Vec<Problem> {
        let of_status = |&status: &AlertStatus| {
            let retention = self.of(status)?;
            Some(retention.problems(&format!("{key}.{status}")))
        };
        AlertStatus::ALL
            .iter()
            .filter_map(of_status)
            .flatten()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(text: &str) -> StatusRetention {
        toml::from_str(text).expect("a table")
    }

    #[test]
    fn an_age_is_a_duration_or_forever() {
        let read = |text: &str| RetentionAge::try_from(text.to_owned());
        let day = Duration::from_secs(24 * 3600);
        assert_eq!(read("30d"), Ok(RetentionAge::For(30 * day)));
        assert_eq!(read("90d").unwrap().to_string(), "90d");
        assert_eq!(read("36h").unwrap().to_string(), "1day 12h");
        assert_eq!(read("forever"), Ok(RetentionAge::Forever));
        assert!(read("5y").unwrap() < RetentionAge::Forever);
        assert_eq!(
            read("never").unwrap_err().to_string(),
            "expected a duration such as \"30d\", or \"forever\", found \"never\""
        );
    }

    #[test]
    fn a_body_is_not_kept_longer_than_its_alert() {
        let kept = status("bodies = \"90d\"\nalerts = \"30d\"");
        let found = kept.problems("retention.relayed");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].key, "retention.relayed.bodies");
        assert_eq!(
            status("bodies = \"forever\"\nalerts = \"forever\"").problems("x"),
            []
        );
    }

    #[test]
    fn failures_are_kept_until_a_digest_reports_them() {
        let found = status("bodies = \"1h\"\nalerts = \"2h\"").problems("x");
        assert_eq!(found.len(), 1);
        assert!(
            found[0].what.contains("shorter than 1d"),
            "{}",
            found[0].what
        );
    }

    #[test]
    fn events_and_counts_are_kept_for_a_day_at_least() {
        let kept = "{ bodies = \"30d\", alerts = \"30d\" }";
        let section = |event_log: &str| {
            let of_status = |status| format!("{status} = {kept}\n");
            let statuses = [
                "relayed",
                "partial",
                "failed",
                "expired",
                "cancelled",
                "suppressed",
            ];
            let statuses: String = statuses.map(of_status).concat();
            let rest = "minute_counts = \"1d\"\ndaily_counts = \"forever\"\nrows_per_second = 1\nbytes_per_second = \"1MB\"";
            let text = format!("enabled = true\n{statuses}event_log = \"{event_log}\"\n{rest}");
            toml::from_str::<RetentionConfig>(&text).expect("a section")
        };
        assert_eq!(section("1d").problems(), []);
        let found = section("0d").problems();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].key, "retention.event_log");
    }
}
