use std::time::Duration;

use crate::site::{Site, text};
use crate::support::received::received;
use crate::{any_port, import, plain_relay, send_port_over, sink_at};

const STATE: &str = "SELECT group_concat(Status || StatusAt || AttemptCount || coalesce(DueAt, '') || coalesce(TemplateVersion, ''), ' ') FROM AlertState";

/// A preview is what the relay gets, byte by byte, before and after it was sent and whatever
/// is imported later; and it leaves no trace.
#[tokio::test(flavor = "multi_thread")]
async fn byte_by_byte_before_and_after() {
    let mails = tempfile::tempdir().expect("a folder");
    let sink = sink_at(any_port(), mails.path(), &[]).await;
    let relays = plain_relay(sink.local_addr()) + "[relay.spare]\nkind = \"discard\"\n";
    let port = send_port_over(&relays).replace("[\"main\"]", "[\"main\", \"spare\"]");
    let site = Site::new(&port);
    let html = "<p>{{ customer }}</p>";
    import(
        &site,
        &[
            ("late.txt.j2", "{{ customer }}\n.\n"),
            ("late.html.j2", html),
        ],
    );
    let sql = "INSERT INTO Alert (ToRecipients, CcRecipients, Subject, Template, Payload, DeliveryReceipt)
               VALUES ('ops@example.test; nobody', 'Größe <cc@example.test>', 'Grüße', 'late', '{\"customer\": \"Söhne & <Co>\"}', 1)";
    site.database().execute(sql, []).expect("insert");

    let state = site.value(STATE);
    let before = site.sendport(&["preview", "1", "--raw"]);
    let message = site.sendport(&["preview", "1"]);
    assert_eq!(site.value(STATE), state, "nothing was changed");
    let message = text(&message);
    for line in [
        "Send port     default\n",
        "Relays        main, spare\n",
        "Template      late, version 1\n",
        "Protection    none: submitted as it is, ",
        "MAIL FROM     <alerts@example.test>\n",
        "RCPT TO       <ops@example.test>\nRCPT TO       <cc@example.test>\n",
        "Skipped       nobody, failed: 501 5.1.3 ",
    ] {
        assert!(message.contains(line), "{line} is missing in\n{message}");
    }
    let shown = "Subject       Grüße\nHTML          present: show it with --html; readers without HTML show:\n\nSöhne & <Co>\n.\n";
    assert!(message.ends_with(shown), "{message}");
    let html = site.sendport(&["preview", "1", "--html"]);
    assert_eq!(text(&html), "<p>Söhne &amp; &lt;Co&gt;</p>");

    let service = site.run();
    site.wait_until_all_final(Duration::from_secs(60)).await;
    assert_eq!(service.stop(), Some(0));
    import(&site, &[("late.txt.j2", "something else")]);
    assert!(
        received(mails.path()) == [before.stdout.clone()],
        "what arrived differs"
    );
    let after = site.sendport(&["preview", "1", "--raw"]);
    assert!(
        after.stdout == before.stdout,
        "the preview differs afterwards"
    );
    let message = text(&site.sendport(&["preview", "1"]));
    assert!(
        message.contains("Skipped       ops@example.test, relayed\n"),
        "{message}"
    );
    assert!(
        message.contains("Not now       no recipient is left\n"),
        "{message}"
    );
    sink.stop().await;
}

/// What the service would refuse, a preview refuses with the same reason.
#[tokio::test(flavor = "multi_thread")]
async fn preview_explains_why_an_alert_would_fail() {
    let relay = "[relay.main]\nkind = \"discard\"\n";
    let site = Site::new(&send_port_over(relay));
    import(
        &site,
        &[
            ("late.txt.j2", "\n\n{{ order }}"),
            ("late.sample.json", r#"{"order": 1}"#),
        ],
    );
    for (columns, values) in [
        ("ToRecipients, Template", "'a@example.test', 'late'"),
        ("ToRecipients, Template", "'a@example.test', 'early'"),
        (
            "ToRecipients, Subject, Protection",
            "'a@example.test', 'x', 'sign'",
        ),
        ("ToRecipients, Subject", "'b: c@example.test', 'x'"),
    ] {
        let sql = format!("INSERT INTO Alert ({columns}) VALUES ({values})");
        site.database().execute(&sql, []).expect("insert");
    }
    for (id, code, wanted) in [
        (
            "1",
            6,
            "template file 'late.txt.j2', version 1, line 3: undefined value",
        ),
        ("2", 6, "there is no template 'early'"),
        (
            "3",
            6,
            "Protection    sign: would fail, protection 'sign' is asked for",
        ),
        ("4", 6, "groups are not supported"),
        ("5", 1, "there is no alert '5'"),
    ] {
        let output = site.sendport(&["preview", id]);
        let message = text(&output);
        assert!(message.contains(wanted), "{message}");
        assert_eq!(output.status.code(), Some(code), "{message}");
    }
    let service = site.run();
    site.wait_until_all_final(Duration::from_secs(60)).await;
    assert_eq!(service.stop(), Some(0));
    let message = text(&site.sendport(&["preview", "4"]));
    assert!(
        message.contains("Skipped       b: c@example.test, failed: 501 5.1.3 'b: c@example.test' is not a mail address: groups"),
        "{message}"
    );
    let reason = site.value("SELECT StatusReason FROM AlertStatus WHERE AlertId = 1");
    let message = text(&site.sendport(&["preview", "1"]));
    assert!(
        message.contains(&reason),
        "'{reason}' is not in '{message}'"
    );
}

/// Those whose addresses are not ASCII have a message of their own; the first one is shown.
#[test]
fn preview_separates_other_messages_from_no_message() {
    let site = Site::new(&send_port_over("[relay.main]\nkind = \"discard\"\n"));
    let sql = "INSERT INTO Alert (ToRecipients, Subject) VALUES ('jörg@example.test; ops@example.test', 'x')";
    site.database().execute(sql, []).expect("insert");
    let message = text(&site.sendport(&["preview", "1"]));
    for line in [
        "RCPT TO       <ops@example.test>\n",
        "Also sent to  jörg@example.test, in message 2\n",
        "  for         jörg@example.test\n",
    ] {
        assert!(message.contains(line), "'{line}' is not in\n{message}");
    }
    assert!(!message.contains("not to"), "{message}");
}
