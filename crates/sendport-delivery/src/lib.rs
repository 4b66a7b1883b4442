//! From a due alert to the status of every recipient.
//!
//! In come the traits of [`sendport_store`], the relays as [`sendport_smtp::relay::Relay`], the send ports and
//! the settings of the service. Out go mail transactions, and [`Outcome`](sendport_core::domain::Outcome)s in
//! the database.
//!
//! | module | purpose |
//! |---|---|
//! | [`worker`] | one instance: claims, leases, records, sweeps, recovers |
//! | [`dispatcher`] | one leased alert: render, build, secure, submit, decide |
//! | `recipients` | the status of each recipient of an alert |
//! | [`relays`] | which relay can be asked now: circuits, limits |
//! | [`protection`] | which recipients can share an encrypted message, and their certificates |
//! | [`send_port`] | how to send, and what an alert may ask of it |
//! | [`settings`] | `[send_port.<name>]` of the configuration |
//! | [`audit`] | copies of what is submitted |
//! | [`observer`] | what metrics record of it |
//! | [`digest`] | the alert that reports failures |
//! | [`delivery_report`] | the report to the sender of a submitted message |

pub mod audit;
mod compose_error;
pub mod delivery_report;
pub mod digest;
pub mod dispatcher;
pub mod observer;
pub mod protection;
pub(crate) mod recipients;
pub mod relays;
pub mod send_port;
pub mod settings;
pub mod worker;

#[cfg(test)]
#[path = "../../../tests/support/fixture.rs"]
mod fixture;

pub use compose_error::ComposeError;
