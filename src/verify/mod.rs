//! Proof that a database can be the queue: two simulated instances compete for alerts while an application holds locks,
//! and the rules of the store are tried. The result is a [`Report`].
//!
//! Everything goes through the traits of a store, so the same proof runs on every engine. What only one engine can
//! measure, the composition root adds as findings.

mod purge;
mod rates;
mod rules;
mod simulation;

use std::fmt::Display;

use sendport_store::{StoreError, StoreErrorKind};
use serde::Serialize;

pub use purge::{PurgeRun, purge_all};
pub use rates::{Rate, measure_rates};
pub use rules::try_rules;
pub use simulation::{Contention, insert_alerts};

/// What a finding says of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// As it must be.
    Ok,
    /// The service cannot run on it.
    Fail,
    /// A right or a feature is missing, so nothing is known.
    NotMeasured,
    /// A figure or a property.
    Fact,
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Finding {
    /// What it says of the database.
    pub result: Grade,
    /// What was looked at.
    pub what: String,
    /// What was found.
    pub text: String,
}

/// The whole proof.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Report {
    /// In the order in which they were found.
    pub findings: Vec<Finding>,
    /// Claims and records by size of the batch.
    pub rates: Vec<Rate>,
}

impl Report {
    /// Adds a finding.
    pub fn add(&mut self, result: Grade, what: &str, text: impl Display) {
        self.findings.push(Finding {
            result,
            what: what.to_owned(),
            text: text.to_string(),
        });
    }

    /// Adds what was measured, or why it was not.
    pub fn add_measured(&mut self, what: &str, measured: Result<(Grade, String), StoreError>) {
        match measured {
            Ok((grade, text)) => self.add(grade, what, text),
            Err(error) if error.kind() == StoreErrorKind::Schema => {
                self.add(Grade::NotMeasured, what, "this engine does not measure it");
            }
            Err(error) => self.add(Grade::NotMeasured, what, error),
        }
    }

    /// Whether a rule is broken.
    pub fn has_failed(&self) -> bool {
        self.of(Grade::Fail).next().is_some()
    }

    /// Fit or not, with reasons, in one line.
    pub fn verdict(&self) -> String {
        let named = |grade| {
            let names: Vec<_> = self.of(grade).map(|it| it.what.as_str()).collect();
            names.join(", ")
        };
        let (failed, unknown) = (named(Grade::Fail), named(Grade::NotMeasured));
        match (failed.as_str(), unknown.as_str()) {
            ("", "") => "fit".to_owned(),
            ("", unknown) => format!("nothing failed; not measured: {unknown}"),
            (failed, "") => format!("not fit: {failed}"),
            (failed, unknown) => format!("not fit: {failed}; not measured: {unknown}"),
        }
    }

    fn of(&self, grade: Grade) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |it| it.result == grade)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_complete_measurement_without_a_failure_is_fit() {
        let mut report = Report::default();
        report.add(Grade::Fact, "server", "any");
        report.add(Grade::Ok, "claims", "none twice");
        assert_eq!(report.verdict(), "fit");
        report.add(Grade::NotMeasured, "plans", "VIEW SERVER STATE is missing");
        assert_eq!(report.verdict(), "nothing failed; not measured: plans");
        assert!(!report.has_failed());
        report.add(Grade::Fail, "take-over", "it was not taken over");
        assert_eq!(report.verdict(), "not fit: take-over; not measured: plans");
        assert!(report.has_failed());
    }
}
