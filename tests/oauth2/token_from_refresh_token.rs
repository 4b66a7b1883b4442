//! The refresh token grant (RFC 6749 section 6), with an endpoint that takes each one once.

use crate::support::token_endpoint::{CLIENT_SECRET, REFRESH_TOKEN};
use crate::{World, send_well};

#[tokio::test]
async fn uses_the_newest_refresh_token() {
    let world = World::new().await;
    let section = world
        .with_secret(CLIENT_SECRET)
        .replace("client_credentials", "refresh_token");
    let section = format!("{section}refresh_token = '{REFRESH_TOKEN}'\n");
    let relay = world.relay("xoauth2", &section);
    for _ in 0..3 {
        send_well(&relay).await;
        world.book.revoke_all();
    }
    assert_eq!(world.endpoint.requests().len(), 3);
    assert!(!world.endpoint.requests()[0].contains_key("scope"));

    let error = world
        .tokens(&section)
        .token()
        .await
        .expect_err("used before");
    assert!(error.what.contains("invalid_grant: AADSTS70000"), "{error}");
    assert!(
        error.what.contains("have the user consent again"),
        "{error}"
    );
}
