//! A real Postfix: as it is, with authentication, and a message that arrives.

use std::time::Duration;

use crate::support::postfix::{HOST_NAME, Postfix, PostfixOptions, USER};
use crate::support::probe::{ProbeOutput, probe_at};

async fn start() -> Postfix {
    let at_once = ("smtpd_error_sleep_time".to_owned(), "0".to_owned());
    Postfix::start(PostfixOptions {
        main_cf: vec![at_once],
        ..PostfixOptions::default()
    })
    .await
}

async fn probe(postfix: &Postfix, arguments: &[&str]) -> ProbeOutput {
    let ca_file = postfix.ca_file().display().to_string();
    let usual = [
        "--tls",
        "starttls",
        "--ca-file",
        &ca_file,
        "--from",
        "alerts@example.test",
    ];
    probe_at(postfix.plain(), &[&usual[..], arguments].concat()).await
}

#[tokio::test]
async fn shows_accepted_and_refused_recipients() {
    if !Postfix::available() {
        return;
    }
    let postfix = start().await;
    let to = [
        "--to",
        "bob@example.test",
        "--to",
        "nouser@example.test",
        "--to",
        "bob@elsewhere.test",
    ];
    let probed = probe(&postfix, &to).await;
    probed.is_as_expected("postfix", 18);
    postfix.wait_until_idle(Duration::from_secs(60)).await;
    assert!(postfix.messages().is_empty(), "nothing was to be sent");
}

#[tokio::test]
async fn authenticates_and_sends() {
    if !Postfix::available() {
        return;
    }
    let postfix = start().await;
    let user = format!("{USER}@{HOST_NAME}");
    let authentication = [
        "--auth",
        "auto",
        "--user",
        &user,
        "--password-env",
        "PROBE_PASSWORD",
    ];
    let send = [
        "--to",
        "bob@example.test",
        "--send",
        "--size",
        "20KB",
        "--notify",
        "success",
    ];
    let probed = probe(&postfix, &[&authentication[..], &send].concat()).await;
    probed.is_as_expected("postfix_sent", 0);
    // The other one is the notification that was asked for.
    let arrived = postfix.wait_for_messages(2, Duration::from_secs(60)).await;
    let of_bob = arrived.iter().find(|it| it.recipient == "bob@example.test");
    assert_eq!(of_bob.expect("a mail").as_submitted().len(), 20_000);
}
