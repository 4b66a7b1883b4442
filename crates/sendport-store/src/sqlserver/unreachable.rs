//! Why a server is not reachable: what it usually means, and what to do.

use std::io;

use tiberius::EncryptionLevel;
use tiberius::error::Error;

use super::server_name::ServerAddress;
use super::settings::Settings;

/// The name of the host is unknown.
pub(super) fn unknown_name(address: &ServerAddress, error: &io::Error) -> Error {
    let text = error.to_string();
    let why = text.rsplit(": ").next().unwrap_or_default();
    let (host, server) = (&address.host, "'Server' of the connection string");
    io_error(
        io::ErrorKind::NotFound,
        format!(
            "the name '{host}' is not known on this machine ({why}); check {server}, and the name \
             with 'getent hosts {host}'; the full name, such as 'db.contoso.com', may be needed"
        ),
    )
}

/// The TCP connection failed.
pub(super) fn no_connection(address: &ServerAddress, error: &io::Error) -> Error {
    let message = match error.kind() {
        io::ErrorKind::ConnectionRefused => format!(
            "nothing listens on {address}; start SQL Server there, enable TCP/IP for it in SQL \
             Server Configuration Manager (Express and Developer have it disabled), and check the \
             port: a named instance has its own, 'Server={0}\\instance' or 'Server={0},port'",
            address.host
        ),
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => format!(
            "no network leads to {address} ({}); check 'Server', and this machine's network",
            plain(error)
        ),
        _ => format!("no TCP connection to {address} ({})", plain(error)),
    };
    io_error(error.kind(), message)
}

/// No answer to the TCP connection.
pub(super) fn silent(settings: &Settings, address: &ServerAddress) -> Error {
    let seconds = settings.connect_timeout.as_secs();
    io_error(
        io::ErrorKind::TimedOut,
        format!(
            "no answer from {address} within {seconds} seconds; usually a firewall does not let \
             this machine through, or the server is off: check 'Server', and open the TCP port of \
             SQL Server for this machine"
        ),
    )
}

/// The SQL Server Browser gave no port, or nothing listens there.
pub(super) fn no_instance(address: &ServerAddress, error: Error) -> Error {
    match error {
        Error::Io { kind, .. } if kind != io::ErrorKind::ConnectionRefused => {
            silent_browser(address)
        }
        Error::Conversion(_) | Error::Io { .. } => silent_browser(address),
        error => error,
    }
}

fn silent_browser(address: &ServerAddress) -> Error {
    let host = &address.host;
    io_error(
        io::ErrorKind::TimedOut,
        format!(
            "the SQL Server Browser of '{host}' does not lead to the instance {address}; check the \
             instance's name, start the service SQL Server Browser and let UDP port 1434 through, \
             or write the instance's TCP port, 'Server={host},port'"
        ),
    )
}

/// It accepted the login and then sent nothing more.
pub(super) fn not_ready(settings: &Settings) -> Error {
    let (server, seconds) = (&settings.server, settings.connect_timeout.as_secs());
    io_error(
        io::ErrorKind::TimedOut,
        format!("'{server}' took the login and then did not answer within {seconds} seconds"),
    )
}

/// What ended the login; the server's own errors stay as they are.
pub(super) fn before_login(settings: &Settings, address: &ServerAddress, error: Error) -> Error {
    let seconds = settings.connect_timeout.as_secs();
    let strict = settings.encryption == EncryptionLevel::Strict;
    let (kind, what) = match error {
        Error::Tls(text) => return Error::Tls(tls(strict, address, &text)),
        Error::Io { kind, .. } if kind == io::ErrorKind::TimedOut => (
            kind,
            format!(
                "took the connection and did not answer as SQL Server within {seconds} seconds"
            ),
        ),
        Error::Io { kind, .. } => (kind, "closed the connection before the login".to_owned()),
        Error::Protocol(text) if text.contains("encryption level") => {
            return io_error(io::ErrorKind::Unsupported, no_encryption(address));
        }
        Error::Protocol(_)
        | Error::Encoding(_)
        | Error::Conversion(_)
        | Error::Utf8
        | Error::Utf16 => (
            io::ErrorKind::InvalidData,
            "does not answer as SQL Server".to_owned(),
        ),
        other => return other,
    };
    let or = match strict {
        true => "or it is older than SQL Server 2022 and does not know 'Encrypt=Strict'",
        false => "or it demands 'Encrypt=Strict'",
    };
    let message = format!(
        "{address} {what}; another service listens there, {or}: check host and port of 'Server'"
    );
    io_error(kind, message)
}

fn no_encryption(address: &ServerAddress) -> String {
    format!(
        "{address} offers no encryption, and 'Encrypt' demands it; SQL Server always offers it, so \
         check host and port of 'Server'; another engine needs a certificate, or, on a network \
         that you trust, 'Encrypt=DANGER_PLAINTEXT'"
    )
}

fn tls(strict: bool, address: &ServerAddress, text: &str) -> String {
    let why = reason(without_number(text));
    if !text.contains("certificate") {
        let advice = match strict {
            true => {
                "'Encrypt=Strict' is for SQL Server 2022 and later and Azure; write 'Encrypt=true' \
                 for an older one"
            }
            false => "bring the server to TLS 1.2 or later, and check host and port of 'Server'",
        };
        return format!("no encrypted connection to {address} ({why}); {advice}");
    }
    let advice = match why {
        _ if why.contains("mismatch") => {
            "write the name in the certificate into 'Server', or beside it, \
             'HostNameInCertificate=<name>'"
        }
        _ if why.contains("expired") || why.contains("not yet valid") => {
            "renew it at the server, or set this machine's clock"
        }
        _ => {
            "install the certificate's authority on this machine, or write \
             TrustServerCertificateCA=<file>, or, on a network that you trust, \
             TrustServerCertificate=true"
        }
    };
    format!("the certificate of {address} is not trusted ({why}); {advice}")
}

/// Of OpenSSL's words the ones that say why.
fn reason(text: &str) -> &str {
    let in_parentheses = text
        .strip_suffix(')')
        .and_then(|rest| rest.rsplit_once('('))
        .map(|(_, why)| why);
    let field = || text.strip_prefix("error:")?.split(':').nth(3);
    in_parentheses.or_else(field).unwrap_or(text)
}

/// What ended a statement.
pub(super) fn broken(settings: &Settings, error: Error) -> Error {
    let server = &settings.server;
    match error {
        Error::Io { kind, .. } if kind == io::ErrorKind::TimedOut => {
            let limit = settings.config.get_command_timeout().unwrap_or_default();
            let seconds = limit.as_secs();
            io_error(
                kind,
                format!(
                    "'{server}' did not answer within {seconds} seconds ('Command Timeout'); look \
                     for what it waits for (sys.dm_exec_requests)"
                ),
            )
        }
        Error::Io { kind, message } => io_error(
            kind,
            format!(
                "the connection to '{server}' broke ({})",
                without_number(&message)
            ),
        ),
        other => other,
    }
}

fn plain(error: &io::Error) -> String {
    without_number(&error.to_string()).to_owned()
}

fn without_number(message: &str) -> &str {
    message.split(" (os error").next().unwrap_or_default()
}

fn io_error(kind: io::ErrorKind, message: String) -> Error {
    Error::Io { kind, message }
}
