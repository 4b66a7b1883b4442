//! Messages between service and render worker: JSON, each after its length in four bytes (big-endian).

use std::borrow::Cow;
use std::time::Duration;

use sendport_core::domain::{Alert, AlertId, PublicId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::template::RenderError;
use crate::template::sample::sample_alert;
use crate::template::source::Content;

/// Longest message, in bytes.
pub(super) const LONGEST: u32 = 1 << 30;

/// A request to compile templates or to render an alert.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request<'a> {
    /// The templates.
    pub(super) source: u64,
    /// Their text, unless the worker has them.
    pub(super) content: Option<Cow<'a, Content>>,
    /// Templates that the worker drops.
    pub(super) forget: Option<u64>,
    /// The alert; `None` to compile only.
    pub(super) alert: Option<Data<'a>>,
}

/// The answer with its CPU time.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) reply: Reply,
    pub(super) spent: Duration,
}

/// Result of a request.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    /// Or why not, in a sentence.
    Compiled(Result<(), String>),
    Rendered(Result<Parts, RenderError>),
}

/// The output of a template.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Parts {
    pub(super) subject: String,
    pub(super) text: Option<String>,
    pub(super) html: Option<String>,
    pub(super) version: Option<String>,
}

/// The columns of an alert that a template may use.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Data<'a> {
    id: AlertId,
    public_id: PublicId,
    template: Text<'a>,
    payload: Text<'a>,
    language: Text<'a>,
    name: Text<'a>,
    severity: Text<'a>,
    source: Text<'a>,
    reference: Text<'a>,
    subject: Text<'a>,
    body: Text<'a>,
    created_at: Timestamp,
    created_by: Cow<'a, str>,
    /// Offset of local time from UTC, in seconds.
    pub(super) offset: i32,
}

type Text<'a> = Option<Cow<'a, str>>;

impl<'a> Data<'a> {
    pub(super) fn of(alert: &'a Alert, offset: i32) -> Self {
        let text = |column: &'a Option<String>| column.as_deref().map(Cow::Borrowed);
        Self {
            id: alert.id,
            public_id: alert.public_id,
            template: text(&alert.template),
            payload: text(&alert.payload),
            language: text(&alert.language),
            name: text(&alert.alert_name),
            severity: text(&alert.severity),
            source: text(&alert.source),
            reference: text(&alert.reference),
            subject: text(&alert.subject),
            body: text(&alert.body),
            created_at: alert.created_at,
            created_by: Cow::Borrowed(&alert.created_by),
            offset,
        }
    }

    /// An alert with these columns and sample values for the others.
    pub(super) fn into_alert(self) -> Alert {
        let text = |column: Text<'a>| column.map(Cow::into_owned);
        Alert {
            id: self.id,
            public_id: self.public_id,
            template: text(self.template),
            payload: text(self.payload),
            language: text(self.language),
            alert_name: text(self.name),
            severity: text(self.severity),
            source: text(self.source),
            reference: text(self.reference),
            subject: text(self.subject),
            body: text(self.body),
            created_at: self.created_at,
            created_by: self.created_by.into_owned(),
            ..sample_alert("", "", None)
        }
    }
}
