//! The From that a send port lets an alert have.

use sendport_core::domain::{Address, Alert, Mailbox, parse_mailbox};
use sendport_message::received::from_field;

use super::{Refusal, SendPort};

impl SendPort {
    /// The From of an alert: its own where the send port allows it, else the send port's.
    ///
    /// # Errors
    /// The refusal that fails the alert.
    pub fn decide_from(&self, alert: &Alert) -> Result<Mailbox, Refusal> {
        let Some(written) = alert
            .from_address
            .as_deref()
            .filter(|from| !from.trim().is_empty())
        else {
            return Ok(self.from.clone());
        };
        let asked = parse_mailbox(written)
            .map_err(|error| Refusal::new("bad-from", format!("FromAddress: {error}")))?;
        if self.allows_from(&asked.address) {
            return Ok(asked);
        }
        Err(Refusal::new(
            "bad-from",
            format!(
                "FromAddress: the send port '{}' does not send as {}",
                self.name, asked.address
            ),
        ))
    }

    pub(super) fn allows_from(&self, asked: &Address) -> bool {
        asked.to_lowercase() == self.from.address.to_lowercase()
            || self.allow_from.iter().any(|rule| rule.allows(asked))
    }

    /// The address in From of a whole message, for which the send port may sign.
    pub(super) fn author_of(&self, message: &[u8]) -> Result<Address, Refusal> {
        let bad = |why: String| {
            let why = format!("From of the message: {why}");
            Refusal::new("bad-from", why)
        };
        let written = from_field(message).map_err(|why| bad(why.to_string()))?;
        let from = parse_mailbox(&written).map_err(|why| bad(why.to_string()))?;
        match self.allows_from(&from.address) {
            true => Ok(from.address),
            false => Err(bad(format!(
                "the send port '{}' does not sign or encrypt as {}; add it to allow_from",
                self.name, from.address
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_from_of_an_alert_needs_permission() {
        let asked = |extra: &str, from: &str| {
            SendPort::with_settings("p", &["d"], extra)
                .allows_from(&from.parse().expect("an address"))
        };
        assert!(asked("", "A@contoso.com"));
        assert!(!asked("", "boss@contoso.com"));
        assert!(asked("allow_from = ['@contoso.com']", "boss@Contoso.com"));
        assert!(!asked(
            "allow_from = ['@contoso.com']",
            "boss@evilcontoso.com"
        ));
    }
}
