//! Authentication to a SQL Server with a ticket of a real KDC. The server checks it with its own
//! key, and the client checks its answer.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, OnceLock};

use sendport_store::sqlserver::{Authentication, Kerberos, SqlServerStore};
use sendport_store::{StoreAdmin as _, StoreError, StoreErrorKind};

use crate::support::certificates::TestAuthority;
use crate::support::kdc::{self, Kdc, REALM};
use crate::support::peer::KerberosService;
use crate::support::postfix::USER;
use crate::support::tds_server::{INSIDE, TdsServer, Verdict};

#[tokio::test]
async fn authenticates_with_a_keytab() {
    if !Kdc::available() {
        return;
    }
    let test = "database_kerberos::authenticates_with_a_keytab";
    let Some(krb5_conf) = kdc::in_own_process(test).await else {
        return;
    };
    let kdc = Kdc::start().await;
    kdc.serve(&krb5_conf);
    let (server, ca_file) = start(&krb5_conf, &kdc);

    let error = ask(&server, &ca_file, Some(&kdc.user_keytab())).await;
    assert!(error.to_string().contains(INSIDE), "{error}");
    let logins = server.logins();
    assert_eq!(logins.len(), 1);
    assert!(logins[0].user.is_empty() && logins[0].token.is_none());
    assert!(!logins[0].sspi.is_empty());

    let missing = ask(&server, &ca_file, Some(Path::new("/nonexistent/keytab"))).await;
    assert_eq!(missing.kind(), StoreErrorKind::Refused);
    assert!(
        missing
            .to_string()
            .contains("/nonexistent/keytab: No such file"),
        "{missing}"
    );

    // The tickets of the keytab were for that store alone.
    let without = ask(&server, &ca_file, None).await;
    assert_eq!(without.kind(), StoreErrorKind::Refused);
    assert!(
        without
            .to_string()
            .contains("no ticket for MSSQLSvc/localhost:"),
        "{without}"
    );
    assert_eq!(server.logins().len(), 1);
}

/// A server that accepts every valid ticket, and the file of its authority.
fn start(krb5_conf: &Path, kdc: &Kdc) -> (TdsServer, std::path::PathBuf) {
    let authority = TestAuthority::new();
    let ca_file = krb5_conf.with_file_name("ca.pem");
    std::fs::write(&ca_file, authority.pem()).expect("a file");
    let acceptor = authority.issue(&["localhost"]).acceptor_of_tls12();
    // Its name is known when its port is.
    let service = Arc::<OnceLock<KerberosService>>::default();
    let known = service.clone();
    let server = TdsServer::start(acceptor, move |login| {
        let service = known.get().expect("set before the first client");
        let (client, answer) = accept(service, &login.sspi);
        assert_eq!(client, format!("{USER}@{REALM}"));
        Verdict::LetInAfter(answer)
    });
    let principal = format!("MSSQLSvc/localhost:{}", server.address.port());
    let set = service.set(kdc.service_of(&principal));
    assert!(set.is_ok(), "set once");
    (server, ca_file)
}

/// The principal of the token, and the server's answer.
fn accept(service: &KerberosService, token: &[u8]) -> (String, Vec<u8>) {
    let hexadecimal: String = token.iter().map(|byte| format!("{byte:02x}")).collect();
    let accepted = Command::new("python3")
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/peers/accept_ticket.py"
        ))
        .arg(hexadecimal)
        .env("KRB5_CONFIG", &service.configuration)
        .env("KRB5_KTNAME", &service.keytab)
        .output()
        .expect("python3 to run");
    let text = String::from_utf8_lossy(&accepted.stderr);
    assert!(accepted.status.success(), "{text}");
    let printed = String::from_utf8(accepted.stdout).expect("UTF-8");
    let (client, answer) = printed.trim().split_once(' ').expect("client and answer");
    let bytes = answer.as_bytes().chunks_exact(2);
    let byte = |digits| {
        let digits = std::str::from_utf8(digits).expect("digits");
        u8::from_str_radix(digits, 16).expect("an octet")
    };
    (client.to_owned(), bytes.map(byte).collect())
}

/// What comes out of a first question.
async fn ask(server: &TdsServer, ca_file: &Path, keytab: Option<&Path>) -> StoreError {
    let connection = format!(
        "Server=tcp:localhost,{};Database=Orders;Integrated Security=true;\
         TrustServerCertificateCA={}",
        server.address.port(),
        ca_file.display()
    );
    let authentication = keytab.map_or(Authentication::AsWritten, |keytab| {
        Authentication::Windows(Kerberos {
            keytab_file: Some(keytab.to_owned()),
            principal: None,
        })
    });
    let store = SqlServerStore::open_authenticated(&connection, authentication).expect("a store");
    store.schema_state().await.expect_err("nothing there")
}
