//! An alert goes out in two transactions, and the service is killed in the first one: an operator who finds that
//! message in the relay's log says so of its recipients alone.

use std::time::Duration;

use crate::message_ids_stay_the_same::{encrypting, hung_relay, people, send_to};
use crate::site::Site;
use crate::{any_port, sink_at};

#[tokio::test(flavor = "multi_thread")]
async fn the_others_are_sent() {
    let (folder, mails) = (
        tempfile::tempdir().expect("a folder"),
        tempfile::tempdir().expect("a folder"),
    );
    let people = people(folder.path());
    let (hung, mut dots) = hung_relay().await;
    let port = encrypting(hung, &people);
    let held = "[send_port.default]\nin_doubt = \"hold\"";
    let site = Site::new(&port.replace("[send_port.default]", held));
    let sql = "INSERT INTO Alert (ToRecipients, Subject, Body)
               VALUES ('rsa@example.test; curve@example.test', 's', 'b')";
    site.database().execute_batch(sql).expect("insert");
    let service = site.run();
    dots.recv().await.expect("a message");
    service.kill();

    let sink = sink_at(any_port(), mails.path(), &[]).await;
    send_to(&site, hung, sink.local_addr());
    let service = site.run();
    site.wait_until("SELECT count(*) FROM InDoubt", "1", Duration::from_secs(60))
        .await;
    let whose_log =
        "SELECT count(*) FROM Attempt WHERE Outcome = 'unknown' AND ServerName = 'hung.test'
                     AND RemoteAddress IS NOT NULL";
    assert_eq!(site.value(whose_log), "1", "the log to search");

    let resolved = site.sendport(&["resolve", "1", "--relayed"]);
    assert!(resolved.status.success(), "{resolved:?}");
    site.wait_until_all_final(Duration::from_secs(60)).await;
    assert_eq!(service.stop(), Some(0));
    let relayed = |reply: &str| {
        site.value(&format!(
            "SELECT count(*) FROM Delivery WHERE Status = 'relayed' AND ReplyText {reply}"
        ))
    };
    assert_eq!(relayed("LIKE 'resolved by %: the relay accepted it'"), "1");
    assert_eq!(
        relayed("NOT LIKE 'resolved by %: the relay accepted it'"),
        "1"
    );
    let arrived = std::fs::read_dir(mails.path()).expect("read").count();
    assert_eq!(arrived, 1);
}
