//! What the endpoint refuses for good is the configuration's fault, in the endpoint's words.

use sendport_core::domain::Fault;

use crate::support::client::not_begun;
use crate::support::token_endpoint::{CLIENT_ID, CLIENT_SECRET};
use crate::{World, send};

#[tokio::test]
async fn explains_each_error_code() {
    let world = World::new().await;
    let good = world.with_secret(CLIENT_SECRET);
    let no_such_tenant = world.endpoint.url.replace("contoso", "fabrikam");
    for (section, expected) in [
        (
            world.with_secret("a wrong secret"),
            "(HTTP 401): invalid_client: AADSTS7000215: Invalid client secret provided. Trace ID: 1; \
             check auth.oauth2.client_id and client_secret",
        ),
        (
            good.replace(CLIENT_ID, "unknown"),
            "unauthorized_client: AADSTS700016",
        ),
        (
            good.clone() + "scope = 'https://management.azure.com/.default'\n",
            "check auth.oauth2.scope",
        ),
        (
            good.replace(&world.endpoint.url, &no_such_tenant),
            "AADSTS900144",
        ),
    ] {
        let report = send(&world.relay("xoauth2", &section)).await;
        let (reply, fault) = not_begun(&report);
        assert_eq!(fault, Some(Fault::Configuration), "{reply}");
        assert!(reply.text.contains(expected), "{reply}");
        assert!(!reply.text.contains("a wrong secret"), "{reply}");
    }
    assert_eq!(world.smtp.seen().refused, Vec::<String>::new());
}
