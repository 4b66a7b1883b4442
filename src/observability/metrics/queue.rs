//! Of the queue, as the database has it. Counted now and then, not at each look.

use std::collections::BTreeSet;

use prometheus::{Gauge, IntGauge, IntGaugeVec};

use super::catalogue as c;
use super::family::Maker;
use super::service::{number, seconds};

/// What an alert that is not final can be.
const STATUSES: [&str; 4] = ["queued", "sending", "delayed", "held"];

/// Of the queue.
pub struct QueueMetrics {
    send_ports: BTreeSet<String>,
    up: IntGauge,
    updated: Gauge,
    alerts: IntGaugeVec,
    oldest: IntGaugeVec,
    unrouted: IntGaugeVec,
}

/// So many alerts of a send port with a status.
#[derive(Debug, Clone, Copy)]
pub struct Depth<'a> {
    /// As the alerts name it.
    pub send_port: &'a str,
    /// A word of the database.
    pub status: &'a str,
    /// How many.
    pub alerts: u64,
    /// Age of the oldest, in seconds.
    pub oldest: i64,
}

impl QueueMetrics {
    pub(super) fn new(maker: &Maker<'_>, send_ports: BTreeSet<String>) -> Self {
        let updated = maker.fraction(&c::QUEUE_UPDATED);
        Self {
            send_ports,
            up: maker.one_gauge(&c::QUEUE_UP),
            updated: updated.with_label_values::<&str>(&[]),
            alerts: maker.gauge(&c::QUEUE_ALERTS),
            oldest: maker.gauge(&c::QUEUE_OLDEST),
            unrouted: maker.gauge(&c::QUEUE_UNROUTED),
        }
    }

    /// The queue was counted at this moment, in milliseconds since 1970. Applications may name
    /// any send port: those that are not configured here are one number.
    pub fn counted<'a>(&self, unix_millis: i64, depths: impl IntoIterator<Item = Depth<'a>>) {
        for (send_port, status) in self.of_send_ports() {
            self.show(send_port, status, 0, 0);
        }
        let mut unrouted = 0;
        for depth in depths {
            if self.send_ports.contains(depth.send_port) {
                let oldest = depth.oldest.max(0);
                self.show(depth.send_port, depth.status, depth.alerts, oldest);
            } else {
                unrouted += depth.alerts;
            }
        }
        let all = self.unrouted.with_label_values::<&str>(&[]);
        all.set(number(unrouted));
        self.updated.set(seconds(unix_millis));
        self.up.set(1);
    }

    /// The queue could not be counted: old figures would be wrong ones.
    pub fn unknown(&self) {
        self.up.set(0);
        self.alerts.reset();
        self.oldest.reset();
        self.unrouted.reset();
    }

    fn show(&self, send_port: &str, status: &str, alerts: u64, oldest: i64) {
        let labels = [send_port, status];
        self.alerts.with_label_values(&labels).set(number(alerts));
        self.oldest.with_label_values(&labels).set(oldest);
    }

    fn of_send_ports(&self) -> impl Iterator<Item = (&str, &'static str)> {
        let ports = self.send_ports.iter();
        ports.flat_map(|port| STATUSES.map(|status| (port.as_str(), status)))
    }
}
