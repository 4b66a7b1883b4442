use sendport_core::clock::{Clock as _, SystemClock};

use crate::program::{ProgramOutput, run};
use crate::site::Site;

const PORT: &str = "[relay.main]\nkind = \"discard\"\n[send_port.default]\nfrom = \"alerts@example.test\"\nrelays = [\"main\"]\n";

fn asked(site: &Site, arguments: &[&str]) -> ProgramOutput {
    run(&site.path(""), arguments)
}

/// Three alerts: one with a file, two of one Reference.
fn site() -> Site {
    let site = Site::new(&format!("{PORT}max_age = \"36500d\"\n"));
    site.database()
        .execute_batch(
            "INSERT INTO Alert (PublicId, ToRecipients, Subject, Body, Reference, CreatedAt)
             VALUES ('0123abcd-89ab-4def-8123-456789abcdef', 'ops@example.test; oncall@example.test',
                     'Order 4711 is late', 'By two hours.' || char(10) || 'Sorry.', 'order-4711', '2026-01-31T12:00:00.000Z');
             INSERT INTO Alert (ToRecipients, Subject, Body, Reference) VALUES ('ops@example.test', 'a', 'b', 'twice');
             INSERT INTO Alert (ToRecipients, Subject, Body, Reference) VALUES ('ops@example.test', 'c', 'd', 'twice');
             INSERT INTO Attachment (AlertId, FileName, Content) VALUES (1, 'order.csv', CAST('a;b' AS BLOB));
             UPDATE AlertState SET CreatedAt = '2026-01-31T12:00:00.000Z' WHERE AlertId = 1;",
        )
        .expect("insert");
    site
}

#[test]
fn by_number_public_id_message_id_and_reference() {
    let site = site();
    for name in [
        "1",
        "0123ABCD-89ab-4def-8123-456789abcdef",
        "<0123abcd-89ab-4def-8123-456789abcdef@example.test>",
        "0123abcd-89ab-4def-8123-456789abcdef.utf8@example.test",
        "order-4711",
    ] {
        asked(&site, &["status", name]).prints(0, &["Alert 1: queued", "Order 4711 is late"]);
        asked(&site, &["why", name]).prints(
            0,
            &[
                "Alert 1",
                "What happens next",
                "no instance of the service is running",
            ],
        );
        asked(&site, &["preview", name]).prints(0, &["RCPT TO       <oncall@example.test>"]);
        asked(&site, &["release", name]).prints(1, &["alert 1 is not held"]);
        asked(&site, &["resolve", name, "--cancel"]).prints(1, &["alert 1 is not in doubt"]);
    }
    asked(&site, &["status", "twice"]).prints(0, &["2 alerts have the Reference 'twice'"]);
    for verb in ["preview", "release"] {
        asked(&site, &[verb, "twice"])
            .prints(1, &["several alerts have the Reference 'twice': 3, 2"]);
        asked(&site, &[verb, "9"]).prints(1, &["there is no alert '9'"]);
    }
    asked(&site, &["status", "9"]).prints(1, &["there is no alert '9'"]);
    asked(&site, &["status", "1", "--json"]).prints(0, &["\"AlertId\": 1"]);
}

#[test]
fn text_as_text_and_bytes_only_when_asked() {
    let site = site();
    asked(&site, &["preview", "1"]).is_as_expected("preview");
    let raw = asked(&site, &["preview", "1", "--raw"]);
    raw.prints(0, &["Content-Transfer-Encoding: ", "\r\n"]);
    asked(&site, &["preview", "1", "--html"]).prints(1, &["the message has no HTML"]);
    asked(&site, &["preview", "1", "--json"]).prints(
        0,
        &[
            "\"Text\": \"By two hours.\\nSorry.\"",
            "\"FileName\": \"order.csv\"",
            "\"SizeBytes\": 3",
        ],
    );
}

/// It ends as for any other alert that no recipient would get.
#[test]
fn an_alert_that_would_only_expire() {
    let site = Site::new(PORT);
    let sql = "INSERT INTO Alert (ToRecipients, Subject, ExpiresAt) VALUES ('ops@example.test', 'x', '2026-01-31T12:00:00.000Z');
               INSERT INTO Alert (ToRecipients, Subject, CreatedAt) VALUES ('ops@example.test', 'x', '2026-01-31T12:00:00.000Z');
               INSERT INTO Alert (ToRecipients, Subject, CreatedAt) VALUES ('ops@example.test', 'x', '2026-01-31T12:00:00.000Z');
               UPDATE AlertState SET Status = 'relayed', FinalAt = '2026-01-31T12:00:00.000Z', DueAt = NULL WHERE AlertId = 3;
               INSERT INTO Recipient (AlertId, Ordinal, Kind, Address, Status, StatusAt)
               VALUES (3, 1, 'to', 'ops@example.test', 'relayed', '2026-01-31T12:00:00.000Z');";
    site.database().execute_batch(sql).expect("insert");
    for (alert, why) in [
        ("1", "expired: ExpiresAt was 2026-01-31T12:00:00Z"),
        (
            "2",
            "expired: older than the send port's max_age of 172800 s",
        ),
    ] {
        let words = format!("sendport: alert {alert} would fail: {why}\n");
        for form in [&[][..], &["--json"], &["--raw"]] {
            let output = asked(&site, &[&["preview", alert], form].concat());
            output.prints(6, &[&words]);
        }
    }
    // No recipient waits any more, so none misses it.
    asked(&site, &["preview", "3"]).prints(0, &["Skipped       ops@example.test, relayed"]);
}

/// It waits for a delivery window that opens too late.
#[test]
fn an_alert_that_would_expire_before_it_may_be_sent() {
    let tomorrow = (SystemClock.now() + chrono::TimeDelta::days(2))
        .format("%a")
        .to_string();
    let window = format!(
        "{PORT}max_age = \"1h\"\n[send_port.default.delivery_window]\ntime_zone = \"UTC\"\n\
         open = [{{ days = [\"{}\"], from = \"08:00\", to = \"18:00\" }}]\n",
        tomorrow.to_lowercase()
    );
    let site = Site::new(&window);
    site.database()
        .execute_batch("INSERT INTO Alert (ToRecipients, Subject) VALUES ('ops@example.test', 'x')")
        .expect("insert");
    asked(&site, &["preview", "1"]).prints(
        6,
        &[
            "would fail: waits for the delivery window, ",
            "by then it has expired: older than",
        ],
    );
}

#[test]
fn status_prints_why_a_relay_is_throttled() {
    let site = Site::new(PORT);
    let sql = "INSERT INTO Instance (InstanceId, Name, HostName, ProcessId, Version, StartedAt, RenewedAt, LeaseUntil)
               VALUES ('i', 'host', 'host', 1, '1', '2026-01-31T12:00:00.000Z', '2026-01-31T12:00:00.000Z', '9999-01-01T00:00:00.000Z');
               INSERT INTO RelayState (InstanceId, Relay, Condition, Since, ThrottleReason)
               VALUES ('i', 'main', 'closed', '2026-01-31T12:00:00.000Z', '452 4.3.2 too much');";
    site.database().execute_batch(sql).expect("insert");
    asked(&site, &["status"]).prints(0, &["ThrottleReason", "452 4.3.2 too much"]);
}

#[test]
fn the_overview_says_what_was_last_and_how_long_ago() {
    let site = Site::new(PORT);
    asked(&site, &["status"]).is_as_expected("status_of_nothing");
    let minutes_ago =
        |minutes: i64| format!("strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-{minutes} minutes')");
    let sql = format!(
        "INSERT INTO Alert (ToRecipients, Subject, Reference, CreatedAt)
         VALUES ('ops@example.test', 'Order 4711 is late', 'order-4711', {});
         UPDATE AlertState SET CreatedAt = {0}, Status = 'failed', FinalAt = {1}, StatusAt = {1}, DueAt = NULL,
                StatusReason = 'there is no template ''late''' WHERE AlertId = 1;
         INSERT INTO Alert (ToRecipients, Subject, CreatedAt) VALUES ('ops@example.test', 'Order 4712 is late', {2});
         UPDATE AlertState SET CreatedAt = {2} WHERE AlertId = 2;",
        minutes_ago(200),
        minutes_ago(199),
        minutes_ago(19),
    );
    site.database().execute_batch(&sql).expect("insert");
    let output = asked(&site, &["status"]);
    output.is_as_expected("status");
    output.prints(0, &["19 min", "3 h 20 min", "there is no template 'late'"]);
    let json = asked(&site, &["status", "--json"]);
    let value: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!(
        value["Failures"][0]["Reason"],
        "there is no template 'late'"
    );
    assert_eq!(value["Environment"], "test");
}
