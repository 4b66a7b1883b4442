//! A token is renewed in the background before it ends; one that ended is not used.

use crate::support::token_endpoint::{Instead, LIFE};
use crate::{World, send_well};

#[tokio::test]
async fn after_four_fifths_of_its_life_while_authentications_go_on_with_it() {
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
async fn at_once_where_nobody_authenticated_for_long() {
    let world = World::new().await;
    let relay = world.good_relay();
    send_well(&relay).await;
    world.clock.advance(LIFE);
    send_well(&relay).await;
    assert_eq!(world.smtp.seen().refused, Vec::<String>::new());
    assert_eq!(world.endpoint.requests().len(), 2);
}

#[tokio::test]
async fn an_endpoint_in_trouble_stops_nobody_before_the_end() {
    let world = World::new().await;
    let relay = world.good_relay();
    send_well(&relay).await;
    world.clock.advance(LIFE * 4 / 5);
    world
        .endpoint
        .next(Instead::Answer("503 Service Unavailable", "", ""));
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
