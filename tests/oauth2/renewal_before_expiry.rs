//! A token is renewed in the background before it ends; one that ended is not used.

use crate::support::token_endpoint::{LIFE, NextReply};
use crate::{World, send_well};

#[tokio::test]
async fn renews_after_four_fifths_of_the_lifetime() {
    let world = World::new().await;
    let relay = world.good_relay();
    send_well(&relay).await;
    world.clock.advance(LIFE * 4 / 5 - 1);
    send_well(&relay).await;
    assert_eq!(world.endpoint.requests().len(), 1);
    world.clock.advance(1);
    send_well(&relay).await;
    world.endpoint.wait_for_requests(2).await;
    world.clock.advance(LIFE / 5);
    send_well(&relay).await;
    let seen = world.smtp.seen();
    assert_eq!(seen.refused, Vec::<String>::new());
    assert_eq!(seen.accepted[0], seen.accepted[2]);
    assert_ne!(seen.accepted[2], seen.accepted[3]);
    assert_eq!(world.endpoint.requests().len(), 2);
}

#[tokio::test]
async fn renews_at_once_after_a_long_pause() {
    let world = World::new().await;
    let relay = world.good_relay();
    send_well(&relay).await;
    world.clock.advance(LIFE);
    send_well(&relay).await;
    assert_eq!(world.smtp.seen().refused, Vec::<String>::new());
    assert_eq!(world.endpoint.requests().len(), 2);
}

#[tokio::test]
async fn uses_the_token_until_it_expires_while_the_endpoint_fails() {
    let world = World::new().await;
    let relay = world.good_relay();
    send_well(&relay).await;
    world.clock.advance(LIFE * 4 / 5);
    world
        .endpoint
        .next(NextReply::Answer("503 Service Unavailable", "", ""));
    send_well(&relay).await;
    world.endpoint.wait_for_requests(2).await;
    // The failure may be noted after the request was seen; its rest ends 5 s later.
    let mut messages = 2;
    while world.endpoint.requests().len() < 3 && messages < 50 {
        world.clock.advance(6);
        send_well(&relay).await;
        messages += 1;
    }
    assert_eq!(world.endpoint.requests().len(), 3);
    assert_eq!(world.smtp.seen().messages, messages);
}
