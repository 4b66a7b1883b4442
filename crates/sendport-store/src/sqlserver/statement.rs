//! The text of statements: the parts that several share, the columns of the lists, and what one engine needs.

use std::fmt::Write as _;

use crate::columns::{ADDRESSEE, ATTEMPT, Column, DELIVERY, REPLY, Source};

/// The engine that executes a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Engine {
    /// SQL Server and Azure SQL Database.
    #[default]
    SqlServer,
    /// Babelfish builds a statement from the `nvarchar` values of a table-valued parameter without escaping them,
    /// and the text of a relay's reply must never become SQL. So no text has an apostrophe on its way there: a
    /// private-use character takes its place, and the statement puts it back.
    Babelfish,
}

/// In the place of an apostrophe on its way to Babelfish.
pub(super) const APOSTROPHE: char = '\u{e027}';

/// A statement that takes lists, in the form of each engine.
pub(super) struct Statement {
    plain: String,
    babelfish: String,
}

impl Statement {
    /// Fills the placeholders of a file in `sql/`.
    pub(super) fn new(text: &str) -> Self {
        Self {
            plain: filled(text, Engine::SqlServer),
            babelfish: filled(text, Engine::Babelfish),
        }
    }

    /// The text for this engine.
    pub(super) fn on(&self, engine: Engine) -> &str {
        match engine {
            Engine::SqlServer => &self.plain,
            Engine::Babelfish => &self.babelfish,
        }
    }
}

/// The statement with the parts of `sql/parts/` that it names. Those that it does not know stay.
pub(super) fn with_parts(text: &str) -> String {
    text.replace(
        "{park_requested}",
        include_str!("sql/parts/park_requested.sql").trim_end(),
    )
    .replace(
        "{keep_earlier_requests}",
        include_str!("sql/parts/keep_earlier_requests.sql").trim_end(),
    )
    .replace(
        "{request_rows}",
        include_str!("sql/parts/request_rows.sql").trim_end(),
    )
    .replace(
        "{request_end}",
        include_str!("sql/parts/request_end.sql").trim_end(),
    )
    .replace(
        "{request_columns}",
        include_str!("sql/parts/request_columns.sql").trim_end(),
    )
    .replace(
        "{request_applies}",
        include_str!("sql/parts/request_applies.sql").trim_end(),
    )
    .replace(
        "{request_matches}",
        include_str!("sql/parts/request_matches.sql").trim_end(),
    )
    .replace(
        "{redirect_in_force}",
        include_str!("sql/parts/redirect_in_force.sql").trim_end(),
    )
    .replace(
        "{takes_status}",
        include_str!("sql/parts/takes_status.sql").trim_end(),
    )
    .replace(
        "{status_of_recipients}",
        include_str!("sql/parts/status_of_recipients.sql").trim_end(),
    )
    .replace(
        "{waiting_status}",
        include_str!("sql/parts/waiting_status.sql").trim_end(),
    )
    .replace(
        "{lock_retention}",
        include_str!("sql/parts/lock_retention.sql").trim_end(),
    )
    .replace(
        "{received_rows}",
        include_str!("sql/parts/received_rows.sql").trim_end(),
    )
    .replace(
        "{note_purged}",
        include_str!("sql/parts/note_purged.sql").trim_end(),
    )
}

fn filled(text: &str, engine: Engine) -> String {
    let text = with_parts(text);
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once('{') {
        let (name, behind) = after.split_once('}').unwrap_or((after, ""));
        out.push_str(before);
        match fill(name, engine) {
            Some(fill) => out.push_str(&fill),
            // Writing to a String cannot fail.
            None => drop(write!(out, "{{{name}}}")),
        }
        rest = behind;
    }
    out + rest
}

/// The text of a placeholder: `text o.Relay` is one text; `attempt` names the columns of that list, `o.attempt`
/// their values in the table `o`, and `delivery = n` sets them.
fn fill(name: &str, engine: Engine) -> Option<String> {
    if let Some(column) = name.strip_prefix("text ") {
        return Some(restored(column, engine));
    }
    Some(match name.split_once('.').map_or(("", name), |it| it) {
        ("", "attempt") => named(ATTEMPT),
        ("", "reply") => named(REPLY),
        ("", "recipient") => format!("{}, {}", named(ADDRESSEE), named(DELIVERY)),
        (table, "attempt") => valued(ATTEMPT, table, engine),
        (table, "reply") => valued(REPLY, table, engine),
        (table, "recipient") => format!(
            "{}, {}",
            valued(ADDRESSEE, table, engine),
            valued(DELIVERY, table, engine)
        ),
        ("", "delivery = n") => each(DELIVERY, |it| {
            format!("{} = {}", it.name, value(it, "n", engine))
        }),
        _ => return None,
    })
}

fn each<T>(columns: &[Column<T>], form: impl Fn(&Column<T>) -> String) -> String {
    columns.iter().map(form).collect::<Vec<_>>().join(", ")
}

fn named<T>(columns: &[Column<T>]) -> String {
    crate::columns::names(columns)
}

fn valued<T>(columns: &[Column<T>], table: &str, engine: Engine) -> String {
    each(columns, |it| value(it, table, engine))
}

fn value<T>(column: &Column<T>, table: &str, engine: Engine) -> String {
    let qualified = format!("{table}.{}", column.name);
    match column.source {
        Source::Text(..) => restored(&qualified, engine),
        _ => qualified,
    }
}

/// A text of a list, with its apostrophes.
fn restored(column: &str, engine: Engine) -> String {
    match engine {
        Engine::SqlServer => column.to_owned(),
        Engine::Babelfish => format!(
            "REPLACE({column} COLLATE Latin1_General_BIN2, NCHAR({}), N'''')",
            u32::from(APOSTROPHE)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The procedures count by the rule that claims and passes apply.
    #[test]
    fn the_procedures_match_alerts_as_the_service_does() {
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let schema = include_str!("../../../../migrations/sqlserver/0001_initial.sql");
        let rule = words(&with_parts("{request_applies}"));
        assert_eq!(words(schema).matches(&rule).count(), 1);
    }

    #[test]
    fn sql_server_gets_the_plain_text() {
        let statement = Statement::new("SELECT {text o.Relay}, {p.reply} FROM {among}");
        assert_eq!(
            statement.on(Engine::SqlServer),
            "SELECT o.Relay, p.Command, p.RecipientOrdinal, p.ReplyCode, p.EnhancedStatusCode, p.ReplyText FROM {among}"
        );
        let babelfish = statement.on(Engine::Babelfish);
        assert!(babelfish.starts_with(
            "SELECT REPLACE(o.Relay COLLATE Latin1_General_BIN2, NCHAR(57383), N''''), p.Command,"
        ));
    }
}
