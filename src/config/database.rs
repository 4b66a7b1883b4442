//! Section `[database]`: where the alerts are.

use std::path::{Path, PathBuf};

use sendport_core::secret::Secret;
use sendport_core::secret_source::SecretError;
use sendport_oauth2::settings::OAuth2Config;
use serde::{Deserialize, Serialize, Serializer};

use super::validate::Problems;
use super::{Config, check_oauth2};

/// The default scope of a token for Azure SQL.
const AZURE_SQL: &str = "https://database.windows.net/.default";

/// How to reach the database.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseConfig {
    /// `sqlite:<file>`, or an ADO.NET connection string for SQL Server. It may hold a
    /// password and is therefore a secret.
    #[serde(serialize_with = "file_or_struck_out")]
    pub connection: Secret,
    /// File that holds the connection string, instead.
    pub connection_file: Option<PathBuf>,
    /// Environment variable that holds it, instead.
    pub connection_env: Option<String>,
    /// How to authenticate.
    #[serde(default)]
    pub auth: DatabaseAuth,
}

/// Section `[database.auth]`: how to authenticate to SQL Server, tagged by `kind`.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum DatabaseAuth {
    /// As the connection string says, usually with a SQL login.
    #[default]
    ConnectionString,
    /// With an access token of Entra ID.
    EntraToken(Box<EntraToken>),
    /// As a Windows account, with a Kerberos ticket.
    Windows(WindowsAccount),
}

/// `kind = "entra_token"`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EntraToken {
    /// Where the token comes from.
    pub oauth2: OAuth2Config,
}

impl EntraToken {
    /// Where the token comes from; one that this service asks for itself is for Azure SQL, unless
    /// the section says otherwise.
    pub fn source(&self) -> OAuth2Config {
        let mut source = self.oauth2.clone();
        if let OAuth2Config::ClientCredentials(request) = &mut source
            && request.resource.is_none()
        {
            request.scope.get_or_insert_with(|| AZURE_SQL.to_owned());
        }
        source
    }
}

/// `kind = "windows"`.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct WindowsAccount {
    /// The keys that Kerberos tickets are asked for with. Without it, the process's own tickets
    /// (`KRB5CCNAME`, `KRB5_CLIENT_KTNAME`).
    pub keytab_file: Option<PathBuf>,
    /// The principal, `name@REALM`. Default: the first of the keytab.
    pub principal: Option<String>,
}

impl DatabaseAuth {
    fn rebase(&mut self, folder: &Path) {
        match self {
            Self::ConnectionString => {}
            Self::EntraToken(entra) => entra.oauth2.rebase(folder),
            Self::Windows(account) => {
                if let Some(file) = &mut account.keytab_file {
                    *file = folder.join(&*file);
                }
            }
        }
    }

    pub(super) fn check(&self, found: &mut Problems) {
        match self {
            Self::EntraToken(entra) => {
                for (below, what) in check_oauth2::problems(&entra.oauth2) {
                    found.add(format!("database.auth.oauth2.{below}"), what);
                }
            }
            Self::Windows(account) if account.keytab_file.is_none() => {
                if account.principal.is_some() {
                    found.add(
                        "database.auth.principal",
                        "it says whose key of keytab_file is used, and there is no keytab_file",
                    );
                }
            }
            Self::ConnectionString | Self::Windows(_) => {}
        }
    }
}

impl Config {
    /// The key of the connection string, with the file or the environment variable that contains it.
    pub fn connection_origin(&self) -> String {
        let database = &self.database;
        let key = |name: &str| self.variables.with_origin(&format!("database.{name}"));
        match (&database.connection_file, &database.connection_env) {
            (Some(file), _) => format!("{} {}", key("connection_file"), file.display()),
            (None, Some(variable)) => format!("{} {variable}", key("connection_env")),
            (None, None) => key("connection"),
        }
    }
}

/// Why there is no connection string.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionSourceError {
    /// The file or the variable cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The file or the variable holds nothing.
    #[error(
        "the connection string that connection_file or connection_env refers to is empty; store it there"
    )]
    Empty,
}

impl DatabaseConfig {
    /// The connection string, from whichever place holds it.
    ///
    /// # Errors
    /// [`ConnectionSourceError`] names the file or the variable.
    pub fn resolve(&self) -> Result<Secret, ConnectionSourceError> {
        let elsewhere = Secret::from_file_or_env(
            self.connection_file.as_deref(),
            self.connection_env.as_deref(),
        )?;
        match elsewhere {
            Some(secret) if secret.expose().trim().is_empty() => Err(ConnectionSourceError::Empty),
            Some(secret) => Ok(secret),
            None => Ok(self.connection.clone()),
        }
    }

    /// A relative file means: beside the configuration file.
    pub(super) fn rebase(&mut self, folder: &Path) {
        self.auth.rebase(folder);
        if let Some(file) = sqlite_file(self.connection.expose())
            && file.is_relative()
        {
            self.connection = Secret::new(format!("sqlite:{}", folder.join(file).display()));
        }
    }
}

/// The name of a file is not secret.
fn file_or_struck_out<S: Serializer>(connection: &Secret, to: S) -> Result<S::Ok, S::Error> {
    match sqlite_file(connection.expose()) {
        Some(_) => to.serialize_str(connection.expose()),
        None => connection.serialize(to),
    }
}

/// The file of a `sqlite:` connection, or `None` for an ADO.NET string.
pub fn sqlite_file(connection: &str) -> Option<PathBuf> {
    let (scheme, file) = connection.trim().split_once(':')?;
    let is_sqlite = scheme.eq_ignore_ascii_case("sqlite");
    is_sqlite.then(|| PathBuf::from(file.strip_prefix("//").unwrap_or(file)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(section: &str) -> DatabaseAuth {
        toml::from_str(section).expect("a section")
    }

    fn scope(section: &str) -> Option<String> {
        let section =
            format!("kind = 'entra_token'\n[oauth2]\nsource = 'client_credentials'\n{section}");
        let DatabaseAuth::EntraToken(entra) = auth(&section) else {
            panic!("another kind: {section}");
        };
        match entra.source() {
            OAuth2Config::ClientCredentials(request) => request.scope,
            other => panic!("another source: {other:?}"),
        }
    }

    #[test]
    fn a_token_is_for_azure_sql_by_default() {
        let client = "tenant = 't'\nclient_id = 'c'\nclient_secret = 's'\n";
        assert_eq!(scope(client).as_deref(), Some(AZURE_SQL));
        let sovereign = format!("{client}scope = 'https://database.usgovcloudapi.net/.default'");
        let expected = "https://database.usgovcloudapi.net/.default";
        assert_eq!(scope(&sovereign).as_deref(), Some(expected));
        let first_version = format!("{client}resource = 'https://database.windows.net/'");
        assert_eq!(scope(&first_version), None);
    }

    #[test]
    fn recognises_a_sqlite_file() {
        for text in ["sqlite:a.db", " SQLite:a.db", "sqlite://a.db"] {
            assert_eq!(sqlite_file(text), Some(PathBuf::from("a.db")), "{text}");
        }
        assert_eq!(sqlite_file("Server=tcp:a,1433"), None);
        assert_eq!(sqlite_file("a.db"), None);
    }

    #[test]
    fn a_connection_file_that_is_empty_is_refused() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "\u{FEFF}\r\n").expect("write");
        let section = format!(
            "connection = 'sqlite:a'\nconnection_file = {:?}",
            file.path()
        );
        let config: DatabaseConfig = toml::from_str(&section).expect("a section");
        let error = config.resolve().map(drop).expect_err("empty");
        assert!(matches!(error, ConnectionSourceError::Empty), "{error}");
    }

    #[test]
    fn files_stand_beside_the_configuration() {
        let mut windows = auth("kind = 'windows'\nkeytab_file = 'sendport.keytab'");
        windows.rebase(Path::new("/etc/sendport"));
        let DatabaseAuth::Windows(account) = windows else {
            panic!("another kind");
        };
        let expected = Path::new("/etc/sendport/sendport.keytab");
        assert_eq!(account.keytab_file.as_deref(), Some(expected));
    }
}
