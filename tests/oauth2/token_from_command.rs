//! A token that a program prints.

use std::time::Duration;

use crate::support::client::not_begun;
use crate::{World, send, send_well};

fn section(script: &str) -> String {
    format!("source = 'command'\ncommand = ['/bin/sh', '-c', '''{script}''']\n")
}

#[tokio::test]
async fn keeps_the_token_for_its_lifetime() {
    let world = World::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    let (token, runs) = (folder.path().join("token"), folder.path().join("runs"));
    let script = format!(
        "echo run >> {runs}; printf '{{\"access_token\": \"%s\", \"expires_in\": 600}}' \"$(cat {token})\"",
        runs = runs.display(),
        token = token.display()
    );
    let relay = world.relay("xoauth2", &section(&script));
    let count = || {
        std::fs::read_to_string(&runs)
            .expect("runs")
            .lines()
            .count()
    };
    std::fs::write(&token, world.book.issue()).expect("write");
    send_well(&relay).await;
    send_well(&relay).await;
    assert_eq!(count(), 1);
    world.clock.advance(600);
    send_well(&relay).await;
    assert_eq!(count(), 2);
    world.book.revoke_all();
    std::fs::write(&token, world.book.issue()).expect("write");
    send_well(&relay).await;
    assert_eq!(count(), 3);
}

/// It has no other one: asking again and again would not help.
#[tokio::test]
async fn does_not_present_the_same_refused_token_twice() {
    let world = World::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    let runs = folder.path().join("runs");
    let script = format!(
        "echo run >> {}; printf '{{\"access_token\": \"unknown-token\", \"expires_in\": 3600}}'; true",
        runs.display()
    );
    let relay = world.relay("xoauth2", &section(&script));
    for presented in 1..=2 {
        assert_eq!(not_begun(&send(&relay).await).0.code, 535);
        assert_eq!(world.smtp.seen().refused.len(), presented);
        let runs = std::fs::read_to_string(&runs).expect("runs");
        assert_eq!(runs.lines().count(), 2);
        world.clock.advance(60);
        assert_eq!(not_begun(&send(&relay).await).0.code, 535);
        assert_eq!(world.smtp.seen().refused.len(), presented);
        // The cooldown after a refused authentication is over.
        world.clock.advance(14 * 60);
    }
}

#[tokio::test]
async fn runs_no_shell() {
    let world = World::new().await;
    let section = "source = 'command'\ncommand = ['echo', '$HOME;id']\n";
    let token = world.tokens(section).token().await.expect("a token");
    assert_eq!(token.expose(), "$HOME;id");
}

#[tokio::test]
async fn quotes_the_error_of_the_program() {
    let world = World::new().await;
    let secret = "x".repeat(64);
    for (script, expected) in [
        (
            format!("echo working >&2; echo 'ERROR: please run az login {secret}' >&2; exit 7"),
            "exit status: 7, saying: ERROR: please run az login [not shown]",
        ),
        ("exit 0".to_owned(), "expected a token, found nothing"),
        (
            "printf 'a\\nb'".to_owned(),
            "one line of visible ASCII characters, found others or several lines",
        ),
        (
            "echo '{\"error\": \"no\"}'".to_owned(),
            "object with access_token",
        ),
    ] {
        let report = send(&world.relay("xoauth2", &section(&script))).await;
        let text = &not_begun(&report).0.text;
        assert!(text.contains("auth.oauth2.command '/bin/sh'"), "{text}");
        assert!(text.contains(expected) && !text.contains(&secret), "{text}");
    }
    let absent = "source = 'command'\ncommand = ['/no/such/program']\n";
    let error = world.tokens(absent).token().await.expect_err("absent");
    assert!(!error.is_transient(), "{error}");
    assert!(
        error
            .what
            .contains("/no/such/program': it cannot be started"),
        "{error}"
    );
}

#[tokio::test]
async fn kills_a_hanging_program() {
    let world = World::new().await;
    let section = "source = 'command'\ncommand = ['sleep', '600']\ntimeout = '200ms'\n";
    let tokens = world.tokens(section);
    let ran = tokio::time::timeout(Duration::from_secs(60), tokens.token()).await;
    let error = ran.expect("bounded").expect_err("hung");
    assert!(
        error.is_transient() && error.what.contains("killed"),
        "{error}"
    );
}
