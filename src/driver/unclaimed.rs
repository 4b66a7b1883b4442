//! Alerts that the database refuses to lease, one by one: a trigger or a constraint of the site forbids
//! the change of that row, or it is damaged. Claims leave them out, and each is tried again alone at a
//! growing interval. Nothing can be written to them, so this is known here alone.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Driver;
use super::aside::{FIRST_WAIT, LONGEST_WAIT};
use super::obstacles::Obstacle;
use super::tasks::{Lane, Tasks};
use crate::domain::{AlertId, Timestamp};
use crate::store::{
    Among, Claimed, Event, EventSeverity, MOST_REFUSED, RefusedClaim, StoreError, StoreErrorKind,
};

/// So many alerts are named in one event.
const NAMED: usize = 20;

/// Those of one queue.
#[derive(Debug, Default)]
pub(super) struct Unclaimed(BTreeMap<AlertId, Entry>);

#[derive(Debug)]
struct Entry {
    since: Timestamp,
    why: String,
    due: Instant,
    wait: Duration,
}

impl Unclaimed {
    /// Which a claim leaves out.
    pub(super) fn ids(&self) -> Vec<AlertId> {
        self.0.keys().copied().collect()
    }

    /// One whose time has come; it comes again after its wait, whatever becomes of this try.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<AlertId> {
        let (id, entry) = self.0.iter_mut().find(|(_, entry)| entry.due <= now)?;
        entry.due = now + entry.wait;
        Some(*id)
    }

    /// Until one is due.
    pub(super) fn remaining(&self, now: Instant) -> Option<Duration> {
        let due = self.0.values().map(|entry| entry.due).min();
        due.map(|due| due.saturating_duration_since(now))
    }

    /// It was refused again.
    pub(super) fn put_off(&mut self, refused: &RefusedClaim, now: Instant) {
        if let Some(entry) = self.0.get_mut(&refused.alert) {
            entry.why.clone_from(&refused.why);
            entry.wait = (entry.wait * 2).min(LONGEST_WAIT);
            entry.due = now + entry.wait;
        }
    }

    /// They were refused for the first time; for how many of them there is room.
    pub(super) fn add(
        &mut self,
        refused: &[RefusedClaim],
        since: Timestamp,
        now: Instant,
    ) -> usize {
        let room = MOST_REFUSED - self.0.len();
        for RefusedClaim { alert, why } in refused.iter().take(room) {
            let entry = Entry {
                since,
                why: why.clone(),
                due: now + FIRST_WAIT,
                wait: FIRST_WAIT,
            };
            self.0.insert(*alert, entry);
        }
        refused.len().min(room)
    }

    /// It is claimed or gone. What kept it may have kept others: they are tried soon.
    pub(super) fn remove(&mut self, id: AlertId, now: Instant) {
        let Some(removed) = self.0.remove(&id) else {
            return;
        };
        let alike = self.0.values_mut().filter(|it| it.why == removed.why);
        alike.for_each(|entry| entry.due = entry.due.min(now + FIRST_WAIT));
    }

    /// How many, since when, and which the first is and why.
    pub(super) fn summary(&self) -> Option<Obstacle> {
        let (id, first) = self.0.iter().min_by_key(|(id, entry)| (entry.since, *id))?;
        Some(Obstacle {
            outcomes: self.0.len(),
            since: first.since,
            why: format!("{id}: {}", first.why),
            may_hold_values: true,
        })
    }
}

impl Driver {
    /// What the database refuses is left out of the next claims, and said once.
    pub(super) async fn note_refused(
        &self,
        lane: &Lane,
        among: Among<'_>,
        claimed: &Claimed,
        tasks: &Tasks,
    ) -> Result<(), StoreError> {
        let (now, refused) = (Instant::now(), &claimed.refused);
        let mut result = Ok(());
        match (among, refused.first()) {
            (Among::AllBut(_), None) => return result,
            (Among::AllBut(_), Some(first)) => {
                let since = self.notices.clock.now();
                let added = lane.unclaimed().add(refused, since, now);
                self.say_refused(lane, &refused[..added]).await;
                if added < refused.len() {
                    result = Err(too_many(first));
                }
            }
            (Among::Only(_), Some(again)) => lane.unclaimed().put_off(again, now),
            (Among::Only(alert), None) => {
                lane.unclaimed().remove(alert, now);
                if claimed.alerts.contains(&alert) {
                    self.say_claimed(lane, alert).await;
                }
            }
        }
        let queues = tasks
            .lanes
            .iter()
            .filter_map(|lane| lane.unclaimed().summary());
        self.ledger.set_unclaimed(together(queues));
        result
    }

    async fn say_refused(&self, lane: &Lane, refused: &[RefusedClaim]) {
        let Some(first) = refused.first() else { return };
        let (send_port, count) = (lane.port.name.as_str(), refused.len());
        let (alert, why) = (first.alert, &first.why);
        tracing::error!(send_port, count, alert = alert.0, error = %why, "alerts cannot be claimed");
        let named = refused.iter().take(NAMED).map(|it| it.alert.to_string());
        let mut named: Vec<_> = named.collect();
        if count > NAMED {
            named.push(format!("and {} more", count - NAMED));
        }
        let message = format!(
            "the database refuses to change {}; {alert}: {why}; tried again up to every 5 minutes, all others are sent",
            named.join(", ")
        );
        let only = Some(alert).filter(|_| count == 1);
        let event = event(
            "alert-not-claimed",
            EventSeverity::Error,
            lane,
            only,
            message,
        );
        self.log(event).await;
    }

    async fn say_claimed(&self, lane: &Lane, alert: AlertId) {
        tracing::info!(alert = alert.0, "alert that was refused is claimed");
        let message = "the alert that could not be claimed is claimed".to_owned();
        let severity = EventSeverity::Information;
        let event = event("alert-claimed", severity, lane, Some(alert), message);
        self.log(event).await;
    }
}

fn event(
    event_type: &'static str,
    severity: EventSeverity,
    lane: &Lane,
    alert: Option<AlertId>,
    message: String,
) -> Event {
    Event {
        severity,
        event_type,
        instance: None,
        alert,
        send_port: Some(lane.port.name.clone()),
        relay: None,
        message,
    }
}

fn too_many(one: &RefusedClaim) -> StoreError {
    let (alert, why) = (one.alert, &one.why);
    StoreError::new(
        StoreErrorKind::Rejected,
        "claim alerts",
        format!(
            "the database refuses to change more than {MOST_REFUSED} alerts of one send port, {alert} last: {why}"
        ),
    )
}

/// Those of all queues.
fn together(queues: impl Iterator<Item = Obstacle>) -> Option<Obstacle> {
    queues.reduce(|one, other| {
        let outcomes = one.outcomes + other.outcomes;
        let first = if other.since < one.since { other } else { one };
        Obstacle { outcomes, ..first }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(ids: std::ops::Range<i64>) -> Vec<RefusedClaim> {
        let refused = |id| RefusedClaim {
            alert: AlertId(id),
            why: "no".to_owned(),
        };
        ids.map(refused).collect()
    }

    #[test]
    fn one_is_tried_again_after_a_second_and_up_to_every_five_minutes() {
        let (mut unclaimed, mut now) = (Unclaimed::default(), Instant::now());
        let one = refused(7..8);
        unclaimed.add(&one, chrono::DateTime::UNIX_EPOCH, now);
        let mut waits = Vec::new();
        for _ in 0..11 {
            let wait = unclaimed.remaining(now).unwrap();
            waits.push(wait.as_secs());
            assert_eq!(unclaimed.take_due(now), None, "not yet");
            now += wait;
            assert_eq!(unclaimed.take_due(now), Some(AlertId(7)));
            assert_eq!(unclaimed.take_due(now), None, "it was tried");
            unclaimed.put_off(&one[0], now);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        unclaimed.remove(AlertId(7), now);
        assert!(unclaimed.ids().is_empty() && unclaimed.summary().is_none());
    }

    #[test]
    fn what_is_claimed_at_last_lets_others_be_tried_that_were_refused_alike() {
        let (mut unclaimed, mut now) = (Unclaimed::default(), Instant::now());
        let since = chrono::DateTime::UNIX_EPOCH;
        let mut all = refused(1..4);
        all[2].why = "something else".to_owned();
        unclaimed.add(&all, since, now);
        for _ in 0..5 {
            all.iter().for_each(|it| unclaimed.put_off(it, now));
        }
        unclaimed.remove(AlertId(1), now);
        now += FIRST_WAIT;
        assert_eq!(unclaimed.take_due(now), Some(AlertId(2)));
        assert_eq!(unclaimed.take_due(now), None);
    }

    #[test]
    fn there_is_room_for_a_thousand() {
        let (mut unclaimed, now) = (Unclaimed::default(), Instant::now());
        let since = chrono::DateTime::UNIX_EPOCH;
        assert_eq!(unclaimed.add(&refused(0..990), since, now), 990);
        assert_eq!(unclaimed.add(&refused(990..1_020), since, now), 10);
        assert_eq!(unclaimed.ids().len(), MOST_REFUSED);
        let summary = unclaimed.summary().unwrap();
        assert_eq!((summary.outcomes, &*summary.why), (1_000, "0: no"));
    }
}
