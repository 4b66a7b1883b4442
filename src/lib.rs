//! The send port that a SQL Server database is missing.
//!
//! An application inserts a row into an alert table, inside its own transaction. A service
//! beside the database claims the row, renders the message, submits it to an SMTP relay, and
//! writes back what happened to every single recipient.
//!
//! The pipeline: `Lease<Alert>` → `RenderedAlert` → `Message` → `SecuredMessage` →
//! `SubmissionReport` → `Outcome`.

pub mod app;
pub mod audit;
pub mod certificate_monitor;
pub mod cli;
pub mod config;
pub mod digest;
pub mod dispatcher;
pub mod driver;
#[cfg(test)]
#[path = "../tests/support/fixture.rs"]
mod fixture;
pub mod http;
pub mod http_client;
pub mod ldap;
pub mod metrics;
pub mod mime;
#[cfg(test)]
#[path = "../tests/support/not_run.rs"]
mod not_run;
pub mod oauth2;
pub mod probe;
pub mod relay;
pub mod send_port;
pub mod service_manager;
pub mod sink;
pub mod smime;
pub mod smtp;
pub mod spool;
pub mod store;
pub mod telemetry;
pub mod template;
pub mod watch;

pub use sendport_core::{
    byte_size, clock, delivery_window, domain, replies, retry, secret, secret_source,
};
