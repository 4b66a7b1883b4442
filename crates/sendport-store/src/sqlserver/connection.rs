//! One connection: how it is opened, and how it is known to be usable.

use std::borrow::Cow;

use tiberius::error::Error;
use tiberius::{AuthMethod, Client, Command, Row, ToSql};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::compat::{Compat, TokioAsyncWriteCompatExt};

use super::server_name::ServerAddress;
use super::settings::Settings;
use super::statement::Engine;
use super::values::without_nulls;
use super::{tcp, unreachable};

/// Rows of one result set.
pub(super) type Rows = Vec<Row>;

/// Azure answers a login with another address; more than this is a loop.
const MAX_ROUTES: u32 = 4;

/// A connection that knows whether it is between two statements. The driver's futures
/// are not cancel-safe: one that was dropped or failed leaves `usable` false, and the pool
/// throws the connection away.
pub(super) struct Connection {
    client: Client<Compat<TcpStream>>,
    usable: bool,
    /// The engine that executes the statements.
    engine: Engine,
    /// Which generation of the pool it belongs to.
    pub(super) generation: u64,
}

impl Connection {
    /// Connects, authenticates with `proof`, by default with the connection string's login, follows
    /// routing, and makes the session as all statements expect it.
    pub(super) async fn open(
        settings: &Settings,
        proof: Option<AuthMethod>,
        generation: u64,
    ) -> Result<Self, Error> {
        let client = authenticate(settings, proof).await?;
        let mut connection = Self {
            client,
            usable: true,
            engine: Engine::default(),
            generation,
        };
        // The driver's own limits leave out what follows a login that it took for complete.
        let ready = connection.batch(include_str!("sql/open_session.sql"));
        let results = timeout(settings.connect_timeout, ready)
            .await
            .map_err(|_| unreachable::not_ready(settings))?
            .map_err(|error| unreachable::broken(settings, error))?;
        connection.engine = engine(&results);
        Ok(connection)
    }

    /// False after a statement that was not seen through.
    pub(super) fn is_usable(&self) -> bool {
        self.usable
    }

    /// Runs one parameterised batch (`@P1`, ...); all its result sets.
    pub(super) async fn query(
        &mut self,
        sql: &str,
        params: &[&dyn ToSql],
    ) -> Result<Vec<Rows>, Error> {
        self.usable = false;
        let (sql, params) = without_nulls(sql, params);
        let stream = self.client.query(sql, &params).await?;
        let results = stream.into_results().await?;
        self.usable = true;
        Ok(results)
    }

    /// Runs one batch without parameters; what it declares and opens outlives it.
    pub(super) async fn batch(&mut self, sql: &str) -> Result<Vec<Rows>, Error> {
        self.usable = false;
        let stream = self.client.simple_query(Cow::Borrowed(sql)).await?;
        let results = stream.into_results().await?;
        self.usable = true;
        Ok(results)
    }

    /// Calls procedures one after the other, in one transaction where there may be more than one,
    /// until `command` has no further one; the first one's answer, which `command` gets.
    pub(super) async fn call_in_portions<T>(
        &mut self,
        most: usize,
        command: impl Fn(Engine, usize, &[T]) -> Option<Command<'static>>,
        read: fn(&Row) -> T,
    ) -> Result<Vec<T>, Error> {
        // By itself: an engine refuses a procedure that leaves a transaction open.
        if most > 1 {
            self.batch("BEGIN TRANSACTION").await?;
        }
        let mut first = Vec::new();
        let mut portion = 0;
        let engine = self.engine;
        let next = |portion, first: &[T]| {
            (portion < most)
                .then(|| command(engine, portion, first))
                .flatten()
        };
        while let Some(next) = next(portion, &first) {
            let answer = self.call(next, read).await?;
            if portion == 0 {
                first = answer;
            }
            portion += 1;
        }
        if most > 1 {
            self.batch("COMMIT TRANSACTION").await?;
        }
        Ok(first)
    }

    /// Calls a procedure; its first result set, each row read by `read`.
    async fn call<T>(
        &mut self,
        command: Command<'_>,
        read: fn(&Row) -> T,
    ) -> Result<Vec<T>, Error> {
        self.usable = false;
        let stream = command.exec(&mut self.client).await?;
        let result = stream.into_command_result().await?;
        self.usable = true;
        Ok(result
            .to_query_result(0)
            .map_or_else(Vec::new, |rows| rows.iter().map(read).collect()))
    }
}

/// As the first row of `open_session.sql` has it.
fn engine(results: &[Rows]) -> Engine {
    let row = results.iter().flatten().next();
    match row.and_then(|row| row.try_get::<i32, _>(0).ok().flatten()) {
        Some(1) => Engine::Babelfish,
        _ => Engine::SqlServer,
    }
}

async fn authenticate(
    settings: &Settings,
    proof: Option<AuthMethod>,
) -> Result<Client<Compat<TcpStream>>, Error> {
    let mut address = settings.address.clone();
    for _ in 0..MAX_ROUTES {
        let stream = tcp::connect(settings, &address).await?;
        let mut config = settings.config_at(&address);
        if let Some(proof) = &proof {
            config.authentication(proof.clone());
        }
        match Client::connect(config, stream.compat_write()).await {
            Err(Error::Routing { host, port }) => address = ServerAddress::routed(&host, port),
            authenticated => {
                return authenticated
                    .map_err(|error| unreachable::before_login(settings, &address, error));
            }
        }
    }
    Err(Error::Protocol(
        format!("the server routed the login more than {MAX_ROUTES} times").into(),
    ))
}
