//! Section `[send_port.<name>.dkim.<key>]`: a key that signs for a domain.

use std::collections::BTreeMap;
use std::path::PathBuf;

use sendport_core::domain::domain_to_ascii;
use sendport_core::problem::Problem;
use serde::{Deserialize, Serialize};

/// Longest selector or label of a domain (RFC 1035 section 2.3.4).
const LONGEST_LABEL: usize = 63;

/// Domain, selector and key file.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DkimConfig {
    /// It signs messages whose From is of this domain, or of a subdomain that no other key is for.
    pub domain: String,
    /// Where the public key is published: `<selector>._domainkey.<domain>`.
    pub selector: String,
    /// PEM: the private key, RSA or Ed25519, without a password.
    pub key_file: PathBuf,
}

impl DkimConfig {
    /// Its problems; `key` is that of the section.
    pub fn problems(&self, key: &str) -> Vec<Problem> {
        let domain = match domain_to_ascii(&self.domain) {
            Ok(ascii) if ascii.starts_with('[') => Some("an address has no DKIM key"),
            Ok(_) => None,
            Err(why) => Some(why),
        };
        let domain = domain.map(|why| {
            let what = format!("'{}' is no domain: {why}", self.domain);
            Problem::new(format!("{key}.domain"), what)
        });
        let selector = (!is_selector(&self.selector)).then(|| {
            let what = format!(
                "'{}' is no selector: write letters, digits and hyphens, such as \"s2026\"",
                self.selector
            );
            Problem::new(format!("{key}.selector"), what)
        });
        domain.into_iter().chain(selector).collect()
    }
}

impl DkimConfig {
    /// Two keys of one domain and one selector: the DNS has one place for them. `send_port`: the section with these
    /// keys.
    pub fn published_twice(send_port: &str, keys: &BTreeMap<String, Self>) -> Vec<Problem> {
        let mut places = BTreeMap::new();
        let problem = |(name, key): (&String, &Self)| {
            let domain = domain_to_ascii(&key.domain).ok()?.to_ascii_lowercase();
            let place = (domain, key.selector.to_ascii_lowercase());
            let first = places.insert(place, name.clone())?;
            let what = format!(
                "'{}' is the selector of the key {first} for this domain too, and the DNS has room for one of them; \
                 write another one",
                key.selector
            );
            Some(Problem::new(
                format!("{send_port}.dkim.{name}.selector"),
                what,
            ))
        };
        keys.iter().filter_map(problem).collect()
    }
}

/// RFC 6376 section 3.1: labels as in a host name.
fn is_selector(selector: &str) -> bool {
    selector.split('.').all(|label| {
        let inner = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        (1..=LONGEST_LABEL).contains(&label.len())
            && label.chars().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_is_no_domain_and_what_is_no_selector() {
        let found = |domain: &str, selector: &str| {
            let text = format!("domain = '{domain}'\nselector = '{selector}'\nkey_file = 'k'");
            let section: DkimConfig = toml::from_str(&text).expect("a section");
            let problems = section.problems("s").into_iter();
            problems.map(|problem| problem.key).collect::<Vec<_>>()
        };
        assert_eq!(found("contoso.com", "s2026"), [""; 0]);
        assert_eq!(found("bücher.example", "a.b-c"), [""; 0]);
        for selector in ["", "a b", "-a", "a..b", "s1;", "ä"] {
            assert_eq!(found("contoso.com", selector), ["s.selector"], "{selector}");
        }
        for domain in ["a b", "", "[192.0.2.1]", "@contoso.com"] {
            assert_eq!(found(domain, "s1"), ["s.domain"], "{domain}");
        }
    }
}
