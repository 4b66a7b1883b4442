//! What the service counts and measures, for Prometheus.
//!
//! In come handles' calls from wherever something happens; out goes the text exposition format.
//! All names are in [`catalogue`]. Label values are names of the configuration and words of
//! ours, never an address or what an application wrote.

pub mod catalogue;
mod family;
mod feedback;
mod intake;
mod queue;
mod relay;
mod send_port;
mod service;

use std::collections::BTreeMap;
use std::sync::Arc;

use prometheus::{Registry, TextEncoder};

use family::Maker;
pub use feedback::FeedbackMetrics;
pub use intake::IntakeMetrics;
pub use queue::{Depth, QueueMetrics};
pub use relay::RelayMetrics;
pub use send_port::SendPortMetrics;
pub use service::ServiceMetrics;

use sendport_delivery::observer::{SendPortObserver, WorkerActivity, WorkerObserver};

/// The content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics of one process.
pub struct Metrics {
    registry: Registry,
    /// Of the instance and its database.
    pub service: ServiceMetrics,
    /// Of the queue, as the database has it.
    pub queue: QueueMetrics,
    /// Of the reports of other mail systems.
    pub feedback: Arc<FeedbackMetrics>,
    send_ports: BTreeMap<String, Arc<SendPortMetrics>>,
    relays: BTreeMap<String, Arc<RelayMetrics>>,
    intakes: BTreeMap<String, Arc<IntakeMetrics>>,
}

impl Metrics {
    /// Everything at zero, for these send ports, relays, intakes and sources of feedback.
    pub fn new<'n>(
        send_ports: impl IntoIterator<Item = &'n str>,
        relays: impl IntoIterator<Item = &'n str>,
        intakes: impl IntoIterator<Item = &'n str>,
        sources: impl IntoIterator<Item = &'n str>,
    ) -> Self {
        let registry = Registry::new();
        let maker = Maker(&registry);
        let service = ServiceMetrics::new(&maker);
        let of_send_ports = send_port::Families::new(&maker);
        let send_ports = send_ports.into_iter();
        let send_ports = send_ports.map(|name| (name.to_owned(), Arc::new(of_send_ports.of(name))));
        let send_ports: BTreeMap<_, _> = send_ports.collect();
        let of_relays = relay::Families::new(&maker);
        let relays = relays.into_iter();
        let relays = relays.map(|name| (name.to_owned(), Arc::new(of_relays.of(name))));
        let of_intakes = intake::Families::new(&maker);
        let intakes = intakes.into_iter();
        let intakes = intakes.map(|name| (name.to_owned(), Arc::new(of_intakes.of(name))));
        Self {
            intakes: intakes.collect(),
            feedback: Arc::new(FeedbackMetrics::new(&maker, sources)),
            queue: QueueMetrics::new(&maker, send_ports.keys().cloned().collect()),
            relays: relays.collect(),
            send_ports,
            service,
            registry,
        }
    }

    /// The handles of a send port; `None` if it was not named at the start.
    pub fn send_port(&self, name: &str) -> Option<&Arc<SendPortMetrics>> {
        self.send_ports.get(name)
    }

    /// The handles of a relay; `None` if it was not named at the start.
    pub fn relay(&self, name: &str) -> Option<&Arc<RelayMetrics>> {
        self.relays.get(name)
    }

    /// The handles of an intake; `None` if it was not named at the start.
    pub fn intake(&self, name: &str) -> Option<&Arc<IntakeMetrics>> {
        self.intakes.get(name)
    }

    /// All of it in the text exposition format, sorted by name.
    pub fn render(&self) -> String {
        let families = self.registry.gather();
        let rendered = TextEncoder::new().encode_to_string(&families);
        rendered.unwrap_or_else(|error| format!("# {error}\n"))
    }
}

impl WorkerObserver for Metrics {
    fn record(&self, activity: WorkerActivity<'_>) {
        self.service.record(activity);
    }

    fn send_port(&self, name: &str) -> Option<Arc<dyn SendPortObserver>> {
        Some(self.send_ports.get(name)?.clone())
    }
}

#[cfg(test)]
mod tests;
