//! What is wrong with a setting.

use std::fmt;

/// A problem that has to be corrected before the service starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key, as it is written in the file.
    pub key: String,
    /// What is wrong and what to write instead.
    pub what: String,
}

impl Problem {
    /// A problem of the setting `key`.
    pub fn new(key: impl Into<String>, what: impl fmt::Display) -> Self {
        Self {
            key: key.into(),
            what: what.to_string(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.what)
    }
}
