//! Proof that no statement of the service reads a table that grows from end to end.

use rusqlite::{Connection, params_from_iter};

use super::sql;
use crate::migration::SQLITE;

/// A statement, the index that it must seek in, and what it may scan: small things only.
struct QueryPlan {
    name: &'static str,
    sql: &'static str,
    seeks: &'static [&'static str],
    scans: &'static [&'static str],
}

macro_rules! plan {
    ($name:literal seeks $seeks:expr, scans $scans:expr) => {
        QueryPlan {
            name: $name,
            sql: sql!($name),
            seeks: &$seeks,
            scans: &$scans,
        }
    };
    ($sql:path; seeks $seeks:expr, scans $scans:expr) => {
        QueryPlan {
            name: stringify!($sql),
            sql: $sql,
            seeks: &$seeks,
            scans: &$scans,
        }
    };
}

const BY_KEY: &str = "USING INTEGER PRIMARY KEY (rowid=?)";
const BY_DUE: &str = "INDEX IX_AlertState_Due (SendPort=? AND Priority=? AND DueAt<?)";
const BY_OWNER: &str = "INDEX IX_AlertState_LeaseOwner (LeaseOwner=?)";

const BY_STATE: &str = "INDEX IX_OperatorRequest_Open (State=?)";

const BY_ALERT: &str = "INDEX IX_Attempt_AlertId (AlertId=?)";

const BY_RECIPIENT: &str = "INDEX IX_AttemptReply_Recipient (AttemptId=? AND RecipientOrdinal=?)";

const BY_ENDED: &str =
    "INDEX IX_AlertState_FinalAt (Status=? AND SendPort=? AND BodyPurged=? AND FinalAt>?)";

const BY_MINUTE: &str = "INDEX IX_AlertState_FinalAt (Status=? AND SendPort=? AND BodyPurged=? AND FinalAt>? AND FinalAt<?)";

const BY_FINAL: &str =
    "INDEX IX_AlertState_FinalAt (Status=? AND SendPort=? AND BodyPurged=? AND FinalAt<?)";

/// All of it, but it holds only what is not final.
const LIVE_ONLY: &str = "INDEX IX_AlertState_Live";

const PLANS: &[QueryPlan] = &[
    plan!("alerts_named" seeks [BY_KEY, "INDEX IX_Alert_Reference (Reference=?)", "(PublicId=?)"], scans []),
    plan!("claim_due" seeks [BY_DUE], scans []),
    plan!(super::claim::CLAIM_ONLY; seeks [BY_KEY], scans []),
    plan!(super::claim::CLAIM_REPEATED; seeks [BY_OWNER], scans []),
    plan!("claim_take" seeks [BY_KEY], scans []),
    plan!("load_recipients" seeks ["PRIMARY KEY (AlertId=?)"], scans []),
    plan!(super::record::RECORD_STATE; seeks [BY_KEY], scans []),
    plan!(super::record::RECORD_RELEASE; seeks [BY_KEY], scans []),
    plan!("record_alert" seeks [BY_KEY], scans []),
    plan!("record_facts_status" seeks [BY_KEY], scans []),
    plan!(super::record::RECIPIENT_STATUSES; seeks ["PRIMARY KEY (AlertId=?)"], scans []),
    plan!(super::instance::RETIRE_HELD; seeks [BY_OWNER], scans []),
    plan!("retire_release" seeks [BY_KEY], scans []),
    plan!(super::take_over::TAKE_OVER_LEASES_CURRENT; seeks [BY_KEY], scans []),
    plan!("take_over_owners" seeks ["IX_AlertState_LeaseOwner (LeaseOwner>?)"], scans ["o", "AlertState"]),
    plan!(super::take_over::TAKE_OVER_ALERTS; seeks [BY_OWNER], scans []),
    plan!("take_over_release" seeks [BY_KEY], scans ["c"]),
    plan!("live_send_ports" seeks ["IX_AlertState_Live (SendPort>?)"], scans ["p", "AlertState"]),
    plan!("expire_by_time" seeks ["IX_AlertState_ExpiresAt (ExpiresAt<?)"], scans []),
    plan!("expire_by_age" seeks ["IX_AlertState_Live (SendPort=? AND Status=? AND CreatedAt<?)"], scans []),
    plan!("fail_unrouted" seeks [BY_DUE], scans []),
    plan!("note_unrouted" seeks [BY_KEY, BY_DUE], scans ["(subquery-1)"]),
    plan!("finish_waiting" seeks ["PRIMARY KEY (AlertId=?)"], scans []),
    plan!("finish_alert" seeks [BY_KEY], scans []),
    plan!("alerts_one" seeks [BY_KEY], scans []),
    plan!("deliveries_one" seeks ["PRIMARY KEY (AlertId=?)", BY_RECIPIENT], scans []),
    plan!("release_held" seeks [BY_KEY], scans []),
    plan!(super::claim::CLAIM_OPEN_REQUEST; seeks [BY_STATE], scans []),
    plan!(super::claim::CLAIM_HELD_PORT; seeks [BY_STATE], scans []),
    plan!("open_requests" seeks [BY_STATE], scans []),
    plan!("park" seeks [BY_KEY], scans []),
    plan!("requeue_recipients" seeks ["PRIMARY KEY (AlertId=?)"], scans []),
    plan!("requeue_alert" seeks [BY_KEY], scans []),
    plan!("adopt_hold" seeks [BY_KEY], scans []),
    plan!(super::admin::ADOPT_OPEN; seeks [LIVE_ONLY], scans ["AlertState"]),
    plan!("in_doubt" seeks [LIVE_ONLY, BY_ALERT, BY_KEY], scans ["s"]),
    plan!(super::resolve::RESOLVE_DOUBT; seeks [BY_KEY, BY_ALERT], scans []),
    plan!("resolve_relayed" seeks ["PRIMARY KEY (AlertId=?)", "PRIMARY KEY (AttemptId=?)"], scans []),
    plan!("resolve_alert" seeks [BY_KEY], scans []),
    plan!(super::late_outcome::RECORD_ENDS_DOUBT; seeks [BY_KEY, BY_ALERT], scans []),
    plan!(super::late_outcome::RECORD_RECOUNT; seeks [BY_KEY], scans []),
    plan!(super::late_outcome::RECORD_END_DOUBT; seeks [BY_KEY], scans []),
    plan!("take_over_hold" seeks [BY_KEY], scans []),
    plan!("queue" seeks [LIVE_ONLY, "INDEX IX_AlertState_Due (SendPort=? AND Priority=? AND DueAt=?)"],
          scans ["AlertState", "q", "i"]),
    plan!("depths" seeks [LIVE_ONLY], scans ["AlertState"]),
    plan!("unreported_alerts" seeks [BY_ENDED], scans []),
    plan!("unreported_lines" seeks [BY_KEY], scans []),
    plan!(super::digest::INSERT_DIGEST_KNOWN; seeks [BY_KEY], scans []),
    plan!(super::digest::INSERT_DIGEST_ORIGIN; seeks [BY_KEY], scans []),
    plan!("reportable_failed" seeks ["INDEX IX_Recipient_Failed (Status=? AND StatusAt>? AND StatusAt<?)", BY_KEY], scans ["e"]),
    plan!("reportable_delayed" seeks ["INDEX IX_AlertState_Live (SendPort=? AND Status=? AND CreatedAt>? AND CreatedAt<?)", BY_KEY], scans ["e"]),
    plan!("reportable_relayed" seeks [BY_MINUTE, BY_KEY, "PRIMARY KEY (AlertId=?)"], scans ["e"]),
    plan!("unreported_message_recipients" seeks ["PRIMARY KEY (AlertId=?)", BY_RECIPIENT], scans []),
    plan!(super::delivery_reports::UNREPORTED_MESSAGE; seeks [BY_KEY], scans []),
    plan!(super::delivery_reports::RECENT_REPORTS; seeks ["INDEX IX_DeliveryReport_ReportedAt (SendPort=? AND ReportedAt>?)"], scans []),
    plan!(super::delivery_reports::INSERT_REPORT_STATE; seeks ["PRIMARY KEY (AlertId=? AND Ordinal=? AND Action=?)"], scans []),
    plan!(super::feedback::IS_REPEATED; seeks ["INDEX sqlite_autoindex_Feedback_1 (FeedbackKey=?)"], scans []),
    plan!(super::feedback::REPORTED_ATTEMPT; seeks [BY_ALERT], scans []),
    plan!(super::feedback::LATEST_SUBMITTED; seeks [BY_ALERT], scans []),
    plan!("record_feedback_recipients" seeks ["PRIMARY KEY (AlertId=?)", BY_RECIPIENT], scans []),
    plan!(super::feedback::RECIPIENT_FEEDBACK; seeks ["INDEX IX_RecipientFeedback_Recipient (AlertId=? AND Ordinal=?"], scans []),
    plan!(super::operator_requests::REQUEUE_FEEDBACK; seeks ["INDEX IX_RecipientFeedback_Recipient (AlertId=? AND Ordinal=? AND IsCurrent=?"], scans []),
    plan!("purge_feedback" seeks ["INDEX IX_Feedback_AlertId (AlertId=? AND ReceivedAt<?)", BY_KEY], scans []),
    plan!("purge_alerts_feedback" seeks ["INDEX IX_RecipientFeedback_Recipient (AlertId=?"], scans []),
    plan!(super::retention::PURGE_ALERTS_REPORTS; seeks ["INDEX IX_Feedback_AlertId (AlertId=?"], scans []),
    plan!(super::operator_requests::REQUEUE_REPORTS; seeks ["PRIMARY KEY (AlertId=?"], scans []),
    plan!("purge_bodies_candidates" seeks [BY_FINAL, BY_KEY, "INDEX IX_Attachment_AlertId (AlertId=?)"], scans []),
    plan!("count_old" seeks [BY_FINAL], scans []),
    plan!("purge_bodies_attachments" seeks [BY_KEY, "INDEX IX_Attachment_AlertId (AlertId=?)"], scans []),
    plan!("purge_bodies_note" seeks [BY_KEY], scans []),
    plan!("purge_bodies_body" seeks [BY_KEY], scans []),
    plan!("purge_alerts_candidates" seeks [BY_FINAL], scans []),
    plan!("purge_alerts_replies" seeks [BY_ALERT, "PRIMARY KEY (AttemptId=?"], scans []),
    plan!("purge_alerts_attempts" seeks [BY_ALERT, BY_KEY], scans []),
    plan!("purge_alerts_recipients" seeks ["PRIMARY KEY (AlertId=?"], scans []),
    plan!(super::retention::PURGE_ALERTS_ALERT; seeks [BY_KEY], scans []),
    plan!("purge_events" seeks [BY_KEY], scans ["e"]),
    plan!("final_groups" seeks ["INDEX IX_AlertState_FinalAt (Status=? AND SendPort>?)",
                                "INDEX IX_AlertState_FinalAt (Status=? AND SendPort=? AND BodyPurged=?"],
          scans ["6", "f", "p"]),
    plan!("roll_up_count" seeks [BY_MINUTE, BY_ALERT, "PRIMARY KEY (AlertId=?)"], scans ["f"]),
    plan!("roll_up_latency" seeks [BY_MINUTE, BY_KEY], scans ["b", "json_each"]),
    plan!(super::rollup::ROLL_UP_CLEAR_COUNTS; seeks ["PRIMARY KEY (Minute>? AND Minute<?)"], scans []),
    plan!(super::rollup::ROLL_UP_CLEAR_LATENCIES; seeks ["PRIMARY KEY (Minute>? AND Minute<?)"], scans []),
    plan!("begin_authentication_read" seeks ["PRIMARY KEY (Relay=? AND CredentialFingerprint=?)"], scans []),
    plan!(super::coordination::END_AUTHENTICATION_DROP_OTHERS; seeks ["PRIMARY KEY (Relay=?)"], scans []),
];

fn migrated() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    for migration in SQLITE {
        connection.execute_batch(migration.sql).unwrap();
    }
    connection
}

fn steps(connection: &Connection, sql: &str) -> Vec<String> {
    let explain = format!("EXPLAIN QUERY PLAN {sql}");
    let mut statement = connection.prepare(&explain).unwrap();
    let nulls = vec![rusqlite::types::Null; statement.parameter_count()];
    let rows = statement.query_map(params_from_iter(nulls), |row| row.get("detail"));
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

/// What is wrong with a plan, if something is.
fn faults(plan: &QueryPlan, steps: &[String]) -> Vec<String> {
    let whole = steps.join("\n");
    let missing = plan.seeks.iter().filter(|seek| !whole.contains(**seek));
    let mut faults: Vec<_> = missing
        .map(|seek| format!("{}: no {seek} in\n{whole}", plan.name))
        .collect();
    for step in steps {
        let Some(scanned) = step.strip_prefix("SCAN ") else {
            continue;
        };
        let table = scanned.split(' ').next().unwrap_or_default();
        if scanned != "CONSTANT ROW" && !plan.scans.contains(&table) {
            faults.push(format!("{}: scans {scanned} in\n{whole}", plan.name));
        }
    }
    faults
}

fn assert_all_seek(connection: &Connection) {
    let faults: Vec<_> = PLANS
        .iter()
        .flat_map(|plan| faults(plan, &steps(connection, plan.sql)))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

#[test]
fn every_statement_seeks() {
    let connection = migrated();
    assert_all_seek(&connection);
}

/// A pass meets every row once, so it may read small steps of an index, and never all of a table.
#[test]
fn requests_of_operators_seek() {
    use super::operator_requests::{ALL_ROWS, CLOSE_ALL, CLOSE_ONE, LIVE_ROWS, ONE_ROW};
    use super::requests_in_force::{REQUESTS_IN_FORCE, REQUESTS_IN_FORCE_ANY};
    use super::{late_outcome::RECORD_REDIRECT_IN_FORCE, load::LOAD_ALERT};
    let plan = |name, sql, seeks, scans| QueryPlan {
        name,
        sql,
        seeks,
        scans,
    };
    let live = &[
        "IX_AlertState_Live (SendPort=? AND Status=? AND CreatedAt=? AND rowid>?)",
        "IX_AlertState_Live ((SendPort,Status,CreatedAt)>(?,?,?))",
        BY_KEY,
    ];
    let plans = [
        plan(
            "LIVE_ROWS",
            &**LIVE_ROWS,
            &live[..],
            &["k", "same_time", "later"][..],
        ),
        plan(
            "ALL_ROWS",
            &**ALL_ROWS,
            &["USING INTEGER PRIMARY KEY (rowid>?)", BY_KEY],
            &["k"],
        ),
        plan("ONE_ROW", &**ONE_ROW, &[BY_KEY], &["k"]),
        plan("CLOSE_ALL", &**CLOSE_ALL, &[LIVE_ONLY, BY_KEY], &["s"]),
        plan("IN_FORCE", &**REQUESTS_IN_FORCE, &[BY_STATE, BY_KEY], &[]),
        plan("IN_FORCE_ANY", REQUESTS_IN_FORCE_ANY, &[BY_STATE], &[]),
        plan("LOAD_ALERT", &**LOAD_ALERT, &[BY_KEY, BY_STATE], &[]),
        plan(
            "REDIRECT_IN_FORCE",
            &**RECORD_REDIRECT_IN_FORCE,
            &[BY_KEY, BY_STATE],
            &[],
        ),
        plan("CLOSE_ONE", &**CLOSE_ONE, &[BY_KEY], &[]),
    ];
    let connection = migrated();
    let faults: Vec<_> = plans
        .iter()
        .flat_map(|plan| faults(plan, &steps(&connection, plan.sql)))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

#[test]
fn statistics_do_not_mislead() {
    let connection = migrated();
    connection
        .execute_batch(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
             INSERT INTO Alert (ToRecipients) SELECT 'ops@contoso.com' FROM n;
             UPDATE AlertState SET Status = 'relayed', DueAt = NULL, FinalAt = CreatedAt WHERE AlertId % 50 > 0;
             UPDATE AlertState SET Status = 'sending', DueAt = NULL, LeaseOwner = 'x' WHERE AlertId % 100 = 0;
             UPDATE AlertState SET AttemptCount = 1 WHERE AlertId % 50 > 0;
             INSERT INTO Attempt (AttemptKey, AlertId, AttemptNumber, Outcome, EndedAt)
             SELECT AlertId, AlertId, 1, 'relayed', CreatedAt FROM AlertState WHERE AttemptCount = 1;
             ANALYZE;",
        )
        .unwrap();
    assert_all_seek(&connection);
}

#[test]
fn claiming_does_not_sort() {
    let steps = steps(&migrated(), sql!("claim_due"));
    assert!(
        !steps.iter().any(|step| step.contains("TEMP B-TREE")),
        "{steps:?}"
    );
}
