//! Reads people's certificates from a directory (LDAP, RFC 4511): Active Directory and inetOrgPerson (RFC
//! 2798).

mod entry;
mod error;

use std::path::PathBuf;
use std::time::Duration;

use ldap3::adapters::{Adapter, EntriesOnly, PagedResults};
use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, Scope, SearchEntry};
use native_tls::{Certificate, Protocol, TlsConnector};

pub use entry::DirectoryEntry;
pub use error::LdapError;

use sendport_core::secret::Secret;

/// Page size; Active Directory returns at most 1,000 entries at a time.
const PAGE: i32 = 500;

/// A directory, and the search for people.
#[derive(Debug, Clone)]
pub struct Directory {
    /// `ldaps://dc1.contoso.com` or `ldap://dc1.contoso.com:389`.
    pub url: String,
    /// StartTLS (RFC 4511 section 4.14) on an `ldap:` connection.
    pub starttls: bool,
    /// Trusted authorities in PEM, beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Distinguished name, or in Active Directory `user@domain`, and the password; `None` binds
    /// anonymously.
    pub authentication: Option<(String, Secret)>,
    /// Distinguished name of the search base.
    pub base: String,
    /// Search filter (RFC 4515).
    pub filter: String,
    /// Time limit for connecting, and for each page.
    pub timeout: Duration,
}

impl Directory {
    /// All entries with a certificate, in the directory's order.
    ///
    /// # Errors
    /// [`LdapError`]; there is no partial result.
    pub async fn people(&self) -> Result<Vec<DirectoryEntry>, LdapError> {
        if self.authentication.is_some() && self.is_unencrypted() {
            return Err(LdapError::Plaintext(self.url.clone()));
        }
        // ldap3 panics where the answer is not LDAP.
        let search = tokio::spawn(self.clone().search());
        let found = search.await;
        found.map_err(|_| LdapError::NoLdap(self.url.clone()))?
    }

    fn is_unencrypted(&self) -> bool {
        !self.starttls && !self.url.to_ascii_lowercase().starts_with("ldaps:")
    }

    async fn search(self) -> Result<Vec<DirectoryEntry>, LdapError> {
        let mut ldap = self.connect().await?;
        self.bind(&mut ldap).await?;
        let found = self.read(&mut ldap).await;
        // The result is complete; a failed unbind does not matter.
        drop(ldap.unbind().await);
        found
    }

    async fn connect(&self) -> Result<Ldap, LdapError> {
        let settings = LdapConnSettings::new()
            .set_conn_timeout(self.timeout)
            .set_starttls(self.starttls)
            .set_connector(self.connector()?);
        let unreachable = |why| LdapError::Unreachable {
            url: self.url.clone(),
            why: Box::new(why),
        };
        let opened = LdapConnAsync::with_settings(settings, &self.url).await;
        let (connection, ldap) = opened.map_err(unreachable)?;
        tokio::spawn(async move {
            if let Err(error) = connection.drive().await {
                tracing::debug!(%error, "directory connection closed");
            }
        });
        Ok(ldap)
    }

    fn connector(&self) -> Result<TlsConnector, LdapError> {
        let mut builder = TlsConnector::builder();
        builder.min_protocol_version(Some(Protocol::Tlsv12));
        if let Some(file) = &self.ca_file {
            let wrong = |why| LdapError::Authorities {
                file: file.clone(),
                why,
            };
            let pem =
                sendport_core::regular_file::read(file).map_err(|error| wrong(error.into()))?;
            let read = Certificate::stack_from_pem(&pem);
            let read = read.map_err(|error| wrong(error.into()))?;
            if read.is_empty() {
                return Err(wrong("expected certificates in PEM, found none".into()));
            }
            for certificate in read {
                builder.add_root_certificate(certificate);
            }
        }
        builder.build().map_err(LdapError::Tls)
    }

    async fn bind(&self, ldap: &mut Ldap) -> Result<(), LdapError> {
        let Some((name, password)) = &self.authentication else {
            return Ok(());
        };
        let bound = ldap
            .with_timeout(self.timeout)
            .simple_bind(name, password.expose())
            .await;
        let refused = |why| LdapError::Authentication {
            name: name.clone(),
            why: Box::new(why),
        };
        bound
            .and_then(ldap3::LdapResult::success)
            .map_err(refused)?;
        Ok(())
    }

    async fn read(&self, ldap: &mut Ldap) -> Result<Vec<DirectoryEntry>, LdapError> {
        let failed = |why| LdapError::Search {
            base: self.base.clone(),
            filter: self.filter.clone(),
            why: Box::new(why),
        };
        let adapters: Vec<Box<dyn Adapter<'_, _, _>>> = vec![
            // Referrals are not followed: the credentials may not be meant for other servers.
            Box::new(EntriesOnly::new()),
            Box::new(PagedResults::new(PAGE)),
        ];
        let search = ldap.with_timeout(self.timeout).streaming_search_with(
            adapters,
            &self.base,
            Scope::Subtree,
            &self.filter,
            entry::ATTRIBUTES.to_vec(),
        );
        let mut entries = search.await.map_err(failed)?;
        let mut people = Vec::new();
        while let Some(entry) = entries.next().await.map_err(failed)? {
            people.extend(DirectoryEntry::of(SearchEntry::construct(entry)));
        }
        entries.finish().await.success().map_err(failed)?;
        Ok(people)
    }
}
