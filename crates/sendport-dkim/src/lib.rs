//! DKIM signatures (RFC 6376): a domain takes responsibility for a message.
//!
//! [`DkimKeys`] are the keys of a send port. Their signatures go in front of a message that nobody changes afterwards.

mod key;
mod key_file;
mod keys;
mod settings;

pub use key::{KeyError, PrivateKey};
pub use keys::{DkimKeys, KeyFileError, PublishedKey, SignError};
pub use settings::DkimConfig;
