//! Old alerts that the database refuses to delete: a rule of the site keeps them, or they are damaged. All others are deleted
//! without them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use sendport_core::domain::AlertId;
use sendport_store::{MOST_REFUSED, RefusedRow};

/// Until one is tried again.
pub(super) const AGAIN: Duration = Duration::from_secs(3600);

/// Those that are left out.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    until: BTreeMap<AlertId, Instant>,
    /// Those that are tried again in this round.
    due: BTreeSet<AlertId>,
    /// Refused for the first time in this round.
    new: Vec<RefusedRow>,
    last: Option<String>,
}

impl LeftOut {
    /// A round begins.
    pub(super) fn begin(&mut self, now: Instant) {
        let (due, until) = std::mem::take(&mut self.until)
            .into_iter()
            .partition(|(_, until)| *until <= now);
        let due: BTreeMap<_, _> = due;
        self.until = until;
        self.due = due.into_keys().collect();
    }

    /// Which a batch leaves out.
    pub(super) fn ids(&self) -> Vec<AlertId> {
        self.until.keys().copied().collect()
    }

    /// They were refused; false where there is no room for another one.
    pub(super) fn add(&mut self, refused: &[RefusedRow], now: Instant) -> bool {
        for row in refused {
            if self.until.len() >= MOST_REFUSED {
                return false;
            }
            self.until.insert(row.alert, now + AGAIN);
            self.last = Some(row.why.clone());
            if !self.due.remove(&row.alert) {
                self.new.push(row.clone());
            }
        }
        true
    }

    /// What was refused for the first time since the last call.
    pub(super) fn take_new(&mut self) -> Vec<RefusedRow> {
        std::mem::take(&mut self.new)
    }

    /// How many are left out, and why the last one is.
    pub(super) fn summary(&self) -> Option<String> {
        let (count, last) = (self.until.len(), self.last.as_ref()?);
        (count > 0).then(|| format!("the database refuses to delete {count} alerts: {last}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(id: i64) -> Vec<RefusedRow> {
        let (alert, why) = (AlertId(id), "under legal hold".to_owned());
        vec![RefusedRow { alert, why }]
    }

    #[test]
    fn what_is_refused_again_is_not_new() {
        let (mut left_out, now) = (LeftOut::default(), Instant::now());
        assert!(left_out.add(&refused(1), now));
        assert_eq!(left_out.take_new(), refused(1));
        left_out.begin(now);
        assert_eq!(left_out.ids(), [AlertId(1)]);
        left_out.begin(now + AGAIN);
        assert_eq!(left_out.ids(), [], "tried again");
        assert_eq!(left_out.summary(), None);
        left_out.add(&refused(1), now + AGAIN);
        assert_eq!(left_out.take_new(), []);
        let summary = left_out.summary().expect("a text");
        assert!(summary.ends_with("1 alerts: under legal hold"), "{summary}");
    }

    #[test]
    fn there_is_room_for_so_many() {
        let (mut left_out, now) = (LeftOut::default(), Instant::now());
        for id in 0..1000 {
            assert!(left_out.add(&refused(id), now));
        }
        assert!(!left_out.add(&refused(1000), now));
    }
}
