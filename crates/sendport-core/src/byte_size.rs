//! Lengths such as `10MB`.

use std::fmt;

use serde::{Deserialize, Serialize};

const UNITS: &[(&str, u64)] = &[
    ("KIB", 1 << 10),
    ("MIB", 1 << 20),
    ("GIB", 1 << 30),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("B", 1),
];

/// A number of bytes: `500KB`, `10MB` (1000 x 1000), `25MiB` (1024 x 1024).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize(pub u64);

/// The text is no length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a length such as \"500KB\", \"10MB\" or \"25MiB\", found \"{0}\"")]
pub struct NotAByteSize(String);

impl TryFrom<String> for ByteSize {
    type Error = NotAByteSize;

    fn try_from(text: String) -> Result<Self, NotAByteSize> {
        parse(&text).map(Self).ok_or(NotAByteSize(text))
    }
}

fn parse(text: &str) -> Option<u64> {
    let upper = text.trim().to_ascii_uppercase();
    let (number, unit) = UNITS
        .iter()
        .find_map(|(unit, bytes)| Some((upper.strip_suffix(unit)?, bytes)))?;
    number.trim().parse::<u64>().ok()?.checked_mul(*unit)
}

impl From<ByteSize> for String {
    fn from(value: ByteSize) -> Self {
        value.to_string()
    }
}

/// In the largest unit that leaves no rest.
impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [
            (1_000_000_000, "GB"),
            (1 << 30, "GiB"),
            (1_000_000, "MB"),
            (1 << 20, "MiB"),
            (1_000, "KB"),
            (1 << 10, "KiB"),
            (1, "B"),
        ];
        let fits = |(bytes, _): &(u64, _)| self.0 >= *bytes && self.0.is_multiple_of(*bytes);
        let (bytes, unit) = units.into_iter().find(fits).unwrap_or((1, "B"));
        write!(f, "{}{unit}", self.0 / bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_shown() {
        for (text, bytes) in [
            ("0B", 0),
            ("500KB", 500_000),
            ("10 mb", 10_000_000),
            ("25MiB", 26_214_400),
        ] {
            let size = ByteSize::try_from(text.to_owned()).unwrap();
            assert_eq!(size.0, bytes);
            let shown = size.to_string();
            assert_eq!(ByteSize::try_from(shown).unwrap(), size);
        }
        assert_eq!(ByteSize(26_214_400).to_string(), "25MiB");
    }

    #[test]
    fn an_invalid_size_is_refused_with_an_example() {
        for text in ["", "10", "MB", "-1MB", "1.5MB", "99999999999GB", "10 Mbit"] {
            let error = ByteSize::try_from(text.to_owned()).unwrap_err().to_string();
            assert!(error.contains("\"10MB\"") && error.ends_with(&format!("found \"{text}\"")));
        }
    }
}
