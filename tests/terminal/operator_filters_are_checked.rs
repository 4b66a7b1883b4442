use crate::program::run;
use crate::site::Site;

const PORT: &str = "[relay.main]\nkind = \"discard\"\n[send_port.default]\nfrom = \"alerts@contoso.com\"\nrelays = [\"main\"]\n";

/// Exit code 2, and the option is named.
#[test]
fn what_contradicts_itself_or_is_empty_is_wrong_usage() {
    let site = Site::new(PORT);
    let long = "x".repeat(401);
    for (words, says) in [
        (&["cancel", "--reference", ""][..], "--reference"),
        (&["cancel", "--send-port", " "], "--send-port"),
        (&["hold", "--alert-name", ""], "--alert-name"),
        (&["requeue", "--cause", ""], "--cause"),
        (
            &["purge", "--older-than", "2d", "--alert-name", ""],
            "--alert-name",
        ),
        (&["purge", "--alert-name", "late"], "--older-than"),
        (&["test-mail", "--to", ""], "--to"),
        (&["cancel", "--all", "--comment", &long], "more than 400"),
        (
            &[
                "cancel",
                "--since",
                "2026-02-01T00:00:00Z",
                "--until",
                "2026-01-01T00:00:00Z",
            ],
            "--since is later than --until",
        ),
        (
            &["requeue", "--all", "--recipients", "all"],
            "would send every alert again to everybody",
        ),
    ] {
        run(&site.path(""), words).prints(2, &[says]);
    }
    run(&site.path(""), &["requests"]).prints(0, &[]);
    let count = "SELECT count(*) FROM OperatorRequest";
    assert_eq!(site.value(count), "0");
}

#[test]
fn an_unknown_name_has_a_hint() {
    let site = Site::new(PORT);
    for (words, says) in [
        (
            &["requeue", "--cause", "mailbox-ful", "--dry-run"][..],
            "no cause 'mailbox-ful' is known; did you mean 'mailbox-full'?",
        ),
        (
            &["requeue", "--relay", "mian"],
            "no relay 'mian' is known; did you mean 'main'?",
        ),
        (
            &["cancel", "--alert-name", "order-late"],
            "no alert with AlertName 'order-late' matches",
        ),
        (
            &["cancel", "--send-port", "zzz", "--dry-run"],
            "no send port 'zzz' is known; known are: default",
        ),
    ] {
        run(&site.path(""), words).prints(0, &[says]);
    }
    let test_mail = ["test-mail", "--to", "me@contoso.com", "--send-port", "zzz"];
    run(&site.path(""), &test_mail).prints(1, &["nothing was inserted", "zzz", "default"]);
    assert_eq!(site.value("SELECT count(*) FROM Alert"), "0");
}

#[test]
fn a_release_says_that_a_hold_ended_and_a_final_alert_is_not_held() {
    let site = Site::new(PORT);
    run(&site.path(""), &["hold", "--send-port", "default"]).prints(0, &["is in force until"]);
    run(&site.path(""), &["release", "--send-port", "default"])
        .prints(0, &["0 released", "a hold ended"]);
    let done = "SELECT count(*) FROM EventLog WHERE EventType = 'request-done'";
    assert_eq!(site.value(done), "1", "as the service writes it");
    run(
        &site.path(""),
        &["send", "--to", "ops@contoso.com", "--subject", "x"],
    )
    .prints(0, &[]);
    run(&site.path(""), &["cancel", "1"]).prints(0, &["1 cancelled"]);
    run(&site.path(""), &["hold", "1"]).prints(1, &["alert 1 is cancelled", "can be held"]);
    let open = "SELECT count(*) FROM OperatorRequest WHERE State = 'open'";
    assert_eq!(site.value(open), "0");
}

#[test]
fn a_verb_that_can_do_nothing_with_an_alert_says_why_and_stores_no_request() {
    let site = Site::new(PORT);
    let alerts = "INSERT INTO Alert (ToRecipients, Body) VALUES ('ops@contoso.com', 'late'), ('ops@contoso.com', 'late');
                  UPDATE AlertState SET Status = 'failed', DueAt = NULL, FinalAt = StatusAt, BodyPurgedAt = StatusAt
                  WHERE AlertId = 2;
                  INSERT INTO Alert (ToRecipients, Body) VALUES ('ops@contoso.com', 'late');
                  UPDATE AlertState SET Status = 'relayed', DueAt = NULL, FinalAt = StatusAt WHERE AlertId = 3";
    site.database().execute_batch(alerts).expect("alerts");
    for (words, says) in [
        (
            &["purge", "1"][..],
            "alert 1 is queued, and only final alerts are purged",
        ),
        (&["purge", "1", "--dry-run"], "`sendport cancel` ends it"),
        (&["release", "1"], "alert 1 is not held"),
        (&["requeue", "1"], "alert 1 is queued: only what failed"),
        (
            &["requeue", "1", "--dry-run"],
            "--recipients all also sends what was relayed",
        ),
        (&["purge", "2"], "Z: only what became final until "),
        (
            &["purge", "2", "--older-than", "2d"],
            "alert 2 became final at ",
        ),
        (&["cancel", "2"], "alert 2 is failed, and waits for nothing"),
        (
            &["requeue", "2"],
            "alert 2 cannot be sent again: its body is deleted",
        ),
        (
            &["cancel", "1", "--status", "held"],
            "alert 1 is queued, and not held",
        ),
        (
            &["cancel", "1", "--alert-name", "other", "--dry-run"],
            "alert 1 does not match the other options",
        ),
        (
            &["requeue", "3", "--recipients", "redirected"],
            "alert 3 has no recipient whose message a redirect sent elsewhere",
        ),
    ] {
        run(&site.path(""), words).prints(1, &[says]);
    }
    assert_eq!(site.value("SELECT count(*) FROM OperatorRequest"), "0");
    run(&site.path(""), &["purge", "--older-than", "1d"])
        .prints(0, &["no alert matches", "0 rows and 0 bytes deleted"]);
}

/// A rule is about alerts that are inserted later, and no redirect of others is noted at its end.
#[test]
fn a_rule_says_what_it_is_about() {
    let site = Site::new(PORT);
    let folder = site.path("");
    let to = ["redirect", "--to", "qa@contoso.com"];
    run(&folder, &[&to[..], &["--all", "--dry-run"]].concat()).prints(
        0,
        &["0 match now, and alerts that are inserted until a release will, too; nothing was changed"],
    );
    run(&folder, &[&to[..], &["--alert-name", "late"]].concat())
        .prints(0, &["request 1 is in force"]);
    run(&folder, &[&to[..], &["--send-port", "default"]].concat())
        .prints(0, &["request 2 is in force"]);
    run(&folder, &["release", "--redirect", "1"]).prints(
        0,
        &["a redirect ended: alerts go to their recipients again, unless another redirect matches them"],
    );
    let released = run(&folder, &["release", "--redirect", "2"]);
    released.prints(0, &["a redirect ended"]);
    let alert = "INSERT INTO Alert (ToRecipients, AlertName) VALUES ('ops@contoso.com', 'late');
                 UPDATE AlertState SET Status = 'sending', DueAt = NULL";
    site.database().execute_batch(alert).expect("an alert");
    let counted = run(&folder, &["cancel", "--alert-name", "late", "--dry-run"]);
    counted.prints(0, &["sending", "1 match now; nothing was changed"]);
}

#[test]
fn a_purge_by_age_is_a_request() {
    let site = Site::new(PORT);
    let old = "INSERT INTO Alert (ToRecipients, Body, AlertName)
               VALUES ('ops@contoso.com', 'late', 'order-late'), ('ops@contoso.com', 'late', 'invoice'),
                      ('ops@contoso.com', 'late', 'order-late');
               UPDATE AlertState SET Status = 'relayed', DueAt = NULL, FinalAt = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-2 days')
               WHERE AlertId < 3";
    site.database().execute_batch(old).expect("alerts");
    let words = [
        "purge",
        "--older-than",
        "1d",
        "--alert-name",
        "order-late",
        "--comment",
        "runaway job",
    ];
    run(&site.path(""), &[&words[..], &["--dry-run"]].concat()).prints(0, &["nothing was deleted"]);
    run(&site.path(""), &words).prints(0, &["2 rows", "request 1"]);
    let request =
        "SELECT Verb || ' ' || State || ' ' || AppliedCount || ' ' || Comment FROM OperatorRequest";
    assert_eq!(site.value(request), "purge done 1 runaway job");
    assert_eq!(
        site.value("SELECT group_concat(AlertId ORDER BY AlertId) FROM Alert"),
        "2,3"
    );
    run(&site.path(""), &["purge", "2"]).prints(0, &["request 2"]);
    assert_eq!(
        site.value("SELECT group_concat(AlertId ORDER BY AlertId) FROM Alert"),
        "3"
    );
}

/// Everything that it redirects would fail: the command and the check say so, and a send port that does not encrypt is
/// not named.
#[test]
fn a_redirect_to_an_address_without_a_certificate_is_warned_of() {
    let encrypting = PORT.to_owned()
        + "protection = \"encrypt\"\n[send_port.default.encryption]\n\
           [send_port.plain]\nfrom = \"alerts@contoso.com\"\nrelays = [\"main\"]\n";
    let site = Site::new(&encrypting);
    let to = ["redirect", "--to", "qa@contoso.com"];
    let says = "send port default encrypts, and cannot encrypt to the address: there is no certificate for qa@contoso.com";
    run(&site.path(""), &[&to[..], &["--all"]].concat())
        .prints(0, &[says, "request 1 is in force"]);
    let plain = run(
        &site.path(""),
        &[&to[..], &["--send-port", "plain"]].concat(),
    );
    plain.prints(0, &["request 2 is in force"]);
    run(&site.path(""), &["check"]).prints(0, &["request 1", says]);
}
