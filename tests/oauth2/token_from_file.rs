//! A token that another program writes into a file.

use std::path::Path;

use crate::support::client::not_begun;
use crate::{World, send, send_well};

fn section(file: &Path) -> String {
    format!("source = 'file'\ntoken_file = '{}'\n", file.display())
}

#[tokio::test]
async fn reads_a_changed_file() {
    let world = World::new().await;
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), world.book.issue() + "\n").expect("write");
    let relay = world.relay("xoauth2", &section(file.path()));
    send_well(&relay).await;
    let next = format!("{{\"access_token\": \"{}\"}}", world.book.issue());
    std::fs::write(file.path(), next).expect("write");
    send_well(&relay).await;
    let accepted = world.smtp.seen().accepted;
    assert_ne!(accepted[0], accepted[1]);
}

#[tokio::test]
async fn does_not_present_an_unchanged_refused_token_twice() {
    let world = World::new().await;
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "unknown-token").expect("write");
    let relay = world.relay("xoauth2", &section(file.path()));
    assert_eq!(not_begun(&send(&relay).await).0.code, 535);
    assert_eq!(world.smtp.seen().refused, ["unknown-token"]);
}

#[tokio::test]
async fn a_missing_or_expired_token_is_transient() {
    let world = World::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    let tokens = world.tokens(&section(&file));
    let error = tokens.token().await.expect_err("no file");
    assert!(
        error.is_transient() && error.what.contains("token_file"),
        "{error}"
    );
    std::fs::write(&file, r#"{"access_token": "t", "expires_on": 1700000000}"#).expect("write");
    let error = tokens.token().await.expect_err("expired");
    assert!(error.what.contains("expired at 2023-11-14"), "{error}");
    std::fs::write(&file, "two words").expect("write");
    let error = tokens.token().await.expect_err("no token");
    assert!(!error.what.contains("two words"), "{error}");
    std::fs::write(&file, world.book.issue()).expect("write");
    assert!(tokens.token().await.is_ok());
}
