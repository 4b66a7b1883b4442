//! Send ports and relays from the settings of another product.
//!
//! Each source has a module: it reads what the product exported, and makes an [`ImportedConfig`]. That is
//! written as a configuration of this program, with the list of what it could not carry over. Passwords are
//! never read: a source that contains one is read without it.

pub mod biztalk;
mod carry;
pub mod dbmail;
mod document;
mod names;
mod source_text;

pub use carry::{Finding, ImportedConfig, ImportedPort, ImportedRelay, RelayLogin};
pub use source_text::{SourceTextError, decode};
