use std::path::Path;
use std::time::Duration;

use sendport::sink::{Sink, SinkOptions};

use crate::site::{Site, text};
use crate::support::people::{People, Person};
use crate::support::received::received;
use crate::{plain_relay, send_port_over};

const WITHIN: Duration = Duration::from_secs(60);

/// A sink that refuses `gone1` to `gone3` and `nobody`.
async fn sink(folder: &Path) -> Sink {
    let refuse = ["gone1", "gone2", "gone3", "nobody"];
    Sink::start(SinkOptions {
        listen: std::net::SocketAddr::from(([127, 0, 0, 1], 0)),
        folder: folder.to_owned(),
        refuse: refuse.map(str::to_owned).to_vec(),
        ..SinkOptions::default()
    })
    .await
    .expect("start")
}

fn site(sink: &Sink, recipient: &str) -> Site {
    let port = send_port_over(&plain_relay(sink.local_addr()));
    let keys = format!(
        "notify_failures_to = \"{recipient}\"\nnotify_interval = \"1s\"\n[send_port.default.retry]"
    );
    Site::new(&port.replace("[send_port.default.retry]", &keys))
}

fn insert(site: &Site, reference: &str, to: &str) {
    let sql = "INSERT INTO Alert (ToRecipients, Subject, Body, Reference) VALUES (?1, 'Order ' || ?2 || ' is late', 'b', ?2)";
    let inserted = site.database().execute(sql, [to, reference]);
    assert_eq!(inserted.expect("insert"), 1);
}

/// The digests that arrived, with whom they were for.
fn digests(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).expect("a folder").flatten();
    let texts = files.map(|file| std::fs::read_to_string(file.path()).expect("readable"));
    texts
        .filter(|text| text.contains("\r\nSubject: sendport: "))
        .collect()
}

const DIGESTS: &str =
    "SELECT count(*) FROM AlertStatus WHERE Subject LIKE 'sendport: %' AND Status = ";

/// A trigger of the site refuses the mark of one of them: the digests report it once, and all others.
#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_cannot_be_marked_is_reported_once_and_blocks_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let sink = sink(folder.path()).await;
    let site = site(&sink, "ops@example.test");
    let rule = "CREATE TRIGGER Rule BEFORE INSERT ON FailureNotification WHEN NEW.AlertId = 1
                BEGIN SELECT RAISE(ABORT, 'a rule of this site'); END";
    site.database().execute_batch(rule).expect(rule);
    let service = site.run();
    let relayed = format!("{DIGESTS} 'relayed'");
    for (reference, digests) in [("4711", "1"), ("4712", "2")] {
        insert(&site, reference, "gone1@example.test");
        site.wait_until(&relayed, digests, WITHIN).await;
    }
    let events = "SELECT group_concat(AlertId || ' ' || Severity) FROM EventLog WHERE EventType = 'failure-not-reported'";
    site.wait_until(events, "1 error", WITHIN).await;
    assert_eq!(service.stop(), Some(0));
    let digests = digests(folder.path());
    for reference in ["4711", "4712"] {
        let telling = digests.iter().filter(|text| text.contains(reference));
        assert_eq!(telling.count(), 1, "{reference}: {digests:?}");
    }
}

/// Two instances, one message: it lists the failed recipients, and what was reported is not reported
/// again with what fails later.
#[tokio::test(flavor = "multi_thread")]
async fn two_instances_report_failed_recipients_in_one_digest() {
    let folder = tempfile::tempdir().expect("a folder");
    let sink = sink(folder.path()).await;
    let site = site(&sink, "ops@example.test; On call <oncall@example.test>");
    let instances = [site.run(), site.run()];
    let to = "gone1@example.test; fine@example.test; gone2@example.test; gone3@example.test";
    insert(&site, "4711", to);
    let relayed = format!("{DIGESTS} 'relayed'");
    site.wait_until(&relayed, "1", WITHIN).await;
    insert(&site, "4712", "gone1@example.test");
    site.wait_until(&relayed, "2", WITHIN).await;
    for instance in instances {
        assert_eq!(instance.stop(), Some(0));
    }

    let digests = digests(folder.path());
    assert_eq!(digests.len(), 2);
    let of_first: Vec<_> = digests
        .iter()
        .filter(|text| text.contains("4711"))
        .collect();
    let [digest] = of_first.as_slice() else {
        panic!("{} digests tell of the first alert", of_first.len());
    };
    for line in [
        "X-Receiver: ops@example.test",
        "X-Receiver: oncall@example.test",
        "Subject: sendport: 3 recipients failed at send port default (test)",
        "Auto-Submitted: auto-generated",
        "  gone2@example.test: failed at ",
        "550 5.1.1",
    ] {
        assert!(digest.contains(line), "{line} is missing in\n{digest}");
    }
    assert!(!digest.contains("fine@example.test"), "{digest}");
    assert_eq!(site.value("SELECT count(*) FROM AlertState"), "4");
    sink.stop().await;
}

/// A digest that fails is an event, and never the cause of another mail.
#[tokio::test(flavor = "multi_thread")]
async fn a_digest_that_fails_leads_to_an_event_and_to_no_mail() {
    let folder = tempfile::tempdir().expect("a folder");
    let sink = sink(folder.path()).await;
    let site = site(&sink, "nobody@example.test");
    let service = site.run();
    insert(&site, "4711", "gone1@example.test");
    let event = "SELECT count(*) FROM EventLog WHERE EventType = 'digest-failed' AND Severity = 'error' AND SendPort = 'default'";
    site.wait_until(event, "1", WITHIN).await;
    // The next digest comes later than one about the first would have.
    insert(&site, "4712", "gone1@example.test");
    site.wait_until(event, "2", WITHIN).await;
    assert_eq!(service.stop(), Some(0));

    let failed = "SELECT count(*) FROM AlertStatus WHERE Status = 'failed'";
    assert_eq!(site.value(failed), "4", "two alerts and their digests");
    let about_digests =
        "SELECT count(*) FROM Alert WHERE Subject LIKE 'sendport: %' AND Body LIKE '%nobody@%'";
    assert_eq!(site.value(about_digests), "0");
    assert_eq!(sink.received(), 0);
    sink.stop().await;
}

/// A digest is protected as its send port says; for whom it cannot be, that is an event.
#[tokio::test(flavor = "multi_thread")]
async fn a_digest_that_cannot_be_encrypted_for_a_recipient_logs_an_event() {
    let folder = tempfile::tempdir().expect("a folder");
    let people = People::new(&folder.path().join("people"));
    people.add(&Person::new("ops", "ops@example.test"));
    people.publish("ops", &people.path("certificates"));
    let mails = folder.path().join("mails");
    let sink = sink(&mails).await;
    let encryption = format!(
        "protection = \"encrypt\"\nnotify_failures_to = \"ops@example.test; bare@example.test\"\n\
         notify_interval = \"1s\"\n[send_port.default.encryption]\ncertificates_folder = '{}'\n\
         when_missing = \"split\"\n[send_port.default.retry]",
        people.path("certificates").display()
    );
    let port = send_port_over(&plain_relay(sink.local_addr()));
    let site = Site::new(&port.replace("[send_port.default.retry]", &encryption));
    let checked = text(&site.sendport(&["check"]));
    let note = "notify_failures_to: there is no certificate for bare@example.test";
    assert!(checked.contains(note), "{checked}");
    let service = site.run();
    insert(&site, "4711", "gone1@example.test");
    let event =
        "SELECT count(*) FROM EventLog WHERE EventType = 'digest-failed' AND Severity = 'error'";
    site.wait_until(event, "1", WITHIN).await;
    assert_eq!(service.stop(), Some(0));

    let output = site.value("SELECT Message FROM EventLog WHERE EventType = 'digest-failed'");
    assert!(output.contains("is partial"), "{output}");
    let rows = "SELECT group_concat(d.Address || ' ' || d.Status, ', ') FROM Delivery d WHERE d.Subject LIKE 'sendport: %'";
    assert_eq!(
        site.value(rows),
        "ops@example.test relayed, bare@example.test failed"
    );
    let messages = received(&mails);
    assert_eq!(messages.len(), 1);
    let digest = people.decrypt(&messages[0], "ops").expect("for ops");
    assert!(String::from_utf8_lossy(&digest).contains("4711"));
    assert!(!String::from_utf8_lossy(&messages[0]).contains("Order 4711"));
    sink.stop().await;
}
