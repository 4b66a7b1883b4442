//! Database Mail's settings, read from tables as msdb has them, in a database of the test's own.

use libtest_mimic::Trial;
use sendport::import::dbmail::{self, Snapshot};
use sendport_store::StoreErrorKind;
use sendport_store::sqlserver::{database_mail, database_mail_script};

use crate::fixture::Fixture as _;
use crate::sqlserver::{SqlServerFixture, alone, on_server};
use crate::tsql::{configured, rows, run, run_all};

/// Msdb's tables, for Microsoft's parser and for this.
const MSDB: &str = include_str!("../tsql/msdb.sql");

const ROWS: &str = r#"
INSERT dbo.sysmail_profile (profile_id, name) VALUES (1, N'DBA "x" Größe'), (2, N'Private');
INSERT dbo.sysmail_account (account_id, name, email_address, display_name)
VALUES (1, N'Main', N'a@contoso.com', N'Ops   '), (2, N'Spare', N'a@contoso.com', N'Ops');
INSERT dbo.sysmail_server VALUES (1, N'SMTP', N'mail.contoso.com', 587, N'u', 5, 0, 1),
    (2, N'SMTP', N'spare', 25, NULL, NULL, 0, 0);
INSERT dbo.sysmail_profileaccount VALUES (1, 1, 2), (1, 2, 1), (2, 1, 1);
INSERT dbo.sysmail_principalprofile VALUES (1, 0x00, 1), (2, 0x0105, 0);
INSERT dbo.sysmail_principalprofile SELECT 2, sid, 0 FROM sys.server_principals WHERE name = SUSER_SNAME();
INSERT dbo.sysmail_configuration VALUES (N'MaxFileSize', N'2000000');
INSERT dbo.sysmail_mailitems (mailitem_id, profile_id, recipients, subject, body, reply_to, sent_status)
VALUES (1, 1, 'old@contoso.com', N'old', N'old', NULL, 1),
    (2, 1, 'ops@contoso.com', N'It''s 😀', REPLICATE(N'a b   ', 300) + N'😀' + NCHAR(13) + NCHAR(10) + N'é ', 'r@x', 2);
"#;

/// The database with Database Mail's tables and rows.
async fn with_database_mail(fixture: &SqlServerFixture) -> String {
    let _alone = alone().await;
    let store = fixture.bare().await;
    store.create_database().await.expect("create");
    let own = fixture.connection_string();
    let batches = MSDB.split("\nGO\n").chain([ROWS]).map(str::to_owned);
    let batches: Vec<_> = batches.collect();
    run_all(&own, &batches).await.expect("msdb's tables");
    let name = run(&own, "SELECT DB_NAME()").await.expect("its name");
    name.expect("a name")
}

async fn settings_are_read_from_a_server(fixture: &SqlServerFixture) {
    let database = with_database_mail(fixture).await;
    let server = configured().expect("a server");
    let read = database_mail(&server, &database, 1)
        .await
        .expect("the settings");
    let made = dbmail::import(&Snapshot::read(read.as_bytes()).expect("a document"));
    let text = made.to_toml();
    assert_eq!(made.send_ports[0].name, "DBA \"x\" Größe");
    assert_eq!(made.send_ports[0].relays, ["Spare", "Main"]);
    let login = run(&server, "SELECT SUSER_SNAME()").await.expect("a login");
    let allowed = format!("allow_principals = [\"{}\"]", login.expect("a name"));
    for part in [
        "max_size = \"2MB\"",
        "port = 587",
        "tls = \"starttls\"",
        &allowed,
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let document: serde_json::Value = serde_json::from_str(&read).expect("JSON");
    let items = document["items"].as_array().expect("items");
    assert_eq!(items.len(), 1, "the newest");
    assert_eq!(items[0]["subject"], "It's 😀");
    let body = items[0]["body"].as_str().expect("a body");
    assert_eq!(body, format!("{}😀\r\né ", "a b   ".repeat(300)));
    assert_eq!(items[0]["reply_to"], "r@x");
}

async fn the_printed_script_reads_the_same(fixture: &SqlServerFixture) {
    let database = with_database_mail(fixture).await;
    let own = fixture.connection_string();
    let script = database_mail_script(&database, 1);
    let (_, statement) = script.split_once("GO\n").expect("two batches");
    let statement = statement.trim_end().trim_end_matches("GO");
    let lines = rows(&own, statement).await.expect("the script");
    let lines: Vec<_> = lines.into_iter().flatten().collect();
    assert!(lines.len() > 15, "{lines:?}");
    assert!(lines.iter().all(|line| !line.ends_with(' ')), "{lines:?}");
    let server = configured().expect("a server");
    let read = database_mail(&server, &database, 1)
        .await
        .expect("the settings");
    assert_eq!(lines.concat(), read);
}

async fn a_database_without_the_tables_is_explained(fixture: &SqlServerFixture) {
    let server = configured().expect("a server");
    let error = database_mail(&server, "master", 0)
        .await
        .expect_err("no tables");
    assert!(error.to_string().contains("sysmail_profile"), "{error}");
    let nowhere = database_mail("Server=db", "msdb", 0).await;
    let error = nowhere.expect_err("no login");
    assert_eq!(error.kind(), StoreErrorKind::Rejected, "{error}");
    let _ = fixture;
}

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        on_server(
            "sqlserver_database_mail::settings_are_read_from_a_server",
            |it| async move { settings_are_read_from_a_server(&it).await },
        ),
        on_server(
            "sqlserver_database_mail::the_printed_script_reads_the_same",
            |it| async move { the_printed_script_reads_the_same(&it).await },
        ),
        on_server(
            "sqlserver_database_mail::a_database_without_the_tables_is_explained",
            |it| async move { a_database_without_the_tables_is_explained(&it).await },
        ),
    ]
}
