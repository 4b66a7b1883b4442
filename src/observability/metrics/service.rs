//! Of the instance, its database and its spool.

use std::time::Duration;

use prometheus::{Gauge, Histogram, IntCounter, IntCounterVec, IntGauge};
use sendport_delivery::observer::{Operation, WorkerActivity};

use super::catalogue as c;
use super::family::{Maker, timer};

/// Of the instance, its database and its spool.
pub struct ServiceMetrics {
    start_time: Gauge,
    ready: IntGauge,
    lease_remaining: Gauge,
    leases_lost: IntCounter,
    events: IntCounterVec,
    database_up: IntGauge,
    outages: IntCounter,
    operations: [(IntCounter, Histogram); Operation::ALL.len()],
    spool_entries: IntGauge,
    spool_bytes: IntGauge,
    spool_writable: IntGauge,
    unrecorded: IntGauge,
    unclaimed: IntGauge,
    swept: IntCounterVec,
    certificate_end: Gauge,
}

impl ServiceMetrics {
    pub(super) fn new(maker: &Maker<'_>) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        let build_info = maker.gauge(&c::BUILD_INFO);
        build_info.with_label_values(&[version]).set(1);
        let errors = maker.counter(&c::DATABASE_ERRORS);
        let durations = maker.histogram(&c::DATABASE_DURATION);
        let of = |operation: Operation| {
            let word = operation.as_str();
            (errors.with_label_values(&[word]), timer(&durations, word))
        };
        let swept = maker.counter(&c::ALERTS_SWEPT);
        for reason in ["expired", "unrouted", "taken_over"] {
            swept.with_label_values(&[reason]);
        }
        let one_fraction = |of| maker.fraction(of).with_label_values::<&str>(&[]);
        Self {
            start_time: one_fraction(&c::START_TIME),
            ready: maker.one_gauge(&c::READY),
            lease_remaining: one_fraction(&c::LEASE_REMAINING),
            leases_lost: maker.one_counter(&c::LEASES_LOST),
            events: maker.counter(&c::EVENTS),
            database_up: maker.one_gauge(&c::DATABASE_UP),
            outages: maker.one_counter(&c::DATABASE_OUTAGES),
            operations: Operation::ALL.map(of),
            spool_entries: maker.one_gauge(&c::SPOOL_ENTRIES),
            spool_bytes: maker.one_gauge(&c::SPOOL_BYTES),
            spool_writable: maker.one_gauge(&c::SPOOL_WRITABLE),
            unrecorded: maker.one_gauge(&c::UNRECORDED),
            unclaimed: maker.one_gauge(&c::UNCLAIMED),
            swept,
            certificate_end: one_fraction(&c::CERTIFICATE_END),
        }
    }

    /// When the process started, in milliseconds since 1970.
    pub fn started(&self, unix_millis: i64) {
        self.start_time.set(seconds(unix_millis));
    }

    /// Whether it is ready, and how long its lease is still valid.
    pub fn set_ready(&self, ready: bool, lease: Duration) {
        self.ready.set(i64::from(ready));
        self.lease_remaining.set(lease.as_secs_f64());
    }

    /// Records one measurement of a worker.
    pub(super) fn record(&self, activity: WorkerActivity<'_>) {
        match activity {
            WorkerActivity::DatabaseOperation {
                operation,
                took,
                succeeded,
            } => {
                let (errors, durations) = &self.operations[operation as usize];
                match succeeded {
                    true => durations.observe(took.as_secs_f64()),
                    false => errors.inc(),
                }
            }
            WorkerActivity::Event(event) => {
                let labels = [event.event_type, event.severity.as_str()];
                self.events.with_label_values(&labels).inc();
            }
            WorkerActivity::LeaseLost => self.leases_lost.inc(),
            WorkerActivity::Sweep { reason, alerts } => {
                let counter = self.swept.with_label_values(&[reason]);
                counter.inc_by(u64::from(alerts));
            }
            WorkerActivity::FirstCertificateExpiry(soonest) => {
                let millis = soonest.map_or(0, |at| at.timestamp_millis());
                self.certificate_end.set(seconds(millis));
            }
        }
    }

    /// Whether the database answers.
    pub fn database_answers(&self, answers: bool) {
        let before = self.database_up.get();
        self.database_up.set(i64::from(answers));
        if before == 1 && !answers {
            self.outages.inc();
        }
    }

    /// How much is in the spool.
    pub fn spool(&self, (entries, bytes): (usize, u64)) {
        self.spool_entries.set(number(entries as u64));
        self.spool_bytes.set(number(bytes));
    }

    /// How many outcomes could not be recorded.
    pub fn unrecorded(&self, outcomes: u32) {
        self.unrecorded.set(i64::from(outcomes));
    }

    /// How many alerts the database refuses to lease.
    pub fn unclaimed(&self, alerts: u32) {
        self.unclaimed.set(i64::from(alerts));
    }

    /// Whether the spool can be written.
    pub fn spool_writable(&self, writable: bool) {
        self.spool_writable.set(i64::from(writable));
    }
}

pub(super) fn number(of: u64) -> i64 {
    i64::try_from(of).unwrap_or(i64::MAX)
}

/// Since 1970.
#[expect(clippy::cast_precision_loss, reason = "exact for 285 000 years")]
pub(super) fn seconds(unix_millis: i64) -> f64 {
    unix_millis as f64 / 1000.0
}
