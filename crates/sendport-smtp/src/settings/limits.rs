//! Keys of `[relay.<name>]` about how much may be asked of a relay.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Most connections where `max_connections` is not set.
pub const CONNECTIONS: u32 = 10;

/// The shortest and the longest time that a rate may be about.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Most connections at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connections {
    /// Of all instances together.
    OfAll(u32),
    /// Of each.
    OfEach(u32),
}

/// What may be asked of one relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// At the same time.
    pub connections: Connections,
    /// Most new connections in any window, of all instances together.
    pub connect_rate: Option<Rate>,
    /// Most mail transactions in any window, of all instances together.
    pub message_rate: Option<Rate>,
    /// Most recipients of one mail transaction.
    pub recipients: Option<u32>,
}

impl Connections {
    /// Instances have to agree about it.
    pub fn is_shared(self) -> bool {
        matches!(self, Self::OfAll(_))
    }
}

impl Limits {
    /// So many connections of each instance, and no other limit.
    pub fn of_each(connections: u32) -> Self {
        Self {
            connections: Connections::OfEach(connections),
            connect_rate: None,
            message_rate: None,
            recipients: None,
        }
    }
}

/// So many in any window of so long: `30/min`, `10/2s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate {
    /// At least 1.
    pub count: u32,
    /// Length of the window.
    pub per: Duration,
}

/// The text is no rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a rate such as \"30/min\", \"5/s\", \"1000/h\" or \"10/2s\" (at least 1, in a window \
     of 100ms to 1d), found \"{0}\""
)]
pub struct NotARate(String);

impl TryFrom<String> for Rate {
    type Error = NotARate;

    fn try_from(text: String) -> Result<Self, NotARate> {
        parse(&text).ok_or(NotARate(text))
    }
}

fn parse(text: &str) -> Option<Rate> {
    let (count, window) = text.split_once('/')?;
    let count = count.trim().parse().ok().filter(|count| *count > 0)?;
    let window = window.trim();
    let one = format!("1{window}");
    let duration = |text| humantime_serde::re::humantime::parse_duration(text).ok();
    let per = duration(window).or_else(|| duration(&one))?;
    (SHORTEST..=LONGEST)
        .contains(&per)
        .then_some(Rate { count, per })
}

impl Rate {
    /// The same window with another count, as `RelayState.message_rate` shows it.
    pub fn shown(self, count: u32) -> String {
        format!("{count}/{}", shown_window(self.per))
    }
}

impl From<Rate> for String {
    fn from(value: Rate) -> Self {
        value.to_string()
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown(self.count))
    }
}

fn shown_window(per: Duration) -> String {
    let unit = [(1, "s"), (60, "min"), (3600, "h"), (86_400, "d")]
        .into_iter()
        .find(|(seconds, _)| per == Duration::from_secs(*seconds));
    match unit {
        Some((_, unit)) => unit.to_owned(),
        None => humantime_serde::re::humantime::format_duration(per).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(text: &str) -> Result<Rate, NotARate> {
        Rate::try_from(text.to_owned())
    }

    #[test]
    fn rates_are_read_and_shown_as_people_write_them() {
        for text in ["30/min", "5/s", "1000/h", "2/d", "10/2s", "10/1m 30s"] {
            assert_eq!(rate(text).unwrap().to_string(), text);
        }
        assert_eq!(rate(" 30 / min ").unwrap(), rate("30/1m").unwrap());
        assert_eq!(rate("30/60s").unwrap().to_string(), "30/min");
    }

    #[test]
    fn an_invalid_rate_is_refused_with_an_example() {
        for text in [
            "", "30", "0/min", "-1/min", "30/", "30/moon", "1/0s", "1/2d",
        ] {
            let error = rate(text).unwrap_err().to_string();
            assert!(error.contains("\"30/min\"") && error.ends_with(&format!("found \"{text}\"")));
        }
    }
}
