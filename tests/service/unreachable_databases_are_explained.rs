//! A SQL Server that is not reached: which, what that usually means, and what to do about it. And
//! the ways to one that only drivers know: a route, an instance's port, TLS before all else.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use sendport_store::sqlserver::SqlServerStore;
use sendport_store::{StoreAdmin as _, StoreError, StoreErrorKind};

use crate::send_port_over;
use crate::site::{Site, text};
use crate::support::certificates::TestAuthority;
use crate::support::tds_server::{INSIDE, Login, TdsServer, Verdict};

/// Words of a driver that mean nothing to a DBA.
const OF_PROGRAMMERS: &[&str] = &[
    "os error",
    "I/O",
    "Protocol",
    "tracing",
    "Config::",
    "error:0A",
    "routines",
    "Conversion",
    "unknown packet",
];

/// What the first statement is answered with.
async fn error(connection: &str) -> StoreError {
    let store = SqlServerStore::open(connection).expect("a store");
    store.environment().await.expect_err("nothing is there")
}

async fn says(connection: &str, expected: &[&str]) {
    let error = error(connection).await;
    let output = error.to_string();
    for part in expected {
        assert!(output.contains(part), "{part:?} in {output}");
    }
    for word in OF_PROGRAMMERS {
        assert!(!output.contains(word), "{word:?} in {output}");
    }
}

fn at(port: u16) -> String {
    format!("Server=tcp:localhost,{port};Database=Orders;User Id=sendport;Password=right")
}

/// A port, and what answers every connection there.
fn service(answer: impl Fn(std::net::TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || listener.incoming().flatten().for_each(answer));
    port
}

/// The authority's file beside the servers.
struct Servers {
    folder: tempfile::TempDir,
    authority: TestAuthority,
}

impl Servers {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let authority = TestAuthority::new();
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).expect("a file");
        Self { folder, authority }
    }

    fn server(&self, judge: impl Fn(&Login) -> Verdict + Send + Sync + 'static) -> TdsServer {
        let certificate = self.authority.issue(&["localhost"]);
        TdsServer::start(certificate.acceptor_of_tls12(), judge)
    }

    fn strict(&self) -> TdsServer {
        let certificate = self.authority.issue(&["localhost"]);
        TdsServer::start_strict(certificate.acceptor_of_tls12(), |_| Verdict::LetIn)
    }

    fn trusted(&self, port: u16) -> String {
        let file = self.folder.path().join("ca.pem");
        format!("{};TrustServerCertificateCA={}", at(port), file.display())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_port_and_an_unknown_name() {
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port")
        .port();
    let named = format!("port {port} of 'localhost'");
    says(&at(port), &["nothing listens on", &named, "enable TCP/IP"]).await;
    let unknown = at(1433).replace("localhost", "db.invalid");
    says(
        &unknown,
        &["'db.invalid' is not known on this machine", "getent hosts"],
    )
    .await;
    assert_eq!(error(&unknown).await.kind(), StoreErrorKind::Unavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_service_on_the_port() {
    let smtp = service(|mut tcp| drop(tcp.write_all(b"220 mail.contoso.com ESMTP ready\r\n")));
    let http = service(|mut tcp| {
        let _ = tcp.read(&mut [0; 512]);
        let _ = tcp.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    });
    let closing = service(drop);
    for port in [smtp, http, closing] {
        let named = format!("port {port} of 'localhost'");
        says(
            &at(port),
            &[
                &named,
                "another service listens there",
                "check host and port",
            ],
        )
        .await;
        assert_eq!(error(&at(port)).await.kind(), StoreErrorKind::Unavailable);
    }
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("an address").port();
    let hurried = format!("{};Connect Timeout=1", at(port));
    says(
        &hurried,
        &["within 1 seconds", "another service listens there"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_trusted() {
    let site = Servers::new();
    let server = site.server(|_| Verdict::LetIn);
    let port = server.address.port();
    let expected = [
        "the certificate of port",
        "is not trusted (",
        "TrustServerCertificateCA=",
    ];
    says(&at(port), &expected).await;
    assert_eq!(error(&at(port)).await.kind(), StoreErrorKind::Refused);
    let other_name = site.trusted(port).replace("localhost", "127.0.0.1");
    says(&other_name, &["mismatch", "HostNameInCertificate="]).await;
    let by_certificate_name = format!("{other_name};HostNameInCertificate=localhost");
    says(&by_certificate_name, &[INSIDE]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strict_encryption_on_one_side_alone_and_on_both() {
    let site = Servers::new();
    let (older, strict) = (site.server(|_| Verdict::LetIn), site.strict());
    let to_older = format!("{};Encrypt=Strict", site.trusted(older.address.port()));
    says(&to_older, &["write 'Encrypt=true' for an older one"]).await;
    says(
        &site.trusted(strict.address.port()),
        &["it demands 'Encrypt=Strict'"],
    )
    .await;
    assert!(older.logins().is_empty() && strict.logins().is_empty());
    let both = format!(
        "{};Encrypt=Strict;Application Name=Orders alerts",
        site.trusted(strict.address.port())
    );
    says(&both, &[INSIDE]).await;
    assert_eq!(strict.logins()[0].application, "Orders alerts");
}

/// Azure names a worker and the instance on it; the port goes before the instance, as it does in
/// a connection string.
#[tokio::test(flavor = "multi_thread")]
async fn a_route_to_an_instance_is_followed() {
    let site = Servers::new();
    let worker = site.server(|_| Verdict::LetIn);
    let port = worker.address.port();
    let gateway = site.server(move |_| Verdict::Route("localhost\\ABC-SQL".to_owned(), port));
    let through = site.trusted(gateway.address.port());
    says(&through, &[INSIDE]).await;
    assert_eq!(worker.logins()[0].server, "localhost");
    let named = through.replace("localhost,", "localhost\\SALES,");
    says(&named, &[INSIDE]).await;
    assert_eq!((gateway.logins().len(), worker.logins().len()), (2, 2));
}

/// Nothing that a verb prints for it needs a programmer either.
#[test]
fn a_connection_string_that_cannot_be_meant_is_explained() {
    let site = Site::new(&send_port_over("[relay.main]\nkind = \"discard\"\n"));
    let config = std::fs::read_to_string(site.config()).expect("read");
    for (connection, expected) in [
        (
            "Server=db:1433;Database=d;User Id=u;Password=p",
            "write 'Server=db,1433'",
        ),
        (
            "Server=db;Database=d;User Id=u;Password=p;Encript=no",
            "did you mean 'encrypt'?",
        ),
        (
            "Driver={ODBC Driver 18};Server=db",
            "'Driver' cannot be used here",
        ),
        ("orders.db", "write 'sqlite:orders.db'"),
    ] {
        let changed = config.replace("sqlite:sendport.db", connection);
        std::fs::write(site.config(), changed).expect("write");
        for arguments in [
            &["check", "--offline"][..],
            &["check"],
            &["run"],
            &["status"],
        ] {
            let ended = site.sendport(arguments);
            let output = text(&ended);
            assert!(output.contains(expected), "{arguments:?}: {output}");
            assert_ne!(ended.status.code(), Some(0), "{arguments:?}: {output}");
        }
    }
}
