use std::time::Duration;

use crate::site::Site;
use crate::support::postfix::{Postfix, PostfixOptions};
use crate::{insert_many, plain_relay, send_port_over};

const BAD: &str = "
    INSERT INTO Alert (ToRecipients, Subject, Body, Reference) VALUES
        ('user1@example.test; nouser@example.test', 'Good and bad recipient', 'b', 'recipient'),
        ('user1@example.test', 'A' || char(13, 10) || 'Bcc: everybody@example.test', 'b', 'newline'),
        ('this is no address', 'Nobody', 'b', 'address'),
        ('', 'Nobody at all', 'b', 'empty');
    INSERT INTO Alert (ToRecipients, Template, Payload, Reference) VALUES
        ('user1@example.test', 'broken', '{}', 'template'),
        ('user1@example.test', 'absent', '{}', 'no-template'),
        ('user1@example.test', 'broken', 'not json', 'payload');
    INSERT INTO Alert (ToRecipients, Subject, Body, Headers, Reference) VALUES
        ('user1@example.test', 's', 'b', '{\"Bcc\": \"everybody@example.test\"}', 'header');
    INSERT INTO Alert (ToRecipients, Subject, Body, Protection, Reference) VALUES
        ('user1@example.test', 's', 'b', 'encrypt', 'protection');";

/// Among a hundred good alerts some bad ones of every kind: the hundred are relayed, the
/// others are explained, and nothing that a column held became a header or a recipient.
#[tokio::test]
async fn a_hundred_good_alerts_are_relayed_and_each_bad_one_is_explained() {
    if !Postfix::available() {
        return;
    }
    let postfix = Postfix::start(PostfixOptions::default()).await;
    let port = send_port_over(&plain_relay(postfix.plain()));
    let site = Site::new(&format!("[templates]\nfolder = \"templates\"\n{port}"));
    std::fs::create_dir(site.path("templates")).expect("make the folder");
    std::fs::write(
        site.path("templates/broken.txt.j2"),
        "Hello {{ nobody_gave_this }}",
    )
    .expect("write");
    insert_many(&site, 50);
    site.database().execute_batch(BAD).expect("insert");
    insert_many(&site, 50);
    let service = site.run();
    site.wait_until_all_final(Duration::from_secs(60)).await;
    assert_eq!(service.stop(), Some(0));

    let good =
        "SELECT count(*) FROM AlertStatus WHERE Reference LIKE 'order-%' AND Status = 'relayed'";
    assert_eq!(site.value(good), "100");
    for (reference, word) in [
        ("recipient", "5.1.1"),
        ("newline", "Subject"),
        ("address", "this is no address"),
        ("empty", "has no recipient"),
        ("template", "nobody_gave_this"),
        ("no-template", "absent"),
        ("payload", "Payload"),
        ("header", "Bcc"),
        ("protection", "encrypt"),
    ] {
        let explained = site.value(&format!(
            "SELECT coalesce(EnhancedStatusCode, '') || ' ' || Reason || ' ' || coalesce(Advice, '') FROM FailedDelivery WHERE Reference = '{reference}'"
        ));
        assert!(explained.contains(word), "{reference}: {explained}");
    }
    let log = site.log();
    let failed: Vec<_> = log
        .lines()
        .filter(|it| it.contains("alert failed"))
        .collect();
    assert_eq!(failed.len(), 9, "{failed:#?}");
    for word in [
        "5.1.1",
        "has no recipient",
        "nobody_gave_this",
        "status=\"partial\"",
    ] {
        let line = failed.iter().find(|line| line.contains(word));
        let line = line.unwrap_or_else(|| panic!("{word}: {failed:#?}"));
        assert!(line.contains("WARN") && line.contains("reason="), "{line}");
    }

    let good_half =
        site.value("SELECT Status FROM Delivery WHERE Reference = 'recipient' AND Ordinal = 0");
    assert_eq!(good_half, "relayed", "the other recipient of that alert");

    postfix
        .wait_for_messages(101, Duration::from_secs(60))
        .await;
    postfix.wait_until_idle(Duration::from_secs(60)).await;
    let messages = postfix.messages();
    assert_eq!(messages.len(), 101);
    let smuggled = messages
        .iter()
        .filter(|m| m.recipient.starts_with("everybody"));
    assert_eq!(smuggled.count(), 0);
}
