//! The client credentials grant with a client secret (RFC 6749 sections 2.3.1 and 4.4).

use crate::support::token_endpoint::{CLIENT_ID, CLIENT_SECRET, SCOPE};
use crate::{World, send_well};

#[tokio::test]
async fn authenticates_with_both_mechanisms() {
    let world = World::new().await;
    for mechanism in ["xoauth2", "oauthbearer", "auto"] {
        let relay = world.relay(mechanism, &world.with_secret(CLIENT_SECRET));
        send_well(&relay).await;
    }
    let seen = world.smtp.seen();
    assert_eq!((seen.messages, seen.refused.len()), (3, 0));
    let heard = &world.endpoint.requests()[0];
    let heard: Vec<_> = heard
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    let expected = [
        ("client_id", CLIENT_ID),
        ("client_secret", CLIENT_SECRET),
        ("grant_type", "client_credentials"),
        ("scope", SCOPE),
    ];
    assert_eq!(heard, expected);
}

#[tokio::test]
async fn the_next_connections_reuse_the_token() {
    let world = World::new().await;
    let relay = world.good_relay();
    for _ in 0..5 {
        send_well(&relay).await;
    }
    assert_eq!(world.smtp.seen().accepted.len(), 5);
    assert_eq!(world.endpoint.requests().len(), 1);
}

#[tokio::test]
async fn a_changed_secret_file_needs_no_restart() {
    let world = World::new().await;
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "yesterday's\n").expect("write");
    let section = world.with_secret("").replace(
        "client_secret = ''",
        &format!("client_secret_file = '{}'", file.path().display()),
    );
    let tokens = world.tokens(&section);
    assert!(tokens.token().await.is_err());
    std::fs::write(file.path(), format!("{CLIENT_SECRET}\n")).expect("write");
    world.clock.advance(61);
    let token = tokens.token().await.expect("a token");
    assert!(world.book.is_valid(token.expose()));
}
