//! Of one send port: claims, alerts, recipients.

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};
use sendport_core::domain::{AlertStatus, Fault, RecipientStatus, ReportAction};
use sendport_delivery::observer::{SendPortActivity, SendPortObserver};

use super::catalogue as c;
use super::family::{Maker, timer};

/// All send ports'.
pub(super) struct Families {
    claims: IntCounterVec,
    claimed: IntCounterVec,
    in_flight: IntGaugeVec,
    alerts: IntCounterVec,
    released: IntCounterVec,
    recipients: IntCounterVec,
    failed: IntCounterVec,
    reports: IntCounterVec,
    reports_dropped: IntCounterVec,
    relayed_after: HistogramVec,
    signing_ends: IntGaugeVec,
}

/// One send port's.
pub struct SendPortMetrics {
    name: String,
    claims: IntCounter,
    claimed: IntCounter,
    in_flight: IntGauge,
    alerts: IntCounterVec,
    relayed: IntCounter,
    released: IntCounter,
    recipients: IntCounterVec,
    recipients_relayed: IntCounter,
    failed: IntCounterVec,
    reports: IntCounterVec,
    reports_dropped: IntCounter,
    relayed_after: Histogram,
    signing_ends: IntGaugeVec,
}

impl Families {
    pub(super) fn new(maker: &Maker<'_>) -> Self {
        Self {
            claims: maker.counter(&c::CLAIMS),
            claimed: maker.counter(&c::CLAIMED_ALERTS),
            in_flight: maker.gauge(&c::IN_FLIGHT),
            alerts: maker.counter(&c::ALERTS),
            released: maker.counter(&c::ALERTS_RELEASED),
            recipients: maker.counter(&c::RECIPIENTS),
            failed: maker.counter(&c::RECIPIENTS_FAILED),
            reports: maker.counter(&c::DELIVERY_REPORTS),
            reports_dropped: maker.counter(&c::DELIVERY_REPORTS_DROPPED),
            relayed_after: maker.histogram(&c::CREATED_TO_RELAYED),
            signing_ends: maker.gauge(&c::SIGNING_NOT_AFTER),
        }
    }

    /// Of one of them. What a rule may ask for is there from the start: a rate needs a zero
    /// before the first failure.
    pub(super) fn of(&self, name: &str) -> SendPortMetrics {
        for status in ["relayed", "partial", "failed", "expired", "delayed", "held"] {
            self.alerts.with_label_values(&[name, status]);
        }
        for status in ["relayed", "failed", "expired", "delayed"] {
            self.recipients.with_label_values(&[name, status]);
        }
        for fault in Fault::ALL {
            self.failed.with_label_values(&[name, fault.as_str()]);
        }
        for action in ReportAction::ALL {
            self.reports.with_label_values(&[name, action.as_str()]);
        }
        let relayed = [name, "relayed"];
        SendPortMetrics {
            name: name.to_owned(),
            claims: self.claims.with_label_values(&[name]),
            claimed: self.claimed.with_label_values(&[name]),
            in_flight: self.in_flight.with_label_values(&[name]),
            relayed: self.alerts.with_label_values(&relayed),
            alerts: self.alerts.clone(),
            released: self.released.with_label_values(&[name]),
            recipients_relayed: self.recipients.with_label_values(&relayed),
            recipients: self.recipients.clone(),
            failed: self.failed.clone(),
            reports: self.reports.clone(),
            reports_dropped: self.reports_dropped.with_label_values(&[name]),
            relayed_after: timer(&self.relayed_after, name),
            signing_ends: self.signing_ends.clone(),
        }
    }
}

impl SendPortMetrics {
    /// The certificate that it signs by ends then, in seconds since 1970.
    pub fn signing_certificate_ends(&self, at: i64) {
        self.signing_ends.with_label_values(&[&self.name]).set(at);
    }

    fn recorded(&self, status: AlertStatus) {
        match status {
            AlertStatus::Relayed => self.relayed.inc(),
            _ => {
                let labels = [self.name.as_str(), status.as_str()];
                self.alerts.with_label_values(&labels).inc();
            }
        }
    }

    fn recipient(&self, status: RecipientStatus) {
        match status {
            RecipientStatus::Relayed => self.recipients_relayed.inc(),
            _ => {
                let labels = [self.name.as_str(), status.as_str()];
                self.recipients.with_label_values(&labels).inc();
            }
        }
    }

    fn failed(&self, fault: Fault) {
        let labels = [self.name.as_str(), fault.as_str()];
        self.failed.with_label_values(&labels).inc();
    }
}

impl SendPortObserver for SendPortMetrics {
    fn name(&self) -> &str {
        &self.name
    }

    fn record(&self, activity: SendPortActivity) {
        match activity {
            SendPortActivity::Claim(alerts) => {
                self.claims.inc();
                self.claimed.inc_by(alerts as u64);
            }
            SendPortActivity::WorkBegin => self.in_flight.inc(),
            SendPortActivity::WorkEnd => self.in_flight.dec(),
            SendPortActivity::Release => self.released.inc(),
            SendPortActivity::Alert(status) => self.recorded(status),
            SendPortActivity::Recipient(status) => self.recipient(status),
            SendPortActivity::RecipientFailure(fault) => self.failed(fault),
            SendPortActivity::Report(action) => {
                let labels = [self.name.as_str(), action.as_str()];
                self.reports.with_label_values(&labels).inc();
            }
            SendPortActivity::ReportDropped => self.reports_dropped.inc(),
            SendPortActivity::Relayed(age) => self.relayed_after.observe(age.as_secs_f64()),
        }
    }
}
