use std::time::Duration;

use crate::site::Site;
use crate::support::postfix::{Postfix, PostfixOptions};
use crate::{plain_relay, send_port_over};

const AT_ONCE: Duration = Duration::from_secs(60);

/// Delays that would not end within the test: recipients that are left out must not wait for one.
fn slow_to_retry(relay: &str) -> String {
    send_port_over(relay)
        .replace("first_delay = \"1s\"", "first_delay = \"1h\"\nattempts = 3")
        .replace("longest_delay = \"2s\"", "longest_delay = \"1h\"")
}

async fn postfix_that_takes(recipients: u32) -> Postfix {
    Postfix::start(PostfixOptions {
        main_cf: vec![("smtpd_recipient_limit".to_owned(), recipients.to_string())],
        ..PostfixOptions::default()
    })
    .await
}

/// A hundred in all: some To, some Cc, some Bcc; some of them twice.
fn insert_list(site: &Site) {
    let list = |range: std::ops::Range<u32>| {
        let names: Vec<_> = range
            .map(|n| format!("\"Person {n}\" <user{n}@example.test>"))
            .collect();
        names.join(";")
    };
    let sql = "INSERT INTO Alert (ToRecipients, CcRecipients, BccRecipients, Subject, Body) VALUES (?1, ?2, ?3, 's', 'b')";
    site.database()
        .execute(sql, [list(0..50), list(40..90), list(80..100)])
        .expect("insert");
}

async fn each_gets_it_once(site: &Site, postfix: &Postfix, attempts: &str) {
    let service = site.run();
    let relayed = "SELECT count(*) FROM Delivery WHERE Status = 'relayed'";
    site.wait_until(relayed, "100", AT_ONCE).await;
    assert_eq!(service.stop(), Some(0));
    assert_eq!(
        site.value("SELECT Status FROM AlertStatus"),
        "relayed",
        "the alert follows"
    );
    assert_eq!(site.value("SELECT count(*) FROM Attempt"), attempts);
    let spent = "SELECT group_concat(DISTINCT AttemptCount) FROM Recipient";
    assert_eq!(site.value(spent), "1", "one attempt was spent on each");

    postfix.wait_for_messages(100, AT_ONCE).await;
    postfix.wait_until_idle(AT_ONCE).await;
    let arrived = postfix.messages();
    assert_eq!(postfix.count_by_message_id_and_recipient().len(), 100);
    let first = arrived[0].as_submitted();
    assert!(
        arrived
            .iter()
            .all(|message| message.as_submitted() == first),
        "the same octets and Message-ID in every transaction"
    );
    let text = String::from_utf8(first).expect("is ASCII");
    assert_eq!(text.matches("Person ").count(), 90, "{text}");
    assert!(!text.to_ascii_lowercase().contains("bcc"), "{text}");
    for hidden in 90..100 {
        assert!(!text.contains(&format!("user{hidden}@")), "{text}");
        assert!(!text.contains(&format!("Person {hidden}")), "{text}");
    }
}

#[tokio::test]
async fn the_rest_goes_at_once_where_the_relay_says_too_many() {
    if !Postfix::available() {
        return;
    }
    let postfix = postfix_that_takes(10).await;
    let site = Site::new(&slow_to_retry(&plain_relay(postfix.plain())));
    insert_list(&site);
    each_gets_it_once(&site, &postfix, "10").await;
}

#[tokio::test]
async fn no_more_are_asked_for_than_the_configuration_says() {
    if !Postfix::available() {
        return;
    }
    let postfix = postfix_that_takes(30).await;
    let relay = plain_relay(postfix.plain()) + "recipients_per_message = 30\n";
    let site = Site::new(&slow_to_retry(&relay));
    insert_list(&site);
    each_gets_it_once(&site, &postfix, "4").await;
    let refused = "SELECT count(*) FROM AttemptReply WHERE ReplyCode >= 400";
    assert_eq!(site.value(refused), "0");
}
