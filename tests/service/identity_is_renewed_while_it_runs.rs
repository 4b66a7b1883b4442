use std::fs;
use std::time::Duration;

use crate::health::{Samples, wait_for_sample};
use crate::plain_relay;
use crate::site::{Site, text};
use crate::support::people::{People, Person};
use crate::support::recording_peer::RecordingPeer;

const WITHIN: Duration = Duration::from_secs(60);

const ALERT: &str = "INSERT INTO Alert (ToRecipients, Subject, Body)
    VALUES ('a@example.test', 's', 'Order 4711 is late')";

/// When a certificate ends, to Prometheus.
const GAUGE: &str =
    "sendport_signing_certificate_not_after_timestamp_seconds{send_port=\"default\"}";

fn people(folder: &std::path::Path) -> People {
    let people = People::new(folder);
    people.add(&Person {
        validity: Some(("20200101000000Z", "20210101000000Z")),
        ..Person::on_curve("old", "alerts@example.test", "P-256")
    });
    people.add(&Person::on_curve("new", "alerts@example.test", "P-256"));
    people
}

fn count_of_events(event_type: &str) -> String {
    format!(
        "SELECT count(*) FROM EventLog WHERE EventType = '{event_type}' AND SendPort = 'default'"
    )
}

/// With a certificate that ended the service starts and the alerts wait unspent; certificate and
/// key are replaced one after the other, and the alerts go on.
#[tokio::test(flavor = "multi_thread")]
async fn and_alerts_wait_for_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let people = people(folder.path());
    let put = |from: &str, to: &str| {
        fs::copy(people.path(from), people.path(to)).expect("copy");
    };
    put("old.pem", "alerts.pem");
    put("old.key", "alerts.key");
    let peer = RecordingPeer::start().await;
    let file = |name: &str| people.path(name).display().to_string();
    let site = Site::watched(&format!(
        "{}[send_port.default]\nfrom = \"alerts@example.test\"\nrelays = [\"main\"]\n\
         protection = \"sign\"\n[send_port.default.retry]\nfirst_delay = \"1s\"\n\
         [send_port.default.signing]\ncertificate_file = '{}'\nkey_file = '{}'\n",
        plain_relay(peer.address),
        file("alerts.pem"),
        file("alerts.key")
    ));
    let checked = site.sendport(&["check", "--offline"]);
    assert!(!checked.status.success());
    let checked = text(&checked);
    assert!(
        checked.contains("FAIL  protection: send_port.default.signing: the signing certificate of")
            && checked.contains("expired at 2021-01-01T00:00:00Z"),
        "{checked}"
    );

    site.database().execute_batch(ALERT).expect("insert");
    let service = site.run();
    let waits = "SELECT Status || ' ' || AttemptCount || ' ' || (StatusReason LIKE \
                 'waits for its protection: the signing certificate of%expired at 2021-01-01T%') \
                 FROM AlertStatus";
    site.wait_until(waits, "queued 0 1", WITHIN).await;
    let not_valid = count_of_events("signing-certificate-invalid");
    site.wait_until(&not_valid, "1", WITHIN).await;
    let health = site.health_address().await;
    wait_for_sample(health, GAUGE, 1_609_459_200.0).await;
    assert_eq!(peer.lines(), [""; 0], "nothing is sent unsigned");

    put("new.pem", "alerts.pem");
    let unfit = count_of_events("signing-certificate-unusable");
    site.wait_until(&unfit, "1", WITHIN).await;
    put("new.key", "alerts.key");
    site.wait_until("SELECT Status FROM AlertStatus", "relayed", WITHIN)
        .await;
    let renewed = count_of_events("signing-certificate-renewed");
    site.wait_until(&renewed, "1", WITHIN).await;
    let ends = count_of_events("signing-certificate-expiring");
    site.wait_until(&ends, "1", WITHIN).await;
    assert!(Samples::of(health).get(GAUGE) > Some(1_700_000_000.0));
    assert_eq!(service.stop(), Some(0));
    signed_by_the_new(&people, &peer);

    let service = site.run();
    let started = "SELECT count(*) FROM EventLog WHERE EventType = 'instance-started'";
    site.wait_until(started, "2", WITHIN).await;
    wait_for_sample(site.health_address().await, "sendport_ready", 1.0).await;
    assert_eq!(service.stop(), Some(0));
    assert_eq!(site.value(&ends), "1", "an end is announced once");
}

fn signed_by_the_new(people: &People, peer: &RecordingPeer) {
    let lines = peer.lines();
    let begin = lines
        .iter()
        .position(|line| line == "DATA")
        .expect("a message");
    let end = lines.iter().position(|line| line == ".").expect("its end");
    let message = lines[begin + 1..end].join("\r\n") + "\r\n";
    let content = people
        .verify(message.as_bytes())
        .expect("a right signature");
    assert!(String::from_utf8_lossy(&content).contains("Order 4711"));
    assert!(
        people
            .print(message.as_bytes())
            .to_lowercase()
            .contains(&people.serial("new"))
    );
}
