//! What a send port allows in From and in Message-IDs.

use sendport_core::domain::{Address, domain_to_ascii};
use serde::{Deserialize, Serialize};

/// A From address that an alert may ask for: `a@b`, or `@b` for a domain.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum FromRule {
    /// This one.
    Address(Address),
    /// Every address of this domain, which is in ASCII.
    Domain(String),
}

impl FromRule {
    /// Compared without case.
    pub fn allows(&self, from: &Address) -> bool {
        match self {
            Self::Address(address) => address.to_lowercase() == from.to_lowercase(),
            Self::Domain(domain) => domain.to_lowercase() == from.domain().to_lowercase(),
        }
    }
}

/// A text is no rule for From.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FromRuleError {
    /// Neither an address nor `@` and a domain.
    #[error("'{0}' is no address; write \"a@contoso.com\", or \"@contoso.com\" for the domain")]
    NoAddress(String),
    /// It contains `*`, which matches nothing but itself.
    #[error(
        "'{0}' contains '*', which is no wildcard here; write \"@contoso.com\" for all addresses of the domain"
    )]
    Wildcard(String),
}

impl TryFrom<String> for FromRule {
    type Error = FromRuleError;

    fn try_from(text: String) -> Result<Self, FromRuleError> {
        if text.contains('*') {
            return Err(FromRuleError::Wildcard(text));
        }
        let rule = match text.strip_prefix('@') {
            Some(domain) => domain_to_ascii(domain)
                .ok()
                .map(|it| Self::Domain(it.into())),
            None => text.parse().ok().map(Self::Address),
        };
        rule.ok_or(FromRuleError::NoAddress(text))
    }
}

impl From<FromRule> for String {
    fn from(rule: FromRule) -> Self {
        match rule {
            FromRule::Address(address) => address.into(),
            FromRule::Domain(domain) => format!("@{domain}"),
        }
    }
}

/// The right side of a Message-ID: a domain, in ASCII.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct MessageIdDomain(String);

/// A text is no right side of a Message-ID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{}' is no domain; write one of yours, such as \"mail.contoso.com\"", .0.escape_debug())]
pub struct MessageIdDomainError(String);

impl TryFrom<String> for MessageIdDomain {
    type Error = MessageIdDomainError;

    fn try_from(text: String) -> Result<Self, MessageIdDomainError> {
        match domain_to_ascii(&text) {
            Ok(ascii) => Ok(Self(ascii.into())),
            Err(_) => Err(MessageIdDomainError(text)),
        }
    }
}

impl From<MessageIdDomain> for String {
    fn from(domain: MessageIdDomain) -> Self {
        domain.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_id_domain_is_a_domain() {
        for wrong in ["", "<x>", "a b", "a@b.example", "x\r\nBcc: y", ".example"] {
            let error = MessageIdDomain::try_from(wrong.to_owned()).expect_err(wrong);
            assert!(error.to_string().contains("is no domain"), "{error}");
        }
        let domain = MessageIdDomain::try_from("münchen.example".to_owned());
        let ascii = String::from(domain.expect("a domain"));
        assert_eq!(ascii, "xn--mnchen-3ya.example");
    }
}
