//! Of one intake: connections, messages, refusals.

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};
use sendport_intake::observer::{IntakeActivity, IntakeObserver};

use super::catalogue as c;
use super::family::{Maker, timer};

/// Replies that a rule may ask for before the first one.
const REFUSALS: [&str; 14] = [
    "421", "450", "451", "452", "454", "500", "501", "503", "530", "535", "550", "552", "553",
    "554",
];

/// All intakes'.
pub(super) struct Families {
    connections: IntGaugeVec,
    connections_refused: IntCounterVec,
    handshakes_failed: IntCounterVec,
    authentications: IntCounterVec,
    replies: IntCounterVec,
    messages: IntCounterVec,
    recipients: IntCounterVec,
    bytes: IntCounterVec,
    commit: HistogramVec,
    files: IntGaugeVec,
    certificate_not_after: IntGaugeVec,
    spool_messages: IntGaugeVec,
    spool_bytes: IntGaugeVec,
    spool_refused: IntCounterVec,
}

/// One intake's.
pub struct IntakeMetrics {
    name: String,
    connections: IntGauge,
    connections_refused: IntCounter,
    handshakes_failed: IntCounter,
    authentications: IntCounterVec,
    replies: IntCounterVec,
    messages: IntCounter,
    recipients: IntCounter,
    bytes: IntCounter,
    commit: Histogram,
    files: IntGauge,
    /// Without TLS it has no value.
    certificate_not_after: IntGaugeVec,
    spool_messages: IntGauge,
    spool_bytes: IntGauge,
    spool_refused: IntCounter,
}

impl Families {
    pub(super) fn new(maker: &Maker<'_>) -> Self {
        Self {
            connections: maker.gauge(&c::INTAKE_CONNECTIONS),
            connections_refused: maker.counter(&c::INTAKE_CONNECTIONS_REFUSED),
            handshakes_failed: maker.counter(&c::INTAKE_HANDSHAKES_FAILED),
            authentications: maker.counter(&c::INTAKE_AUTHENTICATIONS),
            replies: maker.counter(&c::INTAKE_REFUSALS),
            messages: maker.counter(&c::INTAKE_MESSAGES),
            recipients: maker.counter(&c::INTAKE_RECIPIENTS),
            bytes: maker.counter(&c::INTAKE_BYTES),
            commit: maker.histogram(&c::INTAKE_COMMIT),
            files: maker.gauge(&c::INTAKE_FILES),
            certificate_not_after: maker.gauge(&c::INTAKE_CERTIFICATE_NOT_AFTER),
            spool_messages: maker.gauge(&c::INTAKE_SPOOL_MESSAGES),
            spool_bytes: maker.gauge(&c::INTAKE_SPOOL_BYTES),
            spool_refused: maker.counter(&c::INTAKE_SPOOL_REFUSED),
        }
    }

    /// Of one of them, at zero.
    pub(super) fn of(&self, name: &str) -> IntakeMetrics {
        for result in ["succeeded", "failed"] {
            self.authentications.with_label_values(&[name, result]);
        }
        for code in REFUSALS {
            self.replies.with_label_values(&[name, code]);
        }
        IntakeMetrics {
            name: name.to_owned(),
            connections: self.connections.with_label_values(&[name]),
            connections_refused: self.connections_refused.with_label_values(&[name]),
            handshakes_failed: self.handshakes_failed.with_label_values(&[name]),
            authentications: self.authentications.clone(),
            replies: self.replies.clone(),
            messages: self.messages.with_label_values(&[name]),
            recipients: self.recipients.with_label_values(&[name]),
            bytes: self.bytes.with_label_values(&[name]),
            commit: timer(&self.commit, name),
            files: self.files.with_label_values(&[name]),
            certificate_not_after: self.certificate_not_after.clone(),
            spool_messages: self.spool_messages.with_label_values(&[name]),
            spool_bytes: self.spool_bytes.with_label_values(&[name]),
            spool_refused: self.spool_refused.with_label_values(&[name]),
        }
    }
}

impl IntakeObserver for IntakeMetrics {
    fn record(&self, activity: IntakeActivity) {
        match activity {
            IntakeActivity::ConnectionOpened => self.connections.inc(),
            IntakeActivity::ConnectionClosed => self.connections.dec(),
            IntakeActivity::ConnectionRefused => self.connections_refused.inc(),
            IntakeActivity::HandshakeFailed => self.handshakes_failed.inc(),
            IntakeActivity::Authentication { succeeded } => {
                let result = if succeeded { "succeeded" } else { "failed" };
                let labels = [self.name.as_str(), result];
                self.authentications.with_label_values(&labels).inc();
            }
            IntakeActivity::Refused(code) => {
                let labels = [self.name.as_str(), &code.to_string()];
                self.replies.with_label_values(&labels).inc();
            }
            IntakeActivity::FilesWaiting(files) => self.files.set(shown(files)),
            IntakeActivity::CertificateRead { not_after } => {
                let gauge = self.certificate_not_after.with_label_values(&[&self.name]);
                gauge.set(not_after);
            }
            IntakeActivity::Spooled { messages, bytes } => {
                self.spool_messages.set(shown(messages));
                self.spool_bytes.set(shown(bytes));
            }
            IntakeActivity::SpoolRefused => self.spool_refused.inc(),
            IntakeActivity::Accepted {
                bytes,
                recipients,
                commit,
            } => {
                self.messages.inc();
                self.recipients.inc_by(recipients.into());
                self.bytes.inc_by(bytes);
                self.commit.observe(commit.as_secs_f64());
            }
        }
    }
}

fn shown(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
