//! The return path of one transaction: `bounces+<token>@domain`.
//!
//! Recipients see ENVID, Message-ID and Return-Path, and whoever sees them can write a report. A token says, under a key
//! that only the service has, which transaction the report is about and until when: a report without one proves nothing,
//! and one with it proves something about the recipients of that transaction alone.
//!
//! A token is, in lower-case base32 (RFC 4648 section 6) without padding:
//!
//! | bytes | |
//! |---|---|
//! | 1 | which key |
//! | 2 | the last day on which it is valid, since 1970-01-01 |
//! | 1 to 9 | the alert's id |
//! | 8 | the attempt: the random half of its key |
//! | 1 to 3 | the ordinal of the recipient and 1; 0 for all of the transaction |
//! | 10 | HMAC-SHA-256 of all of that, cut (RFC 2104 section 5) |

use data_encoding::BASE32_NOPAD;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;
use sendport_core::domain::{AlertId, Timestamp, parse_mailbox};

/// Bytes of the keyed hash that a token holds.
const MAC: usize = 10;

/// Characters of the longest token.
const LONGEST_TOKEN: usize = 53;

/// Bytes of a local part (RFC 5321 section 4.5.3.1.1).
const LONGEST_LOCAL_PART: usize = 64;

/// Highest ordinal of a recipient that a token can hold.
const HIGHEST_ORDINAL: u32 = (1 << 21) - 2;

/// What keeps these hashes apart from all others under the same key.
const PURPOSE: &[u8] = b"sendport return path 1\0";

/// Bytes of a key.
const SHORTEST_KEY: usize = 32;

/// The transaction that a return path is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// The alert.
    pub alert: AlertId,
    /// The transaction: the random half of its key, [`AttemptKey::random_half`](sendport_core::domain::AttemptKey::random_half).
    pub attempt: u64,
    /// The only recipient of it, where each has a transaction of its own.
    pub recipient: Option<u32>,
    /// Until when a report is proven.
    pub expires: Expiry,
}

/// The last day, in UTC, on which a token is valid; up to the year 2149.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expiry(u16);

impl Expiry {
    const DAY: i64 = 24 * 60 * 60;

    /// The day of this moment.
    pub fn on(moment: Timestamp) -> Self {
        let day = moment.timestamp().div_euclid(Self::DAY);
        Self(u16::try_from(day.max(0)).unwrap_or(u16::MAX))
    }

    /// Whether that day is over.
    pub fn is_over(self, now: Timestamp) -> bool {
        now.timestamp().div_euclid(Self::DAY) > i64::from(self.0)
    }
}

/// Why a token proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// No token of this form.
    #[error("the address has no token of a return path")]
    Malformed,
    /// None of the keys made it, or somebody changed it.
    #[error(
        "no key of this service made the token: it is forged, changed on the way, or its key was removed"
    )]
    NotOurs,
    /// Its day is over.
    #[error("the token of the return path has expired")]
    Expired(Token),
    /// The alert's id or the ordinal does not fit.
    #[error("alert ids below 0 and ordinals above {HIGHEST_ORDINAL} have no token")]
    OutOfRange,
    /// A key is too short.
    #[error("a key for return paths has {0} bytes; write at least {SHORTEST_KEY} random ones")]
    ShortKey(usize),
    /// There is no key.
    #[error("there is no key for return paths")]
    NoKey,
    /// OpenSSL refused to make the hash.
    #[error("HMAC-SHA-256 is not available: {0}")]
    Crypto(String),
}

/// A key that makes and verifies tokens.
pub struct TokenKey {
    id: u8,
    key: PKey<Private>,
}

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl TokenKey {
    /// A key from at least 32 secret random bytes.
    ///
    /// # Errors
    /// [`TokenError::ShortKey`], [`TokenError::Crypto`].
    pub fn new(secret: &[u8]) -> Result<Self, TokenError> {
        if secret.len() < SHORTEST_KEY {
            return Err(TokenError::ShortKey(secret.len()));
        }
        let key = PKey::hmac(secret).map_err(crypto)?;
        let mut made = Self { id: 0, key };
        made.id = made.mac(b"which key")?[0];
        Ok(made)
    }

    fn mac(&self, payload: &[u8]) -> Result<[u8; MAC], TokenError> {
        let mut signer = Signer::new(MessageDigest::sha256(), &self.key).map_err(crypto)?;
        signer.update(PURPOSE).map_err(crypto)?;
        signer.update(payload).map_err(crypto)?;
        let whole = signer.sign_to_vec().map_err(crypto)?;
        let cut = whole.first_chunk().copied();
        cut.ok_or_else(|| TokenError::Crypto("a short hash".to_owned()))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn crypto(error: openssl::error::ErrorStack) -> TokenError {
    TokenError::Crypto(error.to_string())
}

/// The keys that are accepted; the first one makes new tokens. To rotate, put a new key in front, and remove the old one
/// when its last token has expired.
#[derive(Debug)]
pub struct TokenKeys(Vec<TokenKey>);

impl TokenKeys {
    /// The newest key first.
    ///
    /// # Errors
    /// [`TokenError::NoKey`].
    pub fn new(keys: Vec<TokenKey>) -> Result<Self, TokenError> {
        match keys.is_empty() {
            true => Err(TokenError::NoKey),
            false => Ok(Self(keys)),
        }
    }

    /// The token of a transaction, at most 53 characters.
    ///
    /// # Errors
    /// [`TokenError::OutOfRange`], [`TokenError::Crypto`].
    pub fn make(&self, token: &Token) -> Result<String, TokenError> {
        let key = self.0.first().ok_or(TokenError::NoKey)?;
        let alert = u64::try_from(token.alert.0).map_err(|_| TokenError::OutOfRange)?;
        let recipient = match token.recipient {
            Some(ordinal) if ordinal > HIGHEST_ORDINAL => return Err(TokenError::OutOfRange),
            Some(ordinal) => u64::from(ordinal) + 1,
            None => 0,
        };
        let mut bytes = vec![key.id];
        bytes.extend(token.expires.0.to_be_bytes());
        push_number(alert, &mut bytes);
        bytes.extend(token.attempt.to_be_bytes());
        push_number(recipient, &mut bytes);
        let mac = key.mac(&bytes)?;
        bytes.extend(mac);
        Ok(BASE32_NOPAD.encode(&bytes).to_ascii_lowercase())
    }

    /// The transaction of a token, in upper or lower case. Compares in constant time.
    ///
    /// # Errors
    /// [`TokenError::Malformed`], [`TokenError::NotOurs`], [`TokenError::Expired`], [`TokenError::Crypto`].
    pub fn verify(&self, text: &str, now: Timestamp) -> Result<Token, TokenError> {
        if text.len() > LONGEST_TOKEN {
            return Err(TokenError::Malformed);
        }
        let upper = text.to_ascii_uppercase();
        let bytes = BASE32_NOPAD.decode(upper.as_bytes());
        let bytes = bytes.map_err(|_| TokenError::Malformed)?;
        let (payload, mac) = bytes
            .split_last_chunk::<MAC>()
            .ok_or(TokenError::Malformed)?;
        let token = parse(payload).ok_or(TokenError::Malformed)?;
        let mut is_ours = false;
        for key in self.0.iter().filter(|key| key.id == payload[0]) {
            is_ours |= openssl::memcmp::eq(&key.mac(payload)?, mac);
        }
        if !is_ours {
            return Err(TokenError::NotOurs);
        }
        match token.expires.is_over(now) {
            true => Err(TokenError::Expired(token)),
            false => Ok(token),
        }
    }
}

fn parse(payload: &[u8]) -> Option<Token> {
    let (_, rest) = payload.split_first()?;
    let (day, mut rest) = rest.split_first_chunk::<2>()?;
    let alert = take_number(&mut rest)?;
    let (attempt, mut rest) = rest.split_first_chunk::<8>()?;
    let recipient = take_number(&mut rest)?;
    let token = Token {
        alert: AlertId(i64::try_from(alert).ok()?),
        attempt: u64::from_be_bytes(*attempt),
        recipient: recipient
            .checked_sub(1)
            .map(u32::try_from)
            .transpose()
            .ok()?,
        expires: Expiry(u16::from_be_bytes(*day)),
    };
    rest.is_empty().then_some(token)
}

/// Seven bits a byte, the low ones first; the eighth says that more follow.
fn push_number(mut number: u64, bytes: &mut Vec<u8>) {
    while number > 0x7f {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..63).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// What stands around the token: `bounces+` and the domain that the intake takes reports for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnPath {
    prefix: String,
    domain: String,
}

/// The prefix or the domain cannot be part of an address with a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReturnPathError {
    /// With the longest token the local part has more than 64 bytes.
    #[error(
        "'{0}' is too long: a token needs {LONGEST_TOKEN} of the {LONGEST_LOCAL_PART} bytes of a local part; \
         write something like \"bounces+\""
    )]
    LongPrefix(String),
    /// No address.
    #[error("'{0}' is no address that mail can be sent to")]
    NoAddress(String),
}

impl ReturnPath {
    /// A return path such as `bounces+<token>@contoso.com`. The prefix ends with what the mail system takes for the
    /// beginning of a detail, most often `+`.
    ///
    /// # Errors
    /// [`ReturnPathError`].
    pub fn new(prefix: &str, domain: &str) -> Result<Self, ReturnPathError> {
        if prefix.len() > LONGEST_LOCAL_PART - LONGEST_TOKEN {
            return Err(ReturnPathError::LongPrefix(prefix.to_owned()));
        }
        let example = format!("{prefix}a@{domain}");
        let is_address = parse_mailbox(&example).is_ok_and(|it| it.address.as_str() == example);
        match is_address && prefix.is_ascii() {
            true => Ok(Self {
                prefix: prefix.to_ascii_lowercase(),
                domain: domain.to_ascii_lowercase(),
            }),
            false => Err(ReturnPathError::NoAddress(example)),
        }
    }

    /// The address with a token.
    pub fn address(&self, token: &str) -> String {
        format!("{}{token}@{}", self.prefix, self.domain)
    }

    /// The token of an address, in any case; `None`: another address.
    pub fn token_in<'a>(&self, address: &'a str) -> Option<&'a str> {
        let (local, domain) = address.trim_matches(['<', '>']).rsplit_once('@')?;
        let (prefix, token) = local.split_at_checked(self.prefix.len())?;
        let is_ours = domain.eq_ignore_ascii_case(&self.domain)
            && prefix.eq_ignore_ascii_case(&self.prefix)
            && !token.is_empty();
        is_ours.then_some(token)
    }
}

#[cfg(test)]
mod tests;
