//! Deletes what is old, some at a time: bodies, then alerts with all that belongs to them, events and daily counts.
//! One instance does it, and all others wait for its lease to end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sendport_core::domain::{AlertStatus, InstanceId, RequestId, Timestamp};
use sendport_store::purge_requests::PurgeStage;
use sendport_store::retention::{FinalGroup, PurgeAmong, PurgeScope, Purged, RetentionNote};
use sendport_store::{Event, EventSeverity, Store, StoreError, StoreErrorKind};
use tokio::sync::Notify;

use super::left_out::LeftOut;
use super::log_event;
use super::pacer::{Pace, Pacer};
use super::purge_requests::PurgePass;
use super::refused_rows::{event, names};
use crate::observer::{Operation, WorkerObserver};
use crate::settings::retention::{
    RetentionAge, RetentionConfig, SendPortRetention, StatusRetention,
};

/// Between two looks for what has become old.
const ROUND_EVERY: Duration = Duration::from_secs(60);

/// After an error of the database, such as a log that is full.
const PAUSE: Duration = Duration::from_secs(60);

/// Batches of one status and send port before the others have their turn.
pub(super) const MOST_BATCHES: u32 = 50;

/// How long another instance waits for one that ended. Longer than a batch, its rest and its retries.
pub(super) const LEASE: Duration = Duration::from_secs(180);

/// Parts of the largest database at which a warning is written, in percent.
const SIZE_STAGES: [u64; 3] = [95, 90, 80];

/// How long what is kept.
#[derive(Debug, Clone)]
pub struct RetentionPlan {
    config: RetentionConfig,
    send_ports: BTreeMap<String, SendPortRetention>,
}

impl RetentionPlan {
    /// The section `[retention]`, and those of the send ports that have one.
    pub fn new(config: RetentionConfig, send_ports: BTreeMap<String, SendPortRetention>) -> Self {
        Self { config, send_ports }
    }

    /// How long alerts of this status and send port are kept; `None` where it is not final.
    pub fn of(&self, status: AlertStatus, send_port: &str) -> Option<StatusRetention> {
        let own = self.send_ports.get(send_port);
        own.and_then(|own| own.of(status))
            .or_else(|| self.config.of(status))
    }

    fn pace(&self) -> Pace {
        Pace {
            rows_per_second: self.config.rows_per_second,
            bytes_per_second: self.config.bytes_per_second.0,
        }
    }
}

/// What a round came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Round {
    /// Another instance deletes.
    Elsewhere,
    /// Nothing old is left.
    Ended,
    /// More is left.
    More,
    /// The database does not take it now.
    Paused,
}

/// What deletes.
pub(super) struct Retention {
    pub(super) store: Arc<dyn Store>,
    pub(super) instance: InstanceId,
    plan: RetentionPlan,
    pub(super) observer: Arc<dyn WorkerObserver>,
    pacer: Pacer,
    /// What was refused last, so that it is reported once.
    refused: Option<String>,
    left_out: LeftOut,
    /// A request of an operator waits.
    requested: Arc<Notify>,
    /// How far requests were carried out.
    pub(super) requests: BTreeMap<RequestId, PurgePass>,
    /// The stage of [`SIZE_STAGES`] that was announced.
    announced: u64,
}

impl Retention {
    pub(super) fn new(
        store: Arc<dyn Store>,
        instance: InstanceId,
        plan: RetentionPlan,
        observer: Arc<dyn WorkerObserver>,
        requested: Arc<Notify>,
    ) -> Self {
        let pacer = Pacer::new(plan.pace());
        Self {
            store,
            instance,
            plan,
            observer,
            pacer,
            refused: None,
            left_out: LeftOut::default(),
            requested,
            requests: BTreeMap::new(),
            announced: 0,
        }
    }

    /// Deletes until it is dropped.
    pub(super) async fn run(mut self) {
        loop {
            let wait = match self.round().await {
                Round::More => Duration::ZERO,
                Round::Ended | Round::Elsewhere => ROUND_EVERY,
                Round::Paused => {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.requested.notified() => {}
            }
        }
    }

    /// Everything that is old now, or some of it.
    pub(super) async fn round(&mut self) -> Round {
        match self.try_round().await {
            Ok(round) => round,
            Err(error) => {
                self.pause(&error).await;
                Round::Paused
            }
        }
    }

    async fn try_round(&mut self) -> Result<Round, StoreError> {
        let requests = self.purge_requests().await?;
        if !self.plan.config.enabled && requests.is_empty() {
            return Ok(Round::Ended);
        }
        if !self.store.begin_retention(self.instance, LEASE).await? {
            return Ok(Round::Elsewhere);
        }
        self.left_out.begin(Instant::now());
        let mut more = self.carry_out_requests(&requests).await?;
        let mut refused = None;
        if self.plan.config.enabled {
            self.check_size().await?;
            let (left, why) = self.purge_groups().await?;
            more |= left | self.purge_the_rest().await?;
            refused = why;
        }
        self.report_left_out().await;
        self.report_refusal(refused).await;
        let paused = self.refused.clone().or_else(|| self.left_out.summary());
        let groups = self.store.final_groups().await?;
        self.show(&groups, paused, !more).await?;
        Ok(match more {
            true => Round::More,
            false => Round::Ended,
        })
    }

    /// Whether more is left, and which alerts the database refuses to delete altogether.
    async fn purge_groups(&mut self) -> Result<(bool, Option<String>), StoreError> {
        let (mut more, mut refused) = (false, None);
        for group in self.store.final_groups().await? {
            match self.purge_group(&group).await {
                Ok(left) => more |= left,
                Err(error) if is_refusal(&error) => {
                    refused = Some(format!(
                        "{} alerts of send port {}: {error}",
                        group.status, group.send_port
                    ));
                }
                Err(error) => return Err(error),
            }
        }
        Ok((more, refused))
    }

    /// Whether more is left.
    async fn purge_group(&mut self, group: &FinalGroup) -> Result<bool, StoreError> {
        let Some(kept) = self.plan.of(group.status, &group.send_port) else {
            return Ok(false);
        };
        // An alert is deleted once its body was: at the latest with it.
        let bodies = self.purge_stage(group, PurgeStage::Bodies, kept.bodies.min(kept.alerts));
        let bodies = bodies.await?;
        let alerts = self
            .purge_stage(group, PurgeStage::Alerts, kept.alerts)
            .await?;
        Ok(bodies || alerts)
    }

    async fn purge_stage(
        &mut self,
        group: &FinalGroup,
        stage: PurgeStage,
        kept: RetentionAge,
    ) -> Result<bool, StoreError> {
        let Some(older_than) = kept.duration() else {
            return Ok(false);
        };
        let mut scope = PurgeScope::old(group.status, &group.send_port, older_than);
        for _ in 0..MOST_BATCHES {
            scope.among = PurgeAmong::AllBut(self.left_out.ids());
            let purged = self.purge_batch(stage, &scope).await?;
            let has_room = self.left_out.add(&purged.refused, Instant::now());
            if !purged.more || !has_room {
                return Ok(false);
            }
            if !self.store.begin_retention(self.instance, LEASE).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) async fn purge_batch(
        &mut self,
        stage: PurgeStage,
        scope: &PurgeScope,
    ) -> Result<Purged, StoreError> {
        let began = Instant::now();
        let purged = match stage {
            PurgeStage::Bodies => {
                let bytes = self.pacer.batch_bytes();
                self.store.purge_bodies(scope, bytes).await
            }
            PurgeStage::Alerts => self.store.purge_alerts(scope).await,
        };
        self.paced(began, purged).await
    }

    /// Events and counts; whether more is left.
    async fn purge_the_rest(&mut self) -> Result<bool, StoreError> {
        let mut more = false;
        if let Some(older_than) = self.plan.config.event_log.duration() {
            let began = Instant::now();
            let rows = self.store.purge_events(older_than).await;
            more |= self.paced(began, rows.map(rows_only)).await?.rows > 0;
            let began = Instant::now();
            let rows = self.store.purge_feedback(older_than).await;
            more |= self.paced(began, rows.map(rows_only)).await?.rows > 0;
        }
        if let Some(older_than) = self.plan.config.minute_counts.duration() {
            let began = Instant::now();
            let rows = self.store.purge_minutes(older_than).await;
            more |= self.paced(began, rows.map(rows_only)).await?.rows > 0;
        }
        if let Some(older_than) = self.plan.config.daily_counts.duration() {
            let began = Instant::now();
            let rows = self.store.purge_counts(older_than).await;
            more |= self.paced(began, rows.map(rows_only)).await?.rows > 0;
        }
        Ok(more)
    }

    /// Rests after a batch.
    async fn paced(
        &mut self,
        began: Instant,
        purged: Result<Purged, StoreError>,
    ) -> Result<Purged, StoreError> {
        let took = began.elapsed();
        self.observer
            .database_operation(Operation::Purge, took, &purged);
        let purged = purged?;
        tokio::time::sleep(self.pacer.rest(&purged, took)).await;
        Ok(purged)
    }

    async fn show(
        &self,
        groups: &[FinalGroup],
        paused: Option<String>,
        ended: bool,
    ) -> Result<(), StoreError> {
        let oldest = |of: fn(&FinalGroup) -> Option<Timestamp>| groups.iter().filter_map(of).min();
        let slowed = self.pacer.is_slowed() && !ended;
        let note = RetentionNote {
            paused: paused.or_else(|| slowed.then(|| SLOWED.to_owned())),
            oldest_final: oldest(FinalGroup::oldest),
            oldest_body: oldest(|group| group.oldest_body),
            ended,
        };
        self.store.show_retention(self.instance, &note).await
    }

    /// The database cannot be written to, or not be reached: shown where that is possible.
    async fn pause(&self, error: &StoreError) {
        tracing::warn!(%error, "retention paused, will be retried");
        let groups = self.store.final_groups().await.unwrap_or_default();
        // It is in the log at least.
        let _ = self
            .show(&groups, Some(error.what().to_owned()), false)
            .await;
    }

    async fn report_left_out(&mut self) {
        let new = self.left_out.take_new();
        let Some(first) = new.first() else {
            return;
        };
        let (count, named) = (new.len(), names(&new));
        tracing::error!(count, alert = first.alert.0, error = %first.why, "purging old alerts failed");
        let message = format!(
            "the database refuses to delete {named}; {}: {}; all other old alerts are deleted, and these are tried again \
             every hour",
            first.alert, first.why
        );
        let alert = Some(first.alert).filter(|_| count == 1);
        self.log(event(REFUSED, EventSeverity::Error, alert, message))
            .await;
    }

    async fn report_refusal(&mut self, refused: Option<String>) {
        let is_new = refused.is_some() && refused != self.refused;
        self.refused = refused;
        let Some(refused) = self.refused.as_ref().filter(|_| is_new) else {
            return;
        };
        tracing::error!(error = %refused, "purging old alerts failed");
        let message = format!(
            "the database refuses to delete old {refused}; all other old alerts are deleted, and these are tried again every \
             minute"
        );
        self.log(event(REFUSED, EventSeverity::Error, None, message))
            .await;
    }

    /// Warns before the database is as large as its edition allows.
    async fn check_size(&mut self) -> Result<(), StoreError> {
        let Some(size) = self.store.database_size().await? else {
            return Ok(());
        };
        let percent = size.bytes.saturating_mul(100) / size.limit.max(1);
        let stage = SIZE_STAGES.into_iter().find(|stage| percent >= *stage);
        let stage = stage.unwrap_or(0);
        if stage > self.announced {
            tracing::warn!(
                bytes = size.bytes,
                limit = size.limit,
                "database is nearly as large as its edition allows"
            );
            let message = format!(
                "the data files have {percent} % of the {} GB that SQL Server Express allows a database; then nothing can be \
                 inserted: keep rows for a shorter time ([retention]), or move to another edition",
                size.limit >> 30
            );
            let severity = EventSeverity::Warning;
            self.log(event("database-nearly-full", severity, None, message))
                .await;
        }
        self.announced = stage;
        Ok(())
    }

    pub(super) async fn log(&self, event: Event) {
        let event = Event {
            instance: Some(self.instance),
            ..event
        };
        log_event(&*self.store, &*self.observer, &event).await;
    }
}

/// `EventLog.EventType` of alerts that the database refuses to delete.
const REFUSED: &str = "retention-refused";

/// `RetentionProgress.PausedReason` while commits are slow.
const SLOWED: &str = "slowed down: the database takes more than half a second for a batch";

fn rows_only(rows: u64) -> Purged {
    Purged {
        rows,
        ..Purged::default()
    }
}

/// A rule of the site or a damaged row keeps these alerts, and no others.
fn is_refusal(error: &StoreError) -> bool {
    matches!(
        error.kind(),
        StoreErrorKind::Rejected | StoreErrorKind::Unknown | StoreErrorKind::Refused
    )
}
