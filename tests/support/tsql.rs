//! A T-SQL client that is not the store's: what an application or a DBA would run.

use std::time::{Duration, Instant};

use tiberius::{Client, ColumnData, Config};
use tokio::net::TcpStream;
use tokio_util::compat::{Compat, TokioAsyncWriteCompatExt};

use crate::not_run::not_run;

/// The server's connection string, if there is a server.
pub(crate) fn configured() -> Option<String> {
    let server = std::env::var("SENDPORT_TEST_SQLSERVER").ok();
    server.filter(|server| !server.is_empty())
}

/// The server's connection string, or `None` after a line that says what did not run.
pub(crate) fn server() -> Option<String> {
    let server = configured();
    if server.is_none() {
        not_run("tests on SQL Server: SENDPORT_TEST_SQLSERVER is not set");
    }
    server
}

async fn connect(connection_string: &str) -> Result<Client<Compat<TcpStream>>, String> {
    let config = Config::from_ado_string(connection_string).map_err(|e| e.to_string())?;
    let stream = TcpStream::connect(config.get_addr()).await;
    let stream = stream.map_err(|e| e.to_string())?.compat_write();
    Client::connect(config, stream)
        .await
        .map_err(|e| e.to_string())
}

/// The first value of the first row of the first result set, as text; bytes in hexadecimal.
pub(crate) async fn run(connection_string: &str, batch: &str) -> Result<Option<String>, String> {
    run_all(connection_string, &[batch.to_owned()]).await
}

/// Batches one after the other on one connection, up to the first error; the last one's value.
pub(crate) async fn run_all(
    connection_string: &str,
    batches: &[String],
) -> Result<Option<String>, String> {
    let mut client = connect(connection_string).await?;
    let mut value = None;
    for batch in batches {
        let results = client.simple_query(batch).await;
        let results = results.map_err(|e| e.to_string())?.into_results().await;
        let row = results
            .map_err(|e| e.to_string())?
            .into_iter()
            .flatten()
            .next();
        value = row.and_then(|row| row.cells().next().and_then(|(_, value)| text(value)));
    }
    Ok(value)
}

/// Runs statements one after the other on one connection, and answers with those that failed.
#[allow(dead_code, reason = "not every binary needs it")]
pub(crate) async fn failing(
    connection_string: &str,
    statements: Vec<String>,
) -> Result<Vec<String>, String> {
    let mut client = connect(connection_string).await?;
    let mut failed = Vec::new();
    for statement in statements {
        let done = match client.simple_query(&statement).await {
            Ok(results) => results.into_results().await.map(drop),
            Err(error) => Err(error),
        };
        if done.is_err() {
            failed.push(statement);
        }
    }
    Ok(failed)
}

/// All rows of the last result set of a batch, as text.
#[allow(dead_code, reason = "not every binary asks for more than one value")]
pub(crate) async fn rows(connection_string: &str, batch: &str) -> Result<Vec<Vec<String>>, String> {
    let mut client = connect(connection_string).await?;
    let results = client.simple_query(batch).await;
    let results = results.map_err(|e| e.to_string())?.into_results().await;
    let last = results.map_err(|e| e.to_string())?.pop();
    let shown = |row: &tiberius::Row| {
        let cells = row.cells();
        cells
            .map(|(_, value)| text(value).unwrap_or_default())
            .collect()
    };
    Ok(last.unwrap_or_default().iter().map(shown).collect())
}

/// Queries one after the other on one connection: how long each took, and how many rows came.
#[allow(dead_code, reason = "not every binary measures")]
pub(crate) async fn timed(
    connection_string: &str,
    queries: &[String],
) -> Result<Vec<(Duration, usize)>, String> {
    let mut client = connect(connection_string).await?;
    let mut timed = Vec::new();
    for query in queries {
        let begun = Instant::now();
        let results = client.simple_query(query).await;
        let results = results.map_err(|e| e.to_string())?.into_results().await;
        let count = results
            .map_err(|e| e.to_string())?
            .iter()
            .map(Vec::len)
            .sum();
        timed.push((begun.elapsed(), count));
    }
    Ok(timed)
}

fn text(value: &ColumnData<'_>) -> Option<String> {
    match value {
        ColumnData::String(text) => text.as_ref().map(ToString::to_string),
        ColumnData::I16(number) => number.map(|n| n.to_string()),
        ColumnData::I32(number) => number.map(|n| n.to_string()),
        ColumnData::I64(number) => number.map(|n| n.to_string()),
        ColumnData::Binary(bytes) => bytes
            .as_ref()
            .map(|bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        ColumnData::Guid(id) => id.map(|id| id.to_string()),
        _ => None,
    }
}

/// A transaction of an application that is left open.
#[allow(dead_code, reason = "not every binary leaves one open")]
pub(crate) struct OpenTransaction(Client<Compat<TcpStream>>);

#[allow(dead_code, reason = "not every binary leaves one open")]
impl OpenTransaction {
    /// Begins it with these statements, on a connection of its own.
    pub(crate) async fn begin(connection_string: &str, statements: &str) -> Self {
        let mut client = connect(connection_string).await.expect("connect");
        for batch in ["BEGIN TRANSACTION", statements] {
            let results = client.simple_query(batch).await.expect(batch);
            results.into_results().await.expect(batch);
        }
        Self(client)
    }

    /// Undoes what it did, and gives its locks back.
    pub(crate) async fn roll_back(mut self) {
        let results = self.0.simple_query("ROLLBACK TRANSACTION").await;
        let results = results.expect("roll back").into_results().await;
        results.expect("roll back");
    }
}
