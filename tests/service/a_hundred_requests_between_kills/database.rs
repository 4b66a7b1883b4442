//! The database as an application, an operator and an auditor use it, by either engine.

use std::time::Duration;

use tokio::time::Instant;

use super::{Filter, NAMES, Request, SEND_PORTS};
use crate::site::Site;
use crate::tsql;

/// Writes down which request made which status of an alert: a trigger of a DBA.
const AUDIT_SQLITE: &str = "
    CREATE TABLE StatusAudit (AlertId INTEGER, RequestId INTEGER, Status TEXT);
    CREATE TRIGGER StatusAudit_Update AFTER UPDATE OF RequestId ON AlertState
    BEGIN INSERT INTO StatusAudit VALUES (NEW.AlertId, NEW.RequestId, NEW.Status); END;";
const AUDIT_TSQL: [&str; 2] = [
    "CREATE TABLE sendport.StatusAudit (AlertId bigint, RequestId bigint, Status nvarchar(16))",
    "CREATE TRIGGER sendport.StatusAudit_Update ON sendport.AlertRow AFTER UPDATE AS
     INSERT sendport.StatusAudit (AlertId, RequestId, Status)
     SELECT i.AlertId, i.RequestId, i.Status FROM inserted i JOIN deleted d ON d.AlertId = i.AlertId
     WHERE i.RequestId IS NOT NULL AND i.Status <> d.Status
       AND (i.RequestId <> COALESCE(d.RequestId, 0) OR i.FinalAt IS NOT NULL AND d.Status = N'held')",
];

/// One database.
pub(super) enum Database<'a> {
    Sqlite(&'a Site),
    /// By its connection string.
    TSql(String),
}

impl<'a> Database<'a> {
    pub(super) fn sqlite(site: &'a Site) -> Self {
        site.database().execute_batch(AUDIT_SQLITE).expect("audit");
        Self::Sqlite(site)
    }

    pub(super) async fn tsql(connection: &str) -> Self {
        for statement in AUDIT_TSQL {
            tsql::run(connection, statement).await.expect(statement);
        }
        Self::TSql(connection.to_owned())
    }

    /// Alerts of three recipients at most, in one transaction.
    pub(super) async fn insert(&self, first: u64, count: u64) {
        if count == 0 {
            return;
        }
        let row = |number: u64| {
            let people =
                (0..=number % 3).map(|at| format!("user{}@example.test", (number + at) % 50));
            let people: Vec<_> = people.collect();
            let (name, port) = (
                number % NAMES,
                SEND_PORTS[usize::from(number.is_multiple_of(7))],
            );
            format!(
                "('{}', 'Alert {number}', 'b', 'job-{name}', '{port}')",
                people.join("; ")
            )
        };
        let rows: Vec<_> = (first..first + count).map(row).collect();
        let statement = format!(
            "INSERT INTO {{Alert}} (ToRecipients, Subject, Body, AlertName, SendPort) VALUES {}",
            rows.join(", ")
        );
        self.execute(&statement).await;
    }

    /// On SQLite a row as a DBA writes it, on SQL Server the procedure, which refuses to release what is not held. True
    /// where the request was added.
    pub(super) async fn request(&self, request: &Request) -> bool {
        match self {
            Self::Sqlite(_) => {
                self.execute(&row(request)).await;
                true
            }
            Self::TSql(connection) => {
                let call = self.named(&call(request));
                let run = || async {
                    match tsql::run(connection, &call).await {
                        Err(error) if error.contains("(code: 50006,") => Ok(false),
                        answer => answer.map(|_| true),
                    }
                };
                again(run).await
            }
        }
    }

    /// Until every alert is final, and every request is done.
    pub(super) async fn wait_until_done(&self, within: Duration) {
        let open = "SELECT (SELECT COUNT(*) FROM {AlertStatus} WHERE FinalAt IS NULL)
                           + (SELECT COUNT(*) FROM {OperatorRequest} WHERE State = 'open')";
        let deadline = Instant::now() + within;
        let mut look = tokio::time::interval(Duration::from_millis(500));
        loop {
            look.tick().await;
            let left = self.rows(open).await.remove(0).remove(0);
            if left == "0" {
                return;
            }
            let queue = "SELECT SendPort, Status, Depth, WaitingFor FROM {Queue}";
            let requests = "SELECT RequestId, Verb, AlertId, AlertName, SendPort, AppliedCount
                            FROM {OperatorRequest} WHERE State = 'open'";
            if Instant::now() > deadline {
                let (queue, requests) = (self.rows(queue).await, self.rows(requests).await);
                panic!("not done: {queue:?} {requests:?}");
            }
        }
    }

    /// All rows as text, NULL as nothing; `{Name}` is a table or a view.
    pub(super) async fn rows(&self, query: &str) -> Vec<Vec<String>> {
        let query = self.named(query);
        match self {
            Self::Sqlite(site) => sqlite_rows(&site.database(), &query),
            Self::TSql(connection) => again(|| tsql::rows(connection, &query)).await,
        }
    }

    async fn execute(&self, statement: &str) {
        let statement = self.named(statement);
        match self {
            Self::Sqlite(site) => {
                let done = site.database().execute_batch(&statement);
                done.unwrap_or_else(|error| panic!("{statement}: {error}"));
            }
            Self::TSql(connection) => {
                again(|| tsql::run(connection, &statement)).await;
            }
        }
    }

    fn named(&self, statement: &str) -> String {
        let (state, schema) = match self {
            Self::Sqlite(_) => ("AlertState", ""),
            Self::TSql(_) => ("sendport.AlertRow", "sendport."),
        };
        let statement = statement.replace("{AlertState}", state);
        statement.replace('{', schema).replace('}', "")
    }
}

/// A server that answers with a deadlock has done nothing.
async fn again<T, Next: Future<Output = Result<T, String>>>(run: impl Fn() -> Next) -> T {
    let mut last = String::new();
    for _ in 0..5 {
        match run().await {
            Ok(value) => return value,
            Err(error) => last = error,
        }
    }
    panic!("it failed five times: {last}");
}

fn sqlite_rows(database: &rusqlite::Connection, query: &str) -> Vec<Vec<String>> {
    use rusqlite::types::Value;
    let mut statement = database.prepare(query).expect(query);
    let columns = statement.column_count();
    let text = |row: &rusqlite::Row<'_>, at| {
        Ok(match row.get(at)? {
            Value::Integer(number) => number.to_string(),
            Value::Text(text) => text,
            _ => String::new(),
        })
    };
    let rows = statement.query_map([], |row| (0..columns).map(|at| text(row, at)).collect());
    let rows: Result<_, rusqlite::Error> = rows.expect(query).collect();
    rows.expect(query)
}

fn row(request: &Request) -> String {
    let (column, value) = match &request.filter {
        Filter::Alert(id) => ("AlertId", id.to_string()),
        Filter::AlertName(name) => ("AlertName", format!("'{name}'")),
        Filter::SendPort(name) => ("SendPort", format!("'{name}'")),
        Filter::Status(status) => ("Status", format!("'{status}'")),
        Filter::All => ("MatchesAll", "1".to_owned()),
    };
    let (verb, comment) = (request.verb, &request.comment);
    let recipients = match (verb, request.all_recipients) {
        ("requeue", true) => "'all'",
        ("requeue", false) => "'failed'",
        _ => "NULL",
    };
    let new_id = u8::from(verb == "requeue" && request.new_message_id);
    let until = match verb {
        "cancel" | "requeue" => "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')",
        _ => "NULL",
    };
    format!(
        "INSERT INTO {{OperatorRequest}} (Verb, {column}, CreatedUntil, Recipients, NewMessageId, Comment)
         VALUES ('{verb}', {value}, {until}, {recipients}, {new_id}, '{comment}')"
    )
}

fn call(request: &Request) -> String {
    let filter = match &request.filter {
        Filter::Alert(id) => format!("@AlertId = {id}"),
        Filter::AlertName(name) => format!("@AlertName = N'{name}'"),
        Filter::SendPort(name) => format!("@SendPort = N'{name}'"),
        Filter::Status(status) => format!("@Status = N'{status}'"),
        Filter::All => "@All = 1".to_owned(),
    };
    let (procedure, requeue) = match request.verb {
        "cancel" => ("Cancel", String::new()),
        "hold" => ("Hold", String::new()),
        "release" => ("Release", String::new()),
        _ => {
            let recipients = if request.all_recipients {
                "all"
            } else {
                "failed"
            };
            let new_id = u8::from(request.new_message_id);
            (
                "Requeue",
                format!(", @Recipients = N'{recipients}', @NewMessageId = {new_id}"),
            )
        }
    };
    format!(
        "EXEC {{{procedure}}} {filter}{requeue}, @Comment = N'{}'",
        request.comment
    )
}
