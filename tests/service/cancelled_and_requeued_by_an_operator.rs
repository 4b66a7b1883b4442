use std::time::Duration;

use crate::site::{Site, text};
use crate::{any_port, insert_many, plain_relay, send_port_over, sink_at};

const DISCARD: &str = "[relay.main]\nkind = \"discard\"\n";

fn says(site: &Site, arguments: &[&str]) -> String {
    let output = site.sendport(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output));
    text(&output)
}

/// While the service runs: a held send port sends nothing, what is cancelled is never sent, and what is requeued is.
#[tokio::test(flavor = "multi_thread")]
async fn verbs_of_an_operator_are_applied_beside_the_service() {
    let folder = tempfile::tempdir().expect("a folder");
    let sink = sink_at(any_port(), folder.path(), &[]).await;
    let site = Site::new(&send_port_over(&plain_relay(sink.local_addr())));
    let service = site.run();
    insert_many(&site, 1);
    sink.wait_for(1).await;
    site.wait_until_all_final(Duration::from_secs(60)).await;

    says(
        &site,
        &["hold", "--send-port", "default", "--comment", "maintenance"],
    );
    insert_many(&site, 5);
    let waits = site.value("SELECT WaitingFor FROM Queue WHERE Status = 'queued'");
    assert!(
        waits.contains("the send port is held by ") && waits.ends_with(": maintenance"),
        "{waits}"
    );
    let counted = says(&site, &["cancel", "--send-port", "default", "--dry-run"]);
    assert!(
        counted.contains("5 match now; nothing was changed"),
        "{counted}"
    );
    let cancelled = says(
        &site,
        &[
            "cancel",
            "--send-port",
            "default",
            "--comment",
            "runaway job",
        ],
    );
    assert!(cancelled.contains("5 cancelled"), "{cancelled}");
    says(&site, &["release", "--send-port", "default"]);
    insert_many(&site, 1);
    sink.wait_for(2).await;
    site.wait_until_all_final(Duration::from_secs(60)).await;
    assert_eq!(
        site.value("SELECT count(*) FROM AlertStatus WHERE Status = 'cancelled'"),
        "5"
    );

    let requeued = says(&site, &["requeue", "--status", "cancelled"]);
    assert!(
        requeued.contains("5 requeued") && requeued.contains("the Message-ID is kept"),
        "{requeued}"
    );
    sink.wait_for(7).await;
    site.wait_until_all_final(Duration::from_secs(60)).await;
    assert_eq!(
        site.value("SELECT count(*) FROM AlertStatus WHERE Status = 'relayed'"),
        "7"
    );
    let listed = says(&site, &["requests"]);
    assert!(
        listed.contains("runaway job") && listed.contains("maintenance"),
        "{listed}"
    );
    assert_eq!(service.stop(), Some(0));
    assert_eq!(sink.received(), 7);
    sink.stop().await;
}

/// A row that a DBA writes is applied by the service.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_operator_request_is_applied_by_the_service() {
    let folder = tempfile::tempdir().expect("a folder");
    let sink = sink_at(any_port(), folder.path(), &[]).await;
    let site = Site::new(&send_port_over(&plain_relay(sink.local_addr())));
    says(&site, &["hold", "--send-port", "default"]);
    insert_many(&site, 3);
    let service = site.run();
    let cancel = "INSERT INTO OperatorRequest (Verb, SendPort, CreatedUntil)
                  VALUES ('cancel', 'default', strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))";
    site.database().execute(cancel, []).expect("insert");
    site.wait_until_all_final(Duration::from_secs(60)).await;
    assert_eq!(
        site.value("SELECT count(*) FROM AlertStatus WHERE Status = 'cancelled'"),
        "3"
    );
    assert_eq!(service.stop(), Some(0));
    assert_eq!(sink.received(), 0);
    sink.stop().await;
}

#[test]
fn requests_tell_two_requeues_apart() {
    let site = Site::new(&send_port_over(&plain_relay(
        "127.0.0.1:9".parse().expect("an address"),
    )));
    let to_all = [
        "requeue",
        "--reference",
        "none",
        "--recipients",
        "all",
        "--new-message-id",
    ];
    says(&site, &to_all);
    let listed = says(&site, &["requests"]);
    let wanted = "all recipients, new Message-ID";
    assert!(listed.contains(wanted), "{listed}");
    says(&site, &["requeue", "--reference", "none"]);
    let listed = says(&site, &["requests"]);
    assert_eq!(listed.matches(wanted).count(), 1, "{listed}");
}

#[test]
fn a_hold_follows_a_release_that_is_not_applied_yet() {
    let site = Site::new(&send_port_over(DISCARD));
    says(&site, &["migrate"]);
    says(&site, &["hold", "--send-port", "default"]);
    let again = site.sendport(&["hold", "--send-port", "default"]);
    assert!(text(&again).contains("is held already"), "{}", text(&again));
    site.database()
        .execute_batch("INSERT INTO OperatorRequest (Verb, SendPort) VALUES ('release', 'default')")
        .expect("release");
    says(&site, &["hold", "--send-port", "default"]);
    let final_ones = site.sendport(&["cancel", "--status", "relayed"]);
    let refused = text(&final_ones);
    assert!(
        refused.contains("is final and cannot be cancelled"),
        "{refused}"
    );
    assert_eq!(final_ones.status.code(), Some(2));
}
