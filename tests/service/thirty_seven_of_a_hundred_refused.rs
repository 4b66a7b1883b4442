use std::time::Duration;

use crate::site::Site;
use crate::support::postfix::{Postfix, PostfixOptions};
use crate::{insert_many, plain_relay, send_port_over};

/// Postfix at its default limits closes the connection at the 21st refused recipient. The
/// replies before that count, the others are tried in another transaction, and the alerts
/// behind do not wait for it.
#[tokio::test]
async fn sixty_three_are_relayed_and_thirty_seven_explained_at_default_limits() {
    if !Postfix::available() {
        return;
    }
    let postfix = Postfix::start(PostfixOptions::default()).await;
    let site = Site::new(&send_port_over(&plain_relay(postfix.plain())));
    let address = |n: u32| {
        if n % 100 < 37 {
            format!("nouser{n}@example.test")
        } else {
            format!("user{n}@example.test")
        }
    };
    // The bad ones are spread evenly through the list.
    let list: Vec<_> = (0..100).map(|n| address(n * 63 % 100)).collect();
    let sql = "INSERT INTO Alert (ToRecipients, Subject, Body, Reference, Priority) VALUES (?1, 's', 'b', 'list', 'urgent')";
    site.database()
        .execute(sql, [list.join(";")])
        .expect("insert");
    insert_many(&site, 200);
    let service = site.run();

    let others =
        "SELECT count(*) FROM AlertStatus WHERE Reference LIKE 'order-%' AND Status = 'relayed'";
    site.wait_until(others, "200", Duration::from_secs(60))
        .await;
    let list_status = "SELECT Status FROM AlertStatus WHERE Reference = 'list'";
    assert_ne!(
        site.value(list_status),
        "partial",
        "the others did not wait for the list"
    );

    site.wait_until(list_status, "partial", Duration::from_secs(120))
        .await;
    assert_eq!(service.stop(), Some(0));
    let count = |status: &str| {
        site.value(&format!(
            "SELECT count(*) FROM Delivery WHERE Reference = 'list' AND Status = '{status}'"
        ))
    };
    assert_eq!(
        (count("relayed"), count("failed")),
        ("63".to_owned(), "37".to_owned())
    );
    let explained = "SELECT count(*) FROM FailedDelivery WHERE Reference = 'list' AND ReplyCode = 550 AND Cause = 'The mailbox does not exist.'";
    assert_eq!(site.value(explained), "37");
    postfix
        .wait_for_messages(263, Duration::from_secs(60))
        .await;
    postfix.wait_until_idle(Duration::from_secs(60)).await;
    let arrived = postfix.count_by_message_id_and_recipient();
    assert_eq!(arrived.len(), 263);
    assert!(arrived.values().all(|count| *count == 1), "none twice");
}
