//! The settings of Database Mail in msdb, for an import.

use super::authentication::Authentication;
use super::connection_string::ConnectionString;
use super::error::unexpected;
use super::pool::Pool;
use super::settings::Settings;
use super::values::Fields;
use crate::StoreError;

const DATABASE_MAIL: &str = include_str!("sql/database_mail.sql");

/// Reads Database Mail's settings from `database` of a server, usually msdb, with its newest `items`
/// messages: the JSON document of [`database_mail_script`]. Changes nothing, and reads no password.
///
/// # Errors
/// `Rejected` if the connection string cannot be read; otherwise what the server answers.
pub async fn database_mail(
    connection_string: &str,
    database: &str,
    items: u32,
) -> Result<String, StoreError> {
    const DOING: &str = "read Database Mail's settings";
    let named = match names_a_database(connection_string) {
        true => connection_string.to_owned(),
        false => format!(
            "{};Database=msdb",
            connection_string.trim_end_matches([';', ' '])
        ),
    };
    let settings = Settings::parse(&named, Authentication::AsWritten)?;
    let pool = Pool::new(settings.with_database(database));
    let items = i32::try_from(items).unwrap_or(i32::MAX);
    let rows = pool.rows(DOING, DATABASE_MAIL, &[&items]).await?;
    let line = |row| Fields::of(row).text().map_err(|e| unexpected(DOING, e));
    rows.iter().map(line).collect()
}

/// Text that cannot be read is refused later, by the parser of settings.
fn names_a_database(connection_string: &str) -> bool {
    ConnectionString::read(connection_string).map_or(true, |pairs| pairs.get("database").is_some())
}

/// The same for any client that splits batches at `GO`: sqlcmd, Management Studio. Prints the document.
pub fn database_mail_script(database: &str, items: u32) -> String {
    let database = database.replace(']', "]]");
    let statement = DATABASE_MAIL.replace("@P1", "@count");
    format!(
        "USE [{database}];\nGO\nSET NOCOUNT ON;\nDECLARE @count int = {items};\n{statement}GO\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_reads_and_changes_nothing() {
        let script = database_mail_script("msdb", 50);
        assert!(script.starts_with("USE [msdb];\nGO\n"), "{script}");
        assert!(script.contains("DECLARE @count int = 50;"), "{script}");
        assert!(!script.contains("@P1"), "{script}");
        assert!(script.is_ascii());
        for line in script
            .lines()
            .filter(|line| !line.trim_start().starts_with("--"))
        {
            for word in [
                "UPDATE",
                "DELETE",
                "EXEC",
                "credential_id",
                "password",
                "INTO",
            ] {
                assert!(!line.contains(word), "{line}");
            }
            assert!(
                !line.contains("INSERT") || line.contains("INSERT @lines"),
                "{line}"
            );
        }
        assert!(database_mail_script("a]b", 0).starts_with("USE [a]]b];"));
    }

    #[test]
    fn a_connection_string_needs_no_database() {
        assert!(!names_a_database("Server=db;User Id=u;Password=p"));
        assert!(names_a_database(
            "Server=db;Initial Catalog=x;User Id=u;Password=p"
        ));
        assert!(names_a_database("nonsense"));
    }
}
