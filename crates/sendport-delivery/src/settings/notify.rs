//! Keys `notify_...` of `[send_port.<name>]`: recipients and interval of failure digests.

use std::fmt;
use std::time::Duration;

use sendport_core::domain::{Address, AddressError, Mailbox, parse_address_list};
use sendport_core::problem::Problem;
use serde::{Deserialize, Serialize};

/// Default interval of digests.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// Shortest interval: a shorter one would send an email for each failure.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
/// Longest interval: a digest reports failures of the last day.
const LONGEST_INTERVAL: Duration = Duration::from_secs(12 * 3600);

/// Recipients of failure digests: at least one, written as a list with `;` or `,`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct DigestRecipients(Vec<Mailbox>);

/// A text is no list of recipients.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestRecipientsError {
    /// It is empty.
    #[error("it contains no address; leave it out to send no digests")]
    Empty,
    /// An entry is no mailbox.
    #[error("{0}; write addresses, separated by ';'")]
    Malformed(#[from] AddressError),
}

impl DigestRecipients {
    /// The addresses, in order.
    pub fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.0.iter().map(|mailbox| &mailbox.address)
    }
}

impl TryFrom<String> for DigestRecipients {
    type Error = DigestRecipientsError;

    fn try_from(text: String) -> Result<Self, DigestRecipientsError> {
        let mailboxes: Vec<_> = parse_address_list(&text)
            .into_iter()
            .collect::<Result<_, _>>()?;
        match mailboxes.is_empty() {
            true => Err(DigestRecipientsError::Empty),
            false => Ok(Self(mailboxes)),
        }
    }
}

impl From<DigestRecipients> for String {
    fn from(recipients: DigestRecipients) -> Self {
        recipients.to_string()
    }
}

/// As an alert's column has it.
impl fmt::Display for DigestRecipients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let written: Vec<_> = self.0.iter().map(Mailbox::to_string).collect();
        f.write_str(&written.join("; "))
    }
}

/// What is wrong with `notify_interval` of the send port `port`.
pub fn problem(port: &str, interval: Duration) -> Option<Problem> {
    let is_usable = (SHORTEST_INTERVAL..=LONGEST_INTERVAL).contains(&interval);
    (!is_usable).then(|| Problem {
        key: format!("{port}.notify_interval"),
        what: "it is not between 1s and 12h; write for example \"5m\"".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_has_to_be_an_address() {
        let read = |text: &str| DigestRecipients::try_from(text.to_owned());
        let output = |text: &str| read(text).unwrap_err().to_string();
        let two = read("ops@contoso.com, \"On call\" <b@contoso.com>").unwrap();
        assert_eq!(two.to_string(), "ops@contoso.com; On call <b@contoso.com>");
        assert_eq!(
            output("ops@contoso.com; oncall"),
            "'oncall' is not a mail address: there is no '@'; write addresses, separated by ';'"
        );
        assert_eq!(
            output(" ; "),
            "it contains no address; leave it out to send no digests"
        );
    }

    #[test]
    fn refuses_an_interval_that_is_too_short_or_too_long() {
        assert_eq!(problem("send_port.p", DEFAULT_INTERVAL), None);
        for interval in [Duration::ZERO, Duration::from_secs(24 * 3600)] {
            let found = problem("send_port.p", interval).unwrap();
            assert!(found.what.contains("between 1s and 12h"), "{found}");
        }
    }
}
