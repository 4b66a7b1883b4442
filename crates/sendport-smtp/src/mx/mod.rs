//! A relay of `kind = "mx"`: submits to the mail hosts of each recipient's domain (RFC 5321 section 5.1).
//!
//! `search` walks through the hosts of a domain until one takes the transaction; `unsent` says why none did.
//! A `mail_server` is one address of a host with its sessions, which are those of
//! [`SmtpRelay`](crate::SmtpRelay).
//! `address_rules` decides which addresses are connected to,
//! `mta_sts` whether a domain wants its hosts verified.

mod address_rules;
mod mail_server;
mod mta_sts;
mod search;
mod unsent;

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use sendport_core::clock::Clock;
use sendport_core::domain::{
    Address, Command, CommandReply, Envelope, Reply, SessionFacts, SubmissionEnd, SubmissionReport,
};
use sendport_smime::SecuredMessage;
use tokio::time::Instant;

use crate::ehlo_name;
use crate::mail_hosts::MailResolver;
use crate::relay::limits::Limiter;
use crate::relay::observer::{RelayActivity, RelayObserver};
use crate::relay::{PerDomain, Relay, SessionError, SubmissionGate};
use crate::settings::mx::{MxRelay as Config, RouteConfig};
use crate::smtp_relay::{SettingsError, SettingsErrorKind};
use mail_server::{MailServers, ServerKey};
use mta_sts::Policies;
use search::Search;
use unsent::Unsent;

/// The mail hosts of every domain.
pub struct MxRelay {
    name: String,
    config: Arc<Config>,
    resolver: MailResolver,
    limiter: Arc<Limiter>,
    servers: MailServers,
    policies: Policies,
    clock: Arc<dyn Clock>,
}

/// One transaction for recipients of one domain.
#[derive(Clone, Copy)]
struct MxJob<'a> {
    domain: &'a str,
    envelope: &'a Envelope,
    message: &'a SecuredMessage,
    gate: &'a dyn SubmissionGate,
    end: Instant,
}

impl MxRelay {
    /// Checks the settings. Asks no name server and opens no connection. `default_ehlo_name`: where the
    /// section names none.
    ///
    /// # Errors
    /// [`SettingsError`] names the key, what was expected and what was found.
    pub fn new(
        name: impl Into<String>,
        config: &Config,
        default_ehlo_name: Option<String>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SettingsError> {
        let name = name.into();
        let wrong = |source: SettingsErrorKind| SettingsError {
            relay: name.clone(),
            source,
        };
        let mut config = config.clone();
        config.ehlo_name = config.ehlo_name.or(default_ehlo_name);
        let checked = config.ehlo_name.as_deref().map(ehlo_name::checked);
        checked.transpose().map_err(|error| wrong(error.into()))?;
        let resolver = MailResolver::open(&config.dns_servers);
        let config = Arc::new(config);
        let relay = Self {
            resolver: resolver.map_err(|error| wrong(error.into()))?,
            limiter: Arc::new(Limiter::new(config.limits())),
            servers: MailServers::new(config.clone(), clock.clone()),
            policies: Policies::new(),
            clock,
            config,
            name,
        };
        for (domain, route) in &relay.config.route {
            let name = format!("{}.route.\"{domain}\"", relay.name);
            let key = relay.key(Some(route), domain.to_string(), None);
            relay.servers.make(name, &key)?;
        }
        Ok(relay)
    }

    /// Sets the observer of the relay's activity.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn RelayObserver>) -> Self {
        self.servers
            .observe(Arc::new(WithoutCertificates(observer)));
        self
    }

    /// The server at `address` of the host `name`, for a domain with this route.
    fn key(&self, route: Option<&RouteConfig>, name: String, address: Option<IpAddr>) -> ServerKey {
        ServerKey {
            name,
            address,
            port: route.and_then(|it| it.port).unwrap_or(self.config.port),
            tls: route.and_then(|it| it.tls).unwrap_or(self.config.tls),
            ca_file: route.and_then(|it| it.ca_file.clone()),
        }
    }

    /// Where to connect to for the host of a route: `None` in the list leaves the look-up to the system, which
    /// knows more than the DNS. `None`: the name servers of the relay have to be asked.
    fn route_addresses(&self, host: &str) -> Option<Vec<Option<IpAddr>>> {
        match host.parse() {
            Ok(address) => Some(vec![Some(address)]),
            Err(_) if self.config.dns_servers.is_empty() => Some(vec![None]),
            Err(_) => None,
        }
    }

    /// Whether the host of a route has an address.
    ///
    /// # Errors
    /// Why it has none.
    async fn check_route(&self, host: &str) -> Result<(), String> {
        let asked = async {
            match self.route_addresses(host) {
                Some(addresses) if addresses == [None] => {
                    let found = tokio::net::lookup_host((host, self.config.port)).await;
                    found.map(drop).map_err(|error| error.to_string())
                }
                Some(_) => Ok(()),
                None => self
                    .resolver
                    .addresses(host)
                    .await
                    .map(drop)
                    .map_err(|none| none.why),
            }
        };
        let asked = tokio::time::timeout(self.config.timeout.connect, asked).await;
        asked.unwrap_or_else(|_| Err("no answer in time".to_owned()))
    }

    fn report(&self, end: SubmissionEnd, replies: Vec<CommandReply>) -> SubmissionReport {
        let now = self.clock.now();
        SubmissionReport {
            started_at: now,
            ended_at: now,
            facts: SessionFacts::default(),
            replies,
            end,
        }
    }
}

/// The certificates of strangers expire without our doing.
struct WithoutCertificates(Arc<dyn RelayObserver>);

impl RelayObserver for WithoutCertificates {
    fn record(&self, activity: RelayActivity) {
        if !matches!(activity, RelayActivity::Certificate(..)) {
            self.0.record(activity);
        }
    }
}

#[async_trait]
impl Relay for MxRelay {
    fn name(&self) -> &str {
        &self.name
    }

    fn limiter(&self) -> &Arc<Limiter> {
        &self.limiter
    }

    async fn submit(
        &self,
        envelope: &Envelope,
        message: &SecuredMessage,
        gate: &dyn SubmissionGate,
    ) -> SubmissionReport {
        let first = envelope.forward_paths.first();
        let job = MxJob {
            domain: first.map_or("", |path| path.address.domain()),
            envelope,
            message,
            gate,
            end: Instant::now() + self.config.timeout.attempt,
        };
        let started_at = self.clock.now();
        let report = match Search::new(self, job).submit().await {
            Ok(report) => return report,
            Err(Unsent::Later(SessionError { reply, fault })) => {
                self.report(SubmissionEnd::NotBegun { reply, fault }, Vec::new())
            }
            Err(Unsent::Never(reply)) => {
                let to_each = |path: &sendport_core::domain::ForwardPath| CommandReply {
                    ordinal: Some(path.ordinal),
                    reply: reply.clone(),
                };
                let replies = envelope.forward_paths.iter().map(to_each);
                self.report(SubmissionEnd::Answered, replies.collect())
            }
        };
        tracing::debug!(
            sender = envelope.reverse_path.0.as_ref().map(Address::masked),
            domain = job.domain,
            "no mail host took the message"
        );
        SubmissionReport {
            started_at,
            ..report
        }
    }

    /// Asks the name servers for something that each of them can answer, and for the hosts of the routes.
    async fn verify(&self) -> Result<SessionFacts, SessionError> {
        let absent = |what| SessionError::new(Reply::absent(Command::Connect, what));
        if let Err(why) = self.resolver.check().await {
            return Err(absent(format!("the name servers do not answer: {why}")));
        }
        let hosts = self.config.route.iter();
        let hosts = hosts.filter_map(|(domain, route)| Some((domain, route.host.as_deref()?)));
        for (domain, host) in hosts {
            if let Err(why) = self.check_route(host).await {
                return Err(absent(format!(
                    "route.\"{domain}\".host: {host} has no address: {why}"
                )));
            }
        }
        Ok(SessionFacts::default())
    }

    fn per_domain(&self) -> Option<PerDomain> {
        Some(PerDomain {
            limits: self.config.domain_limits(),
            first_wait: self.config.first_wait,
            longest_wait: self.config.longest_wait,
        })
    }

    fn other_relay(&self, domain: &str) -> Option<&str> {
        self.config.route_of(domain)?.relay.as_deref()
    }

    fn connections(&self) -> u32 {
        self.servers.established()
    }

    async fn close(&self) {
        self.servers.close().await;
    }
}
