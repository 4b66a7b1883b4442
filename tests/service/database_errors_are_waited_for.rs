//! What the server's error numbers lead to, answered by a server of TDS that says any of them.

use StoreErrorKind::{ReadOnly, Refused, Rejected, Schema, Unavailable, Unknown};
use sendport_store::sqlserver::SqlServerStore;
use sendport_store::{StoreAdmin, StoreError, StoreErrorKind};

use crate::health::wait_for;
use crate::send_port_over;
use crate::site::{Site, text};
use crate::support::certificates::TestAuthority;
use crate::support::tds_server::{Login, TdsServer, Verdict};

const UNMAPPED: u32 = 33_557_097;

struct Database {
    server: TdsServer,
    folder: tempfile::TempDir,
}

impl Database {
    fn start(judge: impl Fn(&Login) -> Verdict + Send + Sync + 'static) -> Self {
        let authority = TestAuthority::new();
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).expect("a file");
        let certificate = authority.issue(&["localhost"]);
        Self {
            server: TdsServer::start(certificate.acceptor_of_tls12(), judge),
            folder,
        }
    }

    /// The database refuses the login with this.
    fn refusing(number: u32, text: &'static str) -> Self {
        Self::start(move |_| Verdict::Refuse(number, 1, text))
    }

    /// It accepts every login and answers each statement with this.
    fn saying(number: u32, text: &'static str) -> Self {
        Self::start(move |_| Verdict::LetInAndSay(number, text))
    }

    fn connection(&self) -> String {
        format!(
            "Server=tcp:localhost,{};Database=Orders;User Id=sendport;Password=right;Encrypt=true;TrustServerCertificateCA={}",
            self.server.address.port(),
            self.folder.path().join("ca.pem").display()
        )
    }

    async fn error(&self) -> StoreError {
        let store = SqlServerStore::open(&self.connection()).expect("a store");
        store
            .environment()
            .await
            .expect_err("an error of the server")
    }
}

/// Number, kind, and a part of the advice.
const NUMBERS: &[(u32, StoreErrorKind, &str)] = &[
    (18401, Unavailable, "upgrades its scripts"),
    (18451, Unavailable, "starts, pauses or shuts down"),
    (17187, Unavailable, "starts, pauses or shuts down"),
    (6005, Unavailable, "starts, pauses or shuts down"),
    (18461, Unavailable, "single-user mode"),
    (904, Unavailable, "recovered, restored"),
    (921, Unavailable, "recovered, restored"),
    (922, Unavailable, "recovered, restored"),
    (927, Unavailable, "recovered, restored"),
    (942, Unavailable, "taken offline"),
    (952, Unavailable, "taken offline"),
    (924, Unavailable, "single-user mode"),
    (976, Unavailable, "availability group"),
    (983, Unavailable, "availability group"),
    (4060, Unavailable, "sendport migrate --create-database"),
    (40613, Unavailable, "portal"),
    (40197, Unavailable, "Azure moves"),
    (49918, Unavailable, "Azure moves"),
    (9001, Unavailable, "error log"),
    (601, Unavailable, "deadlock victim"),
    (1204, Unavailable, "short of memory or locks"),
    (1205, Unavailable, "deadlock victim"),
    (1222, Unavailable, "held a lock"),
    (701, Unavailable, "short of memory"),
    (596, Unavailable, "killed"),
    (9002, ReadOnly, "back the log up"),
    (1105, ReadOnly, "make room"),
    (3906, ReadOnly, "primary"),
    (823, Refused, "DBCC CHECKDB"),
    (229, Refused, "sendport_service"),
    (18456, Refused, "'User Id' and 'Password'"),
    (18488, Refused, "'User Id' and 'Password'"),
    (40615, Refused, "firewall"),
    (40607, Refused, "entra_token"),
    (208, Schema, "sendport migrate"),
    (500, Schema, "sendport migrate"),
    (547, Rejected, ""),
    (2628, Rejected, ""),
    (8152, Rejected, ""),
    (8169, Rejected, ""),
    (8180, Unknown, ""),
    (102, Unknown, ""),
    (50000, Rejected, ""),
    (50001, Rejected, ""),
    (3609, Unknown, ""),
];

/// The same whether it answers the login or a statement, and it says what to do.
#[tokio::test(flavor = "multi_thread")]
async fn each_number_has_its_kind_and_its_advice() {
    for (number, kind, advice) in NUMBERS {
        let output = "something is the matter here";
        for database in [
            Database::refusing(*number, output),
            Database::saying(*number, output),
        ] {
            let error = database.error().await;
            assert_eq!(error.kind(), *kind, "{error}");
            let text = error.to_string();
            assert!(
                text.contains(&format!("the server answers {number}")),
                "{text}"
            );
            assert!(text.contains(output) && text.contains(advice), "{text}");
        }
    }
}

/// An engine without numbers of its own, at a restart and with a value.
#[tokio::test(flavor = "multi_thread")]
async fn errors_without_a_number_are_classified_by_text() {
    for (text, kind) in [
        ("the database system is starting up", Unavailable),
        (
            "the database system is not yet accepting connections",
            Unavailable,
        ),
        ("the database system is shutting down", Unavailable),
        ("the database system is in recovery mode", Unavailable),
        (
            "terminating connection due to administrator command",
            Unavailable,
        ),
        ("out of memory", Unavailable),
        ("value too long for type character varying(16)", Rejected),
        ("new row violates check constraint \"ck\"", Rejected),
        ("invalid memory alloc request size 1073741824", Unknown),
    ] {
        for database in [
            Database::refusing(UNMAPPED, text),
            Database::saying(UNMAPPED, text),
        ] {
            let error = database.error().await;
            assert_eq!(error.kind(), kind, "{error}");
        }
    }
}

/// A site whose configuration names that server.
fn site_on(database: &Database) -> Site {
    let site = Site::watched(&send_port_over("[relay.main]\nkind = \"discard\"\n"));
    let config = std::fs::read_to_string(site.config()).expect("read");
    let config = config.replace("sqlite:sendport.db", &database.connection());
    std::fs::write(site.config(), config).expect("write");
    site
}

/// `run` waits and says so, and need not be started again; `check` fails at once.
#[tokio::test(flavor = "multi_thread")]
async fn run_waits_and_check_fails_at_once() {
    for (number, output) in [
        (4060, "create it ('sendport migrate --create-database')"),
        (18401, "the server upgrades its scripts"),
        (927, "the server answers 927"),
        (9001, "look at the server's error log"),
        (18456, "the server answers 18456"),
        (50000, "the server answers 50000"),
    ] {
        let database = Database::refusing(number, "no login now");
        let site = site_on(&database);
        let checked = site.sendport(&["check"]);
        let line = text(&checked);
        assert_eq!(checked.status.code(), Some(4), "{line}");
        assert!(
            line.contains("FAIL  database: ") && line.contains(output),
            "{line}"
        );

        let service = site.run();
        let address = site.health_address().await;
        wait_for(
            address,
            "/readyz",
            503,
            "starting: it waits for the database",
        )
        .await;
        let (_, why) = crate::health::get(address, "/readyz");
        assert!(why.contains(&format!("{number}")), "{why}");
        assert_eq!(service.stop(), Some(0), "{number}: {}", site.log());
        assert!(
            site.log().contains("waiting for the database"),
            "{}",
            site.log()
        );
    }
}

/// No instance tries a refused password for a quarter of an hour, although the service waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_login_is_not_tried_again_while_run_waits() {
    let database = Database::refusing(18456, "Login failed for user 'sendport'.");
    let site = site_on(&database);
    let service = site.run();
    let address = site.health_address().await;
    wait_for(address, "/readyz", 503, "is not tried again for 15 minutes").await;
    wait_for(address, "/readyz", 503, "refused 2 seconds ago").await;
    assert_eq!(database.server.logins().len(), 1);
    assert_eq!(service.stop(), Some(0));
}
