use std::time::Duration;

use crate::site::Site;
use crate::support::received::received;
use crate::{any_port, plain_relay, send_port_over, sink_at};

const RECIPIENTS: &str = "SELECT group_concat(Address || ' ' || Status, ', ') FROM (SELECT * FROM Recipient WHERE AlertId = ?1 ORDER BY Ordinal)";

fn recipients(site: &Site, alert: u32) -> String {
    site.value(&RECIPIENTS.replace("?1", &alert.to_string()))
}

/// A send port in compatibility with BizTalk replaces macros in subject and recipients; one that
/// has no value never becomes an address.
#[tokio::test(flavor = "multi_thread")]
async fn in_subject_and_recipients_of_a_send_port_that_does_that() {
    let mails = tempfile::tempdir().expect("a folder");
    let sink = sink_at(any_port(), mails.path(), &[]).await;
    let port = send_port_over(&plain_relay(sink.local_addr()));
    let own = "[send_port.default]\nbiztalk_macros = true\nbiztalk_time_zone = \"Asia/Shanghai\"\n";
    let plain = "[send_port.plain]\nfrom = \"alerts@example.test\"\nrelays = [\"main\"]\n";
    let site = Site::new(&(port.replace("[send_port.default]\n", own) + plain));
    let insert = |send_port: &str, to: &str, payload: &str| {
        let sql = "INSERT INTO Alert (SendPort, ToRecipients, CcRecipients, Subject, Body, Payload, PublicId, CreatedAt)
            VALUES (?1, ?2, 'cc@example.test', '%MessageID% %datetime_bts2000% %datetime.tz% %SourceParty% 5%', 'x', ?3,
                    lower(hex(randomblob(4))) || '-0000-4000-8000-000000000000', strftime('%Y-%m-%dT%H:%M:04.321Z', 'now', '-1 minute'))";
        site.database()
            .execute(sql, [send_port, to, payload])
            .expect("insert");
    };
    let both =
        r#"{"DestinationParty": "orders@example.test; desk@example.test", "SourceParty": "ERP"}"#;
    insert("default", "%DestinationParty%", both);
    insert(
        "default",
        "%DestinationParty%@example.test; %time%@example.test",
        "{}",
    );
    insert("plain", "%DestinationParty%@example.test", both);
    let service = site.run();
    site.wait_until_all_final(Duration::from_secs(60)).await;
    assert_eq!(service.stop(), Some(0));

    let cc = "cc@example.test relayed";
    assert_eq!(
        recipients(&site, 1),
        format!("orders@example.test relayed, desk@example.test relayed, {cc}")
    );
    assert_eq!(
        recipients(&site, 2),
        format!("%DestinationParty%@example.test failed, %time%@example.test failed, {cc}")
    );
    assert_eq!(
        recipients(&site, 3),
        format!("%DestinationParty%@example.test failed, {cc}")
    );
    let why = site.value("SELECT ReplyText FROM Delivery WHERE AlertId = 3 AND Ordinal = 0");
    assert!(why.contains("biztalk_macros = true"), "{why}");

    let subject = "SELECT PublicId || ' ' || strftime('%Y%m%d%H%M', CreatedAt) || '043 ' || strftime('%Y-%m-%dT%H%M', CreatedAt, '+8 hours') || '04+800 ' FROM Alert WHERE AlertId = ";
    let resolved = format!("{}ERP 5%", site.value(&format!("{subject}1")));
    let half = format!("{}%SourceParty% 5%", site.value(&format!("{subject}2")));
    let raw = "%MessageID% %datetime_bts2000% %datetime.tz% %SourceParty% 5%".to_owned();
    let unfolded = |bytes: Vec<u8>| {
        String::from_utf8(bytes)
            .expect("ASCII")
            .replace("\r\n ", " ")
    };
    let arrived: Vec<_> = received(mails.path()).into_iter().map(unfolded).collect();
    for subject in [resolved, half, raw] {
        let line = format!("Subject: {subject}\r\n");
        assert_eq!(
            arrived.iter().filter(|it| it.contains(&line)).count(),
            1,
            "{line}{arrived:?}"
        );
    }
    let header = "To: orders@example.test, desk@example.test\r\n";
    assert_eq!(arrived.iter().filter(|it| it.contains(header)).count(), 1);
    assert!(
        !arrived.iter().any(|it| it.contains("%DestinationParty%")),
        "{arrived:?}"
    );
    sink.stop().await;
}
