//! Dots, long content and a missing last line end arrive as they should.

use std::net::SocketAddr;

use sendport::sink::{Sink, SinkOptions};
use sendport_smtp::relay::Relay;

use crate::support::client::{Open, envelope, message, relay};

#[tokio::test]
async fn content_is_unchanged_at_block_boundaries() {
    let folder = tempfile::tempdir().expect("a folder");
    let sink = Sink::start(SinkOptions {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        folder: folder.path().to_owned(),
        refuse: vec![],
        delay: vec![],
    });
    let sink = sink.await.expect("a sink");
    let relay = relay(
        sink.local_addr(),
        "tls = \"none\"\n[timeout]\nend_of_data = \"30s\"",
    );
    let mut seen = sink.subscribe();
    let large = ".\r\n..\r\n.x\r\n0123456789\r\n";
    for body in [
        "",
        ".",
        ".\r\n",
        "no end",
        &large.repeat(10_000),
        &"\r\n".repeat(65_536),
    ] {
        let message = message("1@x", body);
        let report = relay
            .submit(&envelope(&["a@example.test"]), &message, &Open)
            .await;
        assert!(report.is_accepted(), "{report:?}");
        let file = seen.recv().await.expect("a message").file;
        let kept = std::fs::read(file).expect("readable");
        let mut expected =
            b"X-Sender: alerts@example.test\r\nX-Receiver: a@example.test\r\n".to_vec();
        expected.extend_from_slice(message.bytes());
        if !expected.ends_with(b"\r\n") {
            expected.extend_from_slice(b"\r\n");
        }
        assert!(kept == expected, "{} octets differ", body.len());
    }
    relay.close().await;
    sink.stop().await;
}
