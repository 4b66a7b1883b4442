//! Strict transport security of a domain (MTA-STS, RFC 8461): whether its mail hosts must encrypt with a
//! valid certificate, and which hosts those are.
//!
//! A policy is used until its `max_age`, even where the DNS or the web server of the domain is down, and
//! fetched again when the DNS announces another one. It is kept in memory alone.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use lru::LruCache;
use parking_lot::Mutex;
use sendport_core::domain::Network;
use sendport_oauth2::http_client;
use tokio::time::Instant;

use super::address_rules::forbidden;
use crate::mail_hosts::MailResolver;

/// Domains whose policy is kept.
const MOST_DOMAINS: NonZeroUsize = NonZeroUsize::new(1000).expect("not 0");

/// RFC 8461 section 3.2.
const LONGEST_AGE: Duration = Duration::from_secs(31_557_600);

/// Largest policy (RFC 8461 section 3.3).
const MOST_BYTES: u64 = 64 * 1024;

/// A policy that could not be fetched is not fetched again before.
const RETRY_EVERY: Duration = Duration::from_secs(5 * 60);

/// The hosts of a policy that is to be enforced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Policy {
    enforce: bool,
    max_age: Duration,
    hosts: Vec<String>,
}

impl Policy {
    /// Reads a policy (RFC 8461 section 3.2); `None` where it is none.
    fn parse(text: &str) -> Option<Self> {
        let pairs = text.lines().filter_map(|line| {
            let (key, value) = line.split_once(':')?;
            Some((key.trim(), value.trim()))
        });
        let pairs: Vec<_> = pairs.collect();
        let first = |wanted| pairs.iter().find(|(key, _)| *key == wanted).map(|it| it.1);
        if first("version") != Some("STSv1") {
            return None;
        }
        let mode = first("mode")?;
        let enforce = mode == "enforce";
        let hosts: Vec<_> = pairs
            .iter()
            .filter(|(key, _)| *key == "mx")
            .map(|(_, host)| host.to_lowercase())
            .collect();
        let is_known = enforce || matches!(mode, "testing" | "none");
        if !is_known || (enforce && hosts.is_empty()) {
            return None;
        }
        let max_age: u64 = first("max_age")?.parse().ok()?;
        Some(Self {
            enforce,
            max_age: Duration::from_secs(max_age).min(LONGEST_AGE),
            hosts,
        })
    }

    /// Whether mail for the domain may go to this host (RFC 8461 section 4.1).
    pub(super) fn names(&self, host: &str) -> bool {
        let host = host.to_lowercase();
        self.hosts.iter().any(|pattern| {
            let below = pattern.strip_prefix("*.");
            match below {
                Some(parent) => host.split_once('.').is_some_and(|(_, rest)| rest == parent),
                None => *pattern == host,
            }
        })
    }
}

/// What is known of a domain.
#[derive(Debug, Clone)]
struct Known {
    /// The `id` of the record that announced the policy, the policy, and when it was fetched.
    policy: Option<(String, Arc<Policy>, Instant)>,
    /// When a policy was last asked for.
    tried: Instant,
}

impl Known {
    /// The policy, where it is still in force.
    fn in_force(&self) -> Option<&Arc<Policy>> {
        let (_, policy, fetched) = self.policy.as_ref()?;
        (fetched.elapsed() < policy.max_age).then_some(policy)
    }

    /// The policy that `id` announces has to be fetched.
    fn lacks(&self, id: &str) -> bool {
        let is_announced = self.policy.as_ref().is_some_and(|(known, ..)| known == id);
        let is_current = is_announced && self.in_force().is_some();
        !is_current && self.tried.elapsed() >= RETRY_EVERY
    }
}

/// The policies of domains.
pub(super) struct Policies(Mutex<LruCache<String, Known>>);

impl Policies {
    pub(super) fn new() -> Self {
        Self(Mutex::new(LruCache::new(MOST_DOMAINS)))
    }

    /// The policy that `domain` wants enforced. `limit`: for each look-up and for the download.
    pub(super) async fn enforced(
        &self,
        domain: &str,
        resolver: &MailResolver,
        allowed: &[Network],
        limit: Duration,
    ) -> Option<Arc<Policy>> {
        let domain = domain.to_lowercase();
        let announced = announced(&domain, resolver, limit).await;
        let mut known = self.0.lock().get(&domain).cloned();
        let new = announced.filter(|id| known.as_ref().is_none_or(|known| known.lacks(id)));
        if let Some(id) = new {
            let fetched = fetch(&domain, resolver, allowed, limit).await;
            let now = Instant::now();
            let fetched = fetched.map(|policy| (id, Arc::new(policy), now));
            let current = Known {
                policy: fetched.or(known.and_then(|known| known.policy)),
                tried: now,
            };
            self.0.lock().put(domain, current.clone());
            known = Some(current);
        }
        let policy = known?.in_force()?.clone();
        policy.enforce.then_some(policy)
    }
}

/// The `id` of the record of a domain (RFC 8461 section 3.1).
async fn announced(domain: &str, resolver: &MailResolver, limit: Duration) -> Option<String> {
    let name = format!("_mta-sts.{domain}");
    let texts = tokio::time::timeout(limit, resolver.texts(&name)).await;
    let texts = texts.ok()?.ok()?;
    let records: Vec<_> = texts
        .iter()
        .filter(|it| it.starts_with("v=STSv1;"))
        .collect();
    let [record] = records[..] else {
        return None;
    };
    let mut fields = record
        .split(';')
        .filter_map(|field| field.trim().split_once('='));
    let (_, id) = fields.find(|(key, _)| key.trim() == "id")?;
    Some(id.trim().to_owned())
}

/// Fetches the policy over HTTPS (RFC 8461 section 3.3), from an address that the rules allow.
async fn fetch(
    domain: &str,
    resolver: &MailResolver,
    allowed: &[Network],
    limit: Duration,
) -> Option<Policy> {
    let host = format!("mta-sts.{domain}");
    let found = tokio::time::timeout(limit, resolver.addresses(&host)).await;
    let found = found.ok()?.ok()?.into_iter();
    let allowed = found.filter(|address| forbidden(*address, allowed).is_none());
    let addresses: Vec<_> = allowed.map(|ip| SocketAddr::new(ip, 443)).collect();
    let url = format!("https://{host}/.well-known/mta-sts.txt");
    let download = move || http_client::download_text_from(&addresses, &url, limit, MOST_BYTES);
    let text = tokio::task::spawn_blocking(download).await.ok()?;
    let policy = match &text {
        Ok(text) => Policy::parse(text),
        Err(error) => {
            tracing::info!(domain, %error, "MTA-STS policy not fetched");
            return None;
        }
    };
    if policy.is_none() {
        tracing::info!(domain, "MTA-STS policy not understood");
    }
    policy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_policy_and_refuses_what_is_none() {
        let text = "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmax_age: 604800\r\nmore: x\r\n";
        let policy = Policy::parse(text).expect("a policy");
        assert!(policy.enforce);
        assert_eq!(policy.max_age, Duration::from_secs(604_800));
        assert_eq!(policy.hosts, ["mail.example.com", "*.example.net"]);
        let testing = text.replace("enforce", "testing");
        assert!(!Policy::parse(&testing).expect("a policy").enforce);
        let forever = text.replace("604800", "999999999999");
        assert_eq!(
            Policy::parse(&forever).expect("a policy").max_age,
            LONGEST_AGE
        );
        for wrong in [
            "",
            "<html>mode: enforce</html>",
            "version: STSv2\nmode: enforce\nmx: a\nmax_age: 1",
            "version: STSv1\nmode: enforce\nmax_age: 1",
            "version: STSv1\nmode: strict\nmx: a\nmax_age: 1",
            "version: STSv1\nmode: enforce\nmx: a\nmax_age: -1",
            "version: STSv1\nmode: enforce\nmx: a",
        ] {
            assert_eq!(Policy::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_wildcard_stands_for_one_label() {
        let text =
            "version: STSv1\nmode: enforce\nmx: mail.example.com\nmx: *.example.net\nmax_age: 1";
        let policy = Policy::parse(text).expect("a policy");
        for host in ["mail.example.com", "MX1.example.NET"] {
            assert!(policy.names(host), "{host}");
        }
        for host in [
            "example.net",
            "a.b.example.net",
            "x.mail.example.com",
            "example.com",
        ] {
            assert!(!policy.names(host), "{host}");
        }
    }
}
