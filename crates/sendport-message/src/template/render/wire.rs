//! What service and render worker say to each other: JSON, each after its length in four bytes
//! (big-endian).

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::template::RenderError;
use crate::template::sample::sample_alert;
use crate::template::source::Content;
use sendport_core::domain::{Alert, AlertId, PublicId, Timestamp};

/// A longer message is none, in bytes.
pub(super) const LONGEST: u32 = 1 << 30;

/// Compile templates, or render an alert with them.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request<'a> {
    /// Which templates.
    pub(super) source: u64,
    /// Their text, where this worker does not have them yet.
    pub(super) content: Option<Cow<'a, Content>>,
    /// Templates that are not asked for any more.
    pub(super) forget: Option<u64>,
    /// Compile only, where there is none.
    pub(super) alert: Option<Data<'a>>,
}

/// The answer, and what it took of a processor.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) reply: Reply,
    pub(super) spent: Duration,
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    /// Or a sentence that says why not.
    Compiled(Result<(), String>),
    Rendered(Result<Parts, RenderError>),
}

/// What a template made.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Parts {
    pub(super) subject: String,
    pub(super) text: Option<String>,
    pub(super) html: Option<String>,
    pub(super) version: Option<String>,
}

/// What a template may know of an alert.
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
    /// Of the wall clock from UTC, in seconds.
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

    /// An alert that says this, and of the rest what a sample says.
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
