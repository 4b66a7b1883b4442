use std::time::Duration;

use crate::site::Site;
use crate::support::postfix::{Postfix, PostfixOptions};
use crate::{insert_many, plain_relay, send_port_over};

/// SIGKILL in the middle, three times: everything arrives, and each duplicate is listed
/// as an attempt whose end was not seen.
#[tokio::test]
async fn after_a_kill_everything_arrives_and_duplicates_are_visible() {
    if !Postfix::available() {
        return;
    }
    let postfix = Postfix::start(PostfixOptions::default()).await;
    let site = Site::new(&send_port_over(&plain_relay(postfix.plain())));
    insert_many(&site, 1_500);
    for share in 1..=3 {
        let service = site.run();
        let sql = format!(
            "SELECT count(*) >= {} FROM AlertState WHERE FinalAt IS NOT NULL",
            share * 300
        );
        site.wait_until(&sql, "1", Duration::from_secs(60)).await;
        service.kill();
    }
    let service = site.run();
    site.wait_until_all_final(Duration::from_secs(90)).await;
    assert_eq!(service.stop(), Some(0));
    assert_eq!(
        site.value("SELECT count(*) FROM AlertStatus WHERE Status = 'relayed'"),
        "1500"
    );

    // Ten connections at three crashes: whatever else was leased had not been handed over.
    let unknown = site.value("SELECT count(*) FROM Attempt WHERE Outcome = 'unknown'");
    assert!(
        unknown.parse::<u32>().expect("a number") <= 30,
        "{unknown} in doubt"
    );

    postfix
        .wait_for_messages(1_500, Duration::from_secs(60))
        .await;
    postfix.wait_until_idle(Duration::from_secs(60)).await;
    let arrived = postfix.count_by_message_id_and_recipient();
    assert_eq!(arrived.len(), 1_500, "nothing lost");
    for ((message_id, _), count) in arrived.iter().filter(|(_, count)| **count > 1) {
        let public_id = message_id
            .trim_matches(['<', '>'])
            .split('@')
            .next()
            .unwrap_or_default();
        let unknown = site.value(&format!(
            "SELECT count(*) FROM Attempt t JOIN Alert a ON a.AlertId = t.AlertId
             WHERE a.PublicId = '{public_id}' AND t.Outcome = 'unknown'"
        ));
        let unknown: usize = unknown.parse().expect("a number");
        assert!(
            unknown >= count - 1,
            "{message_id} arrived {count} times, {unknown} attempts are unknown"
        );
    }
}
