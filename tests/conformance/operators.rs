//! The procedures for operators, on SQL Server: what they refuse, and who may call them.

use sendport_core::domain::AlertStatus;

use crate::fixture::{self, Fixture};
use crate::sqlserver::SqlServerFixture;
use crate::tsql::{OpenTransaction, run};
use crate::writers::{INSERT, Login};

async fn refused(fixture: &SqlServerFixture, call: &str) -> String {
    let call = format!("EXEC sendport.{call}");
    let done = run(&fixture.connection_string(), &call).await;
    done.expect_err(&call)
}

async fn assert_refused(fixture: &SqlServerFixture, call: &str, says: &str) {
    let error = refused(fixture, call).await;
    assert!(error.contains(says), "{call}: {error}");
}

/// What a procedure says of the request that it adds.
async fn result_of(fixture: &SqlServerFixture, call: &str) -> String {
    let f: &dyn Fixture = fixture;
    let call = format!(
        "DECLARE @r TABLE (RequestId bigint, Verb nvarchar(16), MatchingCount bigint, Result nvarchar(4000)); \
         INSERT @r EXEC sendport.{call}; SELECT Result FROM @r"
    );
    f.scalar(&call).await.expect("a result")
}

/// Calls of procedures, and what the message says: it names the parameter.
const REFUSED: &[(&str, &str)] = &[
    ("Cancel", "give at least one of @AlertId"),
    ("Cancel @AlertId = -1", "@AlertId: there is no alert -1"),
    (
        "Cancel @Status = N'quued'",
        "@Status: 'quued' is not the status",
    ),
    (
        "Cancel @CreatedFrom = '2026-02-01', @CreatedUntil = '2026-01-01'",
        "@CreatedFrom is later than @CreatedUntil",
    ),
    (
        "Requeue @All = 1, @Recipients = N'some'",
        "@Recipients is 'failed', 'all' or 'redirected'",
    ),
    ("Hold", "give one of @AlertId, @SendPort, @AlertName"),
    (
        "Hold @SendPort = N'a', @AlertName = N'b'",
        "give one of @AlertId",
    ),
    ("Hold @SendPort = N'default'", "@SendPort is held already"),
    ("Release @SendPort = N'bulk'", "@SendPort: bulk is not held"),
    (
        "Release @AlertName = N'late'",
        "@AlertName: late is not held",
    ),
    (
        "Release @HoldRequestId = -1",
        "@HoldRequestId: there is no request -1",
    ),
    ("Release", "@HoldRequestId, @RedirectRequestId, @All = 1"),
    ("Cancel @Reference = N''", "@Reference is empty"),
    ("Cancel @All = 1, @DryRun = NULL", "@DryRun is NULL"),
    (
        "Purge @OlderThanDays = 1, @BodiesOnly = NULL",
        "@BodiesOnly is NULL",
    ),
    ("Cancel @Status = N'relayed'", "is relayed is final"),
    ("Requeue @Status = N'queued'", "has nothing to send again"),
    (
        "Requeue @All = 1, @Recipients = N'all     x'",
        "@Recipients is 'failed', 'all' or 'redirected'",
    ),
    ("Hold @SendPort = N' '", "@SendPort is empty"),
    (
        "Requeue @All = 1, @Recipients = N'all'",
        "would send every alert again to everybody",
    ),
    ("Purge", "say how old: give one of @OlderThanDays"),
    ("Purge @OlderThanDays = 0", "@OlderThanDays: expected 1 to"),
    (
        "Purge @OlderThanDays = 1, @FinalBefore = '2026-01-01'",
        "give one of @OlderThanDays, @FinalBefore",
    ),
    (
        "Purge @FinalBefore = '2199-01-01'",
        "@FinalBefore: expected a time (UTC) at least an hour ago",
    ),
    (
        "Purge @OlderThanDays = 1, @Status = N'queued'",
        "@Status: an alert that is queued is not final",
    ),
];

/// Each message names the parameter.
pub(crate) async fn procedures_refuse_what_they_cannot_do(fixture: &SqlServerFixture) {
    let store = fixture.fresh().await;
    let f: &dyn Fixture = fixture;
    let id = f.alert_to("ops@contoso.com").await;
    f.sql("EXEC sendport.Hold @SendPort = N'default'").await;
    for (call, says) in REFUSED {
        assert_refused(fixture, call, says).await;
    }
    // A text that is cut would match other alerts.
    for (parameter, most) in [
        ("Comment", 400),
        ("SendPort", 64),
        ("AlertName", 128),
        ("Reference", 200),
        ("CreatedBy", 128),
        ("Relay", 128),
        ("Cause", 64),
    ] {
        let long = "x".repeat(most + 1);
        let call = format!("Cancel @All = 1, @{parameter} = N'{long}'");
        let says = format!("@{parameter} is longer than {most} characters");
        assert_refused(fixture, &call, &says).await;
    }
    let waiting = [
        (
            "Purge",
            "is queued, and only final alerts are purged; sendport.Cancel ends it",
        ),
        ("Release", "is not held"),
        ("Cancel @Status = N'held',", "is queued, and not held"),
        (
            "Cancel @AlertName = N'other',",
            "does not match the other parameters",
        ),
        (
            "Requeue",
            "is queued: only what failed, expired, was cancelled or is partial is sent again",
        ),
    ];
    for (verb, says) in waiting {
        assert_refused(fixture, &format!("{verb} @AlertId = {id}"), says).await;
    }
    f.sql(&format!(
        "UPDATE sendport.AlertRow SET Status = N'failed', DueAt = NULL, FinalAt = StatusAt, BodyPurgedAt = StatusAt
         WHERE AlertId = {id}"
    ))
    .await;
    for (call, says) in [
        ("Cancel @AlertId", "is failed, and waits for nothing"),
        (
            "Hold @AlertId",
            "is failed, and only an alert that waits or is being sent can be held",
        ),
        (
            "Requeue @AlertId",
            "cannot be sent again: its body is deleted",
        ),
        ("Purge @AlertId", "Z: only what became final until "),
        (
            "Purge @OlderThanDays = 2, @AlertId",
            "Z: only what became final until ",
        ),
    ] {
        assert_refused(fixture, &format!("{call} = {id}"), says).await;
    }
    assert_eq!(store.requests(10).await.expect("requests").len(), 1);
}

/// Nothing is sent between a release that is not applied yet and a hold behind it.
pub(crate) async fn a_hold_follows_a_release_that_is_not_applied_yet(fixture: &SqlServerFixture) {
    let store = fixture.fresh().await;
    let f: &dyn Fixture = fixture;
    for call in ["Hold", "Release", "Hold"] {
        f.sql(&format!("EXEC sendport.{call} @AlertName = N'late'"))
            .await;
    }
    let call = "Hold @AlertName = N'late'";
    assert_refused(fixture, call, "@AlertName is held already").await;
    for request in store.open_requests().await.expect("requests") {
        if request.verb == "release" {
            fixture::pass(&store, &request).await;
        }
    }
    let open = store.open_requests().await.expect("requests");
    let verbs: Vec<_> = open.iter().map(|it| it.verb.as_str()).collect();
    assert_eq!(verbs, ["hold"]);
    let until = "EXEC sendport.Cancel @CreatedUntil = '2026-01-01', @DryRun = 1";
    f.sql(until).await;
}

/// A procedure adds a row, which a pass of the service applies.
pub(crate) async fn procedures_add_requests(fixture: &SqlServerFixture) {
    let store = fixture.fresh().await;
    let f: &dyn Fixture = fixture;
    let id = f.alert_to("ops@contoso.com").await;
    let dry_run = "EXEC sendport.Cancel @SendPort = N'default', @DryRun = 1";
    assert_eq!(f.scalar(dry_run).await.as_deref(), Some("default"));
    assert_eq!(store.requests(10).await.expect("requests"), []);
    let call = "SET XACT_ABORT ON; BEGIN TRANSACTION; DECLARE @id bigint; \
                EXEC sendport.Cancel @SendPort = N'default', @Comment = N'runaway job', @RequestId = @id OUTPUT; \
                COMMIT TRANSACTION;";
    f.sql(call).await;
    let open = store.open_requests().await.expect("requests");
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].comment.as_deref(), Some("runaway job"));
    assert_eq!(fixture::pass(&store, &open[0]).await.applied, 1);
    assert_eq!(fixture::status(&store, id).await, AlertStatus::Cancelled);
    f.sql("EXEC sendport.Requeue @Status = N'cancelled'").await;
    let open = store.open_requests().await.expect("requests");
    assert_eq!(fixture::pass(&store, &open[0]).await.applied, 1);
    assert_eq!(fixture::status(&store, id).await, AlertStatus::Queued);
}

pub(crate) async fn procedures_refuse_a_redirect_without_one_target_and_one_address(
    fixture: &SqlServerFixture,
) {
    let store = fixture.fresh().await;
    for (call, says) in [
        (
            "Release @RedirectRequestId = 1",
            "@RedirectRequestId: there is no request 1",
        ),
        (
            "Release @HoldRequestId = 1, @RedirectRequestId = 1",
            "give one of @HoldRequestId, @RedirectRequestId",
        ),
        (
            "Redirect @To = N'qa@contoso.com'",
            "give one of @AlertId, @SendPort, @AlertName, @All = 1",
        ),
        (
            "Redirect @To = N'qa@contoso.com', @SendPort = N'default', @All = 1",
            "give one of @AlertId",
        ),
        ("Redirect @To = NULL, @All = 1", "@To: expected one address"),
        ("Redirect @To = N'nobody', @All = 1", "found 'nobody'"),
        ("Redirect @To = N'a@b.test@', @All = 1", "found 'a@b.test@'"),
        ("Redirect @To = N'a@x..com', @All = 1", "found 'a@x..com'"),
        ("Redirect @To = N'a@.x.com', @All = 1", "found 'a@.x.com'"),
        ("Redirect @To = N'a@x.com.', @All = 1", "found 'a@x.com.'"),
        ("Redirect @To = N'a@x-.com', @All = 1", "found 'a@x-.com'"),
        ("Redirect @To = N'a@-x.com', @All = 1", "found 'a@-x.com'"),
        ("Redirect @To = N'(a)@x.com', @All = 1", "found '(a)@x.com'"),
        (
            "Redirect @To = N'a@b.test; c@d.test', @All = 1",
            "found 'a@b.test; c@d.test'",
        ),
    ] {
        assert_refused(fixture, call, says).await;
    }
    assert_eq!(store.requests(10).await.expect("requests"), []);
}

/// Holds and redirects end each by a parameter of its own.
pub(crate) async fn procedures_begin_and_end_a_redirect(fixture: &SqlServerFixture) {
    let store = fixture.fresh().await;
    let f: &dyn Fixture = fixture;
    let id = f.alert_to("ops@contoso.com").await;
    f.sql("EXEC sendport.Redirect @To = N'qa@contoso.com', @SendPort = N'default', @Comment = N'acceptance test'")
        .await;
    let open = store.open_requests().await.expect("requests");
    assert_eq!((open.len(), open[0].verb.as_str()), (1, "redirect"));
    let number = open[0].request_id;
    let redirect = fixture::load(&store, id)
        .await
        .redirect
        .expect("it is in force");
    assert_eq!(
        (redirect.request, redirect.to.text()),
        (number, "qa@contoso.com")
    );
    let hold = format!("Release @HoldRequestId = {number}");
    assert_refused(fixture, &hold, "is a redirect and not a hold").await;
    let release = format!("Release @RedirectRequestId = {number}");
    f.sql(&format!("EXEC sendport.{release}")).await;
    assert_refused(fixture, &release, "is being ended by another release").await;
    let line = store.open_requests().await.expect("requests").remove(1);
    assert!(fixture::pass(&store, &line).await.closed);
    assert_eq!(fixture::load(&store, id).await.redirect, None);
    assert_eq!(store.open_requests().await.expect("requests"), []);
    let over = "is a redirect, and it has ended: released by request";
    assert_refused(fixture, &release, over).await;
}

/// The same address for the same alerts is refused while it is in force, and a release says what is behind it.
pub(crate) async fn procedures_say_which_redirect_is_in_force(fixture: &SqlServerFixture) {
    let store = fixture.fresh().await;
    let f: &dyn Fixture = fixture;
    let to_qa = "Redirect @To = N'qa@contoso.com', @SendPort = N'default'";
    f.sql(&format!("EXEC sendport.{to_qa}")).await;
    f.sql("EXEC sendport.Redirect @To = N'qa@contoso.com', @SendPort = N'bulk'")
        .await;
    let first = store.open_requests().await.expect("requests").remove(0);
    let already = format!(
        "they go to qa@contoso.com already, by request {}",
        first.request_id
    );
    assert_refused(fixture, to_qa, &already).await;
    f.sql("EXEC sendport.Redirect @To = N'dev@contoso.com', @All = 1")
        .await;
    let newest = store.open_requests().await.expect("requests").remove(2);
    // Behind a newer one the same is a change.
    f.sql(&format!("EXEC sendport.{to_qa}")).await;
    let release = format!("Release @RedirectRequestId = {}", newest.request_id);
    let result = result_of(fixture, &release).await;
    assert!(result.contains(" redirects to qa@contoso.com"), "{result}");
}

/// What nobody knows by that name is said where the number of matches is.
pub(crate) async fn procedures_hint_at_unknown_names(fixture: &SqlServerFixture) {
    fixture.fresh().await;
    for (call, says) in [
        (
            "Requeue @Cause = N'mailbox-ful'",
            "No cause 'mailbox-ful' is known",
        ),
        ("Requeue @Relay = N'mian'", "No relay 'mian' is known"),
        (
            "Cancel @AlertName = N'late'",
            "No alert with AlertName 'late' matches now",
        ),
        ("Hold @SendPort = N'bulk'", "No send port 'bulk' is known"),
    ] {
        let result = result_of(fixture, call).await;
        assert!(result.contains(says), "{call}: {result}");
    }
}

/// A procedure adds a row that retention carries out, whatever transaction calls it.
pub(crate) async fn purge_adds_a_request(fixture: &SqlServerFixture) {
    let store = fixture.fresh().await;
    let f: &dyn Fixture = fixture;
    let id = f.alert_to("ops@contoso.com").await;
    let old = format!(
        "UPDATE sendport.AlertRow SET Status = N'failed', DueAt = NULL, CreatedAt = '2020-01-01', FinalAt = '2020-01-02' \
         WHERE AlertId = {id}"
    );
    f.sql(&old).await;
    let dry_run = "EXEC sendport.Purge @OlderThanDays = 30, @Status = N'failed', @DryRun = 1";
    assert_eq!(f.scalar(dry_run).await.as_deref(), Some("default"));
    let call = "SET XACT_ABORT ON; BEGIN TRANSACTION; EXEC sendport.Purge @OlderThanDays = 30, @SendPort = N'default', \
                @BodiesOnly = 1, @Comment = N'audit'; COMMIT TRANSACTION;";
    f.sql(call).await;
    f.sql(&format!("EXEC sendport.Purge @AlertId = {id}")).await;
    let open = store.open_requests().await.expect("requests");
    let verbs: Vec<_> = open
        .iter()
        .map(|it| (it.verb.as_str(), it.bodies_only))
        .collect();
    assert_eq!(verbs, [("purge", true), ("purge", false)]);
    assert!(open.iter().all(|it| it.filter.final_before.is_some()));
    assert_eq!(open[0].comment.as_deref(), Some("audit"));
    let found = store.purge_matches(&open[1], None).await.expect("a step");
    assert_eq!(found.groups[0].alerts, [id]);
}

pub(crate) async fn an_operator_calls_procedures_and_reads(fixture: &SqlServerFixture) {
    fixture.fresh().await;
    let f: &dyn Fixture = fixture;
    f.sql(INSERT).await;
    f.sql(
        "INSERT INTO sendport.SendPort (Name, FromAddress, Protection, MaxAgeSeconds, LastSeenAt)
         VALUES (N'default', N'a@b.test', N'none', 60, SYSUTCDATETIME())",
    )
    .await;
    let operator = Login::with_role(fixture, "sendport_operator").await;
    let writer = Login::with_role(fixture, "sendport_writer").await;
    let reader = Login::with_role(fixture, "sendport_reader").await;
    for statement in [
        "EXEC sendport.Cancel @All = 1, @DryRun = 1",
        "EXEC sendport.Hold @SendPort = N'default'",
        "EXEC sendport.Release @SendPort = N'default'",
        "EXEC sendport.Redirect @To = N'qa@contoso.com', @AlertName = N'none'",
        "EXEC sendport.Requeue @All = 1",
        "EXEC sendport.Purge @OlderThanDays = 30, @SendPort = N'default'",
        "SELECT COUNT(*) FROM sendport.OperatorRequest",
        "SELECT COUNT(*) FROM sendport.FailedDelivery",
    ] {
        operator.may(statement).await;
    }
    let seen = operator
        .may("SELECT COUNT(*) FROM sendport.AlertStatus")
        .await;
    assert_eq!(seen.as_deref(), Some("1"));
    operator
        .may("EXEC sendport.TestMail @To = N'me@contoso.com'")
        .await;
    operator
        .may_not("EXEC sendport.TestMail @To = N'me@contoso.com', @SendPort = N'nope'")
        .await;
    let tests = "Subject = N'Test of send port default' AND Status = N'queued'";
    assert_eq!(f.rows("AlertStatus", tests).await, 1);
    let who = operator
        .may("SELECT MAX(RequestedBy) FROM sendport.OperatorRequest")
        .await;
    assert_eq!(who.as_deref(), Some(operator.name.as_str()));
    for statement in [
        "UPDATE sendport.OperatorRequest SET State = N'done'",
        "DELETE FROM sendport.OperatorRequest",
        "UPDATE sendport.AlertRow SET Status = N'held'",
        "SELECT COUNT(*) FROM sendport.AuditCopy",
    ] {
        operator.may_not(statement).await;
    }
    for login in [&writer, &reader] {
        login.may_not("EXEC sendport.Cancel @All = 1").await;
        let insert =
            "INSERT INTO sendport.OperatorRequest (Verb, MatchesAll) VALUES (N'release', 1)";
        login.may_not(insert).await;
    }
    writer
        .may_not("SELECT COUNT(*) FROM sendport.OperatorRequest")
        .await;
    for login in [operator, writer, reader] {
        login.drop(fixture).await;
    }
}

/// What is not committed is not in force, and nobody waits for it.
pub(crate) async fn a_request_that_is_not_committed_has_no_effect(fixture: &SqlServerFixture) {
    let store = fixture.fresh().await;
    let f: &dyn Fixture = fixture;
    let instance = fixture::instance(&store, "a").await;
    let first = f.alert_to("ops@contoso.com").await;
    // Not by the procedures: Babelfish locks its catalog for their table variables until the transaction ends.
    let cancel = "INSERT INTO sendport.OperatorRequest (Verb, SendPort, CreatedUntil)
            VALUES (N'cancel', N'default', SYSUTCDATETIME());
        INSERT INTO sendport.OperatorRequest (Verb, SendPort) VALUES (N'hold', N'default');
        INSERT INTO sendport.OperatorRequest (Verb, MatchesAll, RedirectTo)
            VALUES (N'redirect', 1, N'qa@contoso.com');";
    let open = OpenTransaction::begin(&fixture.connection_string(), cancel).await;
    assert_eq!(fixture::claim_one(&store, instance).await.1, first);
    assert_eq!(fixture::load(&store, first).await.redirect, None);
    assert_eq!(store.open_requests().await.expect("requests"), []);
    open.roll_back().await;
    let second = f.alert_to("ops@contoso.com").await;
    assert_eq!(fixture::claim_one(&store, instance).await.1, second);
}
