//! What logins may do and see on SQL Server: a writer its own alerts and no byte of others, a login
//! without a role nothing, and gets an error that says so.

use std::sync::Arc;
use std::time::Duration;

use sendport_core::domain::AlertId;
use sendport_store::attachments::AlertFile;
use sendport_store::sqlserver::SqlServerStore;
use sendport_store::{OperatorQueries, Store, StoreAdmin, StoreErrorKind};

use crate::fixture::{self, Fixture};
use crate::schema;
use crate::sqlserver::SqlServerFixture;
use crate::tsql::{rows, run, timed};

const PASSWORD: &str = "Writes-4711-alerts";

/// A login of its own, dropped at the end.
pub(crate) struct Login {
    pub(crate) name: String,
    pub(crate) connection_string: String,
}

impl Login {
    pub(crate) async fn with_role(fixture: &SqlServerFixture, role: &str) -> Self {
        let login = Self::without_role(fixture, role).await;
        let add = format!("ALTER ROLE {role} ADD MEMBER {}", login.name);
        run(&fixture.connection_string(), &add).await.expect(&add);
        login
    }

    /// A user of the database without a role.
    pub(crate) async fn without_role(fixture: &SqlServerFixture, name: &str) -> Self {
        let name = format!("{name}_{}", uuid::Uuid::new_v4().simple());
        for statement in [
            format!("CREATE LOGIN {name} WITH PASSWORD = '{PASSWORD}'"),
            format!("CREATE USER {name} FOR LOGIN {name}"),
        ] {
            run(&fixture.connection_string(), &statement)
                .await
                .expect(&statement);
        }
        let connection_string = fixture.connection_string_of(&name, PASSWORD);
        Self {
            name,
            connection_string,
        }
    }

    pub(crate) async fn may(&self, statement: &str) -> Option<String> {
        let done = run(&self.connection_string, statement).await;
        done.unwrap_or_else(|error| panic!("{}: {statement}\n{error}", self.name))
    }

    pub(crate) async fn may_not(&self, statement: &str) {
        let done = run(&self.connection_string, statement).await;
        assert!(done.is_err(), "{} may: {statement}", self.name);
    }

    /// All that the login gets to see: the rows, or the text of the error.
    async fn sees(&self, query: &str) -> Result<Vec<Vec<String>>, String> {
        rows(&self.connection_string, query).await
    }

    pub(crate) async fn drop(self, fixture: &SqlServerFixture) {
        let own = fixture.connection_string();
        let user = format!("DROP USER {}", self.name);
        run(&own, &user).await.expect(&user);
        let login = format!("DROP LOGIN {}", self.name);
        run(&own, &login).await.expect(&login);
    }
}

async fn drop_all<const N: usize>(fixture: &SqlServerFixture, logins: [Login; N]) {
    for login in logins {
        login.drop(fixture).await;
    }
}

pub(crate) const INSERT: &str = "INSERT INTO sendport.Alert (ToRecipients, Subject, Body) \
                                 VALUES (N'ops@contoso.com', N'Order 4711 is late', N'It is.')";

pub(crate) async fn a_writer_writes_and_reads_its_own_alerts_only(fixture: &SqlServerFixture) {
    fixture.fresh().await;
    let writer = Login::with_role(fixture, "sendport_writer").await;
    let other = Login::with_role(fixture, "sendport_writer").await;
    let reader = Login::with_role(fixture, "sendport_reader").await;
    let key = INSERT.replace("VALUES", "OUTPUT inserted.AlertId VALUES");
    let own = writer.may(&key).await.expect("its key");
    let foreign = other.may(&key).await.expect("its key");
    (fixture as &dyn Fixture).alert_to("ops@contoso.com").await;
    for (source, seen) in [
        ("MyAlertStatus".to_owned(), "1"),
        ("Alert".to_owned(), "1"),
        (format!("MyAlerts({own}, NULL)"), "1"),
        (format!("MyAlerts({foreign}, NULL)"), "0"),
        ("MyAlerts(NULL, N'order-4711')".to_owned(), "0"),
        ("MyDelivery".to_owned(), "0"),
    ] {
        let count = format!("SELECT COUNT(AlertId) FROM sendport.{source}");
        assert_eq!(writer.may(&count).await.as_deref(), Some(seen), "{source}");
    }
    for view in ["Alert", "AlertStatus"] {
        let count = format!("SELECT COUNT(*) FROM sendport.{view}");
        assert_eq!(reader.may(&count).await.as_deref(), Some("3"), "{view}");
    }
    let creator = writer
        .may("SELECT CreatedBy FROM sendport.MyAlertStatus")
        .await;
    assert_eq!(creator.as_deref(), Some(&*writer.name));
    for forbidden in [
        "INSERT INTO sendport.Alert (ToRecipients, CreatedBy) VALUES (N'a@b.example', N'somebody else')",
        "INSERT INTO sendport.Alert (ToRecipients, CreatedAt) VALUES (N'a@b.example', '2000-01-01')",
        "INSERT INTO sendport.Alert (ToRecipients, Status) VALUES (N'a@b.example', N'relayed')",
        "INSERT INTO sendport.AlertRow (ToRecipients) VALUES (N'a@b.example')",
        "UPDATE sendport.Alert SET Subject = N'forged'",
        "UPDATE sendport.AlertRow SET Status = N'relayed'",
        "UPDATE sendport.AlertStatus SET Status = N'relayed'",
        "UPDATE sendport.MyAlertStatus SET Status = N'relayed'",
        "DELETE FROM sendport.Alert",
        "SELECT Subject FROM sendport.Alert",
        "SELECT COUNT(*) FROM sendport.Alert WHERE Body LIKE N'%'",
        "SELECT COUNT(*) FROM sendport.AlertRow",
        "SELECT COUNT(*) FROM sendport.Recipient",
        "SELECT COUNT(*) FROM sendport.Attempt",
        "SELECT COUNT(*) FROM sendport.AlertStatus",
        "SELECT COUNT(*) FROM sendport.Delivery",
        "SELECT COUNT(*) FROM sendport.FailedDelivery",
        "SELECT COUNT(*) FROM sendport.InDoubt",
        "SELECT COUNT(*) FROM sendport.Queue",
        "UPDATE sendport.Environment SET Name = N'forged'",
    ] {
        writer.may_not(forbidden).await;
    }
    reader.may_not(INSERT).await;
    drop_all(fixture, [writer, other, reader]).await;
}

pub(crate) const ADD: &str = "INSERT INTO sendport.Attachment (AlertId, FileName, Content) \
                              SELECT AlertId, N'a.bin', 0x00FF FROM sendport.Alert";

pub(crate) async fn a_writer_attaches_to_its_own_alerts_only(fixture: &SqlServerFixture) {
    let store = fixture.fresh().await;
    let writer = Login::with_role(fixture, "sendport_writer").await;
    let other = Login::with_role(fixture, "sendport_writer").await;
    let reader = Login::with_role(fixture, "sendport_reader").await;
    writer.may(INSERT).await;
    other.may(INSERT).await;
    writer.may(ADD).await;
    let count = "SELECT COUNT(AttachmentId) FROM sendport.Attachment";
    for (login, seen) in [(&writer, "1"), (&other, "0")] {
        let found = login.may(count).await;
        assert_eq!(found.as_deref(), Some(seen), "{}", login.name);
    }
    let stored = "SELECT COUNT(*) FROM sendport.AttachmentRow";
    assert_eq!(reader.may(stored).await.as_deref(), Some("1"));
    let of_other = other
        .may("SELECT AlertId FROM sendport.Alert")
        .await
        .expect("an id");
    let foreign = format!(
        "INSERT INTO sendport.Attachment (AlertId, Content) OUTPUT inserted.AttachmentId VALUES ({of_other}, 0x00)"
    );
    writer.may_not(&foreign).await;
    assert!(other.may(&foreign).await.is_some(), "its key");
    for forbidden in [
        "UPDATE sendport.Attachment SET Content = 0x00",
        "DELETE FROM sendport.Attachment",
        "SELECT Content FROM sendport.Attachment",
        "SELECT COUNT(*) FROM sendport.Attachment WHERE FileName LIKE N'%'",
        stored,
        "INSERT INTO sendport.AttachmentRow (AlertId, Content) VALUES (1, 0x00)",
    ] {
        writer.may_not(forbidden).await;
    }
    reader.may_not(ADD).await;
    let service = Login::with_role(fixture, "sendport_service").await;
    let own = SqlServerStore::open(&service.connection_string).expect("open");
    let own: Arc<dyn Store> = Arc::new(own);
    let id = AlertId(of_other.parse().expect("a number"));
    let found = own.attachments(id).await;
    assert_eq!(found.expect("the service reads").len(), 1);
    let instance = fixture::instance(&own, "service").await;
    let (token, _) = fixture::claim(&own, instance, 10).await;
    let file = AlertFile {
        name: "named".to_owned(),
        content: vec![0],
    };
    let stored = own.store_files(id, token, vec![file]).await;
    assert!(stored.expect("the service stores files"), "is leased");
    drop((own, store));
    drop_all(fixture, [writer, other, reader, service]).await;
}

/// Alerts, recipients, replies and files whose every text says `secret`, of `login`.
async fn secrets_of(fixture: &SqlServerFixture, login: &Login) -> String {
    let insert = "INSERT INTO sendport.Alert (ToRecipients, CcRecipients, FromAddress, ReplyTo, Subject, Body, \
                  Payload, Headers, AlertName, Severity, Source, Reference, Template, SendPort) \
                  OUTPUT inserted.AlertId VALUES (N'secret', N'secret', N'secret', N'secret', N'secret', N'secret', \
                  N'{secret', N'{secret', N'secret', N'secret', N'secret', N'secret', N'secret', N'secret')";
    let id = login.may(insert).await.expect("its key");
    let file = format!(
        "INSERT INTO sendport.Attachment (AlertId, FileName, Content) VALUES ({id}, N'secret', 0x00)"
    );
    login.may(&file).await;
    let sent = format!(
        "INSERT INTO sendport.Recipient (AlertId, Ordinal, Kind, Address, DisplayName, Status, StatusAt, ReplyText) \
         VALUES ({id}, 0, N'to', N'secret', N'secret', N'failed', SYSUTCDATETIME(), N'secret'); \
         INSERT INTO sendport.Attempt (AttemptKey, AlertId, AttemptNumber, Outcome, EndedAt, MessageId) \
         VALUES (NEWID(), {id}, 1, N'failed', SYSUTCDATETIME(), N'secret'); \
         INSERT INTO sendport.AttemptReply (AttemptId, Ordinal, Command, RecipientOrdinal, ReplyCode, ReplyText) \
         SELECT AttemptId, 0, N'RCPT', 0, 550, N'secret' FROM sendport.Attempt; \
         UPDATE sendport.AlertRow SET Status = N'failed', StatusReason = N'secret' WHERE AlertId = {id}"
    );
    let done = run(&fixture.connection_string(), &sent).await;
    done.expect("a result");
    id
}

/// Queries over what `text` says of each row of `source`, which answer nothing where no row says `secret`,
/// and fail, or answer, where one is looked at that does.
fn probes(source: &str, text: &str) -> [String; 4] {
    let count = format!("SELECT COUNT(*) FROM {source}");
    [
        format!(
            "{count} WHERE CAST(CASE WHEN {text} LIKE N'%secret%' THEN {text} ELSE N'1' END AS int) = 2"
        ),
        format!("{count} WHERE 1 / (CASE WHEN {text} LIKE N'%secret%' THEN 0 ELSE 1 END) = 2"),
        format!("{count} WHERE {text} LIKE N'%secret%'"),
        format!(
            "{count} WHERE JSON_VALUE(CASE WHEN {text} LIKE N'%secret%' THEN {text} ELSE N'{{}}' END, 'lax $.a') = N'b'"
        ),
    ]
}

const OF_AN_ALERT: &str =
    "CONCAT(Reference, Source, AlertName, Severity, Subject, SendPort, StatusReason)";
const OF_A_DELIVERY: &str =
    "CONCAT(Reference, SendPort, Address, DisplayName, ReplyText, Subject, MessageId)";

const OF_A_MAIL: &str = "CONCAT(recipients, subject, body) COLLATE Latin1_General_BIN2";

const OF_AN_ATTACHMENT: &str = "filename COLLATE Latin1_General_BIN2";

const OF_AN_EVENT: &str = "description COLLATE Latin1_General_BIN2";

pub(crate) async fn no_query_of_a_writer_shows_a_byte_of_others(fixture: &SqlServerFixture) {
    fixture.fresh().await;
    let writer = Login::with_role(fixture, "sendport_writer").await;
    let other = Login::with_role(fixture, "sendport_writer").await;
    writer.may(INSERT).await;
    let id = secrets_of(fixture, &other).await;
    let mut sources = vec![
        ("sendport.MyAlertStatus".to_owned(), OF_AN_ALERT),
        ("sendport.MyDelivery".to_owned(), OF_A_DELIVERY),
        (
            "sendport.Alert".to_owned(),
            "CAST(AlertId AS nvarchar(20)) COLLATE Latin1_General_BIN2",
        ),
        (
            "sendport.Attachment".to_owned(),
            "CAST(AttachmentId AS nvarchar(20)) COLLATE Latin1_General_BIN2",
        ),
        ("sendport.OwnAlertStatus".to_owned(), OF_AN_ALERT),
        ("sendport.OwnDelivery".to_owned(), OF_A_DELIVERY),
        ("sendport.sysmail_allitems".to_owned(), OF_A_MAIL),
        ("sendport.sysmail_faileditems".to_owned(), OF_A_MAIL),
        (
            "sendport.sysmail_mailattachments".to_owned(),
            OF_AN_ATTACHMENT,
        ),
        ("sendport.sysmail_event_log".to_owned(), OF_AN_EVENT),
        ("sendport.OwnMailItem".to_owned(), OF_A_MAIL),
        ("sendport.OwnMailAttachment".to_owned(), OF_AN_ATTACHMENT),
        ("sendport.OwnMailEvent".to_owned(), OF_AN_EVENT),
    ];
    for (function, text) in [("MyAlerts", OF_AN_ALERT), ("MyDeliveries", OF_A_DELIVERY)] {
        for of in [
            "NULL, NULL".to_owned(),
            format!("{id}, NULL"),
            "NULL, N'secret'".to_owned(),
        ] {
            sources.push((format!("sendport.{function}({of})"), text));
        }
    }
    for (source, text) in &sources {
        for probe in probes(source, text) {
            match writer.sees(&probe).await {
                Ok(seen) => assert_eq!(seen, [["0"]], "{probe}"),
                Err(output) => assert!(output.contains("denied"), "{probe}\n{output}"),
            }
        }
    }
    // A permitted reader meets every one of these: the probes find what is there.
    for (source, text) in [
        ("sendport.AlertStatus", OF_AN_ALERT),
        ("sendport.Delivery", OF_A_DELIVERY),
    ] {
        for probe in probes(source, text) {
            match run(&fixture.connection_string(), &probe).await {
                Ok(count) => assert_ne!(count.as_deref(), Some("0"), "{probe}"),
                Err(output) => {
                    let output = output.to_lowercase();
                    let shown = ["secret", "zero", "json"]
                        .iter()
                        .any(|it| output.contains(it));
                    assert!(shown, "{probe}\n{output}");
                }
            }
        }
    }
    drop_all(fixture, [writer, other]).await;
}

pub(crate) async fn a_login_without_a_role_gets_an_explanation(fixture: &SqlServerFixture) {
    fixture.fresh().await;
    let writer = Login::with_role(fixture, "sendport_writer").await;
    let roleless = Login::without_role(fixture, "nobody").await;
    for login in [&writer, &roleless] {
        let store = SqlServerStore::open(&login.connection_string).expect("open");
        let error = store.schema_state().await.expect_err("it sees no table");
        assert_eq!(error.kind(), StoreErrorKind::Refused, "{error}");
        let add = format!("ALTER ROLE sendport_service ADD MEMBER [{}]", login.name);
        assert!(error.to_string().contains(&add), "{error}");
        let error = store.alerts(None, 1).await.expect_err("nor a view");
        assert_eq!(error.kind(), StoreErrorKind::Refused, "{error}");
    }
    drop_all(fixture, [writer, roleless]).await;
}

/// On Babelfish db_owner has no member but dbo, which is not listed; there the test checks that the
/// service has the permission.
pub(crate) async fn members_of_fixed_roles_are_listed(fixture: &SqlServerFixture) {
    fixture.fresh().await;
    let service = Login::with_role(fixture, "sendport_service").await;
    let store = SqlServerStore::open(&service.connection_string).expect("open");
    assert_eq!(store.fixed_role_members().await.expect("list"), []);
    let owner = Login::without_role(fixture, "owner").await;
    let add = format!("ALTER ROLE db_owner ADD MEMBER {}", owner.name);
    match run(&fixture.connection_string(), &add).await {
        Ok(_) => {
            let found = store.fixed_role_members().await.expect("list").remove(0);
            assert_eq!((&*found.role, &found.member), ("db_owner", &owner.name));
        }
        Err(error) => assert!(error.contains("not currently supported"), "{error}"),
    }
    drop(store);
    drop_all(fixture, [service, owner]).await;
}

/// As an import and a repair do it: what is true of a row once is true of it for good.
pub(crate) async fn every_check_holds_for_a_history(fixture: &SqlServerFixture) {
    let store: Arc<_> = fixture.fresh().await;
    schema::history(fixture, &store).await;
    let own = fixture.connection_string();
    let tables = "SELECT t.name, MIN(c.name) FROM sys.tables t JOIN sys.columns c ON c.object_id = t.object_id \
                  WHERE t.schema_id = SCHEMA_ID(N'sendport') AND t.name NOT LIKE N'@%' AND c.is_identity = 0 \
                  GROUP BY t.name ORDER BY t.name";
    let tables = rows(&own, tables).await.expect("tables");
    assert!(tables.len() >= 20, "{tables:?}");
    for table in tables {
        let [name, column] = &table[..] else {
            panic!("{table:?}")
        };
        let check = format!("ALTER TABLE sendport.{name} WITH CHECK CHECK CONSTRAINT ALL");
        run(&own, &check).await.expect(&check);
        // Not every engine looks again on request; each does when a row is written. Versions of
        // templates are never written twice, and nothing is in their tables here.
        if !name.to_lowercase().starts_with("template") {
            let write = format!("UPDATE sendport.{name} SET {column} = {column}");
            run(&own, &write).await.expect(&write);
        }
    }
}

/// Alerts of `login`, each with so many recipients that have a relay's reply.
async fn alert_of(fixture: &SqlServerFixture, login: &Login, recipients: usize) -> String {
    let insert = INSERT.replace("VALUES", "OUTPUT inserted.AlertId VALUES");
    let id = login.may(&insert).await.expect("its key");
    let mut batch = format!(
        "INSERT INTO sendport.Recipient (AlertId, Ordinal, Kind, Address, Status, StatusAt) \
         VALUES ({id}, 0, N'to', N'ops@contoso.com', N'failed', SYSUTCDATETIME()); \
         INSERT INTO sendport.Attempt (AttemptKey, AlertId, AttemptNumber, Outcome, EndedAt) \
         VALUES (NEWID(), {id}, 1, N'failed', SYSUTCDATETIME());"
    );
    let mut count = 1;
    while count < recipients {
        let more = count.min(recipients - count);
        batch.push_str(&format!(
            "INSERT INTO sendport.Recipient (AlertId, Ordinal, Kind, Address, Status, StatusAt) \
             SELECT AlertId, Ordinal + {count}, Kind, Address, Status, StatusAt FROM sendport.Recipient \
             WHERE AlertId = {id} AND Ordinal < {more};"
        ));
        count += more;
    }
    batch.push_str(&format!(
        "INSERT INTO sendport.AttemptReply (AttemptId, Ordinal, Command, RecipientOrdinal, ReplyCode, ReplyText) \
         SELECT t.AttemptId, r.Ordinal, N'RCPT', r.Ordinal, 550, N'no' FROM sendport.Recipient r \
         JOIN sendport.Attempt t ON t.AlertId = r.AlertId WHERE r.AlertId = {id};"
    ));
    let done = run(&fixture.connection_string(), &batch).await;
    done.expect("recipients");
    id
}

/// Clocks of one connection are compared: an alert costs what it has recipients, whatever else the writer
/// has.
pub(crate) async fn one_alert_of_a_writer_costs_what_it_has_recipients(fixture: &SqlServerFixture) {
    fixture.fresh().await;
    let writer = Login::with_role(fixture, "sendport_writer").await;
    let (counts, mut queries) = ([10_000, 1_000, 3], Vec::new());
    for recipients in counts {
        let id = alert_of(fixture, &writer, recipients).await;
        queries.push(format!("SELECT * FROM sendport.MyDeliveries({id}, NULL)"));
    }
    // The quickest of a few: what else the machine does shows in none of it.
    let mut quickest = [Duration::MAX; 3];
    let rounds: Vec<_> = [(); 4].iter().flat_map(|()| queries.clone()).collect();
    let rounds = timed(&writer.connection_string, &rounds).await;
    for (n, (took, rows)) in rounds.expect("its own").into_iter().enumerate() {
        assert_eq!(rows, counts[n % 3]);
        quickest[n % 3] = took.min(quickest[n % 3]);
    }
    let [large, tenth, small] = quickest;
    assert!(large < tenth * 40, "ten times as many: {quickest:?}");
    assert!(small * 4 < large, "three recipients: {quickest:?}");
    drop_all(fixture, [writer]).await;
}
