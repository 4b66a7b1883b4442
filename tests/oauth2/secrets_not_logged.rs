//! Neither log nor report nor `Debug` shows a secret or a token, whatever happens.

use std::io::{self, Write};
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use tracing_subscriber::fmt::MakeWriter;

use crate::support::token_endpoint::{CLIENT_SECRET, NextReply, REFRESH_TOKEN};
use crate::{World, send};

/// A log that can be read.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// What all tests of this binary log. Installed before the first of them logs.
static LOG: LazyLock<Log> = LazyLock::new(|| {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).expect("the only one");
    log
});

pub(crate) fn install_log() {
    LazyLock::force(&LOG);
}

/// What was logged until now.
pub(crate) fn logged() -> String {
    let logged = LOG.0.lock().clone();
    String::from_utf8_lossy(&logged).into_owned()
}

#[tokio::test]
async fn no_secret_at_level_trace() {
    let (shown, tokens) = everything_that_is_shown().await;
    let logged = logged() + shown.as_str();
    for expected in ["session opened", "access token issued", "token refused"] {
        assert!(logged.contains(expected), "no '{expected}' in {logged}");
    }
    let tokens = tokens.iter().map(String::as_str);
    for secret in tokens.chain([CLIENT_SECRET, REFRESH_TOKEN]) {
        assert!(!logged.contains(secret), "{secret} in {logged}");
    }
}

/// Reports of good and bad ends, and the tokens that were issued meanwhile.
async fn everything_that_is_shown() -> (String, Vec<String>) {
    let world = World::new().await;
    let section = world.with_secret(CLIENT_SECRET);
    let parsed: sendport_oauth2::settings::OAuth2Config =
        toml::from_str(&section).expect("a section");
    let mut shown = format!("{parsed:?}");
    let good = world.relay("xoauth2", &section);
    shown += &format!("{:?}", send(&good).await);
    world.book.revoke_all();
    shown += &format!("{:?}", send(&good).await);
    world.smtp.refuse_all(true);
    shown += &format!("{:?}", send(&good).await);

    let talkative = "{\"error\": \"invalid_client\", \"error_description\": \"not '3a8Q~s&cret+of=the/client.%'\"}";
    world
        .endpoint
        .next(NextReply::Answer("401 Unauthorized", "", talkative));
    shown += &format!("{:?}", send(&world.relay("xoauth2", &section)).await);
    let refresh = section.replace("client_credentials", "refresh_token");
    let refresh = format!("{refresh}refresh_token = '{REFRESH_TOKEN}'\n");
    shown += &format!("{:?}", send(&world.relay("xoauth2", &refresh)).await);
    (shown, world.book.all())
}
