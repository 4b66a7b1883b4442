use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::site::Site;
use crate::{insert_many, plain_relay, send_port_over};

/// A relay that takes commands and never answers MAIL: the stop does not wait for it beyond its
/// bound, releases what was not handed over at once, and spends no attempt on it.
#[tokio::test(flavor = "multi_thread")]
async fn unsubmitted_alerts_of_a_hung_relay_are_released_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
    let address = listener.local_addr().expect("an address");
    let (mail, mut asked) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(hang_at_mail(stream, mail.clone()));
        }
    });
    let port = send_port_over(&plain_relay(address));
    let site = Site::with_service("drain_timeout = \"1s\"", &port);
    insert_many(&site, 5);
    let service = site.run();
    asked.recv().await.expect("a MAIL");
    assert_eq!(service.stop(), Some(0), "everything is settled");

    let left = "SELECT count(*) FROM AlertState WHERE Status = 'queued' AND LeaseToken IS NULL AND AttemptCount = 0";
    assert_eq!(site.value(left), "5");
    assert_eq!(site.value("SELECT count(*) FROM Attempt"), "0");
    let running = "SELECT count(*) FROM Instance WHERE StoppedAt IS NULL";
    assert_eq!(site.value(running), "0");
}

async fn hang_at_mail(stream: tokio::net::TcpStream, mail: mpsc::UnboundedSender<()>) {
    let mut stream = BufReader::new(stream);
    let _ = stream.write_all(b"220 hung.test ESMTP\r\n").await;
    let mut line = String::new();
    while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
        if line.starts_with("EHLO") {
            let _ = stream.write_all(b"250 hung.test\r\n").await;
        } else if line.starts_with("MAIL") {
            let _ = mail.send(());
        }
        line.clear();
    }
}
