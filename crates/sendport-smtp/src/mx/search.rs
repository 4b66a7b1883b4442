//! The search for a mail host of one domain that takes a transaction: by preference, then by address,
//! within the time of one attempt.

use std::net::IpAddr;
use std::ops::ControlFlow;
use std::sync::Arc;

use sendport_core::domain::{
    Command, EnhancedStatusCode, LocalCause, Reply, SubmissionEnd, SubmissionReport,
};
use tokio::time::Instant;

use super::address_rules::{Forbidden, forbidden};
use super::mail_server::{MailServer, ServerKey};
use super::mta_sts::Policy;
use super::unsent::{
    Failure, Unsent, dns_failed, is_policy_failure, main_failure, never, policy_not_met,
};
use super::{MxJob, MxRelay};
use crate::mail_hosts::{Exchanges, MOST_HOSTS, NoAddress};
use crate::relay::SessionError;
use crate::settings::mx::RouteConfig;
use crate::settings::tls::TlsMode;

/// Addresses that are tried in one attempt.
const MOST_ADDRESSES: usize = 16;

/// Hosts whose addresses are looked up in one attempt. Those without a usable address do not count as tried.
const MOST_LOOK_UPS: usize = 50;

/// One search.
pub(super) struct Search<'a> {
    relay: &'a MxRelay,
    job: MxJob<'a>,
    route: Option<&'a RouteConfig>,
    /// What the domain wants of its mail hosts.
    policy: Option<Arc<Policy>>,
    /// Servers that did not take a connection lately.
    avoided: Vec<(ServerKey, Arc<MailServer>)>,
    tried: usize,
    failures: Vec<Failure>,
    /// Hosts whose addresses the DNS could not say now.
    unresolved: Vec<String>,
    /// Hosts that are not used, each with the reason.
    unusable: Vec<String>,
    /// Some of them are this host or have forbidden addresses.
    not_allowed: bool,
    /// Hosts that were not examined, because enough others were.
    left: usize,
}

/// The report of a server that took the transaction, accepted or not.
type Found = ControlFlow<SubmissionReport>;

impl<'a> Search<'a> {
    pub(super) fn new(relay: &'a MxRelay, job: MxJob<'a>) -> Self {
        Self {
            route: relay.config.route_of(job.domain),
            relay,
            job,
            policy: None,
            avoided: Vec::new(),
            tried: 0,
            failures: Vec::new(),
            unresolved: Vec::new(),
            unusable: Vec::new(),
            not_allowed: false,
            left: 0,
        }
    }

    /// Submits to the first host that takes the transaction.
    ///
    /// # Errors
    /// [`Unsent`]: there is none.
    pub(super) async fn submit(mut self) -> Result<SubmissionReport, Unsent> {
        match self.walk().await? {
            ControlFlow::Break(report) => Ok(report),
            ControlFlow::Continue(()) => Err(self.unsent()),
        }
    }

    async fn walk(&mut self) -> Result<Found, Unsent> {
        if let Some(host) = self.route.and_then(|it| it.host.as_deref()) {
            return self.walk_route(host).await;
        }
        let found = match literal(self.job.domain) {
            Some(address) => {
                let name = address.to_string();
                self.addresses(&name, vec![address])
                    .await
                    .map_continue(drop)
            }
            None => self.walk_hosts().await?,
        };
        if found.is_break() {
            return Ok(found);
        }
        Ok(self.avoided().await)
    }

    /// The host of a route may have any address.
    async fn walk_route(&mut self, host: &str) -> Result<Found, Unsent> {
        let addresses = match self.relay.route_addresses(host) {
            Some(addresses) => addresses,
            None => match self.look_up(host).await {
                Ok(addresses) => addresses.into_iter().map(Some).collect(),
                Err(none) => {
                    return Err(dns_failed(&format!(
                        "{host}, host of the route: {}",
                        none.why
                    )));
                }
            },
        };
        let only = addresses.len() == 1;
        for address in addresses.into_iter().take(MOST_ADDRESSES) {
            let key = self.relay.key(self.route, host.to_owned(), address);
            let found = self.server(key, only).await;
            if found.is_break() {
                return Ok(found);
            }
        }
        Ok(self.avoided().await)
    }

    /// Tries the servers that did not take a connection lately.
    async fn avoided(&mut self) -> Found {
        for (key, server) in std::mem::take(&mut self.avoided) {
            self.submit_to(&key, &server).await?;
        }
        ControlFlow::Continue(())
    }

    async fn walk_hosts(&mut self) -> Result<Found, Unsent> {
        let hosts = self.hosts().await?;
        self.policy = self.policy().await;
        let (all, mut used) = (hosts.len(), 0);
        for (index, host) in hosts.into_iter().enumerate() {
            if index == MOST_LOOK_UPS || used == MOST_HOSTS {
                self.left = all - index;
                break;
            }
            if self.policy.as_ref().is_some_and(|it| !it.names(&host)) {
                let what = "the MTA-STS policy of the domain does not name it";
                let reply = Reply::absent(Command::StartTls, what);
                self.failures.push(Failure {
                    server: host,
                    error: SessionError::new(reply),
                });
                continue;
            }
            if self.relay.is_called(&host) {
                self.unusable(format!("{host} is this host"));
                break;
            }
            let addresses = match self.look_up(&host).await {
                Ok(addresses) => addresses,
                Err(none) => {
                    let hosts = match none.transient {
                        true => &mut self.unresolved,
                        false => &mut self.unusable,
                    };
                    hosts.push(format!("{host}: {}", none.why));
                    continue;
                }
            };
            let before = self.tried + self.avoided.len();
            match self.addresses(&host, addresses).await {
                ControlFlow::Break(report) => return Ok(ControlFlow::Break(report)),
                ControlFlow::Continue(Next::Host) => {
                    used += usize::from(self.tried + self.avoided.len() > before);
                }
                ControlFlow::Continue(Next::None) => break,
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// What the domain wants of its mail hosts. A route says it for the domain.
    async fn policy(&self) -> Option<Arc<Policy>> {
        let (relay, limit) = (self.relay, self.relay.config.timeout.connect);
        let may_have_one = relay.config.mta_sts && relay.config.tls == TlsMode::Opportunistic;
        if !may_have_one || self.route.is_some_and(|route| route.tls.is_some()) {
            return None;
        }
        let (resolver, allowed) = (&relay.resolver, &relay.config.allow_private);
        let policies = &relay.policies;
        policies
            .enforced(self.job.domain, resolver, allowed, limit)
            .await
    }

    /// The names of the hosts, the most preferred first.
    async fn hosts(&self) -> Result<Vec<String>, Unsent> {
        let domain = self.job.domain;
        let asked = tokio::time::timeout_at(self.patience(), self.relay.resolver.exchanges(domain));
        let exchanges = asked
            .await
            .unwrap_or_else(|_| Exchanges::Failed("no answer in time".to_owned()));
        match exchanges {
            Exchanges::Hosts(hosts) => Ok(hosts.into_iter().map(|(_, name)| name).collect()),
            Exchanges::Implicit => Ok(vec![domain.to_owned()]),
            Exchanges::NullMx => Err(never(
                (556, 1, 10),
                LocalCause::NullMx,
                format!("{domain} takes no mail: its MX record is '0 .'"),
            )),
            Exchanges::NoDomain => Err(never(
                (550, 1, 2),
                LocalCause::DomainNotFound,
                format!("there is no domain {domain} in the DNS"),
            )),
            Exchanges::Failed(why) => {
                Err(dns_failed(&format!("the MX records of {domain}: {why}")))
            }
        }
    }

    async fn look_up(&self, host: &str) -> Result<Vec<IpAddr>, NoAddress> {
        let asked = tokio::time::timeout_at(self.patience(), self.relay.resolver.addresses(host));
        let late = |_| {
            Err(NoAddress {
                why: "no answer in time".to_owned(),
                transient: true,
            })
        };
        asked.await.unwrap_or_else(late)
    }

    /// The end of one look-up.
    fn patience(&self) -> Instant {
        let look_up = Instant::now() + self.relay.config.timeout.connect;
        look_up.min(self.job.end)
    }

    /// Tries the addresses of a host.
    async fn addresses(
        &mut self,
        host: &str,
        addresses: Vec<IpAddr>,
    ) -> ControlFlow<SubmissionReport, Next> {
        let local = self.relay.config.local_address;
        for address in addresses {
            if local.is_some_and(|local| local.is_ipv4() != address.is_ipv4()) {
                self.unusable.push(format!(
                    "{host} [{address}] is not of the family of local_address"
                ));
                continue;
            }
            match forbidden(address, &self.relay.config.allow_private) {
                // RFC 5321 section 5.1: this host, and all that are not preferred to it, are left out.
                Some(Forbidden::Own) => {
                    self.unusable(format!("{host} [{address}] is this host"));
                    return ControlFlow::Continue(Next::None);
                }
                Some(Forbidden::NotPublic) => {
                    self.unusable(format!("{host} [{address}] is not a public address"));
                    continue;
                }
                None => {}
            }
            if self.tried + self.avoided.len() >= MOST_ADDRESSES {
                return ControlFlow::Continue(Next::None);
            }
            let mut key = self.relay.key(self.route, host.to_owned(), Some(address));
            if self.policy.is_some() {
                key.tls = TlsMode::Starttls;
            }
            self.server(key, false).await?;
        }
        ControlFlow::Continue(Next::Host)
    }

    fn unusable(&mut self, why: String) {
        self.unusable.push(why);
        self.not_allowed = true;
    }

    /// Tries a server, or remembers it for later. `only`: there is no other one.
    async fn server(&mut self, key: ServerKey, only: bool) -> Found {
        match self.relay.servers.get(&key) {
            Ok(server) if server.is_avoided() && !only => {
                self.avoided.push((key, server));
                ControlFlow::Continue(())
            }
            Ok(server) => self.submit_to(&key, &server).await,
            Err(error) => {
                let reply = Reply::absent(Command::Connect, error.to_string());
                self.failed(&key, SessionError::configuration(reply));
                ControlFlow::Continue(())
            }
        }
    }

    async fn submit_to(&mut self, key: &ServerKey, server: &MailServer) -> Found {
        if Instant::now() >= self.job.end {
            return ControlFlow::Continue(());
        }
        self.tried += 1;
        let failed = match self.transact(server).await {
            Ok(report) => return ControlFlow::Break(report),
            Err(failed) => failed,
        };
        // Encryption without authentication is better than none, and none is better than no mail (RFC 7435).
        let in_cleartext = key.tls == TlsMode::Opportunistic && is_tls_failure(&failed);
        let plain = ServerKey {
            tls: TlsMode::None,
            ..key.clone()
        };
        if in_cleartext && let Ok(server) = self.relay.servers.get(&plain) {
            tracing::info!(
                server = key.shown(),
                reason = %failed.reply,
                "TLS handshake failed, message sent unencrypted"
            );
            if let Ok(report) = self.transact(&server).await {
                return ControlFlow::Break(report);
            }
        }
        self.failed(key, failed);
        ControlFlow::Continue(())
    }

    /// One transaction with one server.
    ///
    /// # Errors
    /// Nothing was handed over, and another host may take it.
    async fn transact(&self, server: &MailServer) -> Result<SubmissionReport, SessionError> {
        let permit = server.acquire()?;
        let MxJob {
            envelope,
            message,
            gate,
            end,
            ..
        } = self.job;
        let report = server
            .relay
            .submit_before(envelope, message, gate, end)
            .await;
        server.note(permit, &report);
        match report.end {
            SubmissionEnd::NotBegun { reply, fault } => Err(SessionError { reply, fault }),
            SubmissionEnd::Broken if report.replies.iter().all(|it| it.ordinal.is_none()) => {
                match report.replies.last() {
                    Some(last) => Err(SessionError::new(last.reply.clone())),
                    None => Ok(report),
                }
            }
            _ => Ok(report),
        }
    }

    /// A fault of one server is none of our configuration: others are tried, and this one later.
    fn failed(&mut self, key: &ServerKey, mut error: SessionError) {
        error.fault = None;
        self.failures.push(Failure {
            server: key.shown(),
            error,
        });
    }

    fn unsent(self) -> Unsent {
        let domain = self.job.domain;
        if self.policy.is_some() && self.failures.iter().any(is_policy_failure) {
            return Unsent::Later(policy_not_met(domain, &self.failures));
        }
        if let Some(error) = main_failure(domain, &self.failures) {
            return Unsent::Later(error);
        }
        if !self.unresolved.is_empty() {
            return dns_failed(&self.unresolved.join("; "));
        }
        if self.left > 0 {
            let what = format!(
                "none of the first {MOST_LOOK_UPS} mail hosts of {domain} can be used, and {} more were not looked up",
                self.left
            );
            let reply = Reply::local(
                Command::Connect,
                451,
                EnhancedStatusCode::new(4, 4, 4),
                what,
            );
            let reply = reply.because(LocalCause::MailHostsUnreachable);
            return Unsent::Later(SessionError::new(reply));
        }
        let hosts = self.unusable.join("; ");
        match self.not_allowed {
            true => never(
                (550, 4, 6),
                LocalCause::MailHostNotAllowed,
                format!("no mail host of {domain} may be used: {hosts}"),
            ),
            false => never(
                (550, 4, 4),
                LocalCause::NoMailHost,
                format!("no mail host of {domain} has an address: {hosts}"),
            ),
        }
    }
}

/// What follows after the addresses of a host.
enum Next {
    Host,
    None,
}

impl MxRelay {
    /// The name of a host is the name that this one gives itself.
    fn is_called(&self, host: &str) -> bool {
        let own = self.config.ehlo_name.as_deref();
        own.is_some_and(|own| own.trim_end_matches('.').eq_ignore_ascii_case(host))
    }
}

/// The address of `[192.0.2.1]` or `[IPv6:2001:db8::1]` (RFC 5321 section 4.1.3).
fn literal(domain: &str) -> Option<IpAddr> {
    let inner = domain.strip_prefix('[')?.strip_suffix(']')?;
    match inner.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => inner[5..].parse().ok(),
        _ => inner.parse().ok(),
    }
}

/// The handshake failed, and nobody wrote into the connection.
fn is_tls_failure(error: &SessionError) -> bool {
    error.reply.command == Command::StartTls
        && error.reply.local != Some(LocalCause::CleartextInjected)
}
