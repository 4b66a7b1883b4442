//! The value of `Server`: `[tcp:]host[\instance][,port]`, as ADO.NET has it.

/// Where SQL Server listens unless it is said otherwise.
const DEFAULT_PORT: u16 = 1433;

/// Why a value of `Server` cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ServerNameError {
    /// Named pipes and others.
    #[error(
        "'{0}:' is not supported, only TCP; write 'Server=host\\instance' or 'Server=host,port'"
    )]
    Protocol(&'static str),
    /// Behind the comma is no port.
    #[error("expected a port from 1 to 65535 behind the comma, found '{0}'")]
    Port(String),
    /// A LocalDB instance.
    #[error("LocalDB listens on no TCP port; write a server that does")]
    LocalDb,
    /// `host:port`.
    #[error("a comma separates host and port; write 'Server={name},{port}'")]
    Colon { name: String, port: String },
    /// Nothing before the comma.
    #[error("it names no host; write 'Server=host' or 'Server=host,port'")]
    NoHost,
}

/// Where one server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerAddress {
    /// Name, or address without brackets.
    pub(super) host: String,
    /// A named instance, whose port the SQL Server Browser knows.
    pub(super) instance: Option<String>,
    /// As it was written; it goes before the instance.
    pub(super) port: Option<u16>,
}

impl ServerAddress {
    /// Reads the value of `Server`.
    ///
    /// # Errors
    /// [`ServerNameError`] says what to write instead.
    pub(super) fn parse(text: &str) -> Result<Self, ServerNameError> {
        let (protocol, rest) = protocol(text);
        if !matches!(protocol, "" | "tcp") {
            return Err(ServerNameError::Protocol(protocol));
        }
        let (name, port) = match rest.split_once(',') {
            Some((name, port)) => (name, Some(read_port(port.trim())?)),
            None => (rest, None),
        };
        let (host, instance) = match name.split_once('\\') {
            Some((host, instance)) => (host, Some(instance.trim())),
            None => (name, None),
        };
        if host.trim().eq_ignore_ascii_case("(localdb)") {
            return Err(ServerNameError::LocalDb);
        }
        check_colon(host.trim())?;
        let host = plain_host(host.trim());
        if host.is_empty() {
            return Err(ServerNameError::NoHost);
        }
        // The default instance has a name, too, and the Browser does not know it.
        let named = |it: &&str| !it.is_empty() && !it.eq_ignore_ascii_case("MSSQLSERVER");
        Ok(Self {
            host: host.to_owned(),
            instance: instance.filter(named).map(str::to_owned),
            port,
        })
    }

    /// What a routing token names (MS-TDS section 2.2.7.9): its port goes before an instance.
    pub(super) fn routed(host: &str, port: u16) -> Self {
        let (host, _) = host.split_once('\\').unwrap_or((host, ""));
        Self {
            host: host.to_owned(),
            instance: None,
            port: Some(port),
        }
    }

    /// The instance to look up; `None` where the port is known without.
    pub(super) fn looked_up(&self) -> Option<&str> {
        self.instance.as_deref().filter(|_| self.port.is_none())
    }

    /// The port, where no instance has to be looked up.
    pub(super) fn port(&self) -> u16 {
        self.port.unwrap_or(DEFAULT_PORT)
    }
}

/// For people.
impl std::fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.looked_up() {
            Some(instance) => write!(f, "'{}\\{instance}'", self.host),
            None => write!(f, "port {} of '{}'", self.port(), self.host),
        }
    }
}

/// `tcp` and what follows; empty where none is written.
fn protocol(text: &str) -> (&'static str, &str) {
    let known = ["tcp", "np", "lpc", "admin"];
    match text.split_once(':') {
        Some((word, rest)) => known
            .into_iter()
            .find(|it| it.eq_ignore_ascii_case(word.trim()))
            .map_or(("", text.trim()), |known| (known, rest.trim())),
        None => ("", text.trim()),
    }
}

fn read_port(text: &str) -> Result<u16, ServerNameError> {
    let port = text.parse().ok().filter(|port| *port > 0);
    port.ok_or_else(|| ServerNameError::Port(text.to_owned()))
}

/// `host:1433` is how others write a port. An IPv6 address has more than one colon.
fn check_colon(host: &str) -> Result<(), ServerNameError> {
    match host.split_once(':') {
        Some((name, port)) if !port.contains(':') => Err(ServerNameError::Colon {
            name: name.to_owned(),
            port: port.to_owned(),
        }),
        _ => Ok(()),
    }
}

fn plain_host(host: &str) -> &str {
    if host == "." || host.eq_ignore_ascii_case("(local)") {
        return "localhost";
    }
    let inside = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    inside.unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, Option<String>, u16) {
        let address = ServerAddress::parse(text).expect(text);
        let looked_up = address.looked_up().map(str::to_owned);
        (address.host.clone(), looked_up, address.port())
    }

    #[test]
    fn a_port_goes_before_an_instance() {
        for (text, host, instance, port) in [
            ("db", "db", None, 1433),
            ("tcp:db.contoso.com,1444", "db.contoso.com", None, 1444),
            ("TCP: db , 1444 ", "db", None, 1444),
            ("db\\SALES", "db", Some("SALES"), 1433),
            ("db\\SALES,1444", "db", None, 1444),
            ("db\\MSSQLSERVER", "db", None, 1433),
            (".\\SQLEXPRESS", "localhost", Some("SQLEXPRESS"), 1433),
            ("(local)", "localhost", None, 1433),
            ("[::1],1444", "::1", None, 1444),
            ("fe80::1", "fe80::1", None, 1433),
        ] {
            let expected = (host.to_owned(), instance.map(str::to_owned), port);
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn an_invalid_server_name_is_refused_with_an_example() {
        for (text, expected) in [
            ("db:1433", "write 'Server=db,1433'"),
            ("tcp:db:1433", "write 'Server=db,1433'"),
            ("db,abc", "found 'abc'"),
            ("db,0", "found '0'"),
            ("db,1433,1", "found '1433,1'"),
            ("np:\\\\db\\pipe\\sql\\query", "'np:' is not supported"),
            ("(localdb)\\v11", "LocalDB"),
            ("tcp:,1433", "names no host"),
            ("", "names no host"),
        ] {
            let output = ServerAddress::parse(text).expect_err(text).to_string();
            assert!(output.contains(expected), "{output}");
        }
    }

    #[test]
    fn a_route_is_its_host_and_its_port() {
        let route = ServerAddress::routed("worker.contoso.com\\ABC", 11003);
        assert_eq!(route.to_string(), "port 11003 of 'worker.contoso.com'");
        assert_eq!(ServerAddress::routed("worker", 11003).host, "worker");
    }
}
