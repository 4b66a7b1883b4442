//! Signing in with access tokens: a token endpoint, and an SMTP server and a SQL Server that check
//! what they get.
//! One scenario a file, named by what comes out.

#[path = "../support/site.rs"]
#[expect(dead_code, reason = "this binary needs a part of what a site offers")]
mod site;
#[expect(dead_code, reason = "this binary needs a part of what the peers offer")]
#[path = "../support"]
mod support {
    pub(crate) mod bearer_smtp;
    pub(crate) mod certificates;
    pub(crate) mod client;
    pub(crate) mod moving_clock;
    pub(crate) mod tds_server;
    pub(crate) mod token_endpoint;
}

mod authenticated_with_a_certificate;
mod authenticated_with_a_secret;
mod check_explains_errors;
mod client_refused;
mod database_authentication;
mod endpoint_down;
mod one_request_for_ten_connections;
mod proxy;
mod refused_token_replaced_once;
mod renewal_before_expiry;
mod secrets_not_logged;
mod service_waits_for_endpoint;
mod token_from_command;
mod token_from_file;
mod token_from_refresh_token;
mod unexpected_response;

use std::sync::Arc;

use sendport_core::domain::SubmissionReport;
use sendport_oauth2::TokenSource;
use sendport_oauth2::settings::OAuth2Config;
use sendport_oauth2::{self, SettingsError};
use sendport_smtp::relay::Relay;
use sendport_smtp::{RelayDependencies, SmtpRelay};

use support::bearer_smtp::{BearerSmtp, MAILBOX};
use support::client::{config, submit, surroundings};
use support::moving_clock::MovingClock;
use support::token_endpoint::{CLIENT_ID, CLIENT_SECRET, TokenBook, TokenEndpoint};

/// An endpoint, an SMTP server that takes its tokens, and time.
struct World {
    clock: Arc<MovingClock>,
    book: TokenBook,
    endpoint: TokenEndpoint,
    smtp: BearerSmtp,
}

impl World {
    async fn new() -> Self {
        secrets_not_logged::install_log();
        let clock = Arc::new(MovingClock::new());
        let book = TokenBook::new(clock.clone());
        Self {
            endpoint: TokenEndpoint::start(book.clone()).await,
            smtp: BearerSmtp::start(book.clone()).await,
            clock,
            book,
        }
    }

    /// The section of a client that proves itself by its secret.
    fn with_secret(&self, secret: &str) -> String {
        format!(
            "source = 'client_credentials'\ntoken_endpoint = '{}'\nclient_id = '{CLIENT_ID}'\n\
             client_secret = '{secret}'\n",
            self.endpoint.url
        )
    }

    /// What is made of a section `[auth.oauth2]`.
    fn tokens(&self, section: &str) -> Arc<dyn TokenSource> {
        source(section, &self.clock).expect("usable settings")
    }

    /// A relay that opens a connection for each message.
    fn relay(&self, mechanism: &str, section: &str) -> SmtpRelay {
        let settings = format!(
            "tls = 'none'\nmessages_per_connection = 1\n[auth]\nmechanism = '{mechanism}'\n\
             username = '{MAILBOX}'\nallow_cleartext_auth = true\n"
        );
        let config = config(self.smtp.address, &settings);
        let around = RelayDependencies {
            clock: self.clock.clone(),
            ..surroundings(None)
        };
        let relay = SmtpRelay::new("test", &config, around).expect("usable settings");
        relay.with_token_source(self.tokens(section))
    }

    /// A relay with the right secret.
    fn good_relay(&self) -> SmtpRelay {
        self.relay("xoauth2", &self.with_secret(CLIENT_SECRET))
    }
}

fn source(section: &str, clock: &Arc<MovingClock>) -> Result<Arc<dyn TokenSource>, SettingsError> {
    let section: OAuth2Config = toml::from_str(section).expect("a section");
    sendport_oauth2::source("test", &section, clock.clone())
}

async fn send(relay: &dyn Relay) -> SubmissionReport {
    submit(relay, &["ops@contoso.example"]).await
}

async fn send_well(relay: &dyn Relay) {
    let report = send(relay).await;
    assert!(report.is_accepted(), "{report:?}");
}
