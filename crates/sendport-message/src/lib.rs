//! From an alert to a message: templates (alert → `RenderedAlert`) and MIME (`RenderedAlert` →
//! `Message`); messages that come whole (`received`), and reports about them (`delivery_report`).

pub mod delivery_report;
#[cfg(test)]
#[path = "../../../tests/support/fixture.rs"]
mod fixture;
pub mod header_recipients;
pub mod mime;
#[cfg(test)]
#[path = "../../../tests/support/not_run.rs"]
mod not_run;
pub mod received;
pub mod template;
