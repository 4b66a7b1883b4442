//! Requests for delivery status notifications (RFC 3461).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize, Serializer};

use super::RecipientDsn;
use super::alert::{UnknownWord, word_enum};

word_enum! {
    /// A case of `NOTIFY` (RFC 3461 section 4.1).
    pub enum NotifyOn {
        /// `SUCCESS`: the message reached the mailbox, or the last server that does DSN.
        Success = "success",
        /// `FAILURE`: the message is not delivered.
        Failure = "failure",
        /// `DELAY`: the message is late.
        Delay = "delay",
    }
}

word_enum! {
    /// How much of the message a notification contains: `RET` (RFC 3461 section 4.3).
    pub enum DsnReturn {
        /// `RET=HDRS`: its header.
        Headers = "headers",
        /// `RET=FULL`: all of it.
        Full = "full",
    }
}

word_enum! {
    /// What a delivery report says about a recipient: `Action` of RFC 3464 section 2.3.3.
    pub enum ReportAction {
        /// The message is not delivered, and nothing more is tried.
        Failed = "failed",
        /// The message is late, and is tried again.
        Delayed = "delayed",
        /// A relay accepted the message that sends no reports itself.
        Relayed = "relayed",
    }
}

impl ReportAction {
    /// The case of `NOTIFY` that asks for it (RFC 3461 section 4.1).
    pub fn requested_by(self) -> NotifyOn {
        match self {
            Self::Failed => NotifyOn::Failure,
            Self::Delayed => NotifyOn::Delay,
            Self::Relayed => NotifyOn::Success,
        }
    }
}

/// When a notification is sent (RFC 3461 section 4.1).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "WrittenNotify")]
pub enum Notify {
    /// `NOTIFY=NEVER`: not even after a failure.
    Never,
    /// In these cases, at least one.
    On(BTreeSet<NotifyOn>),
}

impl Notify {
    /// In every case.
    pub fn always() -> Self {
        Self::On(NotifyOn::ALL.iter().copied().collect())
    }

    /// In this case.
    pub fn includes(&self, case: NotifyOn) -> bool {
        matches!(self, Self::On(cases) if cases.contains(&case))
    }
}

/// As it is written in a configuration.
impl Serialize for Notify {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Never => serializer.serialize_str("never"),
            Self::On(cases) => cases.serialize(serializer),
        }
    }
}

/// In a configuration: `"never"`, or a list of cases.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected \"never\" or a list such as [\"failure\", \"delay\"]"
)]
enum WrittenNotify {
    Word(String),
    List(Vec<String>),
}

/// Why a configured value is no [`Notify`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotifyError {
    /// Another word than `never`.
    #[error("expected \"never\" or a list such as [\"failure\", \"delay\"], found \"{0}\"")]
    Word(String),
    /// The list has an unknown case.
    #[error(transparent)]
    Case(#[from] UnknownWord),
    /// The list is empty.
    #[error(
        "the list is empty: write \"never\" for no notification at all, or leave the key out to \
         leave it to the relay"
    )]
    Empty,
}

impl TryFrom<WrittenNotify> for Notify {
    type Error = NotifyError;

    fn try_from(written: WrittenNotify) -> Result<Self, NotifyError> {
        let on = match written {
            WrittenNotify::Word(word) if word == "never" => return Ok(Self::Never),
            WrittenNotify::Word(word) => return Err(NotifyError::Word(word)),
            WrittenNotify::List(words) => words,
        };
        let on: BTreeSet<NotifyOn> = on
            .iter()
            .map(|word| word.parse())
            .collect::<Result<_, _>>()?;
        if on.is_empty() {
            return Err(NotifyError::Empty);
        }
        Ok(Self::On(on))
    }
}

/// The request of one message, for a relay with `DSN`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DsnRequest {
    /// `ENVID` (RFC 3461 section 4.4) before its encoding; the notification contains it. Empty: none.
    pub envelope_id: String,
    /// `NOTIFY` of every recipient without its own; `None` leaves it to the relay.
    pub notify: Option<Notify>,
    /// `RET`; `None` leaves it to the relay.
    pub returns: Option<DsnReturn>,
    /// What the client that submitted the message asked for, by the ordinal of the recipient.
    pub recipients: BTreeMap<u32, RecipientDsn>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(written: &str) -> Result<Notify, String> {
        #[derive(Deserialize)]
        struct Section {
            key: Notify,
        }
        toml::from_str(&format!("key = {written}"))
            .map(|section: Section| section.key)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_word_or_a_list_is_understood_and_all_else_explained() {
        assert_eq!(read("'never'"), Ok(Notify::Never));
        assert_eq!(
            read("['success', 'failure', 'delay']"),
            Ok(Notify::always())
        );
        for (written, text) in [
            ("'always'", "expected \"never\" or a list"),
            ("[]", "the list is empty"),
            ("['bounce']", "'bounce' is none of: success, failure, delay"),
            ("1", "expected \"never\" or a list"),
        ] {
            let error = read(written).expect_err(written);
            assert!(error.contains(text), "{written}: {error}");
        }
    }
}
