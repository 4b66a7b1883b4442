//! A tarpit: every reply comes late. It is spoken of, and no error.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::interval;

use crate::support::probe::probe_at;

/// Answers every line so much later.
const LATE: Duration = Duration::from_millis(400);

async fn serve(stream: TcpStream) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let mut ticks = interval(LATE);
    ticks.tick().await;
    let mut line = String::new();
    loop {
        ticks.tick().await;
        let reply = match line.split_whitespace().next() {
            None => "220 slow.example.test ESMTP",
            Some("QUIT") => "221 bye",
            Some(_) => "250 ok",
        };
        stream
            .write_all(format!("{reply}\r\n").as_bytes())
            .await
            .ok()?;
        line.clear();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        ticks.reset();
    }
}

#[tokio::test]
async fn waits_and_warns() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let tarpit = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            serve(stream).await;
        }
    });
    let arguments = [
        "--to",
        "bob@example.test",
        "--slow",
        "200ms",
        "--timeout",
        "20s",
    ];
    let probed = probe_at(address, &arguments).await;
    probed.prints(
        0,
        &[
            "would accept mail for bob@example.test",
            "on purpose (a tarpit)",
        ],
    );
    let hurried = ["--to", "bob@example.test", "--timeout", "100ms"];
    let probed = probe_at(address, &hurried).await;
    probed.prints(13, &["no answer within 100.0ms (setting timeout.greeting)"]);
    tarpit.abort();
}
