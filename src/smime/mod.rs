//! Protection (RFC 8551): the one room that may call a message secured.
//!
//! In comes a [`Message`], out goes a [`SecuredMessage`], or nothing: what a send port or an
//! alert asks for is given in full or the alert fails.

use serde::{Deserialize, Serialize};

use crate::domain::{Message, SecuredMessage};

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

    fn signs(self) -> bool {
        matches!(self, Self::Sign | Self::SignEncrypt)
    }

    fn encrypts(self) -> bool {
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

/// The protection that was asked for cannot be given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("protection '{}' is asked for, but this version of sendport cannot {} messages yet; nothing was sent", .wanted.as_str(), .wanted.as_str())]
pub struct NotAvailable {
    /// What was asked for.
    pub wanted: Protection,
}

/// Secures a message.
///
/// # Errors
/// [`NotAvailable`]: nothing may be sent then.
pub fn secure(message: Message, wanted: Protection) -> Result<SecuredMessage, NotAvailable> {
    match wanted {
        Protection::None => Ok(SecuredMessage::vouch_for(
            message.message_id,
            message.octets,
            wanted.as_str(),
        )),
        wanted => Err(NotAvailable { wanted }),
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

    #[test]
    fn what_cannot_be_protected_is_not_passed_on() {
        let message = Message {
            message_id: "<1@x>".into(),
            octets: b"Subject: x\r\n\r\n".to_vec(),
        };
        assert!(secure(message.clone(), Protection::Sign).is_err());
        assert_eq!(
            secure(message, Protection::None).unwrap().protection(),
            "none"
        );
    }
}
