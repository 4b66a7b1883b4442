//! Reads the settings of Database Mail from a server.

use sendport_store::sqlserver;

use super::AppError;

/// Reads Database Mail's settings and its newest `items` messages from a server: what
/// [`database_mail_script`] prints there.
///
/// # Errors
/// [`AppError::Store`] if the connection string cannot be read, or the server cannot be asked.
pub async fn database_mail(
    connection: &str,
    database: &str,
    items: u32,
) -> Result<String, AppError> {
    Ok(sqlserver::database_mail(connection, database, items).await?)
}

/// A script for sqlcmd and Management Studio that prints the same.
pub fn database_mail_script(database: &str, items: u32) -> String {
    sqlserver::database_mail_script(database, items)
}
