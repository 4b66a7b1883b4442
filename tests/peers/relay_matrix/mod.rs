//! Every server, every mechanism, every kind of TLS: right credentials authenticate, wrong
//! ones are reported as wrong, and what a server does not offer is named. The table in
//! docs/relays.md has the expectation; `./relay-matrix.sh` writes it again.

mod cell;
mod mechanism;
mod server;
mod table;

use std::sync::Arc;

use self::mechanism::{Credentials, Mechanism};
use self::server::{Server, Servers};
use crate::support::kdc;

const TEST: &str = "relay_matrix::the_documented_matrix_is_true";

/// `tls` of the configuration.
const TLS_MODES: [&str; 3] = ["none", "starttls", "implicit"];

/// Says that the table is to be written, not to be compared with.
const WRITE_VARIABLE: &str = "SENDPORT_WRITE_RELAY_MATRIX";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_matrix_is_true() {
    if !Servers::available() {
        return;
    }
    let Some(krb5_conf) = kdc::in_own_process(TEST).await else {
        return;
    };
    let (rows, failures) = everything(Servers::start(&krb5_conf).await).await;
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let found = table::markdown(&rows);
    if std::env::var_os(WRITE_VARIABLE).is_some() {
        table::write(&found);
    }
    let expected = table::read();
    assert!(
        found == expected,
        "docs/relays.md says otherwise; if what is found is right, run ./relay-matrix.sh. \
         Expected:\n{expected}\nFound:\n{found}",
    );
}

/// The lines of the table, and what is no cell of it. All servers are asked at the same time.
async fn everything(servers: Servers) -> (Vec<table::Row>, Vec<String>) {
    let credentials = Credentials::new(&servers);
    let servers = Arc::new((servers, credentials));
    let of_server = |index: usize| {
        let servers = Arc::clone(&servers);
        tokio::spawn(async move { rows(&servers.0.all()[index], &servers.1).await })
    };
    let tasks: Vec<_> = (0..servers.0.all().len()).map(of_server).collect();
    let (mut all, mut failures) = (Vec::new(), Vec::new());
    for task in tasks {
        let (rows, failed) = task.await.expect("the rows of a server");
        all.extend(rows);
        failures.extend(failed);
    }
    (all, failures)
}

/// The lines of one server.
async fn rows(server: &Server, credentials: &Credentials) -> (Vec<table::Row>, Vec<String>) {
    let (mut rows, mut failures) = (Vec::new(), Vec::new());
    for tls in TLS_MODES {
        let (row, failed) = row(server, tls, credentials).await;
        rows.push(row);
        failures.extend(failed);
    }
    (rows, failures)
}

/// One line of the table, and what is no cell of it.
async fn row(
    server: &Server,
    tls: &'static str,
    credentials: &Credentials,
) -> (table::Row, Vec<String>) {
    let mut cells = Vec::new();
    let mut failures = Vec::new();
    for mechanism in Mechanism::columns() {
        match cell::examine(server, tls, mechanism, credentials).await {
            Ok(cell) => cells.push(cell),
            Err(what) => failures.push(format!("{} {tls} {mechanism}: {what}", server.name)),
        }
    }
    let server = server.name;
    (table::Row { server, tls, cells }, failures)
}
