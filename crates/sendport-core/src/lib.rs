//! What an alert, a recipient, a reply and an attempt are, and the rules over them.
//!
//! The bottom of the program: every other crate depends on this one. Nothing here waits, and nothing
//! does I/O beside the clock, files of the configuration, files that alerts name, and
//! the temporary file of a long received message.

#[cfg(test)]
extern crate self as sendport_core;

pub mod byte_size;
pub mod clock;
pub mod delivery_window;
pub mod domain;
pub mod file_beneath;
pub mod file_watch;
#[cfg(test)]
#[path = "../../../tests/support/fixture.rs"]
mod fixture;
pub mod header_fields;
pub mod problem;
pub mod received_content;
pub mod regular_file;
pub mod replies;
pub mod retry;
pub mod secret;
pub mod secret_source;
