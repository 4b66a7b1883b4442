//! `sendport check` goes the whole way, and says what is wrong with a token.

use std::sync::Arc;

use sendport_core::clock::SystemClock;

use crate::site::{Site, text};
use crate::support::bearer_smtp::{BearerSmtp, MAILBOX};
use crate::support::token_endpoint::{CLIENT_ID, CLIENT_SECRET, TokenBook, TokenEndpoint};

pub(crate) fn site(smtp: &BearerSmtp, endpoint: &str, secret: &str) -> Site {
    let (host, port) = (smtp.address.ip(), smtp.address.port());
    let site = Site::new(&format!(
        "[relay.exchange]\nkind = 'smtp'\nhost = '{host}'\nport = {port}\ntls = 'none'\n\
         ehlo_name = 'sendport.test'\n\
         [relay.exchange.auth]\nmechanism = 'xoauth2'\nusername = '{MAILBOX}'\nallow_cleartext_auth = true\n\
         [relay.exchange.auth.oauth2]\nsource = 'client_credentials'\ntoken_endpoint = '{endpoint}'\n\
         client_id = '{CLIENT_ID}'\nclient_secret_file = 'client-secret'\n\
         [send_port.default]\nfrom = '{MAILBOX}'\nrelays = ['exchange']\n"
    ));
    std::fs::write(site.path("client-secret"), format!("{secret}\n")).expect("write");
    site
}

async fn check(smtp: &BearerSmtp, endpoint: &str, secret: &str) -> (Option<i32>, String) {
    let site = site(smtp, endpoint, secret);
    let checked = tokio::task::spawn_blocking(move || site.sendport(&["check"])).await;
    let output = checked.expect("the program ran");
    (output.status.code(), text(&output))
}

#[tokio::test]
async fn check_explains_each_error() {
    let book = TokenBook::new(Arc::new(SystemClock));
    let endpoint = TokenEndpoint::start(book.clone()).await;
    let smtp = BearerSmtp::start(book).await;

    let (code, shown) = check(&smtp, &endpoint.url, CLIENT_SECRET).await;
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("authenticated with XOAUTH2"), "{shown}");

    let (code, shown) = check(&smtp, &endpoint.url, "expired").await;
    assert_eq!(code, Some(1), "{shown}");
    assert!(
        shown.contains("FAIL  relay.exchange: AUTH: the token endpoint"),
        "{shown}"
    );
    assert!(shown.contains("invalid_client: AADSTS7000215"), "{shown}");

    smtp.refuse_all(true);
    let (code, shown) = check(&smtp, &endpoint.url, CLIENT_SECRET).await;
    assert_eq!(code, Some(1), "{shown}");
    assert!(
        shown.contains("535 5.7.3") && shown.contains("SMTP.SendAsApp"),
        "{shown}"
    );

    let closed = "http://127.0.0.1:9/token";
    let (_, shown) = check(&smtp, closed, CLIENT_SECRET).await;
    assert!(
        shown.contains(&format!("the token endpoint {closed} cannot be asked")),
        "{shown}"
    );
    assert!(
        shown.contains("name resolution, firewall and proxy"),
        "{shown}"
    );
}
