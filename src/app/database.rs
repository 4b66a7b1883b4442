//! Which database it is, and whether the configuration may work on it.

use std::path::PathBuf;
use std::sync::Arc;

use sendport_store::migration::refusal;
use sendport_store::sqlite::{self, SqliteStore};
use sendport_store::sqlserver::{self, Authentication, Kerberos, SqlServerStore};
use sendport_store::{SchemaState, Store, StoreError, other_environment_message};

use super::database_tokens::DatabaseTokens;
use super::{AppError, system_clock};
use crate::config::{Config, DatabaseAuth, sqlite_file};

/// Opens the database that the configuration names. Does not check its schema.
///
/// # Errors
/// [`AppError::Config`] if the connection string cannot be read, [`AppError::Store`] if the
/// database cannot be opened at all.
pub fn open_store(config: &Config) -> Result<Arc<dyn Store>, AppError> {
    match connection(config)? {
        Connection::Sqlite(file) => Ok(Arc::new(SqliteStore::open(&file, system_clock())?)),
        Connection::SqlServer(store) => Ok(store),
    }
}

/// Whether [`open_store`] understands what the configuration says of the database; nothing is
/// opened.
///
/// # Errors
/// As there.
pub fn check_connection(config: &Config) -> Result<(), AppError> {
    connection(config).map(drop)
}

/// Which database it is.
pub(super) enum Connection {
    Sqlite(PathBuf),
    SqlServer(Arc<SqlServerStore>),
}

pub(super) fn connection(config: &Config) -> Result<Connection, AppError> {
    let connection = config
        .database
        .resolve()
        .map_err(|error| AppError::config_at(config.connection_origin(), error))?;
    let authentication = authenticate(&config.database.auth)?;
    let text = connection.expose();
    match (sqlite_file(text), authentication) {
        (Some(file), Authentication::AsWritten) => Ok(Connection::Sqlite(file)),
        (Some(_), _) => Err(AppError::config_at(
            "database.auth",
            "a SQLite file needs no authentication; remove the section, or write a connection \
             string of SQL Server",
        )),
        (None, authentication) => {
            let store = SqlServerStore::open_authenticated(text, authentication)
                .map_err(|error| AppError::config_at(config.connection_origin(), error))?;
            Ok(Connection::SqlServer(Arc::new(store)))
        }
    }
}

/// The authentication that the section configures.
fn authenticate(auth: &DatabaseAuth) -> Result<Authentication, AppError> {
    Ok(match auth {
        DatabaseAuth::ConnectionString => Authentication::AsWritten,
        DatabaseAuth::EntraToken(entra) => {
            let tokens = sendport_oauth2::source("database", &entra.source(), system_clock());
            let tokens =
                tokens.map_err(|error| AppError::config_at("database.auth.oauth2", error))?;
            Authentication::EntraToken(Arc::new(DatabaseTokens(tokens)))
        }
        DatabaseAuth::Windows(account) => Authentication::Windows(Kerberos {
            keytab_file: account.keytab_file.clone(),
            principal: account.principal.clone(),
        }),
    })
}

/// Everything that `migrate` does, as a script for the clients of SQL Server or for sqlite3.
pub fn migration_script(connection: &str) -> String {
    match sqlite_file(connection) {
        Some(_) => sqlite::migration_script(),
        None => sqlserver::migration_script(),
    }
}

/// Refuses a database whose schema or environment is not this program's and configuration's.
///
/// # Errors
/// [`AppError::WrongDatabase`] with the command that corrects it.
pub async fn check_database(store: &dyn Store, environment: &str) -> Result<(), AppError> {
    if let Some(problem) = schema_problem(store).await? {
        return Err(AppError::WrongDatabase(problem));
    }
    let found = store.name_environment(environment).await?;
    other_environment(store, environment, &found).map_or(Ok(()), Err)
}

/// Refuses a database that was named for another environment; one that has no name yet is fine.
///
/// # Errors
/// [`AppError::WrongDatabase`], or the database does not answer.
pub async fn check_environment(store: &dyn Store, environment: &str) -> Result<(), AppError> {
    let found = store.environment().await?;
    let other = found.and_then(|found| other_environment(store, environment, &found));
    other.map_or(Ok(()), Err)
}

fn other_environment(store: &dyn Store, environment: &str, found: &str) -> Option<AppError> {
    (found != environment).then(|| {
        let words = other_environment_message(&store.describe(), environment, found);
        AppError::WrongDatabase(words)
    })
}

/// What is wrong with the schema, in a sentence; `None` if nothing is.
///
/// # Errors
/// [`StoreError`] if the database cannot be asked.
pub async fn schema_problem(store: &dyn Store) -> Result<Option<String>, StoreError> {
    let database = store.describe();
    let state = store.schema_state().await?;
    Ok(match state {
        SchemaState::Current(_) => None,
        SchemaState::Absent => Some(format!(
            "{database} has no sendport schema; run `sendport migrate` once"
        )),
        SchemaState::Behind { found, expected } => Some(format!(
            "{database} has schema version {found}, this program needs {expected}; run `sendport migrate`"
        )),
        SchemaState::Ahead { .. }
        | SchemaState::Altered { .. }
        | SchemaState::Unreleased { .. } => {
            refusal(&state).map(|words| format!("{database} cannot be used: {words}"))
        }
    })
}
