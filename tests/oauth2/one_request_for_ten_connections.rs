//! However many connections want a token at the same time, one request is made.

use std::sync::Arc;

use sendport_oauth2::TokenSource;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::support::token_endpoint::{CLIENT_SECRET, NextReply};
use crate::{World, send};

#[tokio::test]
async fn ten_connections_of_a_relay_share_a_request() {
    let world = World::new().await;
    let relay = Arc::new(world.good_relay());
    let mut messages = JoinSet::new();
    for _ in 0..10 {
        let relay = Arc::clone(&relay);
        messages.spawn(async move { send(&*relay).await.is_accepted() });
    }
    assert!(
        messages
            .join_all()
            .await
            .into_iter()
            .all(|accepted| accepted)
    );
    assert_eq!(world.smtp.seen().accepted.len(), 10);
    assert_eq!(world.endpoint.requests().len(), 1);
}

#[tokio::test]
async fn all_waiting_connections_get_one_error() {
    let world = World::new().await;
    let tokens = world.tokens(&world.with_secret("wrong"));
    let mut asked = JoinSet::new();
    for _ in 0..10 {
        let tokens = Arc::clone(&tokens);
        asked.spawn(async move { tokens.token().await.is_err() });
    }
    assert!(asked.join_all().await.into_iter().all(|failed| failed));
    assert!(tokens.token().await.is_err());
    assert_eq!(world.endpoint.requests().len(), 1);
    world.clock.advance(61);
    assert!(tokens.token().await.is_err());
    assert_eq!(world.endpoint.requests().len(), 2);
}

#[tokio::test]
async fn a_cancelled_caller_does_not_cancel_the_request() {
    let world = World::new().await;
    let tokens = world.tokens(&world.with_secret(CLIENT_SECRET));
    let answer = Arc::new(Notify::new());
    world.endpoint.next(NextReply::After(Arc::clone(&answer)));
    let waiting = |tokens: Arc<dyn TokenSource>| tokio::spawn(async move { tokens.token().await });
    let impatient = waiting(Arc::clone(&tokens));
    world.endpoint.wait_for_requests(1).await;
    let patient = waiting(tokens);
    impatient.abort();
    assert!(impatient.await.is_err_and(|error| error.is_cancelled()));
    answer.notify_one();
    let token = patient.await.expect("waited").expect("a token");
    assert!(world.book.is_valid(token.expose()));
    assert_eq!(world.endpoint.requests().len(), 1);
}
