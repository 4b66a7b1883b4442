//! How much is done to a message.

use serde::{Deserialize, Serialize};

/// What is done to a message before it is submitted. Ordered by strength.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Protection {
    /// Nothing.
    #[default]
    #[serde(rename = "none")]
    None,
    /// A signature.
    #[serde(rename = "sign")]
    Sign,
    /// An envelope.
    #[serde(rename = "encrypt")]
    Encrypt,
    /// A signature inside an envelope.
    #[serde(rename = "sign+encrypt")]
    SignEncrypt,
}

impl Protection {
    /// The word as it stands in the database and in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Sign => "sign",
            Self::Encrypt => "encrypt",
            Self::SignEncrypt => "sign+encrypt",
        }
    }

    /// At least both: an alert can ask for more than its send port, never for less.
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

    /// The same without an envelope.
    #[must_use]
    pub fn without_envelope(self) -> Self {
        match self.signs() {
            true => Self::Sign,
            false => Self::None,
        }
    }

    /// A signature is part of it.
    pub fn signs(self) -> bool {
        matches!(self, Self::Sign | Self::SignEncrypt)
    }

    /// An envelope is part of it.
    pub fn encrypts(self) -> bool {
        matches!(self, Self::Encrypt | Self::SignEncrypt)
    }
}

impl std::str::FromStr for Protection {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::None, Self::Sign, Self::Encrypt, Self::SignEncrypt]
            .into_iter()
            .find(|value| value.as_str().eq_ignore_ascii_case(text.trim()))
            .ok_or_else(|| {
                format!(
                    "'{}' is none of: none, sign, encrypt, sign+encrypt",
                    text.trim()
                )
            })
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
