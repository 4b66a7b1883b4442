//! The one setting: a connection string as ADO.NET has it.

use std::collections::HashMap;
use std::time::Duration;

use tiberius::Config;

use super::sign_in::SignIn;
use super::sign_in_words;
use crate::store::{StoreError, StoreErrorKind};

const DOING: &str = "read the connection string";

/// What a connection string says.
#[derive(Clone)]
pub(super) struct Settings {
    /// For the driver; names the database.
    pub(super) config: Config,
    /// Database or Initial Catalog.
    pub(super) database: String,
    /// Server as it was written.
    pub(super) server: String,
    /// How long a TCP connection may take.
    pub(super) connect_timeout: Duration,
    /// Most connections at once.
    pub(super) max_pool_size: usize,
    /// How each of them signs in.
    pub(super) sign_in: SignIn,
}

impl Settings {
    pub(super) fn parse(text: &str, sign_in: SignIn) -> Result<Self, StoreError> {
        let pairs = pairs(text);
        let get = |names: &[&str]| names.iter().find_map(|name| pairs.get(*name)).cloned();
        let database = get(&["database", "initial catalog", "databasename"])
            .filter(|name| !name.is_empty())
            .ok_or_else(|| wrong("it names no database; add 'Database=...', the database that the alerts stand in"))?;
        let server = get(&["server", "data source"])
            .ok_or_else(|| wrong("it names no server; add 'Server=host' or 'Server=host\\instance' or 'Server=tcp:host,1433'"))?;
        let sign_in = sign_in_words::resolve(&pairs, sign_in).map_err(wrong)?;
        let seconds = |names: &[&str], default| read_seconds(get(names), names[0], default);
        let connect_timeout = seconds(&["connect timeout", "connection timeout", "timeout"], 15)?;
        let command_timeout = seconds(&["command timeout"], 30)?;
        let mut config = Config::from_ado_string(text)
            .map_err(|e| StoreError::caused_by(StoreErrorKind::Rejected, DOING, e))?;
        config.handshake_timeout(Some(connect_timeout));
        config.command_timeout(Some(command_timeout));
        config.lossy_utf16_decoding(true);
        if get(&["application name", "applicationname"]).is_none() {
            config.application_name("sendport");
        }
        Ok(Self {
            config,
            database,
            server,
            connect_timeout,
            max_pool_size: read_pool_size(get(&["max pool size"]))?,
            sign_in,
        })
    }

    /// The same server and login, another database.
    pub(super) fn with_database(&self, database: &str) -> Self {
        let mut other = self.clone();
        other.config.database(database);
        database.clone_into(&mut other.database);
        other
    }
}

fn wrong(message: impl Into<String>) -> StoreError {
    StoreError::new(StoreErrorKind::Rejected, DOING, message)
}

fn read_pool_size(value: Option<String>) -> Result<usize, StoreError> {
    let Some(text) = value else {
        return Ok(8);
    };
    let size = text.parse().ok().filter(|size| (1..=100).contains(size));
    size.ok_or_else(|| {
        wrong(format!(
            "'Max Pool Size={text}' is not a number from 1 to 100"
        ))
    })
}

fn read_seconds(value: Option<String>, name: &str, default: u64) -> Result<Duration, StoreError> {
    let Some(text) = value else {
        return Ok(Duration::from_secs(default));
    };
    text.parse()
        .ok()
        .filter(|seconds| (1..=3600).contains(seconds))
        .map(Duration::from_secs)
        .ok_or_else(|| {
            wrong(format!(
                "'{name}={text}' is not a number of seconds from 1 to 3600"
            ))
        })
}

/// Keys in lower case; a value may stand in `'…'`, `"…"` (doubled inside) or `{…}`.
/// Lenient, because the driver reads the same text and complains precisely.
fn pairs(text: &str) -> HashMap<String, String> {
    let mut pairs = HashMap::new();
    let mut rest = text;
    while let Some((key, after)) = rest.split_once('=') {
        let (value, left) = value(after.trim_start());
        let key = key.trim_matches(|c: char| c == ';' || c.is_whitespace());
        pairs.insert(key.to_lowercase(), value);
        rest = left;
    }
    pairs
}

/// The value that `text` begins with, and what follows its semicolon.
fn value(text: &str) -> (String, &str) {
    let close = match text.chars().next() {
        Some(quote @ ('\'' | '"')) => quote,
        Some('{') => '}',
        _ => {
            let (value, rest) = text.split_once(';').unwrap_or((text, ""));
            return (value.trim().to_owned(), rest);
        }
    };
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c != close {
            value.push(c);
        } else if close != '}' && chars.peek().is_some_and(|&(_, next)| next == close) {
            value.push(c);
            chars.next();
        } else {
            let after = &text[at + c.len_utf8()..];
            return (value, after.split_once(';').map_or("", |(_, rest)| rest));
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        Settings::parse(text, SignIn::AsWritten)
            .err()
            .map(|e| e.to_string())
            .unwrap_or_default()
    }

    #[test]
    fn reads_the_database_and_keeps_secrets_out_of_what_it_shows() {
        let settings = Settings::parse(
            "Server=tcp:db.contoso.com,1433;Initial Catalog='my;db';User Id=app;Password={a=b;c};",
            SignIn::AsWritten,
        )
        .unwrap();
        assert_eq!(settings.database, "my;db");
        assert_eq!(settings.server, "tcp:db.contoso.com,1433");
        assert_eq!(settings.config.get_addr(), "db.contoso.com:1433");
    }

    #[test]
    fn a_quoted_password_hides_no_key_behind_it() {
        let read = pairs(r#"Password="a""b;Database=x";Database=real"#);
        assert_eq!(read["password"], "a\"b;Database=x");
        assert_eq!(read["database"], "real");
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
