//! Policies of domains (RFC 8461), served over HTTPS.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use openssl::ssl::{Ssl, SslAcceptor};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio_openssl::SslStream;

use super::{configuration, host, insert, recipients};
use crate::sink_at;
use crate::site::{Site, text};
use crate::support::certificates::TestAuthority;
use crate::support::name_server::NameServer;
use crate::support::postfix::{Postfix, PostfixOptions};

/// Answers every HTTPS request with the policy of its host.
async fn serve_policies(address: SocketAddr, acceptor: SslAcceptor) {
    let listener = TcpListener::bind(address).await.expect("port 443");
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let ssl = Ssl::new(acceptor.context()).expect("TLS");
            let mut stream = SslStream::new(ssl, client).expect("a stream");
            if Pin::new(&mut stream).accept().await.is_err() {
                continue;
            }
            let mut request = String::new();
            let mut lines = BufReader::new(&mut stream);
            while !request.ends_with("\r\n\r\n") {
                if lines.read_line(&mut request).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            let host = match request.to_lowercase().contains("host: mta-sts.strict.test") {
                true => "plain.strict.test",
                false => "postfix.test",
            };
            assert!(
                request.starts_with("GET /.well-known/mta-sts.txt "),
                "{request}"
            );
            let policy =
                format!("version: STSv1\r\nmode: enforce\r\nmx: {host}\r\nmax_age: 86400\r\n");
            let response = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{policy}",
                policy.len()
            );
            stream
                .write_all(response.as_bytes())
                .await
                .expect("a client");
            let _closed = stream.shutdown().await;
        }
    });
}

/// Of two domains that enforce a policy, one has a host with a valid certificate, and a preferred one
/// that the policy does not name; the other has a host without TLS. A third one announces a policy that
/// nobody serves.
#[tokio::test(flavor = "multi_thread")]
async fn mta_sts_is_enforced() {
    const POLICIES: &str = r#"
example.test.           60 IN MX 10 other.test.
example.test.           60 IN MX 20 postfix.test.
postfix.test.           60 IN A 127.0.0.1
other.test.             60 IN A 127.0.0.2
_mta-sts.example.test.  60 IN TXT "v=STSv1; id=20261130;"
mta-sts.example.test.   60 IN A 127.0.0.9
strict.test.            60 IN MX 10 plain.strict.test.
plain.strict.test.      60 IN A 127.0.0.2
_mta-sts.strict.test.   60 IN TXT "v=STSv1; id=1"
mta-sts.strict.test.    60 IN A 127.0.0.9
unserved.test.          60 IN A 127.0.0.2
_mta-sts.unserved.test. 60 IN TXT "v=STSv1; id=1"
"#;
    if !NameServer::available() || !Postfix::available() {
        return;
    }
    let dns = NameServer::start(POLICIES).await;
    let postfix = Postfix::start(PostfixOptions::default()).await;
    let port = postfix.plain().port();
    let folder = tempfile::tempdir().expect("a folder");
    let sink = sink_at(host(2, port), folder.path(), &[]).await;
    let authority = TestAuthority::new();
    let certificate = authority.issue(&["mta-sts.example.test", "mta-sts.strict.test"]);
    serve_policies(host(9, 443), certificate.acceptor()).await;
    let of_postfix = std::fs::read(postfix.ca_file()).expect("the authority of Postfix");
    let trusted = folder.path().join("trusted.pem");
    std::fs::write(&trusted, [authority.pem(), of_postfix].concat()).expect("write");
    let site = Site::new(&configuration(&dns, port, ""));
    insert(
        &site,
        "ops@example.test; ops@strict.test; ops@unserved.test",
    );
    let trusted = trusted.display().to_string();
    let service = site.run_under(&[("SSL_CERT_FILE", &trusted)], &[]);
    let settled =
        "SELECT count(*) FROM Delivery WHERE Status <> 'queued' AND ReplyText IS NOT NULL";
    site.wait_until(settled, "3", Duration::from_secs(60)).await;
    let found = recipients(&site);
    assert_eq!(found["ops@example.test"], "relayed 250 2.0.0 1");
    assert_eq!(found["ops@strict.test"], "delayed 451 4.4.1 0");
    assert_eq!(found["ops@unserved.test"], "relayed 250 2.0.0 1");
    let encrypted =
        "SELECT group_concat(RemoteAddress || ' ' || (TlsVersion IS NOT NULL), ', ') FROM
                     (SELECT * FROM Attempt ORDER BY RemoteAddress)";
    let (first, second) = (host(1, port), host(2, port));
    assert_eq!(site.value(encrypted), format!("{first} 1, {second} 0"));
    let why = text(&site.sendport(&["why", "1"]));
    for said in [
        "the MTA-STS policy of strict.test requires STARTTLS with a valid certificate",
        "it does not offer STARTTLS",
        "Inform the postmaster of the domain",
    ] {
        assert!(why.contains(said), "{said} is not in:\n{why}");
    }
    assert!(!why.contains("implicit"), "no key of another kind: {why}");
    assert_eq!(service.stop(), Some(0));
    sink.stop().await;
}
