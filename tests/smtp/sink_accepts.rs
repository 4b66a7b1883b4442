//! The sink stores what it accepts in its folder, and refuses what its options say.

use std::net::SocketAddr;
use std::path::Path;

use sendport::sink::{Sink, SinkOptions};
use sendport_core::domain::SubmissionEnd;
use sendport_smtp::relay::Relay;

use crate::support::client::{Open, envelope, message, relay, reply_to, submit};

async fn sink(folder: &Path) -> Sink {
    let options = SinkOptions {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        folder: folder.to_owned(),
        refuse: vec!["gone".to_owned(), "x@example.test".to_owned()],
        delay: vec![("busy@example.test".to_owned(), 1)],
    };
    Sink::start(options).await.expect("a sink")
}

fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .map(|path| std::fs::read_to_string(path).expect("a message"))
        .collect()
}

#[tokio::test]
async fn refuses_and_delays_configured_recipients() {
    let folder = tempfile::tempdir().expect("a folder");
    let sink = sink(folder.path()).await;
    let relay = relay(
        sink.local_addr(),
        "tls = \"none\"\n[timeout]\nend_of_data = \"10s\"",
    );
    let recipients = [
        "a@example.test",
        "gone@example.test",
        "x@example.test",
        "busy@example.test",
    ];
    let report = submit(&relay, &recipients).await;
    assert!(report.is_accepted());
    let reply: Vec<String> = (1..4)
        .map(|ordinal| reply_to(&report, ordinal)[..9].to_owned())
        .collect();
    assert_eq!(reply, ["550 5.1.1", "550 5.1.1", "451 4.2.1"]);
    let again = submit(&relay, &["busy@example.test"]).await;
    assert!(again.is_accepted());
    sink.wait_for(2).await;
    let mut kept = files(folder.path());
    kept.sort();
    assert!(
        kept[0].starts_with("X-Sender: alerts@example.test\r\nX-Receiver: a@example.test\r\nFrom:")
    );
    assert!(kept[1].contains("X-Receiver: busy@example.test\r\n"));
    relay.close().await;
    sink.stop().await;
}

#[tokio::test]
async fn loses_nothing_with_many_connections() {
    let folder = tempfile::tempdir().expect("a folder");
    let sink = sink(folder.path()).await;
    let relay = relay(
        sink.local_addr(),
        "tls = \"none\"\n[timeout]\nend_of_data = \"30s\"",
    );
    let relay = std::sync::Arc::new(relay);
    let mut seen = sink.subscribe();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..60 {
        let relay = std::sync::Arc::clone(&relay);
        tasks.spawn(async move {
            let message = message(&format!("{n}@x"), "x\r\n");
            relay
                .submit(&envelope(&["a@example.test"]), &message, &Open)
                .await
        });
    }
    while let Some(report) = tasks.join_next().await {
        assert_eq!(report.expect("no panic").end, SubmissionEnd::Answered);
    }
    sink.wait_for(60).await;
    assert_eq!((sink.received(), files(folder.path()).len()), (60, 60));
    assert_eq!(
        seen.recv().await.expect("the first").recipients,
        ["a@example.test"]
    );
    relay.close().await;
    sink.stop().await;
}
