//! Whole messages that programs on this host hand over without SMTP.
//!
//! A message is a file: `envelope_fields` at its top (`X-Sender`, `X-Receiver`), then its header section and its body.
//! `byte_order_mark` is left out, `crlf` makes its line ends those of the network, `header_addresses` completes names without a domain and reads an
//! envelope from the header section. `deposit` writes such a file into the folder of an intake.

pub(crate) mod byte_order_mark;
pub(crate) mod crlf;
mod deposit;
pub(crate) mod envelope_fields;
pub(crate) mod header_addresses;

pub use byte_order_mark::{Utf16, without_byte_order_mark};
pub use deposit::{Deposit, Envelope, TEMPORARY_SUFFIX};
pub use header_addresses::{HeaderAddressError, header_recipients};

/// How the name of a message file ends, in any case.
pub const FILE_SUFFIX: &str = ".eml";
