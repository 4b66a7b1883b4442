//! The relays of one instance: which one can be asked now, and what follows from its answer.
//!
//! In come the relays and the reports of submissions, and from the worker this instance's share of
//! the limits. Out goes the right to submit one message, or how long to wait. How much may be asked of
//! one relay is counted by [`sendport_smtp::relay::limits`].

pub(crate) mod circuit;
pub(crate) mod domains;
pub(crate) mod entry;
pub(crate) mod events;
mod limited_alerts;
pub(crate) mod registry;
pub(crate) mod reports;
pub(crate) mod verdict;

pub use entry::StartReservation;
pub use registry::{RelayRegistry, RelayUsage};
