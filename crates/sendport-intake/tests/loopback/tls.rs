//! STARTTLS and implicit TLS.

use openssl::asn1::Asn1Time;
use openssl::ssl::SslVersion;
use sendport_core::domain::ReceivedContent;
use sendport_intake::PasswordHash;
use sendport_intake::observer::IntakeActivity;
use tempfile::TempDir;

use crate::certificates::Identity;
use crate::server::Server;

/// Settings with a certificate of its own for the server.
fn tls(folder: &TempDir, mode: &str) -> String {
    let file = Identity::self_signed("mail.test").write(folder, "server.pem");
    format!("tls = '{mode}'\ncertificate_file = '{}'\n", file.display())
}

fn header_of(server: &Server) -> String {
    match &server
        .recorder
        .messages
        .lock()
        .last()
        .expect("a message")
        .content
    {
        ReceivedContent::Memory(octets) => String::from_utf8(octets.clone()).expect("ASCII"),
        ReceivedContent::File { .. } => panic!("it is short"),
    }
}

#[tokio::test]
async fn starttls_and_implicit_tls_are_in_received() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&tls(&folder, "starttls")).await;
    let client = server.connect().await.starttls().await;
    let mut client = client.encrypt(|_| {}).await.unwrap();
    let reply = client.ask("MAIL FROM:<a@contoso.com>").await;
    assert_eq!(
        reply, "503 5.5.1 send EHLO or HELO first",
        "what was before is forgotten"
    );
    let extensions = client.ask("EHLO x").await;
    assert!(!extensions.contains("STARTTLS"), "{extensions}");
    assert!(client.ask("STARTTLS").await.starts_with("503 5.5.1 "));
    assert_eq!(client.submit().await, "250 2.0.0 queued as 1");
    let header = header_of(&server);
    assert!(
        header.contains(" with ESMTPS (TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n"),
        "{header}"
    );

    let server = Server::start(&tls(&folder, "implicit")).await;
    let mut client = server.connect().await.encrypt(|_| {}).await.unwrap();
    assert!(client.reply().await.starts_with("220 mail.test "));
    client.ask("EHLO x").await;
    assert_eq!(client.submit().await, "250 2.0.0 queued as 1");
}

#[tokio::test]
async fn where_tls_is_required_nothing_is_sent_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let hash = PasswordHash::new("secret").unwrap();
    let settings = format!(
        "allow_cleartext_auth = true\n{}[user.erp]\npassword_hash = '{hash}'",
        tls(&folder, "starttls_required")
    );
    let server = Server::start(&settings).await;
    let mut client = server.connect().await;
    client.reply().await;
    let extensions = client.ask("EHLO x").await;
    assert!(!extensions.contains("AUTH"), "{extensions}");
    assert!(
        client
            .ask("MAIL FROM:<a@contoso.com>")
            .await
            .starts_with("530 5.7.0 ")
    );
    let auth = "AUTH PLAIN AGVycABzZWNyZXQ=";
    assert!(client.ask(auth).await.starts_with("538 5.7.11 "));
    assert!(client.ask("STARTTLS").await.starts_with("220 "));
    let mut client = client.encrypt(|_| {}).await.unwrap();
    assert!(client.ask("EHLO x").await.contains("250-AUTH PLAIN LOGIN"));
    assert!(client.ask(auth).await.starts_with("235 "));
    assert_eq!(client.submit().await, "250 2.0.0 queued as 1");
    assert!(header_of(&server).contains(" with ESMTPSA "));
}

/// CVE-2011-0411.
#[tokio::test]
async fn commands_before_the_handshake_are_not_read_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&tls(&folder, "starttls")).await;
    let mut client = server.connect().await;
    client.reply().await;
    client
        .send(b"EHLO x\r\nSTARTTLS\r\nEHLO evil\r\nMAIL FROM:<evil@contoso.com>\r\n")
        .await;
    client.reply().await;
    assert!(client.reply().await.starts_with("501 5.5.1 "));
    assert_eq!(client.reply().await, "", "the server closes");
}

#[tokio::test]
async fn a_handshake_that_fails_is_observed() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&format!(
        "{}min_tls_version = '1.3'",
        tls(&folder, "starttls")
    ))
    .await;
    let client = server.connect().await.starttls().await;
    let old = client.encrypt(|it| it.set_max_proto_version(Some(SslVersion::TLS1_2)).unwrap());
    assert!(old.await.is_err());
    let mut client = server.connect().await.starttls().await;
    client
        .send(b"EHLO x\r\nMAIL FROM:<a@contoso.com>\r\n")
        .await;
    assert!(
        !client.reply().await.starts_with("250"),
        "no cleartext after STARTTLS"
    );
    let recorder = server.recorder.clone();
    server.stop().await;
    let activities = recorder.activities.lock();
    let failed = activities
        .iter()
        .filter(|it| **it == IntakeActivity::HandshakeFailed);
    assert_eq!(failed.count(), 2);
    let closed = activities
        .iter()
        .filter(|it| **it == IntakeActivity::ConnectionClosed);
    assert_eq!(closed.count(), 2);
}

#[tokio::test]
async fn a_replaced_certificate_is_used_for_the_next_connection() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&tls(&folder, "implicit")).await;
    let shown = async || {
        let client = server.connect().await.encrypt(|_| {}).await.unwrap();
        client.0.get_ref().ssl().peer_certificate().unwrap()
    };
    let before = shown().await;
    let path = folder.path().join("server.pem");
    std::fs::write(&path, "not whole yet").unwrap();
    assert_eq!(
        shown().await.to_der().unwrap(),
        before.to_der().unwrap(),
        "the old one counts"
    );
    let other = Identity::self_signed("a-longer-name.mail.test");
    other.write(&folder, "server.pem");
    assert_eq!(
        shown().await.to_der().unwrap(),
        other.certificate.to_der().unwrap()
    );
    let tomorrow = Asn1Time::days_from_now(1).unwrap();
    let tomorrow = Asn1Time::from_unix(0).unwrap().diff(&tomorrow).unwrap();
    let tomorrow = i64::from(tomorrow.days) * 86_400 + i64::from(tomorrow.secs);
    let activities = server.recorder.activities.lock();
    let expiries = activities.iter().filter_map(|it| match it {
        IntakeActivity::CertificateRead { not_after } => Some(tomorrow - not_after),
        _ => None,
    });
    let seconds: Vec<_> = expiries.collect();
    assert_eq!(seconds.len(), 2, "at the start, and when it was replaced");
    assert!(
        seconds.iter().all(|it| (0..600).contains(it)),
        "{seconds:?}"
    );
}

#[tokio::test]
async fn a_certificate_authenticates_its_user_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Identity::authority("ca");
    let ca_file = authority.write(&folder, "ca.pem");
    let pinned = Identity::self_signed("anything");
    let settings = format!(
        "allow_clients = []\n{}client_ca_file = '{}'\n\
         [user.pinned]\ncertificate_sha256 = ['{}']\nsend_port = 'pinned'\n\
         [user.named]\ncertificate_name = 'erp.contoso.com'\nsend_port = 'named'\n",
        tls(&folder, "starttls"),
        ca_file.display(),
        pinned.sha256()
    );
    let server = Server::start(&settings).await;
    let named = authority.issue("ERP.contoso.com");
    let other = authority.issue("other.contoso.com");
    let forged = Identity::authority("ca").issue("erp.contoso.com");
    let alone = Identity::self_signed("erp.contoso.com");
    for (identity, user) in [
        (Some(pinned), Some("pinned")),
        (Some(named), Some("named")),
        (Some(other), None),
        (Some(forged), None),
        (Some(alone), None),
        (None, None),
    ] {
        let client = server.connect().await.starttls().await;
        let client = client.encrypt(|builder| identity.iter().for_each(|it| it.show(builder)));
        let mut client = client.await.unwrap();
        let extensions = client.ask("EHLO x").await;
        assert_eq!(
            extensions.contains("250-AUTH EXTERNAL"),
            user.is_some(),
            "{extensions}"
        );
        let reply = client.submit().await;
        let Some(user) = user else {
            assert!(reply.starts_with("550 5.7.1 relaying denied"), "{reply}");
            assert!(client.ask("RSET").await.starts_with("250 "));
            assert!(
                client
                    .ask("AUTH EXTERNAL =")
                    .await
                    .starts_with("504 5.5.4 ")
            );
            continue;
        };
        assert_eq!(reply, "250 2.0.0 queued as 1");
        let message = server.recorder.messages.lock().pop().unwrap();
        assert_eq!(
            (message.client.user.as_deref(), &*message.send_port),
            (Some(user), user)
        );
        assert!(
            client
                .ask("AUTH EXTERNAL eA==")
                .await
                .starts_with("535 5.7.8 ")
        );
        assert!(client.ask("AUTH EXTERNAL =").await.starts_with("235 "));
    }
}

#[tokio::test]
async fn an_unusable_certificate_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("server.pem");
    std::fs::write(&file, "no certificate").unwrap();
    for (path, expected) in [
        (file.display().to_string(), "expected PEM"),
        ("/no/such.pem".to_owned(), "No such file"),
    ] {
        let settings = format!(
            "listen = ['127.0.0.1:0']\nsend_port = 'x'\nallow_senders = ['*']\ntls = 'implicit'\ncertificate_file = '{path}'\nkind = 'smtp'"
        );
        let error = Server::error(&settings).await;
        assert!(
            error.contains("certificate_file") && error.contains(&path),
            "{error}"
        );
        assert!(error.contains(expected), "{error}");
    }
}
