//! Patterns of domains and addresses.

use std::fmt;

use sendport_core::domain::{Address, domain_to_ascii};
use serde::{Deserialize, Serialize};

/// `contoso.com`, `.contoso.com`, `[192.0.2.1]` or `*`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum DomainPattern {
    /// Any domain; no address literal.
    Any,
    /// The subdomains of this one, in lower case.
    Subdomains(String),
    /// This one, in lower case.
    Exact(String),
}

/// What a [`DomainPattern`] may be, or an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum AddressPattern {
    /// Every address of such a domain.
    Domain(DomainPattern),
    /// One address, its ASCII letters in lower case.
    Address(String),
}

/// The text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} such as {example}, found \"{found}\": {problem}")]
pub struct NotAPattern {
    expected: &'static str,
    example: &'static str,
    found: String,
    problem: String,
}

impl DomainPattern {
    /// Whether the domain of an address matches.
    pub fn matches(&self, domain: &str) -> bool {
        match self {
            Self::Any => !domain.starts_with('['),
            Self::Exact(own) => own.eq_ignore_ascii_case(domain),
            Self::Subdomains(parent) => {
                let split = domain.len().checked_sub(parent.len() + 1);
                let tail = split.and_then(|at| domain.get(at..));
                tail.is_some_and(|tail| {
                    tail.starts_with('.') && tail[1..].eq_ignore_ascii_case(parent)
                })
            }
        }
    }

    /// Larger for a pattern that fewer domains match.
    fn specificity(&self) -> usize {
        match self {
            Self::Any => 0,
            Self::Subdomains(parent) => parent.len(),
            Self::Exact(_) => 1000,
        }
    }
}

impl AddressPattern {
    /// Whether the address matches; ASCII letters in any case, because nobody expects two mailboxes that differ in
    /// their case alone.
    pub fn matches(&self, address: &Address) -> bool {
        match self {
            Self::Domain(domain) => domain.matches(address.domain()),
            Self::Address(own) => own.eq_ignore_ascii_case(address),
        }
    }

    /// Larger for a pattern that fewer addresses match.
    pub(crate) fn specificity(&self) -> usize {
        match self {
            Self::Domain(domain) => domain.specificity(),
            Self::Address(_) => 2000,
        }
    }
}

impl TryFrom<String> for DomainPattern {
    type Error = NotAPattern;

    fn try_from(text: String) -> Result<Self, NotAPattern> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let (domain, is_parent) = match text.strip_prefix('.') {
            Some(parent) => (parent, true),
            None => (&*text, false),
        };
        let ascii = domain_to_ascii(domain).map(|ascii| ascii.to_lowercase());
        match ascii {
            Ok(ascii) if is_parent && !ascii.starts_with('[') => Ok(Self::Subdomains(ascii)),
            Ok(ascii) if !is_parent => Ok(Self::Exact(ascii)),
            other => Err(NotAPattern {
                expected: "a domain",
                example: "\"contoso.com\", \".contoso.com\" or \"*\"",
                problem: other
                    .err()
                    .unwrap_or("an address literal has no subdomains")
                    .to_owned(),
                found: text,
            }),
        }
    }
}

impl TryFrom<String> for AddressPattern {
    type Error = NotAPattern;

    fn try_from(text: String) -> Result<Self, NotAPattern> {
        if !text.contains('@') {
            return DomainPattern::try_from(text).map(Self::Domain);
        }
        match text.parse::<Address>() {
            Ok(address) => Ok(Self::Address(address.to_ascii_lowercase())),
            Err(error) => Err(NotAPattern {
                expected: "an address or a domain",
                example: "\"alerts@contoso.com\", \"contoso.com\", \".contoso.com\" or \"*\"",
                found: text,
                problem: error.problem.to_owned(),
            }),
        }
    }
}

impl fmt::Display for DomainPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Subdomains(parent) => write!(f, ".{parent}"),
            Self::Exact(domain) => f.write_str(domain),
        }
    }
}

impl fmt::Display for AddressPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(domain) => domain.fmt(f),
            Self::Address(address) => f.write_str(address),
        }
    }
}

impl From<DomainPattern> for String {
    fn from(value: DomainPattern) -> Self {
        value.to_string()
    }
}

impl From<AddressPattern> for String {
    fn from(value: AddressPattern) -> Self {
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> AddressPattern {
        AddressPattern::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn a_pattern_matches_what_it_names_and_nothing_beside_it() {
        for (text, matching, others) in [
            (
                "contoso.com",
                &["a@contoso.com", "a@CONTOSO.com"][..],
                &[
                    "a@x.contoso.com",
                    "a@xcontoso.com",
                    "a@contoso.com.evil.example",
                ][..],
            ),
            (
                ".contoso.com",
                &["a@x.contoso.com", "a@x.y.Contoso.COM"],
                &["a@contoso.com", "a@xcontoso.com", "a@x.contoso.com.example"],
            ),
            (
                "Alerts@contoso.com",
                &["alerts@contoso.com", "ALERTS@CONTOSO.COM"],
                &["\"alerts\"@contoso.com", "xalerts@contoso.com"],
            ),
            ("*", &["a@b", "a@contoso.com"], &["a@[192.0.2.1]"]),
            (
                "[192.0.2.1]",
                &["a@[192.0.2.1]"],
                &["a@[192.0.2.2]", "a@192.0.2.1"],
            ),
            (
                "bücher.example",
                &["a@xn--bcher-kva.example"],
                &["a@bucher.example"],
            ),
        ] {
            let pattern = pattern(text);
            for address in matching {
                assert!(
                    pattern.matches(&address.parse().unwrap()),
                    "{text} {address}"
                );
            }
            for address in others {
                assert!(
                    !pattern.matches(&address.parse().unwrap()),
                    "{text} {address}"
                );
            }
        }
    }

    #[test]
    fn an_address_is_more_specific_than_a_domain_than_its_parent() {
        let order = ["*", ".com", ".contoso.com", "contoso.com", "a@contoso.com"];
        let specificity: Vec<_> = order.map(|text| pattern(text).specificity()).to_vec();
        assert!(specificity.is_sorted_by(|a, b| a < b), "{specificity:?}");
    }

    #[test]
    fn a_malformed_pattern_is_refused_with_an_example() {
        for text in [
            "",
            "a b",
            "*.contoso.com",
            ".[192.0.2.1]",
            "@contoso.com",
            "contoso..com",
        ] {
            let error = AddressPattern::try_from(text.to_owned())
                .unwrap_err()
                .to_string();
            assert!(error.contains("\".contoso.com\""), "{error}");
        }
    }
}
