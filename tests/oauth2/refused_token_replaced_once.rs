//! A refused token is replaced once; the refusal of the next one counts.

use sendport_core::domain::{Command, Fault};

use crate::support::client::not_begun;
use crate::{World, send, send_well};

#[tokio::test]
async fn the_new_token_authenticates_on_the_same_connection() {
    let world = World::new().await;
    for mechanism in ["xoauth2", "oauthbearer"] {
        let section = world.with_secret(crate::support::token_endpoint::CLIENT_SECRET);
        let relay = world.relay(mechanism, &section);
        send_well(&relay).await;
        let before = world.endpoint.requests().len();
        world.book.revoke_all();
        send_well(&relay).await;
        send_well(&relay).await;
        assert_eq!(world.endpoint.requests().len(), before + 1);
    }
    assert_eq!(world.smtp.seen().refused.len(), 2);
}

#[tokio::test]
async fn a_forbidden_mailbox_is_a_configuration_fault() {
    let world = World::new().await;
    let relay = world.good_relay();
    world.smtp.refuse_all(true);
    for _ in 0..3 {
        let report = send(&relay).await;
        let (reply, fault) = not_begun(&report);
        assert_eq!((reply.command, reply.code), (Command::Auth, 535));
        assert_eq!(fault, Some(Fault::Configuration));
        assert!(reply.text.contains("https://mail.example/"), "{reply}");
    }
    let refused = world.smtp.seen().refused;
    assert_eq!(refused.len(), 2);
    assert_ne!(refused[0], refused[1]);
    assert_eq!(world.endpoint.requests().len(), 2);
}

/// An administrator granted the permission meanwhile: only a new token carries it.
#[tokio::test]
async fn presents_a_new_token_after_the_cooldown() {
    let world = World::new().await;
    let relay = world.good_relay();
    world.smtp.refuse_all(true);
    assert!(!send(&relay).await.is_accepted());
    world.smtp.refuse_all(false);
    world.clock.advance(15 * 60);
    send_well(&relay).await;
    let seen = world.smtp.seen();
    assert!(!seen.refused.contains(&seen.accepted[0]));
}

#[tokio::test]
async fn replaces_it_once_for_many_connections() {
    let world = World::new().await;
    let section = world.with_secret(crate::support::token_endpoint::CLIENT_SECRET);
    let tokens = world.tokens(&section);
    let first = tokens.token().await.expect("a token");
    for _ in 0..10 {
        tokens.refused(&first).await;
    }
    let second = tokens.token().await.expect("another");
    tokens.refused(&first).await;
    let third = tokens.token().await.expect("the same");
    assert_eq!(second.expose(), third.expose());
    assert_eq!(world.endpoint.requests().len(), 2);
}
