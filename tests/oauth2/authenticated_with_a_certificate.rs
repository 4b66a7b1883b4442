//! The client credentials grant with a signed assertion instead of a secret (RFC 7523), and the
//! endpoint behind TLS.

use std::path::PathBuf;
use std::sync::Arc;

use openssl::ssl::SslAcceptor;
use sendport_oauth2::TokenSource;

use crate::source;
use crate::support::certificates::{ServerCertificate, TestAuthority};
use crate::support::moving_clock::MovingClock;
use crate::support::token_endpoint::{CLIENT_ID, TokenBook, TokenEndpoint};

/// An application with its certificate, and an endpoint where that is registered.
struct Application {
    folder: tempfile::TempDir,
    identity: ServerCertificate,
    clock: Arc<MovingClock>,
    book: TokenBook,
    endpoint: TokenEndpoint,
}

impl Application {
    async fn new(acceptor: Option<SslAcceptor>) -> Self {
        let identity = ServerCertificate::self_signed_rsa("sendport at contoso");
        let clock = Arc::new(MovingClock::new());
        let book = TokenBook::new(clock.clone());
        let registered = Some(identity.certificate.clone());
        let application = Self {
            folder: tempfile::tempdir().expect("a folder"),
            endpoint: TokenEndpoint::start_with(book.clone(), registered, acceptor).await,
            identity,
            clock,
            book,
        };
        application.write("certificate.pem", &application.identity.certificate_pem());
        application.write("key.pem", &application.identity.key_pem());
        application
    }

    fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).expect("write");
        path
    }

    fn section(&self, more: &str) -> String {
        let folder = self.folder.path().display();
        format!(
            "source = 'client_credentials'\ntoken_endpoint = '{}'\nclient_id = '{CLIENT_ID}'\n\
             certificate_file = '{folder}/certificate.pem'\nkey_file = '{folder}/key.pem'\n{more}\n",
            self.endpoint.url
        )
    }

    fn tokens(&self, more: &str) -> Arc<dyn TokenSource> {
        source(&self.section(more), &self.clock).expect("usable settings")
    }

    fn refusal(&self) -> String {
        source(&self.section(""), &self.clock)
            .err()
            .expect("unusable")
            .to_string()
    }
}

#[tokio::test]
async fn both_algorithms_sign_a_new_assertion_each_time() {
    let application = Application::new(None).await;
    for algorithm in ["PS256", "RS256"] {
        let tokens = application.tokens(&format!("assertion_algorithm = '{algorithm}'"));
        let first = tokens.token().await.expect("a token");
        tokens.refused(&first).await;
        let second = tokens
            .token()
            .await
            .expect("the assertion was not used before");
        assert!(application.book.is_valid(second.expose()));
    }
}

#[tokio::test]
async fn a_renewed_certificate_needs_no_restart() {
    let application = Application::new(None).await;
    let other = ServerCertificate::self_signed_rsa("not registered");
    application.write("certificate.pem", &other.certificate_pem());
    application.write("key.pem", &other.key_pem());
    let tokens = application.tokens("");
    let error = tokens.token().await.expect_err("not registered");
    assert!(!error.is_transient());
    assert!(error.what.contains("AADSTS700027"), "{error}");
    application.write("certificate.pem", &application.identity.certificate_pem());
    application.write("key.pem", &application.identity.key_pem());
    application.clock.advance(61);
    assert!(tokens.token().await.is_ok());
}

#[tokio::test]
async fn names_unusable_files_at_the_start() {
    let application = Application::new(None).await;
    let other = ServerCertificate::self_signed_rsa("another");
    application.write("key.pem", &other.key_pem());
    let refusal = application.refusal();
    assert!(
        refusal.contains("key.pem': expected the key of certificate_file"),
        "{refusal}"
    );
    application.write("key.pem", b"-----BEGIN NONSENSE-----");
    let refusal = application.refusal();
    assert!(
        refusal.contains("key.pem': expected an unencrypted PEM private key"),
        "{refusal}"
    );
    std::fs::remove_file(application.folder.path().join("certificate.pem")).expect("remove");
    let refusal = application.refusal();
    assert!(
        refusal.contains("certificate.pem' cannot be read"),
        "{refusal}"
    );
}

#[tokio::test]
async fn trusts_ca_file() {
    let authority = TestAuthority::new();
    let acceptor = authority.issue(&["127.0.0.1"]).acceptor();
    let application = Application::new(Some(acceptor)).await;
    let file = application.write("ca.pem", &authority.pem());
    let known = application.tokens(&format!("ca_file = '{}'", file.display()));
    let token = known.token().await.expect("a token");
    assert!(application.book.is_valid(token.expose()));

    let error = application
        .tokens("")
        .token()
        .await
        .expect_err("the authority is unknown");
    assert!(!error.is_transient());
    assert!(error.what.contains("auth.oauth2.ca_file"), "{error}");
    assert_eq!(application.endpoint.requests().len(), 1);
}
