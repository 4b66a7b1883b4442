//! What a check finds: a line each for people, one document for programs.

use std::fmt::Display;

use serde::Serialize;

use super::terminal::{Paint, painted};
use super::{Failure, print_json, progress, say};

/// The findings, and the first failure: it makes the exit code.
#[derive(Default)]
pub(super) struct Findings {
    json: bool,
    found: Vec<Finding>,
    first: Option<Failure>,
}

/// One of them.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Finding {
    result: Grade,
    what: String,
    text: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Grade {
    Ok,
    Note,
    Fail,
}

impl Grade {
    /// As wide as the others.
    fn shown(self) -> String {
        match self {
            Self::Ok => painted(Paint::Good, "ok") + "  ",
            Self::Note => painted(Paint::Notice, "note"),
            Self::Fail => painted(Paint::Bad, "FAIL"),
        }
    }
}

/// For programs.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    failed: usize,
    findings: Vec<Finding>,
}

impl Findings {
    /// Each is said as it is found, or all of them at the end as JSON.
    pub(super) fn new(json: bool) -> Self {
        Self {
            json,
            ..Self::default()
        }
    }

    pub(super) fn ok(&mut self, what: &str, found: impl Display) {
        self.add(Grade::Ok, what, &found);
    }

    pub(super) fn note(&mut self, what: &str, found: impl Display) {
        self.add(Grade::Note, what, &found);
    }

    pub(super) fn fail(&mut self, what: &str, failure: Failure) {
        self.add(Grade::Fail, what, &failure);
        self.first.get_or_insert(failure);
    }

    /// A failure that names its key itself.
    pub(super) fn refuse(&mut self, failure: Failure) {
        let whole = failure.to_string();
        let (what, text) = whole.split_once(": ").unwrap_or(("configuration", &whole));
        self.add(Grade::Fail, what, &text);
        self.first.get_or_insert(failure);
    }

    fn add(&mut self, result: Grade, what: &str, found: &dyn Display) {
        if !self.json {
            say(format_args!("{}  {what}: {found}", result.shown()));
        }
        self.found.push(Finding {
            result,
            what: what.to_owned(),
            text: found.to_string(),
        });
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.found.len()
    }

    /// How many failed.
    pub(super) fn failed(&self) -> usize {
        let failed = |it: &&Finding| it.result == Grade::Fail;
        self.found.iter().filter(failed).count()
    }

    /// For a document that has more than them.
    pub(super) fn into_list(self) -> Vec<Finding> {
        self.found
    }

    /// Says `fine`, or fails with `summary` and the exit code of the first failure.
    pub(super) fn end(self, fine: &str, summary: String) -> Result<(), Failure> {
        let failed = self.failed();
        let summary = summary + &progress::took();
        if self.json {
            let findings = self.found;
            print_json(&Document { failed, findings })?;
        } else if self.first.is_none() {
            say(format_args!("{fine}{}", progress::took()));
        }
        match self.first {
            None => Ok(()),
            Some(Failure::Config(_)) => Err(Failure::Config(summary)),
            Some(Failure::Store(_) | Failure::Database(_)) => Err(Failure::Database(summary)),
            Some(_) => Err(Failure::Other(summary)),
        }
    }
}
