//! What only SQL Server has to prove: what the three roles may do and what not, the script that
//! a DBA runs, and that no text becomes SQL.

use std::sync::Arc;

use libtest_mimic::Trial;
use sendport_core::domain::{
    AlertId, AlertStatus, AttemptKey, AuditCopy, AuditStage, AuthDecision, AuthKey, AuthOutcome,
    Command, InstanceId, OutcomeKind, RecipientAddress, RecipientStatus, Reply, Resolution,
    TemplateText,
};
use sendport_store::certificates::{CertificateStore, WhichCertificates};
use sendport_store::sqlserver::SqlServerStore;
use sendport_store::templates::TemplateStore;
use sendport_store::{NewAlert, RecordResult, SchemaState, Store, StoreAdmin, StoreErrorKind};

use crate::fixture::{self, Fixture, minutes};
use crate::operators::{
    a_hold_follows_a_release_that_is_not_applied_yet,
    a_request_that_is_not_committed_has_no_effect, an_operator_calls_procedures_and_reads,
    procedures_add_requests, procedures_begin_and_end_a_redirect, procedures_hint_at_unknown_names,
    procedures_refuse_a_redirect_without_one_target_and_one_address,
    procedures_refuse_what_they_cannot_do, procedures_say_which_redirect_is_in_force,
    purge_adds_a_request,
};
use crate::sqlserver::{SqlServerFixture, alone, on_server};
use crate::tsql::{failing, run, run_all};
use crate::writers::{
    INSERT, Login, a_login_without_a_role_gets_an_explanation,
    a_writer_attaches_to_its_own_alerts_only, a_writer_writes_and_reads_its_own_alerts_only,
    every_check_holds_for_a_history, members_of_fixed_roles_are_listed,
    no_query_of_a_writer_shows_a_byte_of_others,
    one_alert_of_a_writer_costs_what_it_has_recipients,
};

const EXPIRABLE: &str =
    include_str!("../../crates/sendport-store/src/sqlserver/sql/expire_candidates.sql");
const UNROUTED: &str =
    include_str!("../../crates/sendport-store/src/sqlserver/sql/fail_unrouted_candidates.sql");
const UNREPORTED: &str =
    include_str!("../../crates/sendport-store/src/sqlserver/sql/unreported_candidates.sql");

/// No test damages a page of a server: so it is asked for the lists that are used then.
async fn candidate_lists_agree_with_their_statements(fixture: &SqlServerFixture) {
    let store = fixture.fresh().await;
    let f = as_fixture(fixture);
    let ids = [
        f.alert_to("ops0@contoso.com").await,
        f.alert_to("ops1@contoso.com").await,
    ];
    let first = async |list: &str, values: &str, among: &str| {
        let sql = format!("DECLARE {values}; {}", list.replace("{among}", among));
        let connection = fixture.connection_string();
        let id = run(&connection, &sql).await.expect(&sql);
        id.map(|id| AlertId(id.parse().expect("a number")))
    };
    let names_both = async |list: &str, values: &str| {
        let (but, only) = (
            format!("AND a.AlertId NOT IN ({})", ids[0]),
            format!("AND a.AlertId IN ({})", ids[1]),
        );
        assert_eq!(first(list, values, "").await, Some(ids[0]), "{list}");
        assert_eq!(first(list, values, &but).await, Some(ids[1]), "{list}");
        assert_eq!(first(list, values, &only).await, Some(ids[1]), "{list}");
    };
    let sweep = "@P1 int = 100, @P2 int = 172800";
    assert_eq!(first(EXPIRABLE, sweep, "").await, None);
    f.advance(minutes(3 * 24 * 60)).await;
    names_both(EXPIRABLE, sweep).await;
    names_both(UNROUTED, sweep).await;
    assert_eq!(fixture::expire(&store, 10).await, 2);
    assert_eq!(first(EXPIRABLE, sweep, "").await, None);
    let unreported = "@P1 nvarchar(64) = N'default', @P2 int = 3600, @P3 int = 100";
    names_both(UNREPORTED, unreported).await;
    let digest = store.insert_digest(&ids, &NewAlert::default()).await;
    assert!(digest.expect("recorded").digest.is_some());
    assert_eq!(first(UNREPORTED, unreported, "").await, None);
}

/// The suite's helpers are methods of the trait object.
fn as_fixture(fixture: &SqlServerFixture) -> &dyn Fixture {
    fixture
}

const ALL_IN_DOUBT: &str = "UPDATE sendport.AlertRow SET AttemptCount = 1; \
    INSERT INTO sendport.Attempt (AttemptKey, AlertId, AttemptNumber, Outcome, EndedAt) \
    SELECT NEWID(), AlertId, 1, N'unknown', SYSUTCDATETIME() FROM sendport.AlertRow";

async fn the_service_shares(store: &Arc<dyn Store>, instance: InstanceId) {
    store.publish_share(instance, 2).await.expect("publish");
    let key = AuthKey {
        relay: "mail".to_owned(),
        credential_fingerprint: "0123abcd".to_owned(),
    };
    for verdict in [AuthOutcome::NotAttempted, AuthOutcome::Accepted] {
        let turn = store.begin_authentication(Some(instance), &key).await;
        assert_eq!(turn.expect("begin"), AuthDecision::ProceedAlone);
        let ended = store
            .end_authentication(Some(instance), &key, &verdict)
            .await;
        ended.expect("end");
    }
    let copy = audit_copy(AlertId(1));
    for _ in 0..2 {
        store.keep_copy(&copy).await.expect("keep");
    }
    let unreported = store.unreported("default", minutes(5), 10, &[]).await;
    unreported.expect("unreported");
    let digest = NewAlert::default();
    let reported = store
        .insert_digest(&[AlertId(1)], &digest)
        .await
        .expect("recorded");
    assert!(reported.digest.is_some());
}

fn audit_copy(alert: AlertId) -> AuditCopy {
    AuditCopy {
        attempt: AttemptKey::fresh(),
        alert,
        send_port: "default".to_owned(),
        relay: "mail".to_owned(),
        stage: AuditStage::After,
        created_at: fixture::now(),
        message_id: "<4711@contoso.com>".to_owned(),
        reverse_path: "alerts@contoso.com".to_owned(),
        forward_paths: vec!["ops@contoso.com".to_owned()],
        bytes: b"Subject: Order 4711 is late\r\n\r\n".to_vec(),
    }
}

async fn only_an_auditor_reads_audit_copies(fixture: &SqlServerFixture) {
    let store = fixture.fresh().await;
    store
        .keep_copy(&audit_copy(AlertId(1)))
        .await
        .expect("keep");
    let auditor = Login::with_role(fixture, "sendport_auditor").await;
    let count = "SELECT COUNT(*) FROM sendport.AuditCopy";
    assert_eq!(auditor.may(count).await.as_deref(), Some("1"));
    auditor.may_not("DELETE FROM sendport.AuditCopy").await;
    auditor
        .may_not("SELECT COUNT(*) FROM sendport.AlertRow")
        .await;
    let mut logins = vec![auditor];
    for role in ["sendport_writer", "sendport_reader", "sendport_service"] {
        let login = Login::with_role(fixture, role).await;
        login.may_not(count).await;
        login.may_not("DELETE FROM sendport.AuditCopy").await;
        logins.push(login);
    }
    for login in logins {
        login.drop(fixture).await;
    }
}

async fn the_service_needs_its_role_only(fixture: &SqlServerFixture) {
    fixture.fresh().await;
    let login = Login::with_role(fixture, "sendport_service").await;
    let store = SqlServerStore::open(&login.connection_string).expect("open");
    let store: Arc<dyn Store> = Arc::new(store);
    store.schema_state().await.expect("the schema's state");
    store.name_environment("test").await.expect("name");
    let instance = fixture::instance(&store, "a").await;
    let id = as_fixture(fixture).alert_to("ops0@contoso.com").await;
    let (token, _) = fixture::claim_one(&store, instance).await;
    fixture::load(&store, id).await;
    let outcome = fixture::outcome(id, token, 1, &[RecipientStatus::Relayed]);
    assert_eq!(
        fixture::record(&store, instance, &outcome).await,
        RecordResult::Whole
    );
    assert_eq!(fixture::status(&store, id).await, AlertStatus::Relayed);
    as_fixture(fixture).alert_to("ops0@contoso.com").await;
    run(&fixture.connection_string(), ALL_IN_DOUBT)
        .await
        .expect("in doubt");
    let doubt = store.in_doubt(10).await.expect("in doubt").remove(0);
    let resolved = fixture::resolve(&store, doubt.alert_id, Resolution::Cancel).await;
    assert!(resolved.is_some());
    let resolved = format!(
        "Message LIKE 'resolved as cancel by {}, request _%'",
        login.name
    );
    assert_eq!(as_fixture(fixture).rows("EventLog", &resolved).await, 1);
    the_service_shares(&store, instance).await;
    fixture::expire(&store, 10).await;
    fixture::take_over(&store, instance, 10).await;
    store.retire(instance).await.expect("retire");
    drop(store);
    login.drop(fixture).await;
}

/// The batches of the printed script as its clients split them.
fn script() -> Vec<String> {
    let script = sendport_store::sqlserver::migration_script();
    let batches = script
        .split("\nGO\n")
        .filter(|batch| !batch.trim().is_empty());
    batches.map(str::to_owned).collect()
}

async fn the_printed_script_creates_the_schema_and_refuses_to_run_twice(
    fixture: &SqlServerFixture,
) {
    let _alone = alone().await;
    let store = fixture.bare().await;
    store.create_database().await.expect("create");
    let own = fixture.connection_string();
    run_all(&own, &script()).await.expect("the script");
    let state = store.schema_state().await.expect("state");
    assert!(matches!(state, SchemaState::Current(_)), "{state:?}");
    assert!(store.migrate().await.expect("migrate").is_empty());
    fixture::instance(&store, "a").await;
    let refused = run_all(&own, &script()).await.expect_err("twice");
    assert!(
        refused.contains("has the schema sendport in version 1 already"),
        "{refused}"
    );
    assert!(matches!(
        store.schema_state().await,
        Ok(SchemaState::Current(_))
    ));
}

/// A client that goes on after an error, as sqlcmd without -b, executes nothing behind it, and the next
/// script on the same connection runs.
async fn a_failing_batch_of_the_printed_script_leaves_nothing(fixture: &SqlServerFixture) {
    const FAILING: [&str; 4] = [
        "SELECT 1 / 0",
        "RAISERROR (N'planted', 16, 1)",
        "SELEKT FROM WHERE",
        "CREATE VIEW sendport.Planted AS SELECT Nope FROM sendport.SchemaVersion",
    ];
    let _alone = alone().await;
    let store = fixture.bare().await;
    store.create_database().await.expect("create");
    let own = fixture.connection_string();
    let mut batches = Vec::new();
    for planted in FAILING {
        let mut script = script();
        let table = |batch: &String| batch.contains("CREATE TABLE sendport.Recipient ");
        let at = script.iter().position(table).expect("the table") + 2;
        let guard = script[at - 1].clone();
        script.splice(at..at, [planted.to_owned(), guard]);
        batches.append(&mut script);
    }
    batches.push("CREATE TABLE dbo.Behind (Id int)".to_owned());
    let failed = failing(&own, batches).await.expect("connect");
    assert_eq!(failed, FAILING);
    let left = "SELECT CASE WHEN SCHEMA_ID(N'sendport') IS NULL AND OBJECT_ID(N'sendport.AlertRow') IS NULL \
                AND DATABASE_PRINCIPAL_ID(N'sendport_reader') IS NULL AND OBJECT_ID(N'dbo.Behind') IS NOT NULL \
                THEN 'as before' END";
    let left = run(&own, left).await.expect("ask");
    assert_eq!(left.as_deref(), Some("as before"));
    assert_eq!(
        store.schema_state().await.expect("state"),
        SchemaState::Absent
    );
}

async fn a_schema_of_another_owner_is_refused(fixture: &SqlServerFixture) {
    let _alone = alone().await;
    let store = fixture.bare().await;
    store.create_database().await.expect("create");
    let own = fixture.connection_string();
    let login = Login::without_role(fixture, "schema_owner").await;
    let schema = format!("CREATE SCHEMA sendport AUTHORIZATION {}", login.name);
    run(&own, &schema).await.expect("a schema");
    let error = store.migrate().await.expect_err("another owner");
    assert_eq!(error.kind(), StoreErrorKind::Schema, "{error}");
    let expected = format!(
        "belongs to '{}', which may therefore read and change all of it; expected dbo: \
         run ALTER AUTHORIZATION ON SCHEMA::sendport TO dbo",
        login.name
    );
    assert!(error.to_string().contains(&expected), "{error}");
    let refused = run_all(&own, &script()).await.expect_err("another owner");
    assert!(
        refused.contains(&format!("belongs to {}", login.name)),
        "{refused}"
    );
    run(&own, "DROP SCHEMA sendport").await.expect("drop");
    store.migrate().await.expect("migrate");
    let owner = "SELECT USER_NAME(principal_id) FROM sys.schemas WHERE name = N'sendport'";
    let owner = run(&own, owner).await.expect("owner");
    assert_eq!(owner.as_deref(), Some("dbo"));
    drop(store);
    login.drop(fixture).await;
}

async fn the_text_of_a_relay_is_never_executed_as_sql(fixture: &SqlServerFixture) {
    const OUTPUT: &str = "O'Brien''s mailbox'); DROP TABLE sendport.EventLog; -- \\' \" \u{1f6a8}";
    let store = fixture.fresh().await;
    let instance = fixture::instance(&store, "a").await;
    let id = as_fixture(fixture).alert_to("ops0@contoso.com").await;
    let (token, _) = fixture::claim_one(&store, instance).await;
    let mut outcome = fixture::outcome(id, token, 1, &[RecipientStatus::Failed]);
    if let OutcomeKind::Decided(decision) = &mut outcome.kind {
        let reply = Reply::new(Command::Rcpt, 550, None, OUTPUT);
        decision.reason = Some(OUTPUT.to_owned());
        let attempt = decision.attempt.as_mut().expect("an attempt");
        attempt.replies[0].reply = reply.clone();
        attempt.facts.server_name = Some(OUTPUT.to_owned());
        let recipient = &mut decision.recipients[0];
        recipient.reply = Some(reply);
        recipient.address = RecipientAddress::from_row("o'brien@contoso.com", None);
    }
    fixture::record(&store, instance, &outcome).await;
    let line = store
        .deliveries(Some(id), 1)
        .await
        .expect("deliveries")
        .remove(0);
    assert_eq!(line.reply_text.as_deref(), Some(OUTPUT));
    assert_eq!(line.address, "o'brien@contoso.com");
    let reason = fixture::line(&store, id).await.status_reason;
    assert_eq!(reason.as_deref(), Some(OUTPUT));
    let name = fixture
        .scalar("SELECT ServerName FROM sendport.Attempt")
        .await;
    assert_eq!(name.as_deref(), Some(OUTPUT));
    let reply = fixture
        .scalar("SELECT ReplyText FROM sendport.AttemptReply")
        .await;
    assert_eq!(reply.as_deref(), Some(OUTPUT));
}

/// The role of certificate managers writes certificates and nothing else; the service only reads them.
async fn a_certificate_manager_keeps_certificates_only(fixture: &SqlServerFixture) {
    fixture.fresh().await;
    let manager = Login::with_role(fixture, "sendport_certificate_manager").await;
    let service = Login::with_role(fixture, "sendport_service").await;
    let writer = Login::with_role(fixture, "sendport_writer").await;
    let store = SqlServerStore::open(&manager.connection_string).expect("open");
    let state = store.schema_state().await.expect("state");
    assert!(matches!(state, SchemaState::Current(_)), "{state:?}");
    let text = crate::certificates::text("ops@contoso.com", 1, 10);
    store.add_certificate(&text).await.expect("add");
    let rows = store.certificates(WhichCertificates::All).await;
    let row = rows.expect("list").remove(0);
    assert_eq!((&row.text, &row.added_by), (&text, &manager.name));
    for forbidden in [
        "SELECT COUNT(*) FROM sendport.AlertRow",
        "SELECT COUNT(*) FROM sendport.EventLog",
        INSERT,
    ] {
        manager.may_not(forbidden).await;
    }
    for login in [&service, &writer] {
        login
            .may_not("UPDATE sendport.Certificate SET Pem = N'x'")
            .await;
        login.may_not("DELETE FROM sendport.Certificate").await;
    }
    writer
        .may_not("SELECT COUNT(*) FROM sendport.Certificate")
        .await;
    let served = SqlServerStore::open(&service.connection_string).expect("open");
    let wanted = ["ops@contoso.com".to_owned()];
    let entries = served.certificate_entries(&wanted).await;
    assert_eq!(entries.expect("look up").len(), 1);
    let expiring = served.expiring_certificates().await.expect("look");
    let event = crate::certificates::event();
    let announced = served.notify_expiry(expiring[0].id, 14, &event).await;
    assert!(announced.expect("recorded"));
    drop(served);
    let revoked = store.revoke_certificate(row.id, Some("lost")).await;
    assert!(revoked.expect("revoke"));
    assert!(store.remove_certificate(row.id).await.expect("remove"));
    drop(store);
    for login in [manager, service, writer] {
        login.drop(fixture).await;
    }
}

/// The role of template importers adds versions, and changes neither them nor anything else.
async fn a_template_author_adds_versions_only(fixture: &SqlServerFixture) {
    fixture.fresh().await;
    let author = Login::with_role(fixture, "sendport_template_author").await;
    let service = Login::with_role(fixture, "sendport_service").await;
    let reader = Login::with_role(fixture, "sendport_reader").await;
    let store = SqlServerStore::open(&author.connection_string).expect("open");
    let state = store.schema_state().await.expect("state");
    assert!(matches!(state, SchemaState::Current(_)), "{state:?}");
    let text = TemplateText {
        name: "late".to_owned(),
        text: Some("x".to_owned()),
        ..TemplateText::default()
    };
    let added = store.add_templates(0, std::slice::from_ref(&text)).await;
    assert_eq!(added.expect("add"), Some(1));
    let rows = store.templates().await.expect("read").rows;
    assert_eq!(
        (rows[0].text.clone(), &rows[0].created_by),
        (text, &author.name)
    );
    for forbidden in [
        "UPDATE sendport.Template SET Text = N'y'",
        "DELETE FROM sendport.Template",
        "DELETE FROM sendport.TemplateChange",
        "SELECT COUNT(*) FROM sendport.AlertRow",
        INSERT,
    ] {
        author.may_not(forbidden).await;
    }
    for login in [&service, &reader] {
        let seen = login
            .may("SELECT COUNT(*) FROM sendport.CurrentTemplate")
            .await;
        assert_eq!(seen.as_deref(), Some("1"), "{} sees", login.name);
        login
            .may_not("INSERT INTO sendport.TemplateChange (Version) VALUES (2)")
            .await;
    }
    drop(store);
    let store = SqlServerStore::open(&service.connection_string).expect("open");
    let rows = store.template_at("late", 1).await.expect("read");
    assert_eq!(rows.len(), 1);
    drop(store);
    for login in [author, service, reader] {
        login.drop(fixture).await;
    }
}

/// A statement whose future is dropped costs its connection, and nothing else.
async fn a_dropped_call_harms_no_later_one(fixture: &SqlServerFixture) {
    let store = fixture.fresh().await;
    let instance = fixture::instance(&store, "a").await;
    as_fixture(fixture).many(50).await;
    for _ in 0..20 {
        let claim = fixture::claim(&store, instance, 1);
        tokio::select! {
            biased;
            () = tokio::task::yield_now() => {}
            _ = claim => {}
        }
    }
    let mut claimed = 0;
    loop {
        let (_, claim) = fixture::claim_from(&store, instance, "default", 10).await;
        claimed += claim.alerts.len();
        if claim.alerts.is_empty() && !claim.may_hold_more {
            break;
        }
    }
    store.retire(instance).await.expect("retire");
    assert!(claimed > 0);
    let again = fixture::instance(&store, "b").await;
    let (_, alerts) = fixture::claim(&store, again, 100).await;
    assert_eq!(
        alerts.len(),
        50,
        "what a dropped claim took is released by retiring"
    );
}

/// Not there, or not open to the login: the server does not distinguish them.
pub(crate) async fn a_missing_database_is_waited_for(f: &SqlServerFixture) {
    let store = f.bare().await;
    let error = store.schema_state().await.expect_err("no database");
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("--create-database"), "{error}");
}

macro_rules! on_sqlserver {
    ($($scenario:ident;)*) => {
        /// What only SQL Server has to prove.
        pub(crate) fn trials() -> Vec<Trial> {
            vec![$(
                on_server(
                    concat!("sqlserver_only::", stringify!($scenario)),
                    |fixture| async move { $scenario(&fixture).await },
                ),
            )*]
        }
    };
}
on_sqlserver! {
    a_writer_writes_and_reads_its_own_alerts_only;
    the_service_needs_its_role_only;
    a_writer_attaches_to_its_own_alerts_only;
    no_query_of_a_writer_shows_a_byte_of_others;
    one_alert_of_a_writer_costs_what_it_has_recipients;
    a_login_without_a_role_gets_an_explanation;
    members_of_fixed_roles_are_listed;
    every_check_holds_for_a_history;
    only_an_auditor_reads_audit_copies;
    a_certificate_manager_keeps_certificates_only;
    a_template_author_adds_versions_only;
    procedures_refuse_what_they_cannot_do;
    a_hold_follows_a_release_that_is_not_applied_yet;
    procedures_add_requests;
    procedures_begin_and_end_a_redirect;
    procedures_refuse_a_redirect_without_one_target_and_one_address;
    procedures_say_which_redirect_is_in_force;
    procedures_hint_at_unknown_names;
    purge_adds_a_request;
    an_operator_calls_procedures_and_reads;
    a_request_that_is_not_committed_has_no_effect;
    the_printed_script_creates_the_schema_and_refuses_to_run_twice;
    a_failing_batch_of_the_printed_script_leaves_nothing;
    a_schema_of_another_owner_is_refused;
    the_text_of_a_relay_is_never_executed_as_sql;
    candidate_lists_agree_with_their_statements;
    a_dropped_call_harms_no_later_one;
    a_missing_database_is_waited_for;
}
