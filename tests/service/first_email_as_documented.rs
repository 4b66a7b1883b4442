//! The page for newcomers, `docs/first-mail.md`, carried out as written. What is replaced: the
//! port of the mail server, and the connection string of SQL Server.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mail_parser::{MessageParser, MimeHeaders};
use rusqlite::Connection;
use tokio::time::Instant;

use crate::tsql;

const PAGE: &str = include_str!("../../docs/first-mail.md");
const WITHIN: Duration = Duration::from_secs(60);

/// A marked block of the page.
#[derive(Debug)]
struct Step {
    /// Such as `file sendport.toml`, `sh`, `sql`.
    what: String,
    text: String,
}

/// The marked blocks that concern this engine, in order.
fn steps(engine: &str) -> Vec<Step> {
    let mut found = Vec::new();
    for marked in PAGE.split("<!-- step: ").skip(1) {
        let (what, rest) = marked.split_once(" -->\n```").expect("a block");
        let block = rest.split_once('\n').expect("a language").1;
        let text = block.split_once("\n```").expect("an end").0;
        let (what, on) = what.split_once(" on ").unwrap_or((what, engine));
        if on == engine {
            let (what, text) = (what.to_owned(), text.to_owned());
            found.push(Step { what, text });
        }
    }
    found
}

/// A newcomer's folder, and what runs in the other terminals.
struct Newcomer {
    folder: tempfile::TempDir,
    mail_server: SocketAddr,
    /// `None`: SQLite.
    sql_server: Option<String>,
    background: Vec<Child>,
    asked: Vec<Vec<String>>,
}

impl Newcomer {
    fn new(sql_server: Option<String>) -> Self {
        let free = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            mail_server: free.local_addr().expect("its address"),
            sql_server,
            background: Vec::new(),
            asked: Vec::new(),
        }
    }

    async fn does(&mut self, step: &Step) {
        match step.what.split_once(' ').unwrap_or((&step.what, "")) {
            ("file", name) => self.writes(name, &step.text),
            ("sh", "") => step.text.lines().for_each(|line| self.runs(line)),
            ("sh", _) => self.starts(&step.text).await,
            ("sql", _) => self.executes(&step.text).await,
            ("ask", _) => self.asked = self.asks(&step.text).await,
            ("answer", _) => {
                let rows = self.asked.iter().map(|row| row.join(" | "));
                let shown: Vec<_> = rows.collect();
                assert_eq!(shown.join("\n"), step.text);
            }
            _ => panic!("the page asks for something unknown: {step:?}"),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// As it is here.
    fn adapted(&self, text: &str) -> String {
        let port = self.mail_server.port().to_string();
        let adapted = text.lines().map(|line| match &self.sql_server {
            Some(server) if line.starts_with("connection = ") => format!("connection = {server:?}"),
            _ => line.replace("2525", &port),
        });
        adapted.collect::<Vec<_>>().join("\n")
    }

    fn writes(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("create");
        std::fs::write(path, self.adapted(text)).expect("write");
    }

    fn command(&self, line: &str) -> Command {
        let line = self.adapted(line);
        let mut words = line.split_whitespace();
        assert_eq!(words.next(), Some("sendport"), "{line}");
        let mut command = Command::new(env!("CARGO_BIN_EXE_sendport"));
        command.args(words).current_dir(self.folder.path());
        command.env_remove("RUST_LOG");
        command
    }

    fn runs(&self, line: &str) {
        let output = self.command(line).output().expect("run");
        let message = crate::site::text(&output);
        assert!(output.status.success(), "{line}: {message}");
    }

    /// Comes back when the mail server answers.
    async fn starts(&mut self, line: &str) {
        let mut command = self.command(line);
        let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
        self.background.push(quiet.spawn().expect("start"));
        let mut look = tokio::time::interval(Duration::from_millis(50));
        let deadline = Instant::now() + WITHIN;
        while TcpStream::connect(self.mail_server).is_err() {
            assert!(Instant::now() < deadline, "{line}: no reply");
            look.tick().await;
        }
    }

    async fn executes(&self, sql: &str) {
        match &self.sql_server {
            Some(server) => drop(tsql::run(server, sql).await.expect(sql)),
            None => self.sqlite().execute_batch(sql).expect(sql),
        }
    }

    fn sqlite(&self) -> Connection {
        let connection = Connection::open(self.path("sendport.db")).expect("open");
        connection.busy_timeout(WITHIN).expect("set the time-out");
        connection
    }

    /// The rows, when the service has made some.
    async fn asks(&self, sql: &str) -> Vec<Vec<String>> {
        let mut look = tokio::time::interval(Duration::from_millis(100));
        let deadline = Instant::now() + WITHIN;
        loop {
            let rows = match &self.sql_server {
                Some(server) => tsql::rows(server, sql).await.expect(sql),
                None => sqlite_rows(&self.sqlite(), sql),
            };
            if !rows.is_empty() {
                return rows;
            }
            assert!(Instant::now() < deadline, "{sql}: no rows");
            look.tick().await;
        }
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        for mut child in self.background.drain(..) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn sqlite_rows(connection: &Connection, sql: &str) -> Vec<Vec<String>> {
    let mut statement = connection.prepare(sql).expect(sql);
    let columns = statement.column_count();
    let row = |row: &rusqlite::Row<'_>| -> rusqlite::Result<Vec<String>> {
        (0..columns).map(|at| shown(row.get_ref(at)?)).collect()
    };
    let rows = statement.query_map([], row).expect(sql);
    rows.map(|row| row.expect(sql)).collect()
}

fn shown(value: rusqlite::types::ValueRef<'_>) -> rusqlite::Result<String> {
    match value {
        rusqlite::types::ValueRef::Integer(number) => Ok(number.to_string()),
        other => Ok(other.as_str().unwrap_or_default().to_owned()),
    }
}

async fn carried_out(engine: &str, mut newcomer: Newcomer) {
    let steps = steps(engine);
    for step in &steps {
        newcomer.does(step).await;
    }
    assert!(!newcomer.asked.is_empty(), "the page asks for the status");
    the_mail_is_there(&newcomer.path("mails"));
}

fn the_mail_is_there(folder: &Path) {
    let mails = std::fs::read_dir(folder).expect("mails");
    let mails: Vec<_> = mails
        .map(|entry| std::fs::read(entry.expect("an entry").path()).expect("read"))
        .collect();
    let [bytes] = mails.as_slice() else {
        panic!("{} mails", mails.len());
    };
    let mail = MessageParser::default().parse(bytes).expect("a mail");
    assert_eq!(mail.subject(), Some("Order 4711 is late"));
    let html = mail.body_html(0).expect("HTML");
    assert!(
        html.contains("Miller &amp; Söhne was promised it for 2026-02-27."),
        "{html}"
    );
    assert!(html.contains("<td>800 x</td><td>Washer M8</td>"), "{html}");
    let file = mail.attachment(0).expect("a file");
    assert_eq!(file.attachment_name(), Some("order 4711.csv"));
    assert_eq!(file.contents(), b"item;quantity\r\nBolt M8;400");
}

#[tokio::test]
async fn on_sqlite() {
    carried_out("sqlite", Newcomer::new(None)).await;
}

#[tokio::test]
async fn on_sql_server() {
    let Some(server) = tsql::server() else { return };
    let database = format!("sendport_test_{}", uuid::Uuid::new_v4().simple());
    let own = format!("{server};Database={database}");
    carried_out("sqlserver", Newcomer::new(Some(own))).await;
    tsql::run(&server, &format!("DROP DATABASE {database}"))
        .await
        .expect("drop the database");
}
