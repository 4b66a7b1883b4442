//! Authentication to a database with an access token of Entra ID.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use sendport::app::open_store;
use sendport::config::Config;
use sendport_core::clock::SystemClock;
use sendport_store::{Store, StoreErrorKind};

use crate::secrets_not_logged;
use crate::support::certificates::TestAuthority;
use crate::support::tds_server::{INSIDE, Login, TdsServer, Verdict};
use crate::support::token_endpoint::{
    CLIENT_ID, CLIENT_SECRET, DATABASE_SCOPE, TokenBook, TokenEndpoint,
};

/// A server, and the folder with its authority's certificate and the token.
struct Database {
    server: TdsServer,
    folder: tempfile::TempDir,
}

impl Database {
    fn start(judge: impl Fn(&Login) -> Verdict + Send + Sync + 'static) -> Self {
        secrets_not_logged::install_log();
        let authority = TestAuthority::new();
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).expect("a file");
        let certificate = authority.issue(&["localhost"]);
        Self {
            server: TdsServer::start(certificate.acceptor_of_tls12(), judge),
            folder,
        }
    }

    /// One that accepts each of the tokens.
    fn for_tokens(tokens: Arc<Mutex<Vec<&'static str>>>) -> Self {
        Self::start(move |login| {
            let token = login.token.as_deref().unwrap_or_default();
            match tokens.lock().contains(&token) {
                true => Verdict::LetIn,
                false => refused(),
            }
        })
    }

    fn token_file(&self) -> std::path::PathBuf {
        self.folder.path().join("token")
    }

    fn write_token(&self, token: &str) {
        std::fs::write(self.token_file(), token).expect("the token's file");
    }

    fn store(&self, oauth2: &str) -> Arc<dyn Store> {
        let connection = format!(
            "Server=tcp:localhost,{};Database=Orders;Encrypt=true;TrustServerCertificateCA={}",
            self.server.address.port(),
            self.folder.path().join("ca.pem").display()
        );
        let text = format!(
            "[database]\nconnection = \"{connection}\"\n[database.auth]\nkind = \"entra_token\"\n\
             [database.auth.oauth2]\n{oauth2}"
        );
        let config = Config::from_text(&text).expect("a configuration");
        open_store(&config).expect("a store")
    }

    fn store_with_file(&self) -> Arc<dyn Store> {
        self.store(&file(&self.token_file()))
    }

    fn tokens(&self) -> Vec<String> {
        let logins = self.server.logins();
        logins.into_iter().filter_map(|login| login.token).collect()
    }
}

fn refused() -> Verdict {
    Verdict::Refuse(
        18456,
        1,
        "Login failed for user '<token-identified principal>'.",
    )
}

fn file(path: &Path) -> String {
    format!("source = \"file\"\ntoken_file = {path:?}\n")
}

/// What the user reads.
async fn output(store: &dyn Store) -> (StoreErrorKind, String) {
    let error = store.schema_state().await.expect_err("nothing there");
    (error.kind(), error.to_string())
}

async fn asks_inside(store: &dyn Store) {
    let (_, output) = output(store).await;
    assert!(output.contains(INSIDE), "{output}");
}

#[tokio::test]
async fn reads_the_token_file_again_each_time() {
    let tokens = Arc::new(Mutex::new(vec!["first-of-file", "second-of-file"]));
    let database = Database::for_tokens(tokens);
    let store = database.store_with_file();
    for token in ["first-of-file", "second-of-file"] {
        database.write_token(token);
        asks_inside(&*store).await;
    }
    let logins = database.server.logins();
    assert_eq!(database.tokens(), ["first-of-file", "second-of-file"]);
    for login in logins {
        assert!(login.is_federated && login.user.is_empty(), "{login:?}");
        assert_eq!(login.database, "Orders");
    }
}

#[tokio::test]
async fn runs_the_command_again_for_a_refused_token() {
    let tokens = Arc::new(Mutex::new(vec!["printed-1"]));
    let database = Database::for_tokens(tokens.clone());
    let count = database.folder.path().join("count");
    std::fs::write(&count, "").expect("a file");
    let print = format!(
        "printf x >> {0}; printf printed-; wc -c < {0}",
        count.display()
    );
    let section = format!("source = \"command\"\ncommand = [\"sh\", \"-c\", \"{print}\"]");
    let store = database.store(&section);
    asks_inside(&*store).await;
    asks_inside(&*store).await;
    *tokens.lock() = vec!["printed-2"];
    asks_inside(&*store).await;
    let expected = ["printed-1", "printed-1", "printed-1", "printed-2"];
    assert_eq!(database.tokens(), expected);
}

#[tokio::test]
async fn requests_a_token_for_azure_sql() {
    let book = TokenBook::new(Arc::new(SystemClock));
    let endpoint = TokenEndpoint::start(book.clone()).await;
    let valid = book.clone();
    let database = Database::start(move |login| match &login.token {
        Some(token) if valid.is_valid(token) => Verdict::LetIn,
        _ => refused(),
    });
    let store = database.store(&format!(
        "source = \"client_credentials\"\ntoken_endpoint = \"{}\"\nclient_id = \"{CLIENT_ID}\"\n\
         client_secret = \"{CLIENT_SECRET}\"",
        endpoint.url
    ));
    asks_inside(&*store).await;
    book.revoke_all();
    asks_inside(&*store).await;
    asks_inside(&*store).await;
    let requests = endpoint.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0]["scope"], DATABASE_SCOPE);
    assert_eq!(database.server.logins().len(), 4);
    let logged = secrets_not_logged::logged();
    for token in book.all() {
        assert!(!logged.contains(&token), "{token} in {logged}");
    }
}

#[tokio::test]
async fn does_not_present_a_refused_token_twice() {
    let database = Database::start(|_| refused());
    database.write_token("refused-token");
    let store = database.store_with_file();
    let (kind, first) = output(&*store).await;
    assert_eq!(kind, StoreErrorKind::Refused);
    for expected in [
        "18456 (state 1)",
        "https://database.windows.net/.default",
        "FROM EXTERNAL PROVIDER",
    ] {
        assert!(first.contains(expected), "{first}");
    }
    let (_, second) = output(&*store).await;
    assert!(second.contains("not tried again for a minute"), "{second}");
    assert!(!(first + &second).contains("refused-token"));
    assert_eq!(database.tokens(), ["refused-token"]);
}

#[tokio::test]
async fn explains_what_is_wrong() {
    for (number, text, kind, expected) in [
        (
            18456,
            "Login failed for user '<token-identified principal>'. Token is expired.",
            StoreErrorKind::Refused,
            "what renews it",
        ),
        (
            40613,
            "Database 'Orders' on server 'x' is not currently available.",
            StoreErrorKind::Unavailable,
            "it is tried again",
        ),
        (
            40615,
            "Cannot open server 'x' requested by the login.",
            StoreErrorKind::Refused,
            "firewall",
        ),
    ] {
        let database = Database::start(move |_| Verdict::Refuse(number, 5, text));
        database.write_token("any");
        let (found, output) = output(&*database.store_with_file()).await;
        assert_eq!(found, kind, "{output}");
        assert!(output.contains(expected), "{output}");
    }
}

#[tokio::test]
async fn does_not_connect_without_a_token() {
    let database = Database::start(|_| Verdict::LetIn);
    let (kind, output) = output(&*database.store_with_file()).await;
    assert_eq!(kind, StoreErrorKind::Unavailable);
    assert!(
        output.contains("no access token for the database"),
        "{output}"
    );
    assert!(output.contains("token_file"), "{output}");
    assert!(database.server.logins().is_empty());
}
