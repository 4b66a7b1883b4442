//! `sendport cert import --ldap`

use std::path::PathBuf;
use std::time::Duration;

use sendport_core::secret::Secret;

use super::Failure;
use crate::app::Directory;

/// Entries with an email address and a certificate.
const PEOPLE: &str = "(&(mail=*)(|(userCertificate=*)(userSMIMECertificate=*)))";

/// Where people are looked up.
#[derive(Debug, clap::Args)]
#[group(id = "directory", requires = "ldap", multiple = true)]
pub(super) struct DirectoryArgs {
    /// Import from a directory such as Active Directory instead of files: userCertificate and
    /// userSMIMECertificate of entries with mail or proxyAddresses
    #[arg(long, value_name = "URL", requires = "base")]
    ldap: Option<String>,
    /// Base DN of the search, such as DC=contoso,DC=com
    #[arg(long, value_name = "DN")]
    base: Option<String>,
    /// Search filter (RFC 4515)
    #[arg(long, value_name = "FILTER", default_value = PEOPLE)]
    filter: String,
    /// User to bind as: a distinguished name, or user@domain [default: anonymous]
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// File that contains the password
    #[arg(long, value_name = "FILE", conflicts_with = "password_env")]
    password_file: Option<PathBuf>,
    /// Environment variable that contains the password
    #[arg(long, value_name = "VARIABLE")]
    password_env: Option<String>,
    /// Switch an ldap: connection to TLS
    #[arg(long)]
    starttls: bool,
    /// PEM file of CA certificates to trust in addition to the system's
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Longest wait for the directory, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    timeout: u64,
}

impl DirectoryArgs {
    /// The directory, where one is named.
    pub(super) fn directory(&self) -> Result<Option<Directory>, Failure> {
        let (Some(url), Some(base)) = (&self.ldap, &self.base) else {
            return Ok(None);
        };
        Ok(Some(Directory {
            url: url.clone(),
            starttls: self.starttls,
            ca_file: self.ca_file.clone(),
            authentication: self.authenticate()?,
            base: base.clone(),
            filter: self.filter.clone(),
            timeout: Duration::from_secs(self.timeout),
        }))
    }

    fn authenticate(&self) -> Result<Option<(String, Secret)>, Failure> {
        let (file, variable) = (self.password_file.as_deref(), self.password_env.as_deref());
        let password = Secret::from_file_or_env(file, variable);
        let password = password.map_err(|what| Failure::Config(format!("password: {what}")))?;
        match (&self.user, password) {
            (Some(user), Some(password)) if !password.expose().is_empty() => {
                Ok(Some((user.clone(), password)))
            }
            (None, None) => Ok(None),
            // An empty password is no password (RFC 4513 section 5.1.2).
            (Some(_), _) => Err(Failure::Config(
                "--user needs a password: --password-file or --password-env".to_owned(),
            )),
            (None, Some(_)) => Err(Failure::Config(
                "there is a password, but no --user whose it is".to_owned(),
            )),
        }
    }
}
