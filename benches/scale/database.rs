//! One database, of either engine.

use std::sync::Arc;
use std::time::Duration;

use sendport_core::clock::SystemClock;
use sendport_store::Store;
use sendport_store::sqlite::SqliteStore;
use sendport_store::sqlserver::SqlServerStore;

use crate::site::{Service, Site};
use crate::tsql;

/// Sends to nobody, at once.
const RELAY_AND_SEND_PORT: &str = "
[log]
level = \"warn\"
[relay.main]
kind = \"discard\"
[send_port.default]
from = \"alerts@example.test\"
relays = [\"main\"]
";

/// The site of a service, and its database.
pub(crate) struct Database {
    pub(crate) site: Site,
    server: Option<Server>,
}

struct Server {
    connection: String,
    name: String,
}

impl Database {
    /// A new one: on the server if there is one, else a SQLite file.
    pub(crate) async fn create() -> Self {
        let Some(server) = tsql::configured() else {
            let site = Site::new(RELAY_AND_SEND_PORT);
            set_default_lease(&site);
            return Self { site, server: None };
        };
        let name = format!("sendport_bench_{}", uuid::Uuid::new_v4().simple());
        let site = Site::on(&format!("{server};Database={name}"), RELAY_AND_SEND_PORT);
        set_default_lease(&site);
        let server = Some(Server {
            connection: server,
            name,
        });
        Self { site, server }
    }

    pub(crate) fn engine(&self) -> &'static str {
        if self.server.is_some() {
            "SQL Server"
        } else {
            "SQLite"
        }
    }

    /// Of the server; `None`: SQLite.
    pub(crate) fn connection(&self) -> Option<String> {
        let server = self.server.as_ref()?;
        Some(format!("{};Database={}", server.connection, server.name))
    }

    /// A store beside that of the service.
    pub(crate) fn store(&self) -> Arc<dyn Store> {
        match self.connection() {
            Some(connection) => Arc::new(SqlServerStore::open(&connection).expect("open")),
            None => {
                let file = self.site.path("sendport.db");
                Arc::new(SqliteStore::open(&file, Arc::new(SystemClock)).expect("open"))
            }
        }
    }

    /// A statement of `sendport.` tables without `N''`, and of `{now}`; on SQLite the schema is left out.
    pub(crate) fn translated(&self, statement: &str) -> String {
        match &self.server {
            Some(_) => statement.replace("{now}", "SYSUTCDATETIME()"),
            None => statement
                .replace("sendport.AlertRow", "AlertState")
                .replace("sendport.", "")
                .replace("N'", "'")
                .replace("{now}", "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"),
        }
    }

    pub(crate) async fn execute(&self, statement: &str) {
        let statement = self.translated(statement);
        match self.connection() {
            Some(connection) => {
                let done = tsql::run(&connection, &statement).await;
                done.unwrap_or_else(|error| panic!("{statement}: {error}"));
            }
            None => {
                let done = self.site.database().execute_batch(&statement);
                done.unwrap_or_else(|error| panic!("{statement}: {error}"));
            }
        }
    }

    /// One number.
    pub(crate) async fn number(&self, query: &str) -> i64 {
        let query = self.translated(query);
        let text = match self.connection() {
            Some(connection) => tsql::run(&connection, &query).await.expect("query"),
            None => Some(self.site.value(&query)),
        };
        text.and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// Stops the service, which must have run until then.
    pub(crate) fn stop(&self, service: Service) {
        let code = service.stop();
        assert_eq!(code, Some(0), "the service says:\n{}", self.site.log());
    }

    pub(crate) async fn remove(self) {
        let Self { site, server } = self;
        drop(site);
        if let Some(Server { connection, name }) = server {
            let drop = format!("DROP DATABASE {name}");
            let mut dropped = tsql::run(&connection, &drop).await;
            // The server ends the sessions of the service a moment after it.
            for _ in 0..30 {
                if dropped.is_ok() {
                    break;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
                dropped = tsql::run(&connection, &drop).await;
            }
            dropped.expect("drop the database");
        }
    }
}

/// Tests have a short one, which a service on a busy machine loses.
fn set_default_lease(site: &Site) {
    let file = site.config();
    let text = std::fs::read_to_string(&file).expect("read");
    let is_of_lease =
        |line: &&str| line.starts_with("lease =") || line.starts_with("renew_interval =");
    let kept: Vec<_> = text.lines().filter(|line| !is_of_lease(line)).collect();
    std::fs::write(&file, kept.join("\n")).expect("write");
}
