//! Alerts whose rows the database refuses to change, one by one: a trigger or a constraint of the site
//! forbids it, or they are damaged. Claims and sweeps leave them out, and each is tried again alone at a
//! growing interval. Nothing can be written to them, so this is known here alone.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sendport_core::domain::{AlertId, Timestamp};
use sendport_store::{Event, EventSeverity, MOST_REFUSED, RefusedRow, StoreError, StoreErrorKind};

use super::back_off::RefusalBackOff;
use super::obstacles::Obstacle;

/// So many alerts are named in one event.
const NAMED: usize = 20;

/// Those of one queue, or of one sweep.
#[derive(Debug, Default)]
pub(super) struct RefusedRows(BTreeMap<AlertId, RefusedEntry>);

#[derive(Debug)]
struct RefusedEntry {
    since: Timestamp,
    why: String,
    again: RefusalBackOff,
}

impl RefusedRows {
    /// Which a claim or a sweep leaves out.
    pub(super) fn ids(&self) -> Vec<AlertId> {
        self.0.keys().copied().collect()
    }

    /// An alert that is due for another try. It is due again after its wait, whatever the result of this try.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<AlertId> {
        let is_due = |entry: &RefusedEntry| entry.again.remaining(now).is_zero();
        let (id, entry) = self.0.iter_mut().find(|(_, entry)| is_due(entry))?;
        entry.again.repeat(now);
        Some(*id)
    }

    /// Until one is due.
    pub(super) fn remaining(&self, now: Instant) -> Option<Duration> {
        let waits = self.0.values().map(|entry| entry.again.remaining(now));
        waits.min()
    }

    /// It was refused again.
    pub(super) fn put_off(&mut self, refused: &RefusedRow, now: Instant) {
        if let Some(entry) = self.0.get_mut(&refused.alert) {
            entry.why.clone_from(&refused.why);
            entry.again.grow(now);
        }
    }

    /// They were refused for the first time; for how many of them there is room.
    pub(super) fn add(&mut self, refused: &[RefusedRow], since: Timestamp, now: Instant) -> usize {
        let room = MOST_REFUSED - self.0.len();
        for RefusedRow { alert, why } in refused.iter().take(room) {
            let entry = RefusedEntry {
                since,
                why: why.clone(),
                again: RefusalBackOff::begun(now),
            };
            self.0.insert(*alert, entry);
        }
        refused.len().min(room)
    }

    /// It is changed or gone. What kept it may have kept others: they are tried soon.
    pub(super) fn remove(&mut self, id: AlertId, now: Instant) {
        let Some(removed) = self.0.remove(&id) else {
            return;
        };
        let alike = self.0.values_mut().filter(|it| it.why == removed.why);
        alike.for_each(|entry| entry.again.by(now + RefusalBackOff::FIRST));
    }

    /// How many, since when, and which the first is and why.
    pub(super) fn summary(&self) -> Option<Obstacle> {
        let (id, first) = self.0.iter().min_by_key(|(id, entry)| (entry.since, *id))?;
        Some(Obstacle {
            count: self.0.len(),
            since: first.since,
            why: format!("{id}: {}", first.why),
            may_hold_values: true,
        })
    }
}

/// The event about alerts that are refused for the first time; `others`: what happens to all others.
pub(super) fn refused_event(
    event_type: &'static str,
    refused: &[RefusedRow],
    others: &str,
) -> Option<Event> {
    let RefusedRow { alert, why } = refused.first()?;
    let (count, named) = (refused.len(), names(refused));
    let message = format!(
        "the database refuses to change {named}; {alert}: {why}; tried again up to every 5 minutes, {others}"
    );
    let only = Some(*alert).filter(|_| count == 1);
    Some(event(event_type, EventSeverity::Error, only, message))
}

/// The first of them, and how many more.
pub(super) fn names(refused: &[RefusedRow]) -> String {
    let named = refused.iter().take(NAMED).map(|it| it.alert.to_string());
    let mut named: Vec<_> = named.collect();
    if refused.len() > NAMED {
        named.push(format!("and {} more", refused.len() - NAMED));
    }
    named.join(", ")
}

/// More are refused than are left out one by one; `of`: where they are.
pub(super) fn too_many(doing: &'static str, of: &str, last: &RefusedRow) -> StoreError {
    let (alert, why) = (last.alert, &last.why);
    let message = format!(
        "the database refuses to change more than {MOST_REFUSED} alerts{of}, {alert} last: {why}"
    );
    StoreError::new(StoreErrorKind::Rejected, doing, message)
}

pub(super) fn event(
    event_type: &'static str,
    severity: EventSeverity,
    alert: Option<AlertId>,
    message: String,
) -> Event {
    Event {
        severity,
        event_type,
        instance: None,
        alert,
        send_port: None,
        relay: None,
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(ids: std::ops::Range<i64>) -> Vec<RefusedRow> {
        let refused = |id| RefusedRow {
            alert: AlertId(id),
            why: "no".to_owned(),
        };
        ids.map(refused).collect()
    }

    #[test]
    fn one_is_tried_again_after_a_second_and_up_to_every_five_minutes() {
        let (mut rows, mut now) = (RefusedRows::default(), Instant::now());
        let one = refused(7..8);
        rows.add(&one, chrono::DateTime::UNIX_EPOCH, now);
        let mut waits = Vec::new();
        for _ in 0..11 {
            let wait = rows.remaining(now).unwrap();
            waits.push(wait.as_secs());
            assert_eq!(rows.take_due(now), None, "not yet");
            now += wait;
            assert_eq!(rows.take_due(now), Some(AlertId(7)));
            assert_eq!(rows.take_due(now), None, "it was tried");
            rows.put_off(&one[0], now);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        rows.remove(AlertId(7), now);
        assert!(rows.ids().is_empty() && rows.summary().is_none());
    }

    #[test]
    fn a_corrected_row_lets_rows_with_the_same_error_be_tried() {
        let (mut rows, mut now) = (RefusedRows::default(), Instant::now());
        let since = chrono::DateTime::UNIX_EPOCH;
        let mut all = refused(1..4);
        all[2].why = "something else".to_owned();
        rows.add(&all, since, now);
        for _ in 0..5 {
            all.iter().for_each(|it| rows.put_off(it, now));
        }
        rows.remove(AlertId(1), now);
        now += RefusalBackOff::FIRST;
        assert_eq!(rows.take_due(now), Some(AlertId(2)));
        assert_eq!(rows.take_due(now), None);
    }

    #[test]
    fn there_is_room_for_a_thousand() {
        let (mut rows, now) = (RefusedRows::default(), Instant::now());
        let since = chrono::DateTime::UNIX_EPOCH;
        assert_eq!(rows.add(&refused(0..990), since, now), 990);
        assert_eq!(rows.add(&refused(990..1_020), since, now), 10);
        assert_eq!(rows.ids().len(), MOST_REFUSED);
        let summary = rows.summary().unwrap();
        assert_eq!((summary.count, &*summary.why), (1_000, "0: no"));
    }
}
