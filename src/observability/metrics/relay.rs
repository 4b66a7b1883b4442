//! Of one relay: submissions, latencies, its circuit, certificates.

use std::time::Duration;

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};
use sendport_core::domain::{Fault, RelayCondition, RelayState};
use sendport_delivery::relays::RelayUsage;
use sendport_smtp::relay::observer::{
    CertificateRole, RelayActivity, RelayObserver, SubmissionClass,
};

use super::catalogue as c;
use super::family::{Maker, timer};

/// All relays'.
pub(super) struct Families {
    submissions: IntCounterVec,
    faults: IntCounterVec,
    bytes: IntCounterVec,
    durations: [HistogramVec; 5],
    refusals: IntCounterVec,
    connections: IntGaugeVec,
    limit: IntGaugeVec,
    domains_unreachable: IntGaugeVec,
    state: IntGaugeVec,
    changes: IntCounterVec,
    throttled: IntGaugeVec,
    throttles: IntCounterVec,
    not_after: IntGaugeVec,
}

/// One relay's.
pub struct RelayMetrics {
    name: String,
    submissions: [IntCounter; SubmissionClass::ALL.len()],
    faults: IntCounterVec,
    bytes: IntCounter,
    durations: [Histogram; 5],
    refusals: IntCounter,
    connections: IntGauge,
    limit: IntGauge,
    domains_unreachable: IntGauge,
    state: IntGaugeVec,
    changes: IntCounterVec,
    throttled: IntGauge,
    throttles: IntCounter,
    not_after: IntGaugeVec,
}

/// Which duration: the place in `durations`.
#[derive(Clone, Copy)]
enum DurationKind {
    Connect,
    Tls,
    Authentication,
    Transaction,
    FinalDot,
}

impl Families {
    pub(super) fn new(maker: &Maker<'_>) -> Self {
        let durations = [
            c::CONNECT_DURATION,
            c::TLS_DURATION,
            c::AUTHENTICATION_DURATION,
            c::TRANSACTION_DURATION,
            c::FINAL_DOT_DURATION,
        ];
        Self {
            submissions: maker.counter(&c::SUBMISSIONS),
            faults: maker.counter(&c::SUBMISSION_FAULTS),
            bytes: maker.counter(&c::SUBMITTED_BYTES),
            durations: durations.map(|of| maker.histogram(&of)),
            refusals: maker.counter(&c::AUTHENTICATION_FAILURES),
            connections: maker.gauge(&c::CONNECTIONS),
            limit: maker.gauge(&c::CONNECTIONS_LIMIT),
            domains_unreachable: maker.gauge(&c::DOMAINS_UNREACHABLE),
            state: maker.gauge(&c::RELAY_STATE),
            changes: maker.counter(&c::RELAY_STATE_CHANGES),
            throttled: maker.gauge(&c::RELAY_THROTTLED),
            throttles: maker.counter(&c::RELAY_THROTTLES),
            not_after: maker.gauge(&c::CERTIFICATE_NOT_AFTER),
        }
    }

    /// The metrics of one relay; every series that an alerting rule may query starts at zero.
    pub(super) fn of(&self, name: &str) -> RelayMetrics {
        for fault in Fault::ALL {
            self.faults.with_label_values(&[name, fault.as_str()]);
        }
        for condition in RelayCondition::ALL {
            let labels = [name, condition.as_str()];
            self.changes.with_label_values(&labels);
            let closed = *condition == RelayCondition::Closed;
            self.state.with_label_values(&labels).set(i64::from(closed));
        }
        let of_class =
            |class: SubmissionClass| self.submissions.with_label_values(&[name, class.as_str()]);
        RelayMetrics {
            name: name.to_owned(),
            submissions: SubmissionClass::ALL.map(of_class),
            faults: self.faults.clone(),
            bytes: self.bytes.with_label_values(&[name]),
            durations: self.durations.each_ref().map(|of| timer(of, name)),
            refusals: self.refusals.with_label_values(&[name]),
            connections: self.connections.with_label_values(&[name]),
            limit: self.limit.with_label_values(&[name]),
            domains_unreachable: self.domains_unreachable.with_label_values(&[name]),
            state: self.state.clone(),
            changes: self.changes.clone(),
            throttled: self.throttled.with_label_values(&[name]),
            throttles: self.throttles.with_label_values(&[name]),
            not_after: self.not_after.clone(),
        }
    }
}

impl RelayMetrics {
    /// What the registry says of it.
    pub fn show(&self, state: &RelayState, usage: RelayUsage) {
        for condition in RelayCondition::ALL {
            let labels = [self.name.as_str(), condition.as_str()];
            let now = i64::from(state.condition == *condition);
            self.state.with_label_values(&labels).set(now);
        }
        self.connections.set(i64::from(usage.connections));
        let unreachable = usage.domains_unreachable;
        self.domains_unreachable.set(i64::from(unreachable));
        self.limit.set(i64::from(state.connections.unwrap_or(0)));
        self.throttled
            .set(i64::from(state.throttle_reason.is_some()));
    }

    fn took(&self, of: DurationKind, time: Duration) {
        self.durations[of as usize].observe(time.as_secs_f64());
    }

    fn submitted(&self, class: SubmissionClass, fault: Option<Fault>, bytes: usize) {
        self.submissions[class as usize].inc();
        if class == SubmissionClass::Accepted {
            self.bytes.inc_by(bytes as u64);
        }
        if let Some(fault) = fault {
            let labels = [self.name.as_str(), fault.as_str()];
            self.faults.with_label_values(&labels).inc();
        }
    }

    fn certificate(&self, whose: CertificateRole, not_after: i64) {
        let labels = [self.name.as_str(), whose.as_str()];
        self.not_after.with_label_values(&labels).set(not_after);
    }

    fn changed(&self, condition: RelayCondition) {
        let labels = [self.name.as_str(), condition.as_str()];
        self.changes.with_label_values(&labels).inc();
    }
}

impl RelayObserver for RelayMetrics {
    fn record(&self, what: RelayActivity) {
        match what {
            RelayActivity::Connection(time) => self.took(DurationKind::Connect, time),
            RelayActivity::Handshake(time) => self.took(DurationKind::Tls, time),
            RelayActivity::Certificate(whose, not_after) => self.certificate(whose, not_after),
            RelayActivity::Authentication(time) => self.took(DurationKind::Authentication, time),
            RelayActivity::AuthenticationRefusal => self.refusals.inc(),
            RelayActivity::Transaction(time) => self.took(DurationKind::Transaction, time),
            RelayActivity::FinalDot(time) => self.took(DurationKind::FinalDot, time),
            RelayActivity::Submission {
                class,
                fault,
                bytes,
            } => self.submitted(class, fault, bytes),
            RelayActivity::ConditionChange(condition) => self.changed(condition),
            RelayActivity::Throttled(true) => self.throttles.inc(),
            RelayActivity::Throttled(false) => {}
        }
    }
}
