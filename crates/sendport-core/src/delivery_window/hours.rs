//! Days of the week and two times of the day, as a person writes them.

use chrono::{Datelike as _, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Weekday};

const MINUTES_OF_A_DAY: u16 = 24 * 60;

/// The days of the week, Monday first, as ISO 8601 has them.
const DAY_NAMES: [&str; 7] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];

/// Why hours cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HoursError {
    /// An empty list of days.
    #[error("there is none, so it would never open; leave days out for every day")]
    NoDay,
    /// Not a day of the week.
    #[error(
        "'{0}' is no day; there are mon, tue, wed, thu, fri, sat, sun, and ranges such as \"mon-fri\""
    )]
    Day(String),
    /// Not a time of the day.
    #[error("'{0}' is no time of the day; write hours and minutes, \"00:00\" to \"24:00\"")]
    Time(String),
    /// They begin at 24:00.
    #[error("a day has no hours from 24:00 on; write \"00:00\" and the next day")]
    FromMidnight,
    /// They end when they begin.
    #[error(
        "from and to are the same, so it would never open; a whole day is from \"00:00\" to \"24:00\""
    )]
    Never,
}

/// From a time of the day to another one, or to one of the day after, on some days of the week.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hours {
    /// Monday first: the days on which they begin.
    days: [bool; 7],
    /// Minutes after midnight, less than a day.
    from: u16,
    /// Minutes after midnight, up to a whole day; not after `from`: of the day after.
    to: u16,
}

impl Hours {
    /// Hours of certain days; `to` that is not after `from` is of the day after.
    ///
    /// # Errors
    /// Which of `days`, `from` and `to` is wrong, and why.
    pub fn parse(
        days: &[String],
        from: &str,
        to: &str,
    ) -> Result<Self, (&'static str, HoursError)> {
        let hours = Self {
            days: parse_days(days).map_err(|error| ("days", error))?,
            from: parse_time(from).map_err(|error| ("from", error))?,
            to: parse_time(to).map_err(|error| ("to", error))?,
        };
        if hours.from == MINUTES_OF_A_DAY {
            return Err(("from", HoursError::FromMidnight));
        }
        if hours.from == hours.to {
            return Err(("to", HoursError::Never));
        }
        Ok(hours)
    }

    /// Whether they begin on this day.
    pub(super) fn begin_on(&self, day: NaiveDate) -> bool {
        let number = day.weekday().num_days_from_monday() as usize;
        self.days.get(number).copied().unwrap_or_default()
    }

    /// What the wall clock shows when they begin.
    pub(super) fn opens(&self, day: NaiveDate) -> Option<NaiveDateTime> {
        local(day, self.from)
    }

    /// What it shows when they end.
    pub(super) fn closes(&self, day: NaiveDate) -> Option<NaiveDateTime> {
        let day = if self.to > self.from {
            day
        } else {
            day.succ_opt()?
        };
        local(day, self.to)
    }

    /// How long they are on a day of 24 hours.
    pub(super) fn length(&self) -> TimeDelta {
        let next_day = if self.to > self.from {
            0
        } else {
            MINUTES_OF_A_DAY
        };
        TimeDelta::minutes(i64::from(self.to + next_day - self.from))
    }
}

fn local(day: NaiveDate, minutes: u16) -> Option<NaiveDateTime> {
    let midnight = day.and_time(NaiveTime::MIN);
    midnight.checked_add_signed(TimeDelta::minutes(i64::from(minutes)))
}

/// `07:00` to `24:00`, as minutes after midnight.
fn parse_time(text: &str) -> Result<u16, HoursError> {
    let two_digits = |part: &str| {
        let fits = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        fits.then(|| part.parse::<u16>().ok()).flatten()
    };
    let minutes = text.trim().split_once(':').and_then(|(hours, minutes)| {
        let (hours, minutes) = (two_digits(hours)?, two_digits(minutes)?);
        (minutes < 60).then_some(hours * 60 + minutes)
    });
    minutes
        .filter(|minutes| *minutes <= MINUTES_OF_A_DAY)
        .ok_or_else(|| HoursError::Time(text.to_owned()))
}

/// Names and ranges of them: `["mon-fri", "sunday"]`.
fn parse_days(written: &[String]) -> Result<[bool; 7], HoursError> {
    if written.is_empty() {
        return Err(HoursError::NoDay);
    }
    let mut days = [false; 7];
    for entry in written {
        let (first, last) = entry.split_once('-').unwrap_or((entry, entry));
        let (first, last) = (parse_day(first)?, parse_day(last)?);
        let mut day = first;
        loop {
            days[day.num_days_from_monday() as usize] = true;
            if day == last {
                break;
            }
            day = day.succ();
        }
    }
    Ok(days)
}

fn parse_day(text: &str) -> Result<Weekday, HoursError> {
    let written = text.trim().to_lowercase();
    let is_it = |name: &str| written == name || written == name[..3];
    let known = DAY_NAMES.iter().position(|name| is_it(name));
    known
        .and_then(|number| Weekday::try_from(u8::try_from(number).ok()?).ok())
        .ok_or_else(|| HoursError::Day(text.to_owned()))
}
