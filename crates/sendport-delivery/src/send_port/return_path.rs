//! A reverse-path for each transaction, which proves the reports that come back to it.

use std::sync::Arc;
use std::time::Duration;

use sendport_core::domain::{Address, AlertId, AttemptKey, ReversePath, Timestamp};
use sendport_feedback::{Expiry, ReturnPath, ReturnPathError, Token, TokenError, TokenKeys};

/// Adds a token to the return path of a send port: `bounces@contoso.com` becomes `bounces+<token>@contoso.com`.
#[derive(Debug, Clone)]
pub struct ReturnPathTokens {
    path: ReturnPath,
    keys: Arc<TokenKeys>,
    valid_for: Duration,
    relays_without: Vec<String>,
}

impl ReturnPathTokens {
    /// For this return path. A token is valid for `valid_for`, to the end of that day in UTC. Transactions of
    /// `relays_without` keep the return path as it is.
    ///
    /// # Errors
    /// [`ReturnPathError`]: the address has no room for a token.
    pub fn new(
        return_path: &Address,
        keys: Arc<TokenKeys>,
        valid_for: Duration,
        relays_without: Vec<String>,
    ) -> Result<Self, ReturnPathError> {
        Ok(Self {
            path: with_detail(return_path)?,
            keys,
            valid_for,
            relays_without,
        })
    }

    /// The reverse-path of one transaction over a relay; `None` where this relay takes none with a token.
    ///
    /// # Errors
    /// [`TokenError`].
    pub(crate) fn reverse_path(
        &self,
        (alert, key): (AlertId, AttemptKey),
        relay: &str,
        now: Timestamp,
    ) -> Result<Option<ReversePath>, TokenError> {
        if self.relays_without.iter().any(|name| name == relay) {
            return Ok(None);
        }
        let token = self.keys.make(&Token {
            alert,
            attempt: key.random_half(),
            recipient: None,
            expires: Expiry::on(now + self.valid_for),
        })?;
        let address = self.path.address(&token).parse();
        Ok(address.ok().map(|address| ReversePath(Some(address))))
    }
}

/// The return path whose tokens follow the local part and a plus sign.
///
/// # Errors
/// [`ReturnPathError`]: the local part is too long, or not ASCII.
pub fn with_detail(return_path: &Address) -> Result<ReturnPath, ReturnPathError> {
    let prefix = format!("{}+", return_path.local_part());
    ReturnPath::new(&prefix, return_path.domain())
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use sendport_feedback::TokenKey;

    use super::*;

    fn tokens() -> ReturnPathTokens {
        let address: Address = "Bounces@contoso.com".parse().expect("an address");
        let key = TokenKey::new(&[7; 32]).expect("a key");
        let keys = Arc::new(TokenKeys::new(vec![key]).expect("keys"));
        let month = Duration::from_secs(30 * 24 * 3600);
        let without = vec!["office365".to_owned()];
        ReturnPathTokens::new(&address, keys, month, without).expect("room for a token")
    }

    #[test]
    fn a_reverse_path_names_its_transaction_until_it_expires() {
        let (tokens, now) = (tokens(), DateTime::UNIX_EPOCH);
        let key = AttemptKey::fresh();
        let made = tokens.reverse_path((AlertId(4711), key), "main", now);
        let path = made.expect("a token").expect("for this relay");
        let token = tokens.path.token_in(path.as_str()).expect("a token in it");
        let found = tokens.keys.verify(token, now).expect("ours");
        assert_eq!(
            (found.alert, found.attempt),
            (AlertId(4711), key.random_half())
        );
        let later = now + Duration::from_secs(31 * 24 * 3600);
        assert!(matches!(
            tokens.keys.verify(token, later),
            Err(TokenError::Expired(_))
        ));
    }

    #[test]
    fn a_relay_can_be_left_out() {
        let made = tokens().reverse_path(
            (AlertId(1), AttemptKey::fresh()),
            "office365",
            DateTime::UNIX_EPOCH,
        );
        assert_eq!(made.expect("no error"), None);
    }

    #[test]
    fn a_long_local_part_has_no_room() {
        let long: Address = "undeliverable@contoso.com".parse().expect("an address");
        assert!(with_detail(&long).is_err());
        let fits: Address = "ten-letter@contoso.com".parse().expect("an address");
        assert!(with_detail(&fits).is_ok());
    }
}
