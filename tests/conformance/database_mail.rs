//! Database Mail on SQL Server: `sendport.sp_send_dbmail` does what `msdb.dbo.sp_send_dbmail` does.

use std::collections::BTreeMap;

use libtest_mimic::Trial;
use sendport_core::domain::RecipientStatus;
use serde::Deserialize;

use crate::fixture::{self, Fixture};
use crate::not_run::not_run;
use crate::sqlserver::{SqlServerFixture, on_server};
use crate::tsql::{OpenTransaction, rows, run};
use crate::writers::Login;

/// A call with the name of Database Mail's procedure, and what becomes of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    does: String,
    sql: String,
    #[serde(default)]
    alert: BTreeMap<String, String>,
    file: Option<File>,
    /// The tests of the service read it.
    #[expect(dead_code, reason = "nothing is sent here")]
    message: Option<toml::Table>,
    refused: Option<String>,
    /// Babelfish cannot run the query itself, whoever asks for it.
    #[serde(default)]
    sqlserver_only: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// `*` is any number.
    name: String,
    /// In UTF-16, behind a byte order mark.
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Calls {
    call: Vec<Call>,
}

/// Only the name of the procedure is another one.
fn moved(sql: &str) -> String {
    sql.replace("msdb.dbo.sp_send_dbmail", "sendport.sp_send_dbmail")
}

const SEND: &str =
    "EXEC msdb.dbo.sp_send_dbmail @recipients = 'ops@contoso.com', @subject = 'Order 4711 is late'";

/// As the service publishes them.
async fn publish_send_ports(fixture: &SqlServerFixture) {
    for name in ["default", "night shift"] {
        let insert = format!(
            "INSERT INTO sendport.SendPort (Name, FromAddress, Protection, MaxAgeSeconds, LastSeenAt) \
             VALUES (N'{name}', N'alerts@contoso.com', N'none', 172800, SYSUTCDATETIME())"
        );
        fixture.try_sql(&insert).await.expect("a send port");
    }
}

async fn count(fixture: &SqlServerFixture) -> Option<String> {
    fixture
        .scalar("SELECT COUNT(*) FROM sendport.AlertRow")
        .await
}

impl Call {
    async fn is_kept(&self, fixture: &SqlServerFixture) {
        let Self { does, .. } = self;
        let own = fixture.connection_string();
        if let Some(text) = &self.refused {
            let error = run(&own, &moved(&self.sql)).await.expect_err(does);
            assert!(error.contains(text), "{does}: {error}");
            return;
        }
        let columns: Vec<_> = self.alert.keys().map(|it| as_text(it)).collect();
        let batch = format!(
            "{};\nSELECT TOP (1) {} FROM sendport.AlertRow ORDER BY AlertId DESC",
            moved(&self.sql),
            columns.join(", ")
        );
        let found = rows(&own, &batch).await;
        let found = found.unwrap_or_else(|error| panic!("{does}: {error}"));
        let expected: Vec<_> = self.alert.values().cloned().collect();
        assert_eq!(found, [expected], "{does}: {columns:?}");
        if let Some(file) = &self.file {
            file.is_attached(does, fixture).await;
        }
    }
}

fn as_text(column: &str) -> String {
    format!("CAST({column} AS nvarchar(max))")
}

impl File {
    async fn is_attached(&self, does: &str, fixture: &SqlServerFixture) {
        const LAST: &str = "SELECT TOP (1) FileName, Content FROM sendport.AttachmentRow ORDER BY AttachmentId DESC";
        let found = rows(&fixture.connection_string(), LAST).await;
        let found = found.expect(does).concat();
        let [name, content] = &found[..] else {
            panic!("{does}: {found:?}")
        };
        let (start, end) = self.name.split_once('*').unwrap_or((&self.name, ""));
        let number = name.strip_prefix(start).and_then(|it| it.strip_suffix(end));
        let number = number.unwrap_or_else(|| panic!("{does}: {name}"));
        assert!(
            number.bytes().all(|it| it.is_ascii_digit()),
            "{does}: {name}"
        );
        let units = std::iter::once(0xFEFF).chain(self.text.encode_utf16());
        let expected: String = units
            .flat_map(u16::to_le_bytes)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(content, &expected, "{does}");
    }
}

async fn each_call_arrives_or_is_refused_by_name(fixture: &SqlServerFixture) {
    fixture.fresh().await;
    publish_send_ports(fixture).await;
    let calls: Calls = toml::from_str(include_str!("database_mail.toml")).expect("the calls");
    let engine = "SELECT CAST(SERVERPROPERTY('Babelfish') AS nvarchar(10))";
    let on_babelfish = fixture.scalar(engine).await.is_some();
    let (apart, run): (Vec<_>, Vec<_>) = calls
        .call
        .iter()
        .partition(|call| on_babelfish && call.sqlserver_only);
    for call in &run {
        call.is_kept(fixture).await;
    }
    assert!(run.len() >= 40, "{} calls", run.len());
    let arrived = run.iter().filter(|call| call.refused.is_none()).count();
    assert_eq!(count(fixture).await, Some(arrived.to_string()));
    if !apart.is_empty() {
        let apart: Vec<_> = apart.iter().map(|call| &*call.does).collect();
        not_run(&format!(
            "{} calls of sp_send_dbmail, whose @query Babelfish cannot run: {}",
            apart.len(),
            apart.join("; ")
        ));
    }
}

async fn mailitem_id_is_the_key_of_the_alert(fixture: &SqlServerFixture) {
    fixture.fresh().await;
    let batch = format!(
        "DECLARE @id int, @code int; {}, @mailitem_id = @id OUTPUT; \
         SELECT CONCAT(@code, N' ', (SELECT Subject FROM sendport.AlertRow WHERE AlertId = @id))",
        moved(SEND).replace("EXEC ", "EXEC @code = ")
    );
    let found = fixture.scalar(&batch).await;
    assert_eq!(found.as_deref(), Some("0 Order 4711 is late"));
}

async fn a_mail_is_part_of_the_callers_transaction(fixture: &SqlServerFixture) {
    fixture.fresh().await;
    let open = OpenTransaction::begin(&fixture.connection_string(), &moved(SEND)).await;
    open.roll_back().await;
    assert_eq!(count(fixture).await.as_deref(), Some("0"));
    let committed = format!("BEGIN TRANSACTION; {}; COMMIT TRANSACTION", moved(SEND));
    fixture.try_sql(&committed).await.expect("committed");
    fixture.try_sql(&moved(SEND)).await.expect("sent");
    assert_eq!(count(fixture).await.as_deref(), Some("2"));
}

async fn writers_send_as_themselves(fixture: &SqlServerFixture) {
    fixture.fresh().await;
    publish_send_ports(fixture).await;
    let writer = Login::with_role(fixture, "sendport_writer").await;
    let reader = Login::with_role(fixture, "sendport_reader").await;
    let excluded = format!("{}, @exclude_query_output = 1", moved(SEND));
    writer.may(&moved(SEND)).await;
    writer.may(&excluded).await;
    reader.may_not(&moved(SEND)).await;
    let creator = fixture
        .scalar("SELECT MIN(CreatedBy) FROM sendport.AlertRow")
        .await;
    assert_eq!(creator.as_deref(), Some(&*writer.name));
    let unknown = moved(SEND).replace("@recipients", "@profile_name = 'nobody', @recipients");
    let error = run(&writer.connection_string, &unknown).await;
    let error = error.expect_err("no such profile");
    assert!(error.contains("profile name is not valid"), "{error}");
    for forbidden in [
        "SELECT COUNT(*) FROM sendport.DatabaseMailItem",
        "UPDATE sendport.DatabaseMailItem SET Query = N'x'",
        "DELETE FROM sendport.DatabaseMailItem",
    ] {
        writer.may_not(forbidden).await;
    }
    for login in [writer, reader] {
        login.drop(fixture).await;
    }
}

/// What a view shows of the mails, by subject.
async fn shown(fixture: &SqlServerFixture, columns: &str, view: &str) -> Vec<Vec<String>> {
    let query = format!("SELECT {columns} FROM sendport.{view} ORDER BY mailitem_id");
    let found = rows(&fixture.connection_string(), &query).await;
    found.unwrap_or_else(|error| panic!("{query}: {error}"))
}

/// One alert that waits, one that is delayed, one that was relayed, one that failed.
async fn mails_of_every_status(fixture: &SqlServerFixture) {
    let store = fixture.fresh().await;
    publish_send_ports(fixture).await;
    let instance = fixture::instance(&store, "a").await;
    let f: &dyn Fixture = fixture;
    for status in [
        RecipientStatus::Delayed,
        RecipientStatus::Relayed,
        RecipientStatus::Failed,
    ] {
        let id = f.alert_to("ops0@contoso.com").await;
        let (token, _) = fixture::claim_one(&store, instance).await;
        let outcome = fixture::outcome(id, token, 1, &[status]);
        fixture::record(&store, instance, &outcome).await;
    }
    f.alert_to("ops0@contoso.com").await;
}

async fn views_show_the_history_as_database_mail_does(fixture: &SqlServerFixture) {
    mails_of_every_status(fixture).await;
    let all = shown(
        fixture,
        "sent_status, body_format, importance",
        "sysmail_allitems",
    )
    .await;
    let expected = ["retrying", "sent", "failed", "unsent"];
    assert_eq!(all, expected.map(|status| [status, "TEXT", "NORMAL"]));
    for (view, statuses) in [
        ("sysmail_sentitems", &["sent"][..]),
        ("sysmail_unsentitems", &["retrying", "unsent"]),
        ("sysmail_faileditems", &["failed"]),
    ] {
        let found = shown(fixture, "sent_status", view).await;
        assert_eq!(found.concat(), statuses, "{view}");
    }
    let ids = shown(
        fixture,
        "CAST(mailitem_id AS nvarchar(20))",
        "sysmail_allitems",
    )
    .await;
    let keys = "SELECT CAST(AlertId AS nvarchar(20)) FROM sendport.AlertRow ORDER BY AlertId";
    let keys = rows(&fixture.connection_string(), keys)
        .await
        .expect("keys");
    assert_eq!(ids, keys);
    let sent =
        "CONCAT(sent_account_id, N' ', CASE WHEN sent_date IS NULL THEN N'never' ELSE N'once' END)";
    let sent = shown(fixture, sent, "sysmail_allitems").await;
    assert_eq!(sent.concat(), [" once", "1 once", " once", " never"]);
    let profile = "SELECT DISTINCT p.name FROM sendport.sysmail_allitems i \
                   JOIN sendport.sysmail_profile p ON p.profile_id = i.profile_id";
    assert_eq!(fixture.scalar(profile).await.as_deref(), Some("default"));
    let log = "SELECT CONCAT(l.event_type, N' ', l.description) FROM sendport.sysmail_event_log l \
               JOIN sendport.sysmail_faileditems f ON f.mailitem_id = l.mailitem_id";
    let log = fixture.scalar(log).await.expect("a row of the log");
    let expected = "error The mail could not be sent to the recipients: ops0@contoso.com: 550 ";
    assert!(log.starts_with(expected), "{log}");
}

async fn views_show_a_writer_what_it_sent(fixture: &SqlServerFixture) {
    fixture.fresh().await;
    let writer = Login::with_role(fixture, "sendport_writer").await;
    let other = Login::with_role(fixture, "sendport_writer").await;
    let reader = Login::with_role(fixture, "sendport_reader").await;
    for login in [&writer, &other, &other] {
        login.may(&moved(SEND)).await;
        let file = "INSERT INTO sendport.Attachment (AlertId, FileName, Content) \
                    SELECT MAX(AlertId), N'a.bin', 0x00FF FROM sendport.Alert";
        login.may(file).await;
    }
    let failed = "UPDATE sendport.AlertRow SET Status = N'failed'";
    fixture.try_sql(failed).await.expect("failed");
    for view in [
        "sysmail_allitems",
        "sysmail_faileditems",
        "sysmail_mailattachments",
        "sysmail_event_log",
    ] {
        let count = format!("SELECT COUNT(mailitem_id) FROM sendport.{view}");
        for (login, seen) in [(&writer, "1"), (&other, "2"), (&reader, "3")] {
            let found = login.may(&count).await;
            assert_eq!(found.as_deref(), Some(seen), "{view} for {}", login.name);
        }
    }
    for forbidden in [
        "SELECT COUNT(*) FROM sendport.MailItem",
        "SELECT COUNT(*) FROM sendport.MailAttachment",
        "SELECT COUNT(*) FROM sendport.MailEvent",
        "DELETE FROM sendport.sysmail_allitems",
    ] {
        writer.may_not(forbidden).await;
    }
    let file = "SELECT CONCAT(filename, N' ', filesize) FROM sendport.sysmail_mailattachments";
    assert_eq!(writer.may(file).await.as_deref(), Some("a.bin 2"));
    for login in [writer, other, reader] {
        login.drop(fixture).await;
    }
}

async fn what_is_final_is_deleted_and_nothing_else(fixture: &SqlServerFixture) {
    mails_of_every_status(fixture).await;
    let own = fixture.connection_string();
    let statuses = async || {
        shown(fixture, "sent_status", "sysmail_allitems")
            .await
            .concat()
    };
    let delete = "EXEC sendport.sysmail_delete_mailitems_sp";
    for (call, text) in [
        (delete.to_owned(), "Either @sent_before or @sent_status"),
        (
            format!("{delete} @sent_status = 'unsent'"),
            "Parameter @sent_status does not support the value 'unsent'",
        ),
        (
            format!("BEGIN TRANSACTION; {delete} @sent_status = 'failed'"),
            "sysmail_delete_mailitems_sp deletes in many short transactions",
        ),
        (
            "BEGIN TRANSACTION; EXEC sendport.sysmail_delete_log_sp".to_owned(),
            "sysmail_delete_log_sp deletes in many short transactions",
        ),
        (
            "EXEC sendport.sysmail_delete_log_sp @event_type = 'fatal'".to_owned(),
            "Parameter @event_type does not support the value 'fatal'",
        ),
    ] {
        let error = run(&own, &call).await.expect_err(&call);
        assert!(error.contains(text), "{call}: {error}");
    }
    assert_eq!(statuses().await, ["retrying", "sent", "failed", "unsent"]);
    let failed = format!("{delete} @sent_status = 'failed'");
    fixture.try_sql(&failed).await.expect("delete");
    assert_eq!(statuses().await, ["retrying", "sent", "unsent"]);
    let all = format!("DECLARE @now datetime = DATEADD(minute, 1, GETDATE()); {delete} @now");
    fixture.try_sql(&all).await.expect("delete");
    assert_eq!(statuses().await, ["retrying", "unsent"]);
    let f: &dyn Fixture = fixture;
    for status in ["failed", "relayed"] {
        let counted = format!("Status = '{status}' AND AlertCount = 1 AND RecipientCount = 1");
        assert_eq!(f.rows("DailyCount", &counted).await, 1, "{status}");
    }
    for table in ["Recipient", "Attempt"] {
        assert_eq!(f.rows(table, "1 = 1").await, 1, "{table}");
    }
    let log = "EventType = 'mail-items-deleted' AND Message LIKE '%1 items deleted.'";
    assert_eq!(f.rows("EventLog", log).await, 2);
    let delete = "EXEC sendport.sysmail_delete_log_sp @event_type = 'informational'";
    fixture.try_sql(delete).await.expect("delete");
    let left = "Severity = 'information' AND EventType <> 'mail-log-deleted'";
    assert_eq!(f.rows("EventLog", left).await, 0);
    let log = "EventType = 'mail-log-deleted' AND Message LIKE '% events deleted.'";
    assert_eq!(f.rows("EventLog", log).await, 1);
}

async fn stop_holds_every_send_port_until_start(fixture: &SqlServerFixture) {
    fixture.fresh().await;
    publish_send_ports(fixture).await;
    let status = async || {
        fixture
            .scalar("EXEC sendport.sysmail_help_status_sp")
            .await
            .expect("a status")
    };
    assert_eq!(status().await, "STARTED");
    for _ in 0..2 {
        let stop = "EXEC sendport.sysmail_stop_sp";
        fixture.try_sql(stop).await.expect("stop");
    }
    assert_eq!(status().await, "STOPPED");
    fixture.try_sql(&moved(SEND)).await.expect("accepted");
    let queue = "EXEC sendport.sysmail_help_queue_sp @queue_type = 'mail'";
    let queue = rows(&fixture.connection_string(), queue).await;
    assert_eq!(queue.expect("a row")[0][..3], ["mail", "1", "INACTIVE"]);
    let f: &dyn Fixture = fixture;
    let holds = "Verb = 'hold' AND SendPort IN ('default', 'night shift')";
    assert_eq!(f.rows("OperatorRequest", holds).await, 2);
    fixture
        .try_sql("EXEC sendport.sysmail_start_sp")
        .await
        .expect("start");
    assert_eq!(status().await, "STARTED");
    let released = "Verb = 'release' AND HoldRequestId IS NOT NULL";
    assert_eq!(f.rows("OperatorRequest", released).await, 2);
}

macro_rules! on_sqlserver {
    ($($scenario:ident;)*) => {
        /// What an application that used Database Mail relies on.
        pub(crate) fn trials() -> Vec<Trial> {
            vec![$(
                on_server(
                    concat!("database_mail::", stringify!($scenario)),
                    |fixture| async move { $scenario(&fixture).await },
                ),
            )*]
        }
    };
}
on_sqlserver! {
    each_call_arrives_or_is_refused_by_name;
    mailitem_id_is_the_key_of_the_alert;
    a_mail_is_part_of_the_callers_transaction;
    writers_send_as_themselves;
    views_show_the_history_as_database_mail_does;
    views_show_a_writer_what_it_sent;
    what_is_final_is_deleted_and_nothing_else;
    stop_holds_every_send_port_until_start;
}
