//! The pairs of a connection string as ADO.NET has them: `Key=value;Key=value`.

use std::collections::HashMap;

use super::connection_string_error::ConnectionStringError;

/// Each key of a meaning here, the names that ADO.NET, JDBC and ODBC have for it.
const READ: &[&[&str]] = &[
    &[
        "server",
        "data source",
        "address",
        "addr",
        "network address",
    ],
    &["database", "initial catalog", "databasename"],
    &["user id", "uid", "user", "username"],
    &["password", "pwd"],
    &["authentication"],
    &[
        "integrated security",
        "integratedsecurity",
        "trusted_connection",
    ],
    &["encrypt"],
    &["trustservercertificate", "trust server certificate"],
    &["trustservercertificateca"],
    &[
        "hostnameincertificate",
        "hostname in certificate",
        "host name in certificate",
    ],
    &["application name", "applicationname", "app"],
    &["workstation id", "workstationid", "wsid"],
    &["application intent", "applicationintent"],
    &["multisubnetfailover", "multi subnet failover"],
    &["connect timeout", "connection timeout", "timeout"],
    &["command timeout"],
    &["max pool size"],
];

/// ADO.NET's keys that change nothing here.
const WITHOUT_EFFECT: &[&str] = &[
    "asynchronous processing",
    "async",
    "attestation protocol",
    "column encryption setting",
    "connect retry count",
    "connect retry interval",
    "connection lifetime",
    "connection reset",
    "connectretrycount",
    "connectretryinterval",
    "context connection",
    "current language",
    "enclave attestation url",
    "enlist",
    "failover partner spn",
    "failoverpartnerspn",
    "ip address preference",
    "ipaddresspreference",
    "language",
    "load balance timeout",
    "mars_connection",
    "min pool size",
    "multiple active result sets",
    "multipleactiveresultsets",
    "net",
    "network",
    "network library",
    "packet size",
    "persist security info",
    "persistsecurityinfo",
    "pool blocking period",
    "poolblockingperiod",
    "pooling",
    "replication",
    "server spn",
    "serverspn",
    "transaction binding",
    "transparent network ip resolution",
    "transparentnetworkipresolution",
    "type system version",
];

/// Keys that cannot be passed over, and what to write instead.
const INSTEAD: &[(&str, &str)] = &[
    ("driver", "it is of ODBC; remove it, the driver is built in"),
    ("dsn", "it is of ODBC; write 'Server=...;Database=...'"),
    (
        "provider",
        "it is of OLE DB; remove it, the driver is built in",
    ),
    (
        "port",
        "write the port behind the server, 'Server=host,port'",
    ),
    (
        "portnumber",
        "write the port behind the server, 'Server=host,port'",
    ),
    (
        "instancename",
        "write the instance behind the server, 'Server=host\\instance'",
    ),
    (
        "failover partner",
        "a mirror is not followed; name a listener or an alias in 'Server', and remove it",
    ),
    (
        "servercertificate",
        "write 'TrustServerCertificateCA=<PEM file>', or 'HostNameInCertificate=<name>'",
    ),
    (
        "attachdbfilename",
        "attach the database at the server, and write 'Database=<name>'",
    ),
    (
        "user instance",
        "a user instance listens on no TCP port; write a server that does",
    ),
];

/// What was written, by the first name of each key.
#[derive(Debug, Default)]
pub(super) struct ConnectionString(HashMap<&'static str, (String, String)>);

impl ConnectionString {
    /// Reads `text`. A value may be quoted as `'...'`, `"..."` (doubled inside) or `{...}`.
    ///
    /// # Errors
    /// [`ConnectionStringError`] names the key, and shows no value.
    pub(super) fn read(text: &str) -> Result<Self, ConnectionStringError> {
        let mut read = Self::default();
        let mut before = "";
        let mut rest = text;
        loop {
            rest = rest.trim_start_matches(|c: char| c == ';' || c.is_whitespace());
            if rest.is_empty() {
                return Ok(read);
            }
            let (word, after) = key(rest).ok_or_else(|| no_pair(before))?;
            let (value, left) = value(after.trim_start())
                .ok_or_else(|| ConnectionStringError::Unclosed(word.to_owned()))?;
            let lower = word.to_lowercase();
            match READ.iter().find(|names| names.contains(&&*lower)) {
                Some(names) => {
                    before = names[0];
                    read.0.insert(names[0], (word.to_owned(), value));
                }
                None if WITHOUT_EFFECT.contains(&&*lower) => before = "",
                None => return Err(unknown(word, before)),
            }
            rest = left;
        }
    }

    /// The value of a key, by its first name in the table.
    pub(super) fn get(&self, key: &'static str) -> Option<&str> {
        self.pair(key).map(|(_, value)| value)
    }

    /// The key as it was written, and its value.
    pub(super) fn pair(&self, key: &'static str) -> Option<(&str, &str)> {
        debug_assert!(READ.iter().any(|names| names[0] == key), "{key}");
        let (word, value) = self.0.get(key)?;
        Some((word, value))
    }

    /// A truth value; `false` where it is not written.
    ///
    /// # Errors
    /// [`ConnectionStringError::Value`].
    pub(super) fn truth(&self, key: &'static str) -> Result<bool, ConnectionStringError> {
        let Some((word, value)) = self.pair(key) else {
            return Ok(false);
        };
        match &*value.to_lowercase() {
            "true" | "yes" => Ok(true),
            "false" | "no" => Ok(false),
            _ => Err(ConnectionStringError::Value {
                key: word.to_owned(),
                value: value.to_owned(),
                expected: "true or false",
            }),
        }
    }
}

/// The key that `text` begins with, and what follows its `=`.
fn key(text: &str) -> Option<(&str, &str)> {
    let (word, after) = text.split_once('=')?;
    (!word.contains(';') && !word.trim().is_empty()).then_some((word.trim(), after))
}

/// The value that `text` begins with, and what follows it; `None` if its quotation has no end, or
/// something follows that.
fn value(text: &str) -> Option<(String, &str)> {
    let close = match text.chars().next() {
        Some(quote @ ('\'' | '"')) => quote,
        Some('{') => '}',
        _ => {
            let (value, rest) = text.split_once(';').unwrap_or((text, ""));
            return Some((value.trim().to_owned(), rest));
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
            let after = text[at + c.len_utf8()..].trim_start();
            let rest = after.strip_prefix(';').unwrap_or(after);
            return (after.is_empty() || after.starts_with(';')).then_some((value, rest));
        }
    }
    None
}

fn no_pair(before: &'static str) -> ConnectionStringError {
    match before {
        "" => ConnectionStringError::NoPair,
        key => ConnectionStringError::NoPairBehind(key),
    }
}

/// What follows a password may be a part of it: then it is shown only if it looks like a
/// key.
fn unknown(word: &str, before: &str) -> ConnectionStringError {
    let (key, lower) = (word.to_owned(), word.to_lowercase());
    if let Some((_, instead)) = INSTEAD.iter().find(|(key, _)| *key == lower) {
        return ConnectionStringError::Unsupported { key, instead };
    }
    let names = READ.iter().copied().flatten();
    let likeness = |name: &&str| strsim::jaro_winkler(&lower, name);
    let nearest = names
        .map(|name| (likeness(name), *name))
        .filter(|(likeness, _)| *likeness > 0.85)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((_, nearest)) => ConnectionStringError::Misspelt { key, nearest },
        None if before == "password" => ConnectionStringError::UnknownBehindPassword,
        None => ConnectionStringError::UnknownKey(key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        ConnectionString::read(text).expect_err(text).to_string()
    }

    #[test]
    fn a_quoted_password_hides_no_later_key() {
        let read = ConnectionString::read(r#"Password="a""b;Database=x" ; Database=real;;"#)
            .expect("read");
        assert_eq!(read.get("password"), Some("a\"b;Database=x"));
        assert_eq!(read.get("database"), Some("real"));
        let braces = ConnectionString::read("PWD={a=b;c};Initial Catalog='my;db'").expect("read");
        assert_eq!(braces.get("password"), Some("a=b;c"));
        assert_eq!(braces.pair("database"), Some(("Initial Catalog", "my;db")));
        let beyond_ascii = ConnectionString::read("Password=größe=1").expect("read");
        assert_eq!(beyond_ascii.get("password"), Some("größe=1"));
    }

    #[test]
    fn unknown_keys_are_named() {
        for (text, expected) in [
            ("Server=a;Encript=false", "did you mean 'encrypt'?"),
            ("Password=x;Encript=false", "did you mean 'encrypt'?"),
            ("Driver={ODBC Driver 18 for SQL Server};Server=a", "of ODBC"),
            ("Server=a;Port=1433", "'Server=host,port'"),
            ("Server=a;Failover Partner=b", "listener"),
            ("Server=a;Colour=blue", "'Colour' is not known"),
            ("Server='a", "'Server' has no end"),
            ("Server='a'b;Database=c", "'Server' has no end"),
            ("sendport.db", "'Key=value;Key=value'"),
        ] {
            assert!(refused(text).contains(expected), "{}", refused(text));
        }
        let known = "MultipleActiveResultSets=False;Pooling=true;Persist Security Info=False";
        assert!(ConnectionString::read(known).is_ok());
    }

    #[test]
    fn no_part_of_a_password_is_shown() {
        for text in [
            "User Id=a;Password=pa55;w0rd;Server=b",
            "User Id=a;Password=pa55;w0rd=1;Server=b",
            "User Id=a;Password='pa55w0rd;Server=b",
        ] {
            let output = refused(text);
            assert!(
                !output.contains("pa55") && !output.contains("w0rd"),
                "{output}"
            );
            assert!(output.contains("quotation marks"), "{output}");
        }
    }

    #[test]
    fn a_truth_value_is_one() {
        let read = ConnectionString::read("MultiSubnetFailover=Yes;TrustServerCertificate=1")
            .expect("read");
        assert_eq!(read.truth("multisubnetfailover"), Ok(true));
        let output = read.truth("trustservercertificate");
        let output = output.expect_err("1").to_string();
        assert!(output.contains("'TrustServerCertificate=1'"), "{output}");
    }
}
