//! The one setting: a connection string as ADO.NET has it.

use std::time::Duration;

use tiberius::{AuthMethod, Config, EncryptionLevel};

use super::authentication::Authentication;
use super::connection_string::ConnectionString;
use super::connection_string_auth;
use super::connection_string_error::ConnectionStringError;
use super::server_name::ServerAddress;
use crate::{StoreError, StoreErrorKind};

const DOING: &str = "read the connection string";

/// What a connection string says.
#[derive(Clone)]
pub(super) struct Settings {
    /// For the driver; names the database, and no server.
    pub(super) config: Config,
    /// Database or Initial Catalog.
    pub(super) database: String,
    /// Server as it was written.
    pub(super) server: String,
    /// Where that is.
    pub(super) address: ServerAddress,
    /// What `Encrypt` asks for.
    pub(super) encryption: EncryptionLevel,
    /// All addresses of the server are tried at once.
    pub(super) multi_subnet: bool,
    /// How long a TCP connection may take.
    pub(super) connect_timeout: Duration,
    /// Most connections at once.
    pub(super) max_pool_size: usize,
    /// How each of them authenticates.
    pub(super) authentication: Authentication,
}

impl Settings {
    pub(super) fn parse(text: &str, authentication: Authentication) -> Result<Self, StoreError> {
        Self::read(text, authentication).map_err(|error| {
            let hint = of_another_kind(text).unwrap_or_default();
            let message = format!("{error}{hint}");
            StoreError::explained(StoreErrorKind::Rejected, DOING, message, error)
        })
    }

    fn read(text: &str, authentication: Authentication) -> Result<Self, ConnectionStringError> {
        let pairs = ConnectionString::read(text)?;
        let filled = |key| pairs.get(key).filter(|value| !value.is_empty());
        let database = filled("database").ok_or(ConnectionStringError::NoDatabase)?;
        let server = filled("server").ok_or(ConnectionStringError::NoServer)?;
        let authentication = connection_string_auth::resolve(&pairs, authentication)?;
        let connect_timeout = read_seconds(&pairs, "connect timeout", 15)?;
        let mut settings = Self {
            config: driver_config(&pairs)?,
            database: database.to_owned(),
            server: server.to_owned(),
            address: ServerAddress::parse(server).map_err(|source| {
                ConnectionStringError::Server {
                    text: server.to_owned(),
                    source,
                }
            })?,
            encryption: encryption(&pairs)?,
            multi_subnet: pairs.truth("multisubnetfailover")?,
            connect_timeout,
            max_pool_size: read_pool_size(&pairs)?,
            authentication,
        };
        settings.config.database(database);
        settings.config.handshake_timeout(Some(connect_timeout));
        Ok(settings)
    }

    /// For the driver, to connect to `address`.
    pub(super) fn config_at(&self, address: &ServerAddress) -> Config {
        let mut config = self.config.clone();
        config.host(&address.host);
        match address.looked_up() {
            Some(instance) => config.instance_name(instance),
            None => config.port(address.port()),
        }
        config
    }

    pub(super) fn describe(&self) -> String {
        format!(
            "database '{}' on SQL Server '{}'",
            self.database, self.server
        )
    }

    /// The same server and login, another database.
    pub(super) fn with_database(&self, database: &str) -> Self {
        let mut other = self.clone();
        other.config.database(database);
        database.clone_into(&mut other.database);
        other
    }
}

/// What the driver has to know beside where the server is.
fn driver_config(pairs: &ConnectionString) -> Result<Config, ConnectionStringError> {
    let mut config = Config::new();
    let [user, password] = ["user id", "password"].map(|key| pairs.get(key).unwrap_or_default());
    config.authentication(AuthMethod::sql_server(user, password));
    config.application_name(pairs.get("application name").unwrap_or("sendport"));
    if let Some(name) = pairs.get("workstation id") {
        config.client_name(name);
    }
    if let Some(intent) = pairs.get("application intent") {
        config.readonly(intent.eq_ignore_ascii_case("readonly"));
    }
    config.command_timeout(Some(read_seconds(pairs, "command timeout", 30)?));
    config.lossy_utf16_decoding(true);
    config.multi_subnet_failover(pairs.truth("multisubnetfailover")?);
    encrypt(&mut config, pairs)?;
    Ok(config)
}

fn encrypt(config: &mut Config, pairs: &ConnectionString) -> Result<(), ConnectionStringError> {
    let level = encryption(pairs)?;
    let blindly = pairs.truth("trustservercertificate")?;
    match (blindly, pairs.get("trustservercertificateca")) {
        (true, _) if level == EncryptionLevel::Strict => {
            return Err(ConnectionStringError::StrictTrustsAny);
        }
        (true, Some(_)) => return Err(ConnectionStringError::TwoTrusts),
        (true, None) => config.trust_cert(),
        (false, Some(file)) => config.trust_cert_ca(file),
        (false, None) => {}
    }
    if let Some(name) = pairs.get("hostnameincertificate") {
        config.hostname_in_certificate(name);
    }
    config.encryption(level);
    Ok(())
}

/// `Strict` is TDS 8.0: TLS comes before everything else.
fn encryption(pairs: &ConnectionString) -> Result<EncryptionLevel, ConnectionStringError> {
    let Some((word, value)) = pairs.pair("encrypt") else {
        return Ok(EncryptionLevel::Required);
    };
    match &*value.to_lowercase() {
        "true" | "yes" | "mandatory" => Ok(EncryptionLevel::Required),
        "false" | "no" | "optional" => Ok(EncryptionLevel::Off),
        "strict" => Ok(EncryptionLevel::Strict),
        "danger_plaintext" => Ok(EncryptionLevel::NotSupported),
        _ => Err(ConnectionStringError::Value {
            key: word.to_owned(),
            value: value.to_owned(),
            expected: "Strict, Mandatory (true) or Optional (false)",
        }),
    }
}

/// What the text is, where it is no connection string of SQL Server.
fn of_another_kind(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once(':').unwrap_or_default();
    let scheme = scheme.trim().to_lowercase();
    if strsim::jaro_winkler(&scheme, "sqlite") > 0.9 {
        return Some(format!(
            "; for a SQLite file write 'sqlite:{}'",
            rest.trim()
        ));
    }
    if [
        "postgres",
        "postgresql",
        "mysql",
        "mariadb",
        "oracle",
        "mongodb",
    ]
    .contains(&&*scheme)
    {
        return Some(format!(
            "; '{scheme}' is another kind of database: sendport works on SQL Server \
             ('Server=host,port;Database=...') and SQLite ('sqlite:<file>')"
        ));
    }
    if ["jdbc", "mssql", "sqlserver", "odbc"].contains(&&*scheme) {
        return Some(
            "; it looks like a URL: write 'Server=host,port;Database=...;User Id=...;Password=...'"
                .to_owned(),
        );
    }
    let value = match text.trim().split_once('=') {
        None => text.trim(),
        Some((key, value)) if key.trim().eq_ignore_ascii_case("data source") => {
            value.split(';').next().unwrap_or_default().trim()
        }
        Some(_) => return None,
    };
    let ends = [".db", ".sqlite", ".sqlite3", ".db3"];
    let is_file = ends.iter().any(|end| value.to_lowercase().ends_with(end));
    is_file.then(|| format!("; for a SQLite file write 'sqlite:{value}'"))
}

fn read_pool_size(pairs: &ConnectionString) -> Result<usize, ConnectionStringError> {
    let Some((word, text)) = pairs.pair("max pool size") else {
        return Ok(8);
    };
    let size = text.parse().ok().filter(|size| (1..=100).contains(size));
    size.ok_or_else(|| out_of_range(word, text, "number from 1 to 100"))
}

fn read_seconds(
    pairs: &ConnectionString,
    key: &'static str,
    default: u64,
) -> Result<Duration, ConnectionStringError> {
    let Some((word, text)) = pairs.pair(key) else {
        return Ok(Duration::from_secs(default));
    };
    text.parse()
        .ok()
        .filter(|seconds| (1..=3600).contains(seconds))
        .map(Duration::from_secs)
        .ok_or_else(|| out_of_range(word, text, "number of seconds from 1 to 3600"))
}

fn out_of_range(key: &str, value: &str, what: &'static str) -> ConnectionStringError {
    ConnectionStringError::Range {
        key: key.to_owned(),
        value: value.to_owned(),
        what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGIN: &str = "Server=db,1444;Database=d;User Id=u;Password=p";

    fn read(more: &str) -> Settings {
        let read = Settings::parse(&format!("{LOGIN};{more}"), Authentication::AsWritten);
        read.unwrap_or_else(|error| panic!("{more}: {error}"))
    }

    fn message(text: &str) -> String {
        Settings::parse(text, Authentication::AsWritten)
            .err()
            .map(|e| e.to_string())
            .unwrap_or_default()
    }

    #[test]
    fn reads_the_database_and_keeps_secrets_out_of_what_it_shows() {
        let settings = Settings::parse(
            "Server=tcp:db.contoso.com,1433;Initial Catalog='my;db';User Id=app;Password={a=b;c};",
            Authentication::AsWritten,
        )
        .unwrap();
        assert_eq!(settings.database, "my;db");
        assert_eq!(settings.server, "tcp:db.contoso.com,1433");
        let config = settings.config_at(&settings.address);
        assert_eq!(config.get_addr(), "db.contoso.com:1433");
        assert!(!format!("{:?}", settings.config).contains("a=b;c"));
    }

    #[test]
    fn the_words_of_encryption_are_those_of_the_drivers() {
        for (more, expected) in [
            ("", EncryptionLevel::Required),
            ("Encrypt=Mandatory", EncryptionLevel::Required),
            ("Encrypt=yes", EncryptionLevel::Required),
            ("Encrypt=Optional", EncryptionLevel::Off),
            ("Encrypt=False", EncryptionLevel::Off),
            ("Encrypt=strict", EncryptionLevel::Strict),
        ] {
            let shown = format!("{:?}", read(more).config);
            assert!(
                shown.contains(&format!("encryption: {expected:?}")),
                "{shown}"
            );
        }
        for (more, expected) in [
            ("Encrypt=maybe", "'Encrypt=maybe'"),
            (
                "Encrypt=Strict;TrustServerCertificate=true",
                "always checks",
            ),
            (
                "TrustServerCertificate=true;TrustServerCertificateCA=x",
                "keep one",
            ),
        ] {
            let output = message(&format!("{LOGIN};{more}"));
            assert!(output.contains(expected), "{output}");
        }
    }

    #[test]
    fn says_what_a_text_is_that_is_no_connection_string() {
        for (text, expected) in [
            ("sendport.db", "write 'sqlite:sendport.db'"),
            ("sqllite:sendport.db", "write 'sqlite:sendport.db'"),
            ("sqlite3:sendport.db", "write 'sqlite:sendport.db'"),
            ("postgres://u@h/d", "'postgres' is another kind of database"),
            ("mysql://u@h/d?a=b", "'mysql' is another kind of database"),
            ("Data Source=/var/lib/app.db", "'sqlite:/var/lib/app.db'"),
            ("mssql://sa:pa55@db/Orders", "looks like a URL"),
            ("jdbc:sqlserver://db;database=x", "looks like a URL"),
        ] {
            let output = message(text);
            assert!(output.contains(expected), "{output}");
            assert!(!output.contains("pa55"), "{output}");
        }
    }

    #[test]
    fn the_program_is_named_at_the_server() {
        let named = |more: &str| format!("{:?}", read(more).config);
        assert!(named("").contains("Some(\"sendport\")"));
        assert!(named("Application Name=Orders").contains("Some(\"Orders\")"));
        assert!(named("App=Orders").contains("Some(\"Orders\")"));
        assert!(read("MultiSubnetFailover=True").multi_subnet);
    }

    #[test]
    fn says_what_is_missing_and_what_to_write() {
        assert!(message("Server=a;User Id=b;Password=c").contains("Database="));
        assert!(message("Database=a;User Id=b;Password=c").contains("Server="));
        assert!(message("Server=a;Database=b").contains("User Id="));
        assert!(
            message("Server=a;Database=b;Authentication=ActiveDirectoryMsi")
                .contains("entra_token")
        );
        assert!(message("Server=a;Database=b;User Id=c;Command Timeout=no").contains("seconds"));
    }
}
