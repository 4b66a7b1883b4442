//! Of the sources of feedback: reports, and the bounces in them.

use prometheus::IntCounterVec;
use sendport_core::domain::{BounceClass, Feedback, FeedbackKind};

use super::catalogue as c;
use super::family::Maker;

/// The classes of bounces; an automatic reply is none.
const CLASSES: [BounceClass; 6] = [
    BounceClass::Hard,
    BounceClass::Soft,
    BounceClass::Blocked,
    BounceClass::Quota,
    BounceClass::Policy,
    BounceClass::Spam,
];

/// All sources'.
pub struct FeedbackMetrics {
    reports: IntCounterVec,
    bounces: IntCounterVec,
}

impl FeedbackMetrics {
    /// Everything that a rule may ask for before the first report is at zero.
    pub(super) fn new<'n>(maker: &Maker<'_>, sources: impl IntoIterator<Item = &'n str>) -> Self {
        let new = Self {
            reports: maker.counter(&c::FEEDBACK_REPORTS),
            bounces: maker.counter(&c::FEEDBACK_BOUNCES),
        };
        for source in sources {
            let kind = FeedbackKind::DeliveryStatus.as_str();
            for labels in [
                [source, kind, "matched"],
                [source, kind, "unmatched"],
                [source, "other", "unreadable"],
            ] {
                new.reports.with_label_values(&labels);
            }
            for class in CLASSES {
                new.bounces.with_label_values(&[source, class.as_str()]);
            }
        }
        new
    }

    /// A report is recorded of the transaction that it proves to be about.
    pub fn matched(&self, source: &str, feedback: &Feedback) {
        self.count(source, feedback.kind.as_str(), "matched");
        for reported in feedback
            .recipients
            .iter()
            .filter(|it| it.outcome.is_failure())
        {
            let class = reported.class.map_or("unknown", |it| it.as_str());
            self.bounces.with_label_values(&[source, class]).inc();
        }
    }

    /// A report is recorded, and proves nothing.
    pub fn unmatched(&self, source: &str, feedback: &Feedback) {
        self.count(source, feedback.kind.as_str(), "unmatched");
    }

    /// A report was moved to the folder `badmail`.
    pub fn unreadable(&self, source: &str) {
        self.count(source, "other", "unreadable");
    }

    fn count(&self, source: &str, kind: &str, result: &str) {
        self.reports
            .with_label_values(&[source, kind, result])
            .inc();
    }
}
