//! Recipients' domains, as settings name them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::domain_to_ascii;

/// Recipients' domains: `b` for one, `.b` for its subdomains. In ASCII.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct DomainRule(String);

impl DomainRule {
    /// Compared without case.
    pub fn allows(&self, domain: &str) -> bool {
        let (rule, domain) = (self.0.to_lowercase(), domain.to_lowercase());
        rule == domain || (rule.starts_with('.') && domain.ends_with(&rule))
    }

    /// Of several rules that fit a domain, the one with the highest value says most about it.
    pub fn specificity(&self) -> usize {
        self.0.len()
    }
}

/// A text is no rule for recipients' domains.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no domain; write \"contoso.com\", or \".contoso.com\" for its subdomains")]
pub struct DomainRuleError(String);

impl TryFrom<String> for DomainRule {
    type Error = DomainRuleError;

    fn try_from(text: String) -> Result<Self, DomainRuleError> {
        let (dot, domain) = match text.strip_prefix('.') {
            Some(domain) => (".", domain),
            None => ("", &*text),
        };
        match domain_to_ascii(domain) {
            Ok(ascii) => Ok(Self(format!("{dot}{ascii}"))),
            Err(_) => Err(DomainRuleError(text)),
        }
    }
}

impl fmt::Display for DomainRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<DomainRule> for String {
    fn from(rule: DomainRule) -> Self {
        rule.0
    }
}
