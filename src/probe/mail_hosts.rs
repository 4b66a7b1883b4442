//! Where the mail of a domain goes, by the DNS: MX (RFC 5321 section 5.1), the null MX (RFC 7505),
//! and where its own users submit mail (RFC 6186, RFC 8314).

use std::error::Error;
use std::net::{IpAddr, SocketAddr};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use sendport_core::domain::domain_to_ascii;
use serde::Serialize;

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
    #[error("the system's name servers are not known: {0}; name one with --name-server")]
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

/// Looks mail routing up.
pub struct MailResolver(TokioResolver);

impl MailResolver {
    /// With the name servers of the system, or one name server.
    ///
    /// # Errors
    /// [`ResolverError`], where the system's are not known.
    pub fn open(name_server: Option<SocketAddr>) -> Result<Self, ResolverError> {
        let builder = match name_server {
            None => TokioResolver::builder_tokio().map_err(ResolverError::NoNameServers)?,
            Some(server) => {
                let config = ResolverConfig::from_name_servers(vec![alone(server)]);
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
        };
        builder.build().map(Self).map_err(ResolverError::Setup)
    }

    /// The mail routing of a domain.
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
        let absolute = |name: &str| format!("{name}.").parse::<Name>();
        let name = absolute(&ascii).map_err(|error| not_a_domain(error.into()))?;
        let mut submission = Vec::new();
        for service in SUBMISSION {
            if let Ok(name) = absolute(&format!("{service}.{ascii}")) {
                submission.extend(self.services(service, name).await);
            }
        }
        Ok(MailDomain {
            route: self.route(&ascii, name).await,
            domain: ascii.into_owned(),
            submission,
        })
    }

    async fn route(&self, domain: &str, name: Name) -> Route {
        let found = match self.records(name, RecordType::MX).await {
            Ok(found) => found,
            Err(error) if error.is_nx_domain() => return Route::NoDomain,
            Err(error) => {
                return Route::Failed {
                    why: error.to_string(),
                };
            }
        };
        let mut exchanges: Vec<(u16, Name)> = found
            .into_iter()
            .filter_map(|record| match record {
                RData::MX(mx) => Some((mx.preference, mx.exchange)),
                _ => None,
            })
            .collect();
        if exchanges.iter().any(|(_, exchange)| exchange.is_root()) {
            return Route::NullMx;
        }
        if exchanges.is_empty() {
            let host = self.host(0, domain).await;
            return Route::Implicit { host };
        }
        exchanges.sort();
        let mut hosts = Vec::with_capacity(exchanges.len());
        for (preference, exchange) in exchanges {
            hosts.push(self.host(preference, &readable(&exchange)).await);
        }
        Route::Hosts { hosts }
    }

    async fn host(&self, preference: u16, name: &str) -> MailHost {
        let (addresses, problem) = self.addresses(name).await;
        MailHost {
            preference,
            name: name.to_owned(),
            addresses,
            problem,
        }
    }

    /// A and AAAA, and why there is neither.
    async fn addresses(&self, name: &str) -> (Vec<IpAddr>, Option<String>) {
        let Ok(name) = format!("{name}.").parse::<Name>() else {
            return (Vec::new(), Some("it is no host name".to_owned()));
        };
        let mut found = Vec::new();
        let mut problem = None;
        for kind in [RecordType::A, RecordType::AAAA] {
            match self.records(name.clone(), kind).await {
                Ok(records) => found.extend(records.iter().filter_map(address)),
                Err(error) if error.is_nx_domain() => {
                    problem = Some("there is no such name".to_owned());
                }
                Err(error) => problem = Some(error.to_string()),
            }
        }
        let none = || problem.unwrap_or_else(|| "it has neither A nor AAAA".to_owned());
        let problem = found.is_empty().then(none);
        (found, problem)
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
        match self.0.lookup(name, kind).await {
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

fn alone(server: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut it| {
        it.port = server.port();
        it
    });
    NameServerConfig::new(server.ip(), true, connections.to_vec())
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
