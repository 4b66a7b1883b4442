//! An application that inserts alerts at a steady rate.

use std::time::{Duration, Instant};

use rusqlite::Connection;
use tiberius::{Client, Config};
use tokio::net::TcpStream;
use tokio_util::compat::{Compat, TokioAsyncWriteCompatExt};

use crate::database::Database;

/// Connections that share the rate, so that one insert that waits does not keep the others from being measured.
const CONNECTIONS: u32 = 4;

/// One connection.
enum Session {
    Sqlite(Connection),
    Server(Box<Client<Compat<TcpStream>>>),
}

/// How long each insert took, committed, at so many in a second.
pub(crate) async fn insert(database: &Database, rate: u32, during: Duration) -> Vec<Duration> {
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..CONNECTIONS {
        let session = Session::open(database).await;
        let statement = database.translated(
            "INSERT INTO sendport.Alert (ToRecipients, Subject, Body, AlertName)
             VALUES ('ops@example.test', 'Order 4711 is late', 'It is on its way.', 'order-late')",
        );
        let every = Duration::from_secs(1) * CONNECTIONS / rate;
        tasks.spawn(session.insert(statement, every, every * number / CONNECTIONS, during));
    }
    tasks.join_all().await.concat()
}

impl Session {
    async fn open(database: &Database) -> Self {
        let Some(connection) = database.connection() else {
            return Self::Sqlite(database.site.database());
        };
        let config = Config::from_ado_string(&connection).expect("a connection string");
        let stream = TcpStream::connect(config.get_addr())
            .await
            .expect("connect");
        let client = Client::connect(config, stream.compat_write()).await;
        Self::Server(Box::new(client.expect("connect")))
    }

    async fn insert(
        mut self,
        statement: String,
        every: Duration,
        first: Duration,
        during: Duration,
    ) -> Vec<Duration> {
        let begun = Instant::now();
        let mut took = Vec::new();
        let mut tick = tokio::time::interval_at(tokio::time::Instant::now() + first, every);
        while begun.elapsed() < during {
            tick.tick().await;
            let start = Instant::now();
            self.execute(&statement).await;
            took.push(start.elapsed());
        }
        took
    }

    async fn execute(&mut self, statement: &str) {
        match self {
            Self::Sqlite(connection) => {
                let done = tokio::task::block_in_place(|| connection.execute_batch(statement));
                done.expect("insert");
            }
            Self::Server(client) => {
                let done = client.simple_query(statement).await.expect("insert");
                done.into_results().await.expect("insert");
            }
        }
    }
}
