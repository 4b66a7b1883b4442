//! Where the mail of a domain goes, by the DNS: MX (RFC 5321 section 5.1), the null MX (RFC 7505),
//! and where its own users submit mail (RFC 6186, RFC 8314).

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::ProtoError;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use parking_lot::Mutex;
use sendport_core::domain::domain_to_ascii;
use sendport_core::file_watch::WatchedFiles;
use serde::Serialize;
use uuid::Uuid;

/// Hosts of a domain that are connected to; more are ignored.
pub const MOST_HOSTS: usize = 10;

/// The mail routing of a domain, from the DNS.
#[derive(Debug, Clone, Serialize)]
pub struct MailDomain {
    /// The requested domain, in A-labels.
    pub domain: String,
    /// Where mail for it goes.
    pub route: Route,
    /// Where its users submit mail.
    pub submission: Vec<Service>,
}

/// Where mail for a domain goes.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Route {
    /// To the first of these that answers.
    Hosts {
        /// The most preferred first.
        hosts: Vec<MailHost>,
    },
    /// The domain has no MX, so mail goes to the domain's own addresses.
    Implicit {
        /// The domain as a host.
        host: MailHost,
    },
    /// The domain accepts no mail (RFC 7505).
    NullMx,
    /// The domain does not exist.
    NoDomain,
    /// The DNS did not answer.
    Failed {
        /// Why.
        why: String,
    },
}

/// A host that accepts mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MailHost {
    /// Lower is preferred.
    pub preference: u16,
    /// Its name.
    pub name: String,
    /// A and AAAA.
    pub addresses: Vec<IpAddr>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// One SRV record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Service {
    /// `_submission._tcp` or `_submissions._tcp`.
    pub service: &'static str,
    /// Lower is preferred.
    pub priority: u16,
    /// Share among those of one priority.
    pub weight: u16,
    /// TCP port; 0 with an empty target: there is no such service.
    pub port: u16,
    /// The host; empty: there is no such service.
    pub target: String,
}

/// SRV names of submission, implicit TLS first (RFC 8314).
const SUBMISSION: [&str; 2] = ["_submissions._tcp", "_submission._tcp"];

/// The DNS cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum ResolverError {
    /// The system's name servers are not configured.
    #[error(
        "the system's name servers are not known: {0}; name one, with dns_servers of the relay or --name-server"
    )]
    NoNameServers(#[source] NetError),
    /// The resolver cannot be set up.
    #[error("names cannot be looked up: {0}")]
    Setup(#[source] NetError),
    /// Not a domain name.
    #[error("'{domain}' is no domain name: {why}")]
    NotADomain {
        /// The text.
        domain: String,
        /// What is wrong with it.
        #[source]
        why: Box<dyn Error + Send + Sync>,
    },
}

/// The MX records of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exchanges {
    /// Preference and name: the most preferred first, those of one preference in random order. As many as fit
    /// into an answer of the DNS (64 KiB).
    Hosts(Vec<(u16, String)>),
    /// None: the domain itself is the host.
    Implicit,
    /// The domain accepts no mail (RFC 7505).
    NullMx,
    /// The domain does not exist.
    NoDomain,
    /// The DNS did not answer, or failed. The text says why.
    Failed(String),
}

/// Why a host has no address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoAddress {
    /// In a clause.
    pub why: String,
    /// The DNS did not answer, or failed: another look-up may find one.
    pub transient: bool,
}

/// Looks mail routing up. Answers are cached as long as their TTL allows.
pub struct MailResolver {
    servers: Vec<SocketAddr>,
    /// The file of the system's name servers, where those are used.
    watched: WatchedFiles,
    resolver: Mutex<TokioResolver>,
}

impl MailResolver {
    /// With the name servers of the system, or with these.
    ///
    /// # Errors
    /// [`ResolverError`], where the system's are not known.
    pub fn open(servers: &[SocketAddr]) -> Result<Self, ResolverError> {
        let of_system = PathBuf::from("/etc/resolv.conf");
        Ok(Self {
            // Watched before it is read, so that no change is missed.
            watched: WatchedFiles::new([servers.is_empty().then_some(&of_system)]),
            resolver: Mutex::new(resolver(servers)?),
            servers: servers.to_vec(),
        })
    }

    /// The resolver, with the system's name servers as they are now.
    fn current(&self) -> TokioResolver {
        let mut resolver = self.resolver.lock();
        if self.watched.are_changed() {
            match self::resolver(&self.servers) {
                Ok(changed) => {
                    tracing::info!("name servers of the system changed, read again");
                    *resolver = changed;
                }
                Err(error) => tracing::warn!(%error, "name servers of the system not read"),
            }
        }
        resolver.clone()
    }

    /// The mail routing of a domain, with the addresses of all its hosts.
    ///
    /// # Errors
    /// [`ResolverError::NotADomain`].
    pub async fn mail_of(&self, domain: &str) -> Result<MailDomain, ResolverError> {
        let not_a_domain = |why| ResolverError::NotADomain {
            domain: domain.to_owned(),
            why,
        };
        let ascii = domain_to_ascii(domain.trim_end_matches('.'))
            .map_err(|error| not_a_domain(error.into()))?;
        absolute(&ascii).map_err(|error| not_a_domain(error.into()))?;
        let mut submission = Vec::new();
        for service in SUBMISSION {
            if let Ok(name) = absolute(&format!("{service}.{ascii}")) {
                submission.extend(self.services(service, name).await);
            }
        }
        Ok(MailDomain {
            route: self.route(&ascii).await,
            domain: ascii.into_owned(),
            submission,
        })
    }

    async fn route(&self, domain: &str) -> Route {
        match self.exchanges(domain).await {
            Exchanges::NullMx => Route::NullMx,
            Exchanges::NoDomain => Route::NoDomain,
            Exchanges::Failed(why) => Route::Failed { why },
            Exchanges::Implicit => Route::Implicit {
                host: self.host(0, domain).await,
            },
            Exchanges::Hosts(exchanges) => {
                let mut hosts = Vec::with_capacity(exchanges.len());
                for (preference, name) in exchanges.into_iter().take(MOST_HOSTS) {
                    hosts.push(self.host(preference, &name).await);
                }
                Route::Hosts { hosts }
            }
        }
    }

    /// The MX records of a domain in ASCII (RFC 5321 section 5.1). The resolver follows a CNAME.
    pub async fn exchanges(&self, domain: &str) -> Exchanges {
        let found = match absolute(domain) {
            Ok(name) => self.records(name, RecordType::MX).await,
            Err(_) => return Exchanges::NoDomain,
        };
        let found = match found {
            Ok(found) => found,
            Err(error) if error.is_nx_domain() => return Exchanges::NoDomain,
            Err(error) => return Exchanges::Failed(error.to_string()),
        };
        let exchange = |record| match record {
            RData::MX(mx) => Some((mx.preference, Uuid::new_v4(), mx.exchange)),
            _ => None,
        };
        let mut exchanges: Vec<_> = found.into_iter().filter_map(exchange).collect();
        if exchanges.is_empty() {
            return Exchanges::Implicit;
        }
        exchanges.retain(|(_, _, name)| !name.is_root());
        if exchanges.is_empty() {
            return Exchanges::NullMx;
        }
        exchanges.sort();
        let host = |(preference, _, name): &(u16, Uuid, Name)| (*preference, readable(name));
        Exchanges::Hosts(exchanges.iter().map(host).collect())
    }

    async fn host(&self, preference: u16, name: &str) -> MailHost {
        let (addresses, problem) = match self.addresses(name).await {
            Ok(addresses) => (addresses, None),
            Err(none) => (Vec::new(), Some(none.why)),
        };
        MailHost {
            preference,
            name: name.to_owned(),
            addresses,
            problem,
        }
    }

    /// A and AAAA of a host.
    ///
    /// # Errors
    /// [`NoAddress`]: it has neither.
    pub async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, NoAddress> {
        let mut none = NoAddress {
            why: "it has neither A nor AAAA".to_owned(),
            transient: false,
        };
        let Ok(name) = absolute(name) else {
            none.why = "it is no host name".to_owned();
            return Err(none);
        };
        let (v4, v6) = tokio::join!(
            self.records(name.clone(), RecordType::A),
            self.records(name, RecordType::AAAA)
        );
        let mut found = Vec::new();
        for records in [v4, v6] {
            match records {
                Ok(records) => found.extend(records.iter().filter_map(address)),
                Err(error) if error.is_nx_domain() && !none.transient => {
                    none.why = "there is no such name".to_owned();
                }
                Err(error) if error.is_nx_domain() => {}
                Err(error) => {
                    none.why = error.to_string();
                    none.transient = true;
                }
            }
        }
        match found.is_empty() {
            true => Err(none),
            false => Ok(found),
        }
    }

    /// The TXT records of a name, the strings of each joined; empty where there is none.
    ///
    /// # Errors
    /// Why the DNS did not answer.
    pub async fn texts(&self, name: &str) -> Result<Vec<String>, String> {
        let Ok(name) = absolute(name) else {
            return Ok(Vec::new());
        };
        let found = match self.records(name, RecordType::TXT).await {
            Ok(found) => found,
            Err(error) if error.is_nx_domain() => return Ok(Vec::new()),
            Err(error) => return Err(error.to_string()),
        };
        let text = |record: RData| match record {
            RData::TXT(txt) => Some(String::from_utf8_lossy(&txt.txt_data.concat()).into_owned()),
            _ => None,
        };
        Ok(found.into_iter().filter_map(text).collect())
    }

    /// Whether the name servers answer at all: the root has a record of its own everywhere.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn check(&self) -> Result<(), String> {
        match self.records(Name::root(), RecordType::NS).await {
            Ok(_) | Err(NetError::Dns(_)) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn services(&self, service: &'static str, name: Name) -> Vec<Service> {
        let records = self.records(name, RecordType::SRV).await;
        let of = |record| match record {
            RData::SRV(srv) => Some(Service {
                service,
                priority: srv.priority,
                weight: srv.weight,
                port: srv.port,
                target: readable(&srv.target),
            }),
            _ => None,
        };
        let mut found: Vec<_> = records.into_iter().flatten().filter_map(of).collect();
        found.sort_by_key(|srv| (srv.priority, u16::MAX - srv.weight));
        found
    }

    /// A name without records of this kind is no error.
    async fn records(&self, name: Name, kind: RecordType) -> Result<Vec<RData>, NetError> {
        match self.current().lookup(name, kind).await {
            Ok(found) => Ok(found.answers().iter().map(|it| it.data.clone()).collect()),
            Err(error) if error.is_nx_domain() => Err(error),
            Err(error) if error.is_no_records_found() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

impl Route {
    /// The hosts, in the order of the attempts.
    pub fn hosts(&self) -> &[MailHost] {
        match self {
            Self::Hosts { hosts } => hosts,
            Self::Implicit { host } => std::slice::from_ref(host),
            Self::NullMx | Self::NoDomain | Self::Failed { .. } => &[],
        }
    }
}

fn resolver(servers: &[SocketAddr]) -> Result<TokioResolver, ResolverError> {
    let builder = match servers {
        [] => TokioResolver::builder_tokio().map_err(ResolverError::NoNameServers)?,
        servers => {
            let servers = servers.iter().map(|server| name_server(*server)).collect();
            let config = ResolverConfig::from_name_servers(servers);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        }
    };
    builder.build().map_err(ResolverError::Setup)
}

fn name_server(server: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut it| {
        it.port = server.port();
        it
    });
    NameServerConfig::new(server.ip(), true, connections.to_vec())
}

/// No domain of the search list is appended to it.
fn absolute(name: &str) -> Result<Name, ProtoError> {
    format!("{name}.").parse()
}

fn address(record: &RData) -> Option<IpAddr> {
    match record {
        RData::A(a) => Some(IpAddr::V4(a.0)),
        RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
        _ => None,
    }
}

/// Without its final dot; the root is empty.
fn readable(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_lowercase()
}
