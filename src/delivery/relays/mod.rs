//! The relays of one instance: which one can be asked now, and what follows from its answer.
//!
//! In come the relays and the reports of submissions; what other instances share comes in from the
//! worker. Out goes the right to submit one message, or how long to wait. How much may be asked of
//! one relay is counted by [`crate::relay::limits`].

pub(crate) mod circuit;
pub(crate) mod entry;
pub(crate) mod events;
mod limited_alerts;
pub(crate) mod registry;
mod sharing;
pub(crate) mod verdict;

pub use entry::StartReservation;
pub use registry::RelayRegistry;
