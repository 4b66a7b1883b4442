//! 250 means committed: what the database and a stop do to clients.

use super::*;

const MESSAGE: &[u8] = b"Subject: x\r\n\r\nx";

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_is_a_transient_refusal_before_the_content() {
    let intake = Intake::start("").await;
    let mut client = RawClient::connect(intake.address);
    client.ask("EHLO client.test");
    let reply = client.submit("app@example.test", &["ops@example.test"], MESSAGE);
    assert_eq!(reply, "250 2.0.0 queued as 1");
    intake.relayed().await;
    let (file, away) = (intake.site.path("sendport.db"), intake.site.path("away.db"));
    std::fs::rename(&file, &away).expect("moved away");
    let refusal = |client: &mut RawClient| {
        let commands = [
            "MAIL FROM:<app@example.test>",
            "RCPT TO:<ops@example.test>",
            "DATA",
        ];
        let mut replies = commands.iter().map(|command| client.ask(command));
        replies.find(|it| !it.starts_with("250"))
    };
    let mut reply = refusal(&mut client).expect("a refusal");
    if reply.starts_with("354") {
        client.send(MESSAGE);
        reply = client.ask("\r\n.");
        assert!(reply.starts_with("451 4.3.0 "), "{reply}");
        // Known to be away now: no client sends its content in vain.
        reply = refusal(&mut client).expect("a refusal");
    }
    assert!(reply.starts_with("451 4.3.0 "), "{reply}");
    std::fs::rename(&away, &file).expect("put back");
    client.ask("RSET");
    let reply = client.submit("app@example.test", &["ops@example.test"], MESSAGE);
    assert_eq!(reply, "250 2.0.0 queued as 2");
    assert_eq!(intake.relayed().await.len(), 2);
    intake.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_allowed_is_refused_and_leaves_no_row() {
    let intake = Intake::start("allow_recipient_domains = [\"example.test\"]\n").await;
    let mut client = RawClient::connect(intake.address);
    client.ask("EHLO client.test");
    client.ask("MAIL FROM:<app@example.test>");
    for other in [
        "ops@elsewhere.test",
        "ops%elsewhere.test@example.test@elsewhere.test",
        "@example.test:ops@elsewhere.test",
        "ops@[192.0.2.1]",
    ] {
        let reply = client.ask(&format!("RCPT TO:<{other}>"));
        assert!(
            reply.starts_with("55") || reply.starts_with("501"),
            "{other}: {reply}"
        );
    }
    let reply = client.ask("DATA");
    assert!(
        reply.starts_with("503") || reply.starts_with("554"),
        "{reply}"
    );
    assert_eq!(intake.site.value("SELECT count(*) FROM Alert"), "0");
    intake.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_idle_sessions_with_421() {
    let intake = Intake::start("").await;
    let mut client = RawClient::connect(intake.address);
    client.ask("EHLO client.test");
    let stopped = tokio::task::spawn_blocking(move || client.reply());
    intake.stop().await;
    let reply = stopped.await.expect("a reply");
    assert!(reply.starts_with("421 4.3.2 "), "{reply}");
}
