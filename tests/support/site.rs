//! A site as a user has it: a folder with a configuration file and a SQLite database, and the
//! real program run on it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rusqlite::Connection;

/// The folder, removed at the end.
pub(crate) struct Site {
    folder: tempfile::TempDir,
}

/// Short leases and delays, so that a test need not wait long for either.
const HEAD: &str = r#"
environment = "test"

[http]
listen = ""
queue_interval = "300ms"

[service]
lease = "8s"
renew_interval = "500ms"
sweep_interval = "300ms"
"#;

impl Site {
    /// A migrated database and a configuration of `relays_and_send_ports`.
    pub(crate) fn new(relays_and_send_ports: &str) -> Self {
        Self::with_service("", relays_and_send_ports)
    }

    /// The same with further settings of `[service]`.
    pub(crate) fn with_service(service: &str, relays_and_send_ports: &str) -> Self {
        Self::make("sqlite:sendport.db", service, relays_and_send_ports)
    }

    /// The same on the database of a connection string.
    pub(crate) fn on(connection: &str, relays_and_send_ports: &str) -> Self {
        Self::make(connection, "", relays_and_send_ports)
    }

    /// The same, and its service shows health and metrics.
    pub(crate) fn watched(relays_and_send_ports: &str) -> Self {
        let site = Self::new(relays_and_send_ports);
        site.listen("127.0.0.1:0");
        site
    }

    /// Where the next service shows health and metrics.
    pub(crate) fn listen(&self, address: &str) {
        let config = std::fs::read_to_string(self.config()).expect("read");
        let config = config.replacen("listen = \"\"", &format!("listen = {address:?}"), 1);
        std::fs::write(self.config(), config).expect("write");
    }

    /// Where the service that was started last shows them.
    pub(crate) async fn health_address(&self) -> SocketAddr {
        self.address_in_log("metrics listener started address=")
            .await
    }

    /// Where the only intake of the service that was started last listens.
    #[allow(dead_code, reason = "not every binary that uses sites has an intake")]
    pub(crate) async fn intake_address(&self) -> SocketAddr {
        self.address_in_log("SMTP intake started intake=\"local\" address=")
            .await
    }

    /// The address behind the last of these texts in the log.
    async fn address_in_log(&self, before: &str) -> SocketAddr {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        let mut look = tokio::time::interval(Duration::from_millis(20));
        loop {
            look.tick().await;
            let log = self.log();
            let shown = log.rsplit_once(before);
            let address = shown.and_then(|(_, rest)| rest.split_whitespace().next());
            if let Some(address) = address.and_then(|address| address.parse().ok()) {
                return address;
            }
            assert!(tokio::time::Instant::now() < deadline, "{}", tail(&log));
        }
    }

    fn make(connection: &str, service: &str, relays_and_send_ports: &str) -> Self {
        let site = Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
        };
        let database = format!("[database]\nconnection = '{connection}'\n");
        let config = format!("{HEAD}{service}\n{database}{relays_and_send_ports}");
        std::fs::write(site.config(), config).expect("write");
        let migrated = site.sendport(&["migrate", "--create-database"]);
        assert!(migrated.status.success(), "{}", text(&migrated));
        site
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("sendport.toml")
    }

    /// The database, as an application opens it.
    pub(crate) fn database(&self) -> Connection {
        let connection = Connection::open(self.path("sendport.db")).expect("open the database");
        connection
            .busy_timeout(Duration::from_secs(60))
            .expect("set the time-out");
        connection
    }

    /// Runs a verb to its end.
    pub(crate) fn sendport(&self, arguments: &[&str]) -> Output {
        program(&self.config(), arguments)
            .output()
            .expect("run sendport")
    }

    /// Starts the service.
    pub(crate) fn run(&self) -> Service {
        self.run_under(&[], &[])
    }

    /// Starts the service with these variables in its environment and further arguments.
    pub(crate) fn run_under(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Service {
        let mut command = program(&self.config(), &["run"]);
        command.args(arguments).envs(variables.iter().copied());
        self.start(command)
    }

    /// Starts the service, which may take so many bytes of memory.
    pub(crate) fn run_within(&self, memory: u64) -> Service {
        self.run_limited(&format!("--data={memory}"))
    }

    /// Starts the service under this limit, as `prlimit` has it.
    pub(crate) fn run_limited(&self, limit: &str) -> Service {
        let service = program(&self.config(), &["run"]);
        let mut command = Command::new("prlimit");
        command
            .arg(limit)
            .arg(service.get_program())
            .args(service.get_args())
            .env_remove("RUST_LOG");
        self.start(command)
    }

    fn start(&self, mut command: Command) -> Service {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.path("service.log"))
            .expect("open the log");
        let child = command
            .stderr(log)
            .stdout(Stdio::null())
            .spawn()
            .expect("start sendport");
        Service { child: Some(child) }
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("service.log")).unwrap_or_default()
    }

    /// One value of the database as text.
    pub(crate) fn value(&self, sql: &str) -> String {
        let as_text = |row: &rusqlite::Row<'_>| {
            row.get_ref(0).map(|value| match value {
                rusqlite::types::ValueRef::Null => String::new(),
                rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                rusqlite::types::ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                other => format!("{other:?}"),
            })
        };
        self.database()
            .query_row(sql, [], as_text)
            .unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Waits for another process to bring a value about: the database has no signal for that.
    pub(crate) async fn wait_until(&self, sql: &str, wanted: &str, within: Duration) {
        let deadline = tokio::time::Instant::now() + within;
        let mut look = tokio::time::interval(Duration::from_millis(100));
        loop {
            look.tick().await;
            let found = self.value(sql);
            if found == wanted {
                return;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "{sql}: expected {wanted}, still {found}\n{}",
                tail(&self.log())
            );
        }
    }

    /// Waits until the log has a text.
    ///
    /// # Panics
    /// With the log, when that takes longer than `within`.
    #[allow(dead_code, reason = "not every binary that uses sites reads the log")]
    pub(crate) async fn wait_for_log(&self, text: &str, within: Duration) {
        let deadline = tokio::time::Instant::now() + within;
        let mut look = tokio::time::interval(Duration::from_millis(50));
        while !self.log().contains(text) {
            assert!(tokio::time::Instant::now() < deadline, "{}", self.log());
            look.tick().await;
        }
    }

    /// Waits until no alert waits for anything any more.
    pub(crate) async fn wait_until_all_final(&self, within: Duration) {
        self.wait_until(
            "SELECT count(*) FROM AlertState WHERE FinalAt IS NULL",
            "0",
            within,
        )
        .await;
    }
}

fn program(config: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sendport"));
    command
        .arg("--config")
        .arg(config)
        .args(arguments)
        .env_remove("RUST_LOG");
    command
}

/// Both outputs of a verb.
pub(crate) fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn tail(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// A running service; killed when dropped.
pub(crate) struct Service {
    child: Option<Child>,
}

impl Service {
    /// SIGTERM, and its exit code.
    pub(crate) fn stop(self) -> Option<i32> {
        self.terminate();
        self.wait()
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        let child = self.child.as_ref().expect("runs");
        let killed = Command::new("kill")
            .arg(child.id().to_string())
            .status()
            .expect("run kill");
        assert!(killed.success());
    }

    /// Its exit code, once it has ended by itself.
    pub(crate) fn wait(mut self) -> Option<i32> {
        let mut child = self.child.take().expect("runs");
        child.wait().expect("wait for sendport").code()
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        end(self.child.take());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        end(self.child.take());
    }
}

fn end(child: Option<Child>) {
    if let Some(mut child) = child {
        let _ = child.kill();
        let _ = child.wait();
    }
}
