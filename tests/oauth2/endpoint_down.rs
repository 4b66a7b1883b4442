//! A token endpoint that is down, busy or silent is no fault of the configuration: later attempts succeed.

use std::time::Duration;

use sendport_core::domain::{Command, Fault};
use tokio::net::TcpListener;

use crate::support::client::not_begun;
use crate::support::token_endpoint::{CLIENT_SECRET, NextReply};
use crate::{World, send, send_well};

#[tokio::test]
async fn a_closed_port_is_refused() {
    let world = World::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let url = format!("http://{address}/token");
    let section = world
        .with_secret(CLIENT_SECRET)
        .replace(&world.endpoint.url, &url);
    let report = send(&world.relay("xoauth2", &section)).await;
    let (reply, fault) = not_begun(&report);
    assert_eq!((reply.command, reply.code), (Command::Auth, 0));
    assert_eq!(fault, Some(Fault::Relay));
    assert!(
        reply.text.contains(&url) && reply.text.contains("refused"),
        "{reply}"
    );
    assert_eq!(world.smtp.seen().refused, Vec::<String>::new());
}

#[tokio::test]
async fn respects_retry_after() {
    let world = World::new().await;
    let relay = world.good_relay();
    let busy = NextReply::Answer("429 Too Many Requests", "Retry-After: 120\r\n", "{}");
    world.endpoint.next(busy);
    for _ in 0..2 {
        let report = send(&relay).await;
        let (reply, fault) = not_begun(&report);
        assert_eq!(fault, Some(Fault::Relay));
        assert!(reply.text.contains("HTTP 429"), "{reply}");
    }
    world.clock.advance(119);
    assert!(!send(&relay).await.is_accepted());
    assert_eq!(world.endpoint.requests().len(), 1);
    world.clock.advance(1);
    send_well(&relay).await;
}

#[tokio::test]
async fn retries_a_failing_endpoint_soon() {
    let world = World::new().await;
    let relay = world.good_relay();
    let failed = "503 Service Unavailable";
    world.endpoint.next(NextReply::Answer(
        failed,
        "",
        "<html>down for maintenance</html>",
    ));
    let report = send(&relay).await;
    assert_eq!(not_begun(&report).1, Some(Fault::Relay));
    world.clock.advance(5);
    send_well(&relay).await;
}

#[tokio::test]
async fn gives_up_a_silent_endpoint() {
    let world = World::new().await;
    world.endpoint.next(NextReply::Silence);
    let section = world.with_secret(CLIENT_SECRET) + "timeout = '200ms'\n";
    let tokens = world.tokens(&section);
    let asked = tokio::time::timeout(Duration::from_secs(60), tokens.token()).await;
    let error = asked.expect("bounded").expect_err("silence");
    assert!(error.is_transient());
    assert!(
        error.what.contains("200.0ms (setting auth.oauth2.timeout)"),
        "{error}"
    );
}
