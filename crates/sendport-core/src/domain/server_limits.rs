//! Limits that a server announces in its reply to `EHLO` (RFC 9422), and how a transaction keeps
//! to them.

use std::borrow::Cow;
use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::{Envelope, ForwardPath};

/// What the server of a session announced; `None`: nothing, or nothing that can be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerLimits {
    /// `MAILMAX`: most mail transactions in a session.
    pub mails: Option<u32>,
    /// `RCPTMAX`: most recipients of a transaction.
    pub recipients: Option<u32>,
    /// `RCPTDOMAINMAX`: most domains of recipients in a session.
    pub recipient_domains: Option<u32>,
}

impl ServerLimits {
    /// Reads the parameters of `LIMITS`: `RCPTMAX=100`, ... Unknown and malformed ones are ignored
    /// (RFC 9422 section 4); of two that name the same limit the smaller one counts.
    pub fn parse<'a>(parameters: impl Iterator<Item = &'a str>) -> Self {
        let mut limits = Self::default();
        for (name, value) in parameters.filter_map(|parameter| parameter.split_once('=')) {
            let limit = match name.to_ascii_uppercase().as_str() {
                "MAILMAX" => &mut limits.mails,
                "RCPTMAX" => &mut limits.recipients,
                "RCPTDOMAINMAX" => &mut limits.recipient_domains,
                _ => continue,
            };
            *limit = number(value).into_iter().chain(*limit).min();
        }
        limits
    }

    /// Most transactions that a connection carries here. A session that may have few domains has
    /// one transaction alone, because the domains are not counted.
    pub fn transactions(&self) -> u32 {
        let of_domains = self.recipient_domains.map(|_| 1);
        self.mails
            .into_iter()
            .chain(of_domains)
            .min()
            .unwrap_or(u32::MAX)
    }

    /// The same envelope with as many of its forward-paths as one transaction may have: at least
    /// one, in their order.
    pub fn offered<'e>(&self, envelope: &'e Envelope) -> Cow<'e, Envelope> {
        let paths = self.paths(&envelope.forward_paths);
        match paths.len() == envelope.forward_paths.len() {
            true => Cow::Borrowed(envelope),
            false => Cow::Owned(Envelope {
                forward_paths: paths.into_iter().cloned().collect(),
                ..envelope.clone()
            }),
        }
    }

    fn paths<'p>(&self, paths: &'p [ForwardPath]) -> Vec<&'p ForwardPath> {
        let count = |limit: Option<u32>| limit.map_or(usize::MAX, |limit| limit as usize);
        let mut domains = HashSet::new();
        let fits = |path: &&ForwardPath| {
            let domain = path.address.rsplit('@').next().unwrap_or_default();
            let domain = domain.to_ascii_lowercase();
            let fits = domains.len() < count(self.recipient_domains) || domains.contains(&domain);
            if fits {
                domains.insert(domain);
            }
            fits
        };
        paths
            .iter()
            .filter(fits)
            .take(count(self.recipients))
            .collect()
    }
}

/// One to six digits, the first of which is no zero (RFC 9422 section 5).
fn number(value: &str) -> Option<u32> {
    let plain = (1..=6).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit());
    value
        .parse()
        .ok()
        .filter(|_| plain && !value.starts_with('0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ReversePath;

    fn limits(text: &str) -> ServerLimits {
        ServerLimits::parse(text.split(' '))
    }

    fn envelope(addresses: &[&str]) -> Envelope {
        let path = |(ordinal, address): (u32, &&str)| ForwardPath {
            ordinal,
            address: address.parse().expect("an address"),
        };
        Envelope {
            reverse_path: ReversePath(None),
            forward_paths: (0..).zip(addresses).map(path).collect(),
            dsn: None,
        }
    }

    fn offered(text: &str, addresses: &[&str]) -> Vec<u32> {
        let envelope = envelope(addresses);
        let offered = limits(text).offered(&envelope).into_owned();
        offered
            .forward_paths
            .iter()
            .map(|path| path.ordinal)
            .collect()
    }

    #[test]
    fn limits_are_read_whatever_their_case_and_order() {
        let expected = ServerLimits {
            mails: Some(5),
            recipients: Some(100),
            recipient_domains: Some(1),
        };
        assert_eq!(
            limits("rcptmax=100 X-OTHER=7 MAILMAX=5 RcptDomainMax=1"),
            expected
        );
        assert_eq!(limits("RCPTMAX=100 RCPTMAX=20").recipients, Some(20));
    }

    #[test]
    fn malformed_limits_are_ignored() {
        for value in ["", "0", "007", "1234567", "-1", "+5", "many", "1.5", "5="] {
            let read = limits(&format!("RCPTMAX={value} MAILMAX=3"));
            assert_eq!((read.recipients, read.mails), (None, Some(3)), "{value}");
        }
        assert_eq!(limits("RCPTMAX RCPTMAX100 =5"), ServerLimits::default());
    }

    #[test]
    fn no_more_recipients_are_offered_than_announced() {
        let many: Vec<_> = (0..250).map(|_| "a@x.com").collect();
        assert_eq!(offered("RCPTMAX=100", &many).len(), 100);
        assert_eq!(offered("MAILMAX=1", &many).len(), 250);
        assert_eq!(offered("RCPTMAX=1", &["a@x.com", "b@x.com"]), [0]);
    }

    #[test]
    fn no_more_domains_are_offered_than_announced() {
        let addresses = ["a@x.com", "b@y.com", "c@X.COM", "d@z.com", "e@y.com"];
        assert_eq!(offered("RCPTDOMAINMAX=1", &addresses), [0, 2]);
        assert_eq!(offered("RCPTDOMAINMAX=2", &addresses), [0, 1, 2, 4]);
        assert_eq!(offered("RCPTDOMAINMAX=2 RCPTMAX=3", &addresses), [0, 1, 2]);
        assert_eq!(offered("RCPTDOMAINMAX=3", &addresses).len(), 5);
    }

    #[test]
    fn a_connection_carries_no_more_transactions_than_announced() {
        assert_eq!(limits("MAILMAX=5").transactions(), 5);
        assert_eq!(limits("MAILMAX=5 RCPTDOMAINMAX=2").transactions(), 1);
        assert_eq!(limits("RCPTMAX=5").transactions(), u32::MAX);
    }
}
