//! Many rows by few statements.

use std::fmt::Write as _;

use rusqlite::Connection;

use crate::database::Database;

/// Rows of one statement.
const CHUNK: u32 = 100_000;
/// On a server, whose client waits 30 seconds for one.
const SERVER_CHUNK: u32 = 10_000;

/// What the rows are.
#[derive(Clone)]
pub(crate) struct Rows {
    pub(crate) count: u32,
    /// The hours before now in which they became final, evenly; the last one is the newest.
    pub(crate) hours: std::ops::Range<u32>,
    /// Every so many one failed; 0: none.
    pub(crate) failed_every: u32,
    /// So many of the last ones wait.
    pub(crate) waiting: u32,
    /// Whether each has an attempt with three replies.
    pub(crate) has_attempts: bool,
    pub(crate) alert_name: &'static str,
}

/// Alerts with a recipient each.
pub(crate) async fn fill(database: &Database, rows: Rows) {
    match database.connection() {
        Some(_) => fill_server(database, &rows).await,
        None => fill_sqlite(&database.site.database(), &rows),
    }
}

/// The trigger is away meanwhile: its rows would be rewritten.
fn fill_sqlite(connection: &Connection, rows: &Rows) {
    let trigger: String = connection
        .query_row(
            "SELECT sql FROM sqlite_schema WHERE name = 'TR_Alert_Insert'",
            [],
            |row| row.get(0),
        )
        .expect("the trigger");
    let begin =
        "PRAGMA synchronous = OFF; PRAGMA cache_size = -500000; DROP TRIGGER TR_Alert_Insert;";
    connection.execute_batch(begin).expect(begin);
    let (count, hours, name) = (rows.count, &rows.hours, rows.alert_name);
    let number =
        "WITH RECURSIVE n (i) AS (SELECT {from} UNION ALL SELECT i + 1 FROM n WHERE i < {to})";
    let at = format!(
        "strftime('%Y-%m-%dT%H:%M:%fZ', 'now', (-{end}.0 + {span}.0 * i / {count}) || ' hours')",
        end = hours.end,
        span = hours.end - hours.start,
    );
    let created = at.replacen("hours'", "hours', (-(i % 97)) || ' seconds'", 1);
    let waits = format!("i > {}", count - rows.waiting);
    let failed = match rows.failed_every {
        0 => "0".to_owned(),
        every => format!("i % {every} = 0"),
    };
    let status =
        format!("CASE WHEN {waits} THEN 'queued' WHEN {failed} THEN 'failed' ELSE 'relayed' END");
    let mut script = format!(
        "{number} INSERT INTO Alert (AlertId, ToRecipients, Subject, Body, AlertName, CreatedAt)
         SELECT i, 'ops@example.test', 'Order is late', 'It is late.', '{name}', {created} FROM n;
         {number} INSERT INTO AlertState (AlertId, SendPort, Priority, CreatedAt, Status, StatusAt, DueAt, AttemptCount, FinalAt)
         SELECT i, 'default', 'normal', {created}, {status}, {at}, iif({waits}, {at}, NULL), 1, iif({waits}, NULL, {at}) FROM n;
         {number} INSERT INTO Recipient (AlertId, Ordinal, Kind, Address, Status, StatusAt, AttemptCount, Relay, ReplyCode,
                                         ReplyText, ExplanationKey)
         SELECT i, 0, 'to', 'ops@example.test', {status}, {at}, 1, 'main', 250, 'queued',
                iif({failed}, 'mailbox-full', NULL) FROM n WHERE NOT ({waits});",
    );
    if rows.has_attempts {
        let _ = write!(
            script,
            "{number} INSERT INTO Attempt (AttemptId, AttemptKey, AlertId, AttemptNumber, Outcome, EndedAt, Relay)
             SELECT i, i, i, 1, 'relayed', {at}, 'main' FROM n;
             {number} INSERT INTO AttemptReply (AttemptId, Ordinal, Command, ReplyCode, ReplyText)
             SELECT i, o.n, 'MAIL', 250, 'ok' FROM n CROSS JOIN (SELECT 0 AS n UNION SELECT 1 UNION SELECT 2) o;"
        );
    }
    for from in (1..=count).step_by(CHUNK as usize) {
        let to = (from + CHUNK - 1).min(count);
        let script = script
            .replace("{from}", &from.to_string())
            .replace("{to}", &to.to_string());
        connection
            .execute_batch(&format!("BEGIN; {script} COMMIT;"))
            .expect("fill");
    }
    connection.execute_batch(&trigger).expect("the trigger");
    let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
    connection
        .query_row(checkpoint, [], |_| Ok(()))
        .expect(checkpoint);
    connection.execute_batch("ANALYZE").expect("analyze");
}

async fn fill_server(database: &Database, rows: &Rows) {
    let (count, hours, name) = (rows.count, &rows.hours, rows.alert_name);
    let seconds = |hours: u32| i64::from(hours) * 3600;
    let (end, span) = (seconds(hours.end), seconds(hours.end - hours.start));
    let at = format!(
        "DATEADD(second, CAST(-{end} + {span} * 1.0 * n.i / {count} AS int), SYSUTCDATETIME())"
    );
    let created = format!("DATEADD(second, -CAST(n.i % 97 AS int), {at})");
    let waits = format!("n.i > {}", count - rows.waiting);
    let failed = match rows.failed_every {
        0 => "1 = 0".to_owned(),
        every => format!("n.i % {every} = 0"),
    };
    let status = format!(
        "CASE WHEN {waits} THEN N'queued' WHEN {failed} THEN N'failed' ELSE N'relayed' END"
    );
    let digits = "(VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9))";
    for from in (0..count).step_by(SERVER_CHUNK as usize) {
        let to = (from + SERVER_CHUNK).min(count);
        let numbers = format!(
            "(SELECT CAST({from} + 1 + a.n + 10 * b.n + 100 * c.n + 1000 * d.n AS bigint) AS i
              FROM {digits} a (n) CROSS JOIN {digits} b (n) CROSS JOIN {digits} c (n) CROSS JOIN {digits} d (n)) n
             WHERE n.i <= {to}"
        );
        let alerts = format!(
            "SET IDENTITY_INSERT sendport.AlertRow ON;
             INSERT INTO sendport.AlertRow (AlertId, ToRecipients, Subject, Body, AlertName, CreatedAt, Status, StatusAt, DueAt,
                                            AttemptCount, FinalAt)
             SELECT n.i, N'ops@example.test', N'Order is late', N'It is late.', N'{name}', {created}, {status}, {at},
                    CASE WHEN {waits} THEN {at} END, 1, CASE WHEN {waits} THEN NULL ELSE {at} END FROM {numbers};
             SET IDENTITY_INSERT sendport.AlertRow OFF;"
        );
        database.execute(&alerts).await;
        let recipients = format!(
            "INSERT INTO sendport.Recipient (AlertId, Ordinal, Kind, Address, Status, StatusAt, AttemptCount, Relay, ReplyCode,
                                             ReplyText, ExplanationKey)
             SELECT n.i, 0, N'to', N'ops@example.test', {status}, {at}, 1, N'main', 250, N'queued',
                    CASE WHEN {failed} THEN N'mailbox-full' END FROM {numbers} AND NOT ({waits});"
        );
        database.execute(&recipients).await;
        if rows.has_attempts {
            let attempts = format!(
                "SET IDENTITY_INSERT sendport.Attempt ON;
                 INSERT INTO sendport.Attempt (AttemptId, AttemptKey, AlertId, AttemptNumber, Outcome, EndedAt, Relay)
                 SELECT n.i, NEWID(), n.i, 1, N'relayed', {at}, N'main' FROM {numbers};
                 SET IDENTITY_INSERT sendport.Attempt OFF;
                 INSERT INTO sendport.AttemptReply (AttemptId, Ordinal, Command, ReplyCode, ReplyText)
                 SELECT m.i, o.n, N'MAIL', 250, N'ok' FROM (SELECT n.i FROM {numbers}) m
                 CROSS JOIN (VALUES (0), (1), (2)) o (n);"
            );
            database.execute(&attempts).await;
        }
    }
}
