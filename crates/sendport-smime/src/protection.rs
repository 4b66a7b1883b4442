//! The protection of a message: signature, encryption, both or neither.

use serde::{Deserialize, Serialize};

use super::error::UnknownWord;

/// The protection that a message gets before it is submitted. Ordered by strength.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Protection {
    /// Neither.
    #[default]
    #[serde(rename = "none")]
    None,
    /// A signature.
    #[serde(rename = "sign")]
    Sign,
    /// Encryption.
    #[serde(rename = "encrypt")]
    Encrypt,
    /// A signature inside the encrypted envelope.
    #[serde(rename = "sign+encrypt")]
    SignEncrypt,
}

impl Protection {
    /// The word in the configuration and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Sign => "sign",
            Self::Encrypt => "encrypt",
            Self::SignEncrypt => "sign+encrypt",
        }
    }

    /// The stronger of both in each respect: an alert can ask for more than its send port, never
    /// for less.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let signs = self.signs() || other.signs();
        let encrypts = self.encrypts() || other.encrypts();
        match (signs, encrypts) {
            (false, false) => Self::None,
            (true, false) => Self::Sign,
            (false, true) => Self::Encrypt,
            (true, true) => Self::SignEncrypt,
        }
    }

    /// The same without encryption.
    #[must_use]
    pub fn without_envelope(self) -> Self {
        match self.signs() {
            true => Self::Sign,
            false => Self::None,
        }
    }

    /// It includes a signature.
    pub fn signs(self) -> bool {
        matches!(self, Self::Sign | Self::SignEncrypt)
    }

    /// It includes encryption.
    pub fn encrypts(self) -> bool {
        matches!(self, Self::Encrypt | Self::SignEncrypt)
    }
}

impl std::str::FromStr for Protection {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let known = [Self::None, Self::Sign, Self::Encrypt, Self::SignEncrypt];
        let text = text.trim().to_ascii_lowercase();
        UnknownWord::find("protection", &text, &known, Self::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_can_ask_for_more_than_its_send_port_and_never_for_less() {
        assert_eq!(Protection::Sign.and(Protection::None), Protection::Sign);
        assert_eq!(
            Protection::Sign.and(Protection::Encrypt),
            Protection::SignEncrypt
        );
        assert_eq!(
            Protection::None.and(Protection::Encrypt),
            Protection::Encrypt
        );
    }
}
