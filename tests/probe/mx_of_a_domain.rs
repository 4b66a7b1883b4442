//! `--mx`: where the mail of a domain goes, by a real name server.

use crate::support::name_server::NameServer;
use crate::support::probe::{ProbeOutput, probe};
use crate::support::scripted_peer::{Expect, Peer, hello, send, then};

const ZONE: &str = r"
contoso.test.            60 IN MX 20 backup.contoso.test.
contoso.test.            60 IN MX 10 mail.contoso.test.
contoso.test.            60 IN MX 5 gone.contoso.test.
mail.contoso.test.       60 IN A 127.0.0.1
mail.contoso.test.       60 IN AAAA 2001:db8::25
backup.contoso.test.     60 IN A 127.0.0.1
_submission._tcp.contoso.test.  60 IN SRV 10 0 587 mail.contoso.test.
_submissions._tcp.contoso.test. 60 IN SRV 0 0 465 mail.contoso.test.
nomail.test.             60 IN MX 0 .
_submission._tcp.nomail.test.   60 IN SRV 0 0 0 .
plain.test.              60 IN A 127.0.0.1
empty.test.              60 IN TXT nothing
";

struct Dns(NameServer);

impl Dns {
    async fn start() -> Self {
        Self(NameServer::start(ZONE).await)
    }

    async fn probe(&self, domain: &str, arguments: &[&str]) -> ProbeOutput {
        let server = self.0.address.to_string();
        let usual = ["--mx", domain, "--name-server", &server];
        let usual = [&usual[..], &["--ehlo", "client.example.test"]].concat();
        probe(&[&usual[..], arguments].concat()).await
    }
}

#[tokio::test]
async fn probes_the_first_host_that_answers() {
    if !NameServer::available() {
        return;
    }
    let dns = Dns::start().await;
    let session = then(
        hello(&[]),
        [
            Expect("MAIL FROM:<a@b.test>"),
            send("250 ok"),
            Expect("RCPT TO:<bob@contoso.test>"),
            send("250 ok"),
            Expect("RSET"),
            send("250 2.0.0 ok"),
            Expect("QUIT"),
            send("221 bye"),
        ],
    );
    let mail = Peer::start(vec![session]).await;
    let port = mail.address.port().to_string();
    let arguments = [
        "--port",
        &port,
        "--from",
        "a@b.test",
        "--to",
        "bob@contoso.test",
    ];
    let probed = dns.probe("contoso.test", &arguments).await;
    probed.is_as_expected("mail_of_a_domain", 0);
    mail.finish().await;
}

#[tokio::test]
async fn explains_a_null_mx_without_a_connection() {
    if !NameServer::available() {
        return;
    }
    let dns = Dns::start().await;
    let probed = dns.probe("nomail.test", &[]).await;
    probed.is_as_expected("null_mx", 10);
}

#[tokio::test]
async fn without_mx_probes_the_domain() {
    if !NameServer::available() {
        return;
    }
    let dns = Dns::start().await;
    let mail = Peer::start(vec![then(hello(&[]), [Expect("QUIT"), send("221 bye")])]).await;
    let port = mail.address.port().to_string();
    let probed = dns.probe("plain.test", &["--port", &port]).await;
    probed.prints(
        0,
        &[
            "plain.test has no MX: mail goes to its own addresses",
            "MX 0 plain.test: 127.0.0.1",
        ],
    );
    mail.finish().await;
}

#[tokio::test]
async fn distinguishes_no_domain_no_address_and_a_failed_look_up() {
    if !NameServer::available() {
        return;
    }
    let dns = Dns::start().await;
    for (domain, shown) in [
        ("nosuch.test", "there is no domain nosuch.test"),
        ("empty.test", "empty.test: no address"),
        (
            "a.broken.test",
            "the MX of a.broken.test cannot be looked up",
        ),
    ] {
        let probed = dns.probe(domain, &[]).await;
        probed.prints(10, &[shown]);
    }
}
