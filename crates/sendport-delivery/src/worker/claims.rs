//! Claims due alerts as far as permits allow, and starts a task for each.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sendport_core::domain::{
    Alert, AlertId, Decision, Lease, LeaseToken, Outcome, OutcomeKind, Timestamp,
};
use sendport_store::{Among, Claim, Event, LoadResult, StoreError};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

use super::Worker;
use super::obstacles::ObstacleKind;
use super::recorder::FinishedAlert;
use super::tally::Origin;
use super::tasks::{Lane, Tasks};
use crate::observer::{Operation, SendPortActivity};

/// Most alerts that one claim takes.
const CLAIM_LIMIT: u32 = 100;

/// The result of a round of claims, ordered by how soon the next round follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Round {
    /// No claim: no send port has a permit.
    NoRoom,
    /// No alert is due.
    Nothing,
    /// The due alerts are locked by another instance, or by a transaction of an application.
    MayHoldMore,
    /// Alerts were claimed.
    ClaimResult,
}

impl Worker {
    /// Claims as long as alerts are due and permits are free, and waits otherwise.
    pub(super) async fn take_work(
        &self,
        tasks: &Tasks,
        halt: &CancellationToken,
        events: &mut mpsc::UnboundedReceiver<Event>,
    ) {
        while !halt.is_cancelled() {
            self.liveness.mark_claim_loop();
            self.write_events(events).await;
            let begun = self.obstacles.now();
            let round = self.claim_round(tasks).await;
            match &round {
                Err(error) => self.cannot_claim(begun, error),
                Ok(_) => self.obstacles.set(ObstacleKind::Claims, None),
            }
            let failing = round.is_err();
            let wait = match &round {
                Ok(Round::ClaimResult) => continue,
                Ok(Round::MayHoldMore | Round::Nothing | Round::NoRoom) => self.idle_wait(tasks),
                Err(_) => self.settings.poll_interval,
            };
            // An alert that is inserted while no permit is free, or while the database fails, has to wait.
            let looks = matches!(round, Ok(Round::Nothing | Round::MayHoldMore));
            tokio::select! {
                () = halt.cancelled() => return,
                () = tasks.freed.notified(), if !failing => {}
                () = self.wait(wait, looks) => {}
            }
        }
    }

    /// Logs once that claims fail.
    fn cannot_claim(&self, begun: Timestamp, error: &StoreError) {
        let obstacles = &self.obstacles;
        if obstacles.meet_error_since(begun, ObstacleKind::Claims, error, 0) {
            tracing::warn!(%error, "claim failed, retrying");
        }
    }

    /// Waits for an insert, if the store can notify of it.
    async fn wait(&self, at_most: Duration, looks: bool) {
        if looks {
            self.store.wait_for_insert(at_most).await;
        } else {
            tokio::time::sleep(at_most).await;
        }
    }

    /// Longest wait until the next round: until a relay may be tried again or has room, the next
    /// claim of a queue is due, or a refused alert is tried again.
    fn idle_wait(&self, tasks: &Tasks) -> Duration {
        let retry = self
            .send_ports
            .iter()
            .filter_map(|port| self.registry.wait(&port.relays));
        let now = Instant::now();
        let again = tasks
            .lanes
            .iter()
            .map(|lane| lane.back_off().remaining(now));
        let refused = tasks
            .lanes
            .iter()
            .filter_map(|lane| lane.unclaimed().remaining(now))
            .map(|wait| wait.max(Duration::from_millis(1)));
        let soonest = retry
            .chain(again)
            .chain(refused)
            .filter(|wait| !wait.is_zero())
            .min();
        soonest.map_or(self.settings.poll_interval, |wait| {
            wait.min(self.settings.poll_interval)
        })
    }

    /// One claim for each send port that can send now and has room.
    async fn claim_round(&self, tasks: &Tasks) -> Result<Round, StoreError> {
        if !self.guard.is_valid() || !self.obstacles.may_claim() {
            return Ok(Round::Nothing);
        }
        let (mut most, mut refused) = (Round::NoRoom, None);
        for lane in &tasks.lanes {
            if !lane.back_off().remaining(Instant::now()).is_zero() {
                most = most.max(Round::MayHoldMore);
                continue;
            }
            let free = u32::try_from(lane.permits.available_permits()).unwrap_or(u32::MAX);
            let room = self
                .registry
                .allowance(&lane.port.relays)
                .unwrap_or(u32::MAX);
            let limit = free.min(room).min(CLAIM_LIMIT);
            if limit > 0 {
                match self.claim_from(lane, limit, tasks).await {
                    Ok(round) => most = most.max(round),
                    // An error of one queue does not stop the others.
                    Err(error) if !error.is_transient() => refused = Some(error),
                    Err(error) => return Err(error),
                }
            }
        }
        refused.map_or(Ok(most), Err)
    }

    /// Claims one alert that was refused before and is due for another try, and all that are not refused.
    async fn claim_from(
        &self,
        lane: &Lane,
        mut limit: u32,
        tasks: &Tasks,
    ) -> Result<Round, StoreError> {
        let mut most = Round::Nothing;
        let again = match tasks.is_unanswered(&lane.port.name) {
            true => None,
            false => lane.unclaimed().take_due(Instant::now()),
        };
        if let Some(again) = again {
            most = self.claim_for(lane, 1, Among::Only(again), tasks).await?;
            limit -= 1;
        }
        if limit == 0 {
            return Ok(most);
        }
        let without = lane.unclaimed().ids();
        let claimed = self.claim_for(lane, limit, Among::AllBut(&without), tasks);
        Ok(most.max(claimed.await?))
    }

    async fn claim_for(
        &self,
        lane: &Lane,
        limit: u32,
        among: Among<'_>,
        tasks: &Tasks,
    ) -> Result<Round, StoreError> {
        let send_port = lane.port.name.as_str();
        let token = tasks.token_for(send_port);
        let claim = Claim {
            instance: self.instance.id,
            token,
            send_port,
            limit,
            among,
        };
        let begun = Instant::now();
        let claimed = self.store.claim(&claim).await;
        self.observer
            .database_operation(Operation::Claim, begun.elapsed(), &claimed);
        let claimed = claimed?;
        tasks.token_was_answered(send_port);
        lane.observer
            .record(SendPortActivity::Claim(claimed.alerts.len()));
        let noted = self.note_refused(lane, among, &claimed, tasks).await;
        if claimed.alerts.is_empty() && (noted.is_err() || matches!(among, Among::Only(_))) {
            return noted.map(|()| Round::Nothing);
        }
        if claimed.parked > 0 {
            tasks.parked.notify_one();
        }
        if claimed.alerts.is_empty() && claimed.parked > 0 {
            // Others are behind those that an operator cancelled or holds.
            return Ok(Round::ClaimResult);
        }
        if claimed.alerts.is_empty() && claimed.may_hold_more {
            lane.back_off().grow(Instant::now());
            return Ok(Round::MayHoldMore);
        }
        lane.back_off().reset();
        if claimed.alerts.is_empty() {
            return Ok(Round::Nothing);
        }
        let (mut loaded, error) = match self.load(&claimed.alerts).await {
            Ok(loaded) => (by_id(loaded), None),
            Err(error) => (BTreeMap::new(), Some(error)),
        };
        for id in claimed.alerts {
            // Permits are counted before the claim, and only this loop acquires them, so one is free. A
            // claim that was repeated after a lost answer may return more alerts: those wait here.
            let Ok(permit) = lane.permits.clone().acquire_owned().await else {
                break;
            };
            let mut origin = lane.origin(permit);
            let (alert, large) = match loaded.remove(&id) {
                Some(LoadResult::Alert(alert)) => (alert, None),
                Some(LoadResult::Large { alert, bytes }) => (alert, Some(bytes)),
                Some(LoadResult::Unreadable { reason, .. }) => {
                    origin.span = unread_span(id, &lane.port.name);
                    tasks.finish(failed(id, token, reason), origin).await;
                    continue;
                }
                None => {
                    origin.span = unread_span(id, &lane.port.name);
                    tasks.finish(released(id, token), origin).await;
                    continue;
                }
            };
            let value = *alert;
            self.begin(Lease { token, value }, large, lane, origin, tasks);
        }
        error.map_or(noted.map(|()| Round::ClaimResult), Err)
    }

    /// Starts a task for an alert. A panic of the task fails that alert alone. `large`: its
    /// bytes, if its texts are not read yet.
    fn begin(
        &self,
        lease: Lease<Alert>,
        large: Option<u64>,
        lane: &Lane,
        mut origin: Origin,
        tasks: &Tasks,
    ) {
        let expected = self.registry.expect(&lane.port.relays);
        let (id, token) = (lease.value.id, lease.token);
        origin.wanted_at = Some(lease.value.queued_since());
        let dispatcher = self.dispatcher.clone();
        let abandoned = tasks.abandoned.clone();
        let span = alert_span(&lease.value);
        origin.span = span.clone();
        let work = async move {
            // A task is moved several times, and this value is large.
            let dispatched = Box::pin(async move {
                match large {
                    None => dispatcher.dispatch(lease, expected).await,
                    Some(bytes) => dispatcher.dispatch_large(lease, bytes, expected).await,
                }
            });
            abandoned.run_until_cancelled_owned(dispatched).await
        };
        let work = tasks.tracker.spawn(work.instrument(span));
        let (finished, spool) = (tasks.finished.clone(), self.spool.clone());
        let working = tasks.under_way.begin();
        tasks.tracker.spawn(async move {
            let outcome = match work.await {
                Ok(Some(outcome)) => outcome,
                // The drain time-out aborted this task. If its final dot was noted, recovery records it
                // as in doubt; if not, retiring the instance releases the lease.
                Ok(None) => return,
                Err(error) => failed(
                    id,
                    token,
                    format!("internal error, please report it: {error}"),
                ),
            };
            // Before the outcome leaves this task: from here on a crash does not lose it.
            spool.keep(&outcome);
            drop(working);
            // The recorder outlives every task; it ends when the last sender is dropped.
            let _ = finished.send(FinishedAlert { outcome, origin }).await;
        });
    }

    /// A claim that cannot be read keeps its alerts leased: it is retried while the lease is valid.
    async fn load(&self, ids: &[AlertId]) -> Result<Vec<LoadResult>, StoreError> {
        let mut wait = Duration::from_millis(100);
        loop {
            self.liveness.mark_claim_loop();
            let begun = Instant::now();
            let loaded = self.store.load(ids).await;
            self.observer
                .database_operation(Operation::Load, begun.elapsed(), &loaded);
            match loaded {
                Err(error) if error.is_transient() && self.guard.is_valid() => {
                    tracing::warn!(%error, count = ids.len(), "reading claimed alerts failed, retrying");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(Duration::from_secs(5));
                }
                result => return result,
            }
        }
    }
}

/// The span of the work on an alert: its fields are on every line of the log. Its
/// level is error, so that a log of warnings has them too.
fn alert_span(alert: &Alert) -> Span {
    tracing::error_span!(
        "alert",
        alert = alert.id.0,
        reference = alert.reference,
        send_port = alert.send_port
    )
}

/// The same for an alert whose row cannot be read.
fn unread_span(alert: AlertId, send_port: &str) -> Span {
    tracing::error_span!("alert", alert = alert.0, send_port)
}

fn by_id(loaded: Vec<LoadResult>) -> BTreeMap<AlertId, LoadResult> {
    let id = |loaded: &LoadResult| match loaded {
        LoadResult::Alert(alert) | LoadResult::Large { alert, .. } => alert.id,
        LoadResult::Unreadable { id, .. } => *id,
    };
    loaded
        .into_iter()
        .map(|alert| (id(&alert), alert))
        .collect()
}

fn failed(alert: AlertId, token: LeaseToken, reason: String) -> Outcome {
    let decision = Decision::failed(reason);
    Outcome {
        alert,
        token,
        kind: OutcomeKind::Decided(Box::new(decision)),
    }
}

/// Releases an alert that cannot be read. It waits a second, so that it is not claimed in a loop.
fn released(alert: AlertId, token: LeaseToken) -> Outcome {
    Outcome {
        alert,
        token,
        kind: OutcomeKind::Released {
            retry_in: Duration::from_secs(1),
            reason: None,
        },
    }
}
