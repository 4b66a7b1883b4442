//! Time zones by their IANA names, and what their jumps do to a wall clock's time.

use std::str::FromStr;

use chrono::{FixedOffset, NaiveDate, NaiveDateTime, Offset as _, TimeDelta, TimeZone as _, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};

use crate::domain::Timestamp;

/// The longest jump ahead: Apia left out a whole day in 2011.
const LONGEST_GAP_MINUTES: i64 = 24 * 60;

/// A time zone of the IANA database, which is compiled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zone(Tz);

impl FromStr for Zone {
    type Err = UnknownZone;

    /// By its name (`Europe/Berlin`); the error names the nearest known one.
    fn from_str(name: &str) -> Result<Self, UnknownZone> {
        let name = name.trim();
        let same = |zone: &&Tz| zone.name().eq_ignore_ascii_case(name);
        let known = TZ_VARIANTS.iter().find(same);
        known
            .copied()
            .map(Zone)
            .ok_or_else(|| UnknownZone::new(name))
    }
}

impl Zone {
    /// How far its wall clocks are from UTC at `moment`.
    pub fn offset_at(self, moment: Timestamp) -> FixedOffset {
        moment.with_timezone(&self.0).offset().fix()
    }

    /// The date that `moment` has there.
    pub(super) fn date_of(self, moment: Timestamp) -> NaiveDate {
        moment.with_timezone(&self.0).date_naive()
    }

    /// When the wall clock shows `local` for the first time.
    pub(super) fn first(self, local: NaiveDateTime) -> Option<Timestamp> {
        let shown = self.0.from_local_datetime(&after_gap(self.0, local)?);
        Some(shown.earliest()?.with_timezone(&Utc))
    }

    /// When it shows it for the last time.
    pub(super) fn last(self, local: NaiveDateTime) -> Option<Timestamp> {
        let shown = self.0.from_local_datetime(&after_gap(self.0, local)?);
        Some(shown.latest()?.with_timezone(&Utc))
    }
}

/// `local`, or what the wall clock shows right after the jump that leaves it out.
fn after_gap(zone: Tz, local: NaiveDateTime) -> Option<NaiveDateTime> {
    let exists = |local: &NaiveDateTime| zone.from_local_datetime(local).earliest().is_some();
    let later = |minutes| local.checked_add_signed(TimeDelta::minutes(minutes));
    (0..=LONGEST_GAP_MINUTES).filter_map(later).find(exists)
}

/// A name that is no time zone of the IANA database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{name}' is no time zone; {}", .nearest.map_or_else(
    || "write an IANA name, such as \"Europe/Berlin\" or \"UTC\"".to_owned(),
    |known| format!("did you mean \"{known}\"?")
))]
pub struct UnknownZone {
    name: String,
    nearest: Option<&'static str>,
}

impl UnknownZone {
    fn new(name: &str) -> Self {
        let likeness = |zone: &Tz| {
            let (known, written) = (zone.name().to_lowercase(), name.to_lowercase());
            strsim::jaro_winkler(&known, &written)
        };
        let nearest = TZ_VARIANTS
            .iter()
            .map(|zone| (likeness(zone), zone.name()))
            .filter(|(likeness, _)| *likeness > 0.85)
            .max_by(|a, b| a.0.total_cmp(&b.0));
        Self {
            name: name.to_owned(),
            nearest: nearest.map(|(_, known)| known),
        }
    }
}
