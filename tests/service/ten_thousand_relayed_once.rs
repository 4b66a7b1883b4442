use std::time::Duration;

use crate::site::Site;
use crate::support::postfix::{Postfix, PostfixOptions};
use crate::{insert_many, plain_relay, send_port_over};

/// Two instances on one database, a real Postfix: everything relayed, nothing twice, counted
/// where it arrived.
#[tokio::test]
async fn ten_thousand_alerts_are_relayed_once_by_two_instances() {
    if !Postfix::available() {
        return;
    }
    let postfix = Postfix::start(PostfixOptions::default()).await;
    let site = Site::new(&send_port_over(&plain_relay(postfix.plain())));
    insert_many(&site, 10_000);
    let instances = [site.run(), site.run()];
    site.wait_until_all_final(Duration::from_secs(240)).await;

    assert_eq!(
        site.value("SELECT count(*) FROM AlertStatus WHERE Status = 'relayed'"),
        "10000"
    );
    assert_eq!(site.value("SELECT count(*) FROM Attempt"), "10000");
    let workers = site.value("SELECT count(DISTINCT InstanceId) FROM Attempt");
    assert_eq!(workers, "2", "both instances worked");
    for instance in instances {
        assert_eq!(instance.stop(), Some(0));
    }
    postfix
        .wait_for_messages(10_000, Duration::from_secs(120))
        .await;
    postfix.wait_until_idle(Duration::from_secs(60)).await;
    let arrived = postfix.count_by_message_id_and_recipient();
    assert_eq!(arrived.len(), 10_000);
    assert!(arrived.values().all(|count| *count == 1), "none twice");
}
