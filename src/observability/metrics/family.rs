//! Metrics of the catalogue, created and registered. A caller that counts often keeps a handle, so
//! counting is one atomic addition.

use prometheus::core::Collector;
use prometheus::{
    GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

use super::catalogue::{Definition, Kind};

/// Makes families and registers them.
pub(super) struct Maker<'r>(pub(super) &'r Registry);

impl Maker<'_> {
    pub(super) fn counter(&self, of: &Definition) -> IntCounterVec {
        self.register(IntCounterVec::new(options(of), of.labels))
    }

    pub(super) fn gauge(&self, of: &Definition) -> IntGaugeVec {
        self.register(IntGaugeVec::new(options(of), of.labels))
    }

    /// A gauge of fractions.
    pub(super) fn fraction(&self, of: &Definition) -> GaugeVec {
        self.register(GaugeVec::new(options(of), of.labels))
    }

    pub(super) fn histogram(&self, of: &Definition) -> HistogramVec {
        let Kind::Histogram(bounds) = of.kind else {
            return self.register(Err(prometheus::Error::Msg("no histogram".to_owned())));
        };
        let options = HistogramOpts::from(options(of)).buckets(bounds.to_vec());
        self.register(HistogramVec::new(options, of.labels))
    }

    pub(super) fn one_counter(&self, of: &Definition) -> IntCounter {
        self.counter(of).with_label_values::<&str>(&[])
    }

    pub(super) fn one_gauge(&self, of: &Definition) -> IntGauge {
        self.gauge(of).with_label_values::<&str>(&[])
    }

    /// # Panics
    /// Never in a program that passed its tests: the catalogue is part of it.
    #[expect(clippy::expect_used, reason = "compiled in, and made by a test")]
    fn register<C: Collector + Clone + 'static>(&self, made: prometheus::Result<C>) -> C {
        let made = made.expect("a usable definition");
        let registered = self.0.register(Box::new(made.clone()));
        registered.expect("a name that is used once");
        made
    }
}

fn options(of: &Definition) -> Opts {
    Opts::new(of.name, of.help)
}

/// The handle for one label.
pub(super) fn timer(of: &HistogramVec, label: &str) -> Histogram {
    of.with_label_values(&[label])
}
