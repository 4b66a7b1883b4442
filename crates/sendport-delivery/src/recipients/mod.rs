//! The recipients of one alert while it is worked on.
//!
//! In come the alert, the rules of its send port and the reports of submissions. Out goes a
//! [`Decision`](sendport_core::domain::Decision) about every recipient.

pub(crate) mod reach;
pub(crate) mod receipt;
pub(crate) mod recipient_set;
mod redirect;
