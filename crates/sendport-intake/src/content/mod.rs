//! The content of a message, from the wire to what the database gets.
//!
//! `dot` (DATA) or the session (BDAT) cut it out of the connection, [`incoming`] checks and stores it, [`header`] reads
//! its header section, [`preface`] is what is added in front (RFC 6409 section 8).

pub(crate) mod dot;
pub(crate) mod header;
pub(crate) mod incoming;
mod line_ends;
pub(crate) mod memory;
pub(crate) mod preface;
pub(crate) mod recipients;
mod storage;

#[cfg(test)]
mod tests;
