//! Waits, the end of the service, and what is observed.

use super::*;

const ENVELOPE: &str = "EHLO x\r\nMAIL FROM:<a@contoso.com>\r\nRCPT TO:<a@x.test>\r\n";

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_disconnected() {
    let server = Server::new("[timeout]\ncommand = '7s'");
    let began = tokio::time::Instant::now();
    let mut client = server.connect();
    // One octet now and then is no command.
    for octet in b"NOO" {
        client.send(&[*octet]).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    client.reply().await;
    assert!(client.reply().await.starts_with("421 4.4.2 "));
    assert_eq!(began.elapsed().as_secs(), 7);
}

#[tokio::test(start_paused = true)]
async fn content_that_trickles_in_has_an_end() {
    for (begin, octet) in [
        ("DATA\r\n", "x"),
        ("BDAT 1000000\r\n", "x"),
        ("", "BDAT 1\r\nx"),
    ] {
        let server = Server::new("[timeout]\nmessage = '60s'\ndata_block = '7s'");
        let mut client = server.connect();
        client.send(format!("{ENVELOPE}{begin}").as_bytes()).await;
        let sending = async {
            loop {
                client.send(octet.as_bytes()).await;
                tokio::time::sleep(Duration::from_secs(5)).await;
                if client.serving.is_finished() {
                    break;
                }
            }
        };
        let began = tokio::time::Instant::now();
        sending.await;
        assert!((60..70).contains(&began.elapsed().as_secs()), "{begin}");
        let replies = client.rest().await;
        assert!(
            replies.last().unwrap().starts_with("421 4.4.2 "),
            "{replies:?}"
        );
        assert!(server.messages().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_hangs_is_answered_in_time() {
    let recorder = Recorder {
        hangs: true,
        ..Recorder::default()
    };
    let server = Server::with("[timeout]\ncommit = '5s'", recorder);
    let replies = server
        .replies(format!("{ENVELOPE}DATA\r\n.\r\n").as_bytes())
        .await;
    assert!(
        replies.last().unwrap().starts_with("451 4.3.0 "),
        "{replies:?}"
    );
}

#[tokio::test]
async fn content_without_its_end_is_no_message() {
    for content in [
        "DATA\r\nSubject: x\r\n\r\nx",
        "DATA\r\nx\r\n.",
        "DATA\r\nx\r\n.\r",
        "BDAT 10 LAST\r\nx",
        "BDAT 1\r\nx",
    ] {
        let server = Server::new("");
        server
            .replies(format!("{ENVELOPE}{content}").as_bytes())
            .await;
        assert!(server.messages().is_empty(), "{content:?}");
    }
}

#[tokio::test]
async fn a_stop_ends_idle_sessions_and_lets_content_end() {
    let server = Server::new("");
    let (mut idle, mut sending) = (server.connect(), server.connect());
    assert_eq!(idle.reply().await, "220 mail.test ESMTP sendport");
    sending
        .send(format!("{ENVELOPE}DATA\r\nx\r\n").as_bytes())
        .await;
    while !sending.reply().await.starts_with("354") {}
    server.intake.stop.cancel();
    assert!(idle.reply().await.starts_with("421 4.3.2 "));
    idle.serving.await.unwrap();
    assert_eq!(sending.ask(".").await, "250 2.0.0 queued as 4711");
    assert!(sending.reply().await.starts_with("421 4.3.2 "));
    assert_eq!(server.messages().len(), 1);
}

#[tokio::test]
async fn what_happens_is_observed_by_its_code() {
    let server = Server::new("");
    let input = format!("X\r\n{ENVELOPE}RCPT TO:<>\r\nDATA\r\nx\r\n.\r\n");
    server.replies(input.as_bytes()).await;
    let activities = server.recorder.activities.lock();
    let [
        IntakeActivity::Refused(500),
        IntakeActivity::Refused(550),
        IntakeActivity::Accepted {
            bytes,
            recipients: 1,
            ..
        },
    ] = activities[..]
    else {
        panic!("{activities:?}");
    };
    assert!(bytes > 100);
}
