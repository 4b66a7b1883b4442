//! Delivery windows: when a send port may send, by local time.
//!
//! Pure: a window is asked with a moment and answers how long it stays shut. A day's hours
//! are turned into two moments, so that a night with 23 or 25 hours needs no case of its own:
//! a time that comes twice in autumn opens at the first and closes at the second; one that
//! spring leaves out is the moment of the jump.

mod hours;
mod zone;

use std::time::Duration;

use chrono::{DateTime, Days, NaiveDate, TimeDelta};

pub use hours::{Hours, HoursError};
pub use zone::{UnknownZone, Zone};

use crate::domain::{Alert, Priority, Timestamp};

/// Hours reach into the next day, and a jump may push them by another one.
const DAYS_BACK: u64 = 2;
/// Every day of the week comes within these, in weeks with a jump, too.
const DAYS_AHEAD: u64 = 8;

/// Which alerts need not wait for a window.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bypass {
    /// `Alert.Severity`, without regard to case.
    pub severities: Vec<String>,
    /// All of `Alert.Priority` urgent.
    pub urgent: bool,
}

impl Bypass {
    fn lets_pass(&self, alert: &Alert) -> bool {
        let severity = alert.severity.as_deref().unwrap_or_default().trim();
        let named = |word: &String| word.trim().to_lowercase() == severity.to_lowercase();
        (self.urgent && alert.priority == Priority::Urgent) || self.severities.iter().any(named)
    }
}

/// When a send port may send, and what may be sent at any time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryWindow {
    zone: Zone,
    hours: Vec<Hours>,
    bypass: Bypass,
}

impl DeliveryWindow {
    /// A window that is open in any of `hours`; without any it would never open, so `None`.
    pub fn new(zone: Zone, hours: Vec<Hours>, bypass: Bypass) -> Option<Self> {
        let window = Self {
            zone,
            hours,
            bypass,
        };
        (!window.hours.is_empty()).then_some(window)
    }

    /// Whether `alert` need not wait.
    pub fn lets_pass(&self, alert: &Alert) -> bool {
        self.bypass.lets_pass(alert)
    }

    /// How long it stays shut, counted from `now`; `None` where it is open.
    pub fn opens_in(&self, now: Timestamp) -> Option<Duration> {
        let mut soonest: Option<Timestamp> = None;
        for (opens, closes) in self.occurrences(now) {
            if opens <= now && now < closes {
                return None;
            }
            if now < opens {
                soonest = Some(soonest.map_or(opens, |known| known.min(opens)));
            }
        }
        (soonest? - now).to_std().ok()
    }

    /// All openings around `now`, in no order.
    fn occurrences(&self, now: Timestamp) -> impl Iterator<Item = (Timestamp, Timestamp)> {
        let today = self.zone.date_of(now);
        let first = today.checked_sub_days(Days::new(DAYS_BACK));
        let days = first.unwrap_or(today).iter_days();
        let days = days.take(usize::try_from(DAYS_BACK + DAYS_AHEAD + 1).unwrap_or(usize::MAX));
        days.flat_map(|day| self.hours.iter().map(move |hours| (day, hours)))
            .filter(|(day, hours)| hours.begin_on(*day))
            .filter_map(|(day, hours)| self.on(day, hours))
    }

    /// The moments at which `hours` of `day` open and close. Where a jump swallows them whole,
    /// they follow it, as long as they usually are: a window never goes missing.
    fn on(&self, day: NaiveDate, hours: &Hours) -> Option<(Timestamp, Timestamp)> {
        let opens = self.zone.first(hours.opens(day)?)?;
        let closes = self.zone.last(hours.closes(day)?)?;
        if opens < closes {
            return Some((opens, closes));
        }
        Some((opens, opens.checked_add_signed(hours.length())?))
    }
}

/// The moment after `wait`, as reasons show it.
pub fn shown(now: Timestamp, wait: Duration) -> String {
    let wait = TimeDelta::from_std(wait).unwrap_or_default();
    let opens = now.checked_add_signed(wait).unwrap_or(now);
    // A fraction of a second is of no use to a reader, and would show the second before.
    let rounded = DateTime::from_timestamp((opens.timestamp_millis() + 999) / 1000, 0);
    let opens = rounded.unwrap_or(opens);
    crate::clock::utc_text(opens)
}

#[cfg(test)]
mod tests;
