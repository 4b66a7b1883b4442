//! The database of a run, by either engine, as an application and a DBA see it.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::tsql;

/// Longer than any service is stopped for; it may have the lock of the file meanwhile.
const LONGEST_LOCK: Duration = Duration::from_secs(15 * 60);

/// Which engine.
#[derive(Debug, Clone)]
pub(crate) enum Engine {
    /// A file in the run's folder.
    Sqlite,
    /// A server, by its connection string.
    TSql(String),
}

impl Engine {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::TSql(_) => "T-SQL",
        }
    }
}

/// One database, made for a run.
pub(crate) enum Database {
    Sqlite {
        file: String,
    },
    TSql {
        server: String,
        name: String,
        /// In seconds.
        command_timeout: u64,
    },
}

impl Database {
    pub(crate) fn new(engine: &Engine, folder: &Path, command_timeout: u64) -> Self {
        match engine {
            Engine::Sqlite => Self::Sqlite {
                file: folder.join("sendport.db").display().to_string(),
            },
            Engine::TSql(server) => Self::TSql {
                server: server.clone(),
                name: format!("sendport_crash_{}", uuid::Uuid::new_v4().simple()),
                command_timeout,
            },
        }
    }

    /// What the service connects by; `through` replaces the server's address.
    pub(crate) fn connection(&self, through: Option<std::net::SocketAddr>) -> String {
        match self {
            Self::Sqlite { file } => format!("sqlite:{file}"),
            Self::TSql {
                server,
                name,
                command_timeout,
            } => {
                let own = format!(
                    "{server};Database={name};Command Timeout={command_timeout};Connect Timeout={command_timeout}"
                );
                match through {
                    Some(proxy) => format!("{own};Server=tcp:{},{}", proxy.ip(), proxy.port()),
                    None => own,
                }
            }
        }
    }

    /// Where the server listens, for a proxy in front of it.
    pub(crate) fn address(&self) -> Option<String> {
        match self {
            Self::Sqlite { .. } => None,
            Self::TSql { server, .. } => tiberius::Config::from_ado_string(server)
                .ok()
                .map(|config| config.get_addr()),
        }
    }

    fn table(&self, name: &str) -> String {
        match self {
            Self::Sqlite { .. } => name.to_owned(),
            Self::TSql { .. } => format!("sendport.{name}"),
        }
    }

    /// One value as text; `{Name}` in the query is a table or view.
    pub(crate) async fn value(&self, query: &str) -> String {
        let mut query = query.to_owned();
        for name in ["AlertState", "Attempt", "Alert"] {
            let table = match (self, name) {
                (Self::TSql { .. }, "AlertState") => "sendport.AlertRow".to_owned(),
                _ => self.table(name),
            };
            query = query.replace(&format!("{{{name}}}"), &table);
        }
        self.run(&query).await.unwrap_or_default()
    }

    /// Many alerts in one transaction; the engine answers now.
    pub(crate) async fn insert_many(&self, numbers: std::ops::Range<u32>) {
        let numbers: Vec<_> = numbers.collect();
        for part in numbers.chunks(100) {
            let values = part
                .iter()
                .map(|number| format!("('user{number}@example.test', 'Alert {number}', 'b')"));
            let values: Vec<_> = values.collect();
            let (table, values) = (self.table("Alert"), values.join(", "));
            let statement =
                format!("INSERT INTO {table} (ToRecipients, Subject, Body) VALUES {values}");
            self.run(&statement).await;
        }
    }

    /// Waits until the engine answers.
    pub(crate) async fn wait_until_up(&self) {
        let Self::TSql { .. } = self else { return };
        for _ in 0..600 {
            if tsql::run(&self.connection(None), "SELECT 1").await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("the engine does not answer any more");
    }

    /// No other connection can write until this is dropped.
    pub(crate) fn lock(&self) -> Option<rusqlite::Connection> {
        let Self::Sqlite { file } = self else {
            return None;
        };
        let connection = open(file).expect("open the database");
        let locked = connection.execute_batch("BEGIN IMMEDIATE");
        locked.expect("lock the database");
        Some(connection)
    }

    async fn run(&self, statement: &str) -> Option<String> {
        match self {
            Self::Sqlite { file } => sqlite(file, statement),
            Self::TSql { .. } => {
                // A server that says an error has done nothing: a deadlock, for example.
                let mut last = String::new();
                for _ in 0..5 {
                    match tsql::run(&self.connection(None), statement).await {
                        Ok(answer) => return answer,
                        Err(error) => last = error,
                    }
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                panic!("{statement}: it failed five times: {last}");
            }
        }
    }

    /// One alert, in a transaction of its own.
    pub(crate) async fn insert(&self, number: u32) {
        let table = self.table("Alert");
        let statement = format!(
            "INSERT INTO {table} (ToRecipients, Subject, Body) VALUES ('user{number}@example.test', 'Alert {number}', 'b')"
        );
        self.run(&statement).await;
    }

    pub(crate) async fn remove(&self) {
        if let Self::TSql { server, name, .. } = self {
            for _ in 0..50 {
                if tsql::run(server, &format!("DROP DATABASE {name}"))
                    .await
                    .is_ok()
                {
                    return;
                }
            }
        }
    }
}

fn open(file: &str) -> rusqlite::Result<rusqlite::Connection> {
    let connection = rusqlite::Connection::open(file)?;
    connection.busy_timeout(Duration::from_secs(30))?;
    Ok(connection)
}

/// A service that was stopped with the lock is waited for, as an application would have to.
fn sqlite(file: &str, statement: &str) -> Option<String> {
    let begun = Instant::now();
    loop {
        match ask_sqlite(file, statement) {
            Err(error) if is_locked(&error) && begun.elapsed() < LONGEST_LOCK => {}
            answer => return answer.unwrap_or_else(|error| panic!("{statement}: {error}")),
        }
    }
}

fn is_locked(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked, FileLockingProtocolFailed};
    let code = error.sqlite_error_code();
    code.is_some_and(|code| {
        [DatabaseBusy, DatabaseLocked, FileLockingProtocolFailed].contains(&code)
    })
}

fn ask_sqlite(file: &str, statement: &str) -> rusqlite::Result<Option<String>> {
    let connection = open(file)?;
    let mut prepared = connection.prepare(statement)?;
    let mut rows = prepared.query([])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    Ok(Some(match row.get(0)? {
        rusqlite::types::Value::Integer(number) => number.to_string(),
        rusqlite::types::Value::Text(text) => text,
        other => format!("{other:?}"),
    }))
}
