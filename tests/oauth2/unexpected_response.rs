//! HTTP says success, and what comes is no token: the page of a proxy or of a captive portal, or a
//! piece of an answer. That is a fault of the way: named, and asked again soon.

use std::path::Path;

use sendport_core::domain::Fault;

use crate::support::client::not_begun;
use crate::support::token_endpoint::{CLIENT_SECRET, NextReply};
use crate::{World, send, send_well};

/// Status, header lines, body, and a part of the error.
const ANSWERS: [(&str, &str, &str, &str); 12] = [
    (
        "200 OK",
        "Content-Type: text/html; charset=utf-8\r\n",
        "\r\n<html><title>Hotel WLAN</title>please log in",
        "found '<html><title>Hotel WLAN</title>please log in' (text/html; charset=utf-8)",
    ),
    (
        "200 OK",
        "Content-Type: application/json\r\n",
        "",
        "an empty body (application/json)",
    ),
    ("204 No Content", "", "", "HTTP 204"),
    (
        "200 OK",
        "",
        "{}",
        "an object without members (no Content-Type)",
    ),
    (
        "200 OK",
        "",
        r#"{"id_token":"topsecret","expires_in":3600}"#,
        "an object without it, but with: expires_in id_token",
    ),
    (
        "200 OK",
        "",
        r#"{"access_token":{"value":"topsecret"}}"#,
        "members of another type than expected: access_token",
    ),
    (
        "200 OK",
        "",
        r#"{"access_token":"topsecret","expires_in":[1]}"#,
        "members of another type than expected: access_token expires_in",
    ),
    (
        "200 OK",
        "",
        r#"{"access_token":null}"#,
        "found members of another type",
    ),
    (
        "200 OK",
        "",
        r#"{"access_token":"topsecr"#,
        "breaks off or cannot be read at line 1 column 24",
    ),
    ("200 OK", "", r#"["topsecret"]"#, "JSON that is no object"),
    (
        "200 OK",
        "Content-Type: text/plain\r\n",
        "access_token=topsecret&expires_in=3600",
        "found '[not shown]' (text/plain)",
    ),
    (
        "200 OK",
        "",
        r#"{"access_token":""}"#,
        "expected a token, found nothing",
    ),
];

#[tokio::test]
async fn names_the_response_and_retries_soon() {
    for (status, headers, body, expected) in ANSWERS {
        let world = World::new().await;
        let relay = world.good_relay();
        world
            .endpoint
            .next(NextReply::Untyped(status, headers, body));
        let report = send(&relay).await;
        let (reply, fault) = not_begun(&report);
        assert_eq!(fault, Some(Fault::Relay), "{body}: {reply}");
        assert!(reply.text.contains(expected), "{body}: {reply}");
        assert!(reply.text.contains(&world.endpoint.url), "{reply}");
        assert!(!reply.text.contains("topsecr"), "{reply}");
        world.clock.advance(5);
        send_well(&relay).await;
    }
}

/// What a client sends comes back from some proxies.
#[tokio::test]
async fn redacts_an_echoed_secret() {
    let world = World::new().await;
    let body: &str = Box::leak(format!("<html>you said {CLIENT_SECRET}").into_boxed_str());
    world.endpoint.next(NextReply::Untyped("200 OK", "", body));
    let report = send(&world.good_relay()).await;
    let text = &not_begun(&report).0.text;
    assert!(text.contains("you said [secret]'"), "{text}");
}

/// A page that is longer than any token is named by its beginning.
#[tokio::test]
async fn names_a_long_page() {
    let world = World::new().await;
    let page: &str = Box::leak(format!("<html>Blocked{}", " x".repeat(100_000)).into_boxed_str());
    world.endpoint.next(NextReply::Untyped("200 OK", "", page));
    let report = send(&world.good_relay()).await;
    let text = &not_begun(&report).0.text;
    assert!(text.contains("found '<html>Blocked x"), "{text}");
    assert!(text.len() < 1000, "{text}");
}

/// `curl` prints the same page and succeeds; a file is read while it is written.
#[tokio::test]
async fn a_program_and_a_file_may_recover_too() {
    let world = World::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    for garbage in [
        "<html>Please log in</html>",
        "",
        "{\"access_token\":\"tops",
        "{}",
    ] {
        std::fs::write(&file, garbage).expect("write");
        for section in [by_file(&file), by_command(&file)] {
            let error = world.tokens(&section).token().await.expect_err("garbage");
            assert!(error.is_transient(), "{garbage}: {error}");
            assert!(!error.what.contains("tops"), "{error}");
        }
    }
}

fn by_file(file: &Path) -> String {
    format!("source = 'file'\ntoken_file = '{}'\n", file.display())
}

fn by_command(file: &Path) -> String {
    format!(
        "source = 'command'\ncommand = ['cat', '{}']\n",
        file.display()
    )
}
