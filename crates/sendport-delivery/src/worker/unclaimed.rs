//! Alerts that the database refuses to lease: left out of the next claims, and reported.

use std::time::Instant;

use sendport_core::domain::AlertId;
use sendport_store::{Among, ClaimResult, Event, EventSeverity, RefusedRow, StoreError};

use super::Worker;
use super::obstacles::Obstacle;
use super::refused_rows::{event, refused_event, too_many};
use super::tasks::{Lane, Tasks};

impl Worker {
    /// Leaves refused alerts out of the next claims, and reports each once.
    pub(super) async fn note_refused(
        &self,
        lane: &Lane,
        among: Among<'_>,
        claimed: &ClaimResult,
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
                    result = Err(too_many("claim alerts", " of one send port", first));
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
        self.spool.set_unclaimed(together(queues));
        result
    }

    async fn say_refused(&self, lane: &Lane, refused: &[RefusedRow]) {
        let others = "all others are sent";
        let Some(event) = refused_event("alert-not-claimed", refused, others) else {
            return;
        };
        let (send_port, count, first) = (lane.port.name.as_str(), refused.len(), &refused[0]);
        tracing::error!(send_port, count, alert = first.alert.0, error = %first.why, "alerts refused by the claim");
        self.log_of(lane, event).await;
    }

    async fn say_claimed(&self, lane: &Lane, alert: AlertId) {
        tracing::info!(alert = alert.0, "refused alert claimed");
        let message = "the alert that could not be claimed is claimed".to_owned();
        let severity = EventSeverity::Information;
        let event = event("alert-claimed", severity, Some(alert), message);
        self.log_of(lane, event).await;
    }

    async fn log_of(&self, lane: &Lane, event: Event) {
        let send_port = Some(lane.port.name.clone());
        self.log(Event { send_port, ..event }).await;
    }
}

/// The refused alerts of all queues.
fn together(queues: impl Iterator<Item = Obstacle>) -> Option<Obstacle> {
    queues.reduce(|one, other| {
        let count = one.count + other.count;
        let first = if other.since < one.since { other } else { one };
        Obstacle { count, ..first }
    })
}
