//! Section `[send_port.<name>.delivery_window]`: when a send port may send.

use sendport_core::delivery_window::{Bypass, DeliveryWindow, Hours, Zone};
use sendport_core::problem::Problem;
use serde::{Deserialize, Serialize};

/// When it is open, and what need not wait for that.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DeliveryWindowConfig {
    /// The time zone of the hours: an IANA name.
    #[serde(default = "utc")]
    pub time_zone: String,
    /// It is open in any of these.
    pub open: Vec<HoursConfig>,
    /// Severities that need not wait, without regard to case.
    #[serde(default)]
    pub bypass_severities: Vec<String>,
    /// Alerts of priority urgent need not wait.
    #[serde(default)]
    pub bypass_urgent: bool,
}

/// Hours of certain days.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HoursConfig {
    /// `mon` to `sun`, or ranges of them; without it every day.
    #[serde(default = "every_day")]
    pub days: Vec<String>,
    /// From `00:00`.
    #[serde(default = "midnight")]
    pub from: String,
    /// To `24:00`; not after `from`: of the next day.
    #[serde(default = "end_of_day")]
    pub to: String,
}

impl DeliveryWindowConfig {
    /// The window.
    ///
    /// # Errors
    /// Everything that keeps it from being one; keys begin with `key`, that of the section.
    pub fn understood(&self, key: &str) -> Result<DeliveryWindow, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut add = |key: String, what: String| problems.push(Problem { key, what });
        let zone = self.time_zone.parse::<Zone>();
        if let Err(error) = &zone {
            add(format!("{key}.time_zone"), error.to_string());
        }
        let mut open = Vec::new();
        for (number, hours) in self.open.iter().enumerate() {
            match Hours::parse(&hours.days, &hours.from, &hours.to) {
                Ok(hours) => open.push(hours),
                Err((of, error)) => {
                    add(format!("{key}.open[{number}].{of}"), error.to_string());
                }
            }
        }
        if self.open.is_empty() {
            let what = "there are no hours, so it would never open; leave the section out to send at any time";
            add(format!("{key}.open"), what.to_owned());
        }
        if self
            .bypass_severities
            .iter()
            .any(|word| word.trim().is_empty())
        {
            let what = "one is empty; alerts without a severity would pass. Leave it out";
            add(format!("{key}.bypass_severities"), what.to_owned());
        }
        let bypass = Bypass {
            severities: self.bypass_severities.clone(),
            urgent: self.bypass_urgent,
        };
        match zone.map(|zone| DeliveryWindow::new(zone, open, bypass)) {
            Ok(Some(window)) if problems.is_empty() => Ok(window),
            _ => Err(problems),
        }
    }
}

fn utc() -> String {
    "UTC".to_owned()
}

fn every_day() -> Vec<String> {
    vec!["mon-sun".to_owned()]
}

fn midnight() -> String {
    "00:00".to_owned()
}

fn end_of_day() -> String {
    "24:00".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(window: &str) -> String {
        let section: DeliveryWindowConfig = toml::from_str(window).unwrap();
        let found = section.understood("send_port.p.delivery_window");
        let found = found.err().unwrap_or_default();
        let lines = found.iter().map(ToString::to_string);
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn every_mistake_is_named_with_its_key() {
        let text = problems(
            "time_zone = 'Europe/Berln'\nbypass_severities = ['']\nopen = [{}, { days = ['mon', 'tus'] }, { from = '8' }]",
        );
        let key = "send_port.p.delivery_window";
        assert!(
            text.contains(&format!("{key}.time_zone: 'Europe/Berln'")),
            "{text}"
        );
        assert!(
            text.contains(&format!("{key}.open[1].days: 'tus'")),
            "{text}"
        );
        assert!(text.contains(&format!("{key}.open[2].from: '8'")), "{text}");
        assert!(text.contains(&format!("{key}.bypass_severities")), "{text}");
        assert_eq!(text.lines().count(), 4, "{text}");
    }

    #[test]
    fn a_window_without_hours_is_refused() {
        assert!(problems("open = []").contains("it would never open"));
        assert_eq!(problems("open = [{}]"), "");
    }
}
