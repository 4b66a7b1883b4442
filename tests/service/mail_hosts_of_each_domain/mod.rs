//! A relay of `kind = "mx"`, with a name server and mail hosts of the test's own: a Postfix, sinks, one
//! that is down, one that refuses and one that never replies.

mod mta_sts;
mod smart_host;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use crate::sink_at;
use crate::site::{Site, text};
use crate::support::name_server::NameServer;
use crate::support::postfix::{Postfix, PostfixOptions};
use crate::support::scripted_peer::{Expect, Peer, good_transaction, hello, send, then};

/// 127.0.0.1 is the Postfix, 127.0.0.2 a sink, 127.0.0.3 down, 127.0.0.4 silent, 127.0.0.5 refuses.
const ZONE: &str = r"
example.test.           60 IN MX 5 down.example.test.
example.test.           60 IN MX 10 refuses.example.test.
example.test.           60 IN MX 20 mail.example.test.
example.test.           60 IN MX 90 other.example.test.
down.example.test.      60 IN A 127.0.0.3
refuses.example.test.   60 IN A 127.0.0.5
mail.example.test.      60 IN A 127.0.0.1
other.example.test.     60 IN A 127.0.0.2
plain.test.             60 IN A 127.0.0.2
dead.test.              60 IN MX 10 down.dead.test.
down.dead.test.         60 IN A 127.0.0.3
silent.test.            60 IN MX 10 mute.silent.test.
mute.silent.test.       60 IN A 127.0.0.4
nomail.test.            60 IN MX 0 .
private.test.           60 IN MX 10 inside.private.test.
inside.private.test.    60 IN A 10.1.2.3
inside.private.test.    60 IN AAAA fd00::25
loop.test.              60 IN MX 10 sendport.test.
loop.test.              60 IN MX 20 other.example.test.
nohost.test.            60 IN MX 10 gone.nohost.test.
halfbroken.test.        60 IN MX 10 mail.broken.test.
routed.test.            60 IN MX 10 down.dead.test.
";

fn host(last: u8, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), port)
}

fn configuration(dns: &NameServer, port: u16, more: &str) -> String {
    format!(
        "[relay.direct]
kind = \"mx\"
dns_servers = [\"{}\"]
port = {port}
ehlo_name = \"sendport.test\"
allow_private = [\"127.0.0.0/8\"]
first_wait = \"1s\"
longest_wait = \"2s\"
{more}
[relay.direct.timeout]
greeting = \"2s\"
[send_port.default]
from = \"Contoso alerts <alerts@example.test>\"
relays = [\"direct\"]
[send_port.default.retry]
first_delay = \"1s\"
longest_delay = \"2s\"
",
        dns.address
    )
}

/// Accepts connections, greets with `greeting` if there is one, and says nothing more.
async fn one_sided(address: SocketAddr, greeting: Option<&'static str>) {
    let listener = TcpListener::bind(address).await.expect("a port");
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut client, _)) = listener.accept().await {
            match greeting {
                Some(greeting) => drop(client.write_all(greeting.as_bytes()).await),
                None => kept.push(client),
            }
        }
    });
}

fn insert(site: &Site, recipients: &str) {
    let sql =
        "INSERT INTO Alert (ToRecipients, Subject, Body) VALUES (?1, 'Order 4711', 'It is late.')";
    let inserted = site.database().execute(sql, [recipients]);
    inserted.expect("insert");
}

/// Of each recipient: status, codes and attempts.
fn recipients(site: &Site) -> BTreeMap<String, String> {
    let database = site.database();
    let sql = "SELECT Address, Status || ' ' || coalesce(ReplyCode, '-') || ' ' || coalesce(EnhancedStatusCode, '-')
               || ' ' || AttemptCount FROM Delivery";
    let mut statement = database.prepare(sql).expect("the view Delivery");
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let rows = statement.query_map([], row).expect("rows");
    rows.collect::<Result<_, _>>().expect("texts")
}

/// Status, codes and spent attempts of each recipient.
const EXPECTED: &[(&str, &str)] = &[
    ("ops@example.test", "relayed 250 2.0.0 1"),
    ("nouser@example.test", "failed 550 5.1.1 1"),
    ("ops@plain.test", "relayed 250 2.0.0 1"),
    ("ops@[127.0.0.2]", "relayed 250 2.0.0 1"),
    ("ops@routed.test", "relayed 250 2.0.0 1"),
    ("ops@dead.test", "delayed 451 4.4.1 0"),
    ("ops@silent.test", "delayed 451 4.4.1 0"),
    ("ops@nomail.test", "failed 556 5.1.10 1"),
    ("ops@nosuch.test", "failed 550 5.1.2 1"),
    ("ops@x.broken.test", "delayed 451 4.4.3 0"),
    ("ops@halfbroken.test", "delayed 451 4.4.3 0"),
    ("ops@private.test", "failed 550 5.4.6 1"),
    ("ops@[10.1.2.3]", "failed 550 5.4.6 1"),
    ("ops@[IPv6:::1]", "failed 550 5.4.6 1"),
    ("ops@loop.test", "failed 550 5.4.6 1"),
    ("ops@nohost.test", "failed 550 5.4.4 1"),
    ("ops@thirteenth.test", "relayed 250 2.0.0 1"),
    ("ops@eleventh.test", "relayed 250 2.0.0 1"),
    ("ops@sixty.test", "delayed 451 4.4.4 0"),
    ("ops@named.test", "relayed 250 2.0.0 1"),
];

/// Mail hosts without a usable address before a good one; and too many of them.
fn unusable_hosts() -> String {
    let before = |domain: &str, hosts: u32| -> String {
        let line = |n| format!("{domain}.test. 60 IN MX {n} h{n}.{domain}.test.\n");
        (1..=hosts).map(line).collect()
    };
    let private: String = (1..=10)
        .map(|n| format!("h{n}.eleventh.test. 60 IN A 10.1.2.{n}\n"))
        .collect();
    format!(
        "{}thirteenth.test. 60 IN MX 99 other.example.test.\n{}{private}eleventh.test. 60 IN MX 99 other.example.test.\n{}",
        before("thirteenth", 12),
        before("eleventh", 10),
        before("sixty", 60)
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn each_recipient_gets_the_status_of_its_domain() {
    if !NameServer::available() || !Postfix::available() {
        return;
    }
    let dns = NameServer::start(&format!("{ZONE}{}", unusable_hosts())).await;
    let postfix = Postfix::start(PostfixOptions::default()).await;
    let port = postfix.plain().port();
    let folder = tempfile::tempdir().expect("a folder");
    let sink = sink_at(host(2, port), folder.path(), &[]).await;
    one_sided(host(4, port), None).await;
    one_sided(host(5, port), Some("554 5.7.1 no service for you\r\n")).await;
    let routed = format!(
        "[relay.direct.route.\"routed.test\"]\nhost = \"127.0.0.2\"\nport = {port}\ntls = \"none\"
         [relay.direct.route.\"named.test\"]\nhost = \"other.example.test\"\ntls = \"none\""
    );
    let site = Site::new(&configuration(&dns, port, &routed));
    let to: Vec<_> = EXPECTED.iter().map(|(address, _)| *address).collect();
    insert(&site, &to.join("; "));
    let service = site.run();
    let settled =
        "SELECT count(*) FROM Delivery WHERE Status <> 'queued' AND ReplyText IS NOT NULL";
    let count = EXPECTED.len().to_string();
    site.wait_until(settled, &count, Duration::from_secs(60))
        .await;
    let found = recipients(&site);
    for (address, status) in EXPECTED {
        assert_eq!(
            found.get(*address).map(String::as_str),
            Some(*status),
            "{address}"
        );
    }
    let hosts =
        "SELECT group_concat(RemoteAddress, ' ') FROM (SELECT DISTINCT RemoteAddress FROM Attempt
                 WHERE RemoteAddress IS NOT NULL ORDER BY RemoteAddress)";
    let (first, second) = (host(1, port), host(2, port));
    assert_eq!(site.value(hosts), format!("{first} {second}"));
    let why = text(&site.sendport(&["why", "1"]));
    for said in [
        "no mail host of dead.test can be used: down.dead.test [127.0.0.3]",
        "nomail.test takes no mail",
        "inside.private.test [10.1.2.3] is not a public address",
        "sendport.test is this host",
        "the MX records of x.broken.test",
    ] {
        assert!(why.contains(said), "{said} is not in:\n{why}");
    }
    let shown = "SELECT Reply FROM RelayState WHERE Relay = 'direct'";
    let waiting = "5 domains cannot be reached now: dead.test, halfbroken.test, silent.test, sixty.test, x.broken.test";
    site.wait_until(shown, waiting, Duration::from_secs(30))
        .await;
    assert_eq!(service.stop(), Some(0));
    sink.stop().await;
    assert_eq!(postfix.messages().len(), 1, "one transaction a domain");
}

/// Sixty domains that hang, three times as many as there are connections, and each alert for them comes before those
/// of `plain.test`, which is in use.
async fn beside_domains_that_hang(greeting: &str, test: impl AsyncFn(&Site, &str)) {
    if !NameServer::available() {
        return;
    }
    let hang: String = (0..60)
        .map(|n| format!("hangs{n}.test. 60 IN A 127.0.0.4\n"))
        .collect();
    let dns = NameServer::start(&format!("{ZONE}{hang}new.test. 60 IN A 127.0.0.2\n")).await;
    let folder = tempfile::tempdir().expect("a folder");
    let sink = sink_at(host(2, 0), folder.path(), &[]).await;
    let port = sink.local_addr().port();
    one_sided(host(4, port), None).await;
    let greeting = format!("greeting = \"{greeting}\"");
    let patient = configuration(&dns, port, "").replace("greeting = \"2s\"", &greeting);
    let site = Site::new(&patient);
    for n in 0..30 {
        insert(&site, &format!("first{n}@plain.test"));
    }
    let service = site.run();
    let relayed = "SELECT count(*) FROM AlertStatus WHERE Status = 'relayed'";
    site.wait_until(relayed, "30", Duration::from_secs(60))
        .await;
    for n in 0..240 {
        insert(&site, &format!("ops@hangs{}.test", n % 60));
    }
    for n in 0..50 {
        insert(&site, &format!("user{n}@plain.test"));
    }
    site.wait_until(relayed, "80", Duration::from_secs(120))
        .await;
    test(&site, relayed).await;
    let hang = "FROM Delivery WHERE Address LIKE '%hangs%'";
    let unspent = format!("SELECT coalesce(sum(AttemptCount), 0) {hang}");
    assert_eq!(site.value(&unspent), "0");
    service.kill();
    sink.stop().await;
}

/// With the default time-outs, minutes long. Nothing is known of any domain: not of those that hang, not of the
/// good ones.
#[tokio::test(flavor = "multi_thread")]
async fn good_domains_get_their_mail_while_new_ones_hang() {
    if !NameServer::available() {
        return;
    }
    let domains = |name: &str, count, host| -> String {
        let line = |n| format!("{name}{n}.test. 60 IN A 127.0.0.{host}\n");
        (0..count).map(line).collect()
    };
    let (hang, good) = (domains("hangs", 30, 4), domains("good", 12, 2));
    let dns = NameServer::start(&format!("{ZONE}{hang}{good}")).await;
    let folder = tempfile::tempdir().expect("a folder");
    let sink = sink_at(host(2, 0), folder.path(), &[]).await;
    let port = sink.local_addr().port();
    one_sided(host(4, port), None).await;
    let patient = configuration(&dns, port, "").replace("greeting = \"2s\"", "");
    let site = Site::new(&patient);
    for n in 0..30 {
        insert(&site, &format!("ops@hangs{n}.test"));
    }
    // The recipients of one alert are independent too: the first domain hangs.
    insert(&site, "ops@hangs0.test; ops@good0.test; ops@plain.test");
    for n in 0..12 {
        insert(&site, &format!("ops@good{n}.test"));
    }
    let service = site.run();
    let relayed = "SELECT count(*) FROM Delivery WHERE Status = 'relayed'";
    site.wait_until(relayed, "14", Duration::from_secs(240))
        .await;
    let ended = "SELECT count(*) FROM Delivery WHERE Address LIKE '%hangs%' AND ReplyText LIKE '%greeting%'";
    assert_eq!(site.value(ended), "0", "all of them still hang");
    service.kill();
    sink.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn domains_that_hang_delay_no_domain_in_use() {
    beside_domains_that_hang("10m", async |site, _| {
        let gave_up = "SELECT count(*) FROM AlertStatus WHERE Status = 'delayed'";
        assert_eq!(site.value(gave_up), "0", "no domain that hangs has ended");
    })
    .await;
}

/// It waits for no more than one time-out of each of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_domain_is_found_between_domains_that_hang() {
    beside_domains_that_hang("5s", async |site, relayed| {
        insert(site, "ops@new.test");
        site.wait_until(relayed, "81", Duration::from_secs(120))
            .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_that_is_back_gets_what_waited() {
    if !NameServer::available() {
        return;
    }
    let dns = NameServer::start(ZONE).await;
    let folder = tempfile::tempdir().expect("a folder");
    let sink = sink_at(host(2, 0), folder.path(), &[]).await;
    let address = sink.local_addr();
    sink.stop().await;
    let site = Site::new(&configuration(&dns, address.port(), ""));
    for _ in 0..20 {
        insert(&site, "ops@plain.test");
    }
    let service = site.run();
    let waiting = "SELECT count(*) FROM AlertStatus WHERE Status = 'delayed' AND StatusReason = 'waits for the mail hosts of plain.test'";
    site.wait_until(waiting, "20", Duration::from_secs(60))
        .await;
    let sink = sink_at(address, folder.path(), &[]).await;
    site.wait_until_all_final(Duration::from_secs(60)).await;
    assert_eq!(service.stop(), Some(0));
    assert_eq!(sink.received(), 20);
    sink.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_handshake_is_followed_by_cleartext() {
    if !NameServer::available() {
        return;
    }
    let dns = NameServer::start("tls.test. 60 IN A 127.0.0.1\n").await;
    let no_tls = [Expect("STARTTLS"), send("220 go")];
    let peer = Peer::start(vec![
        then(hello(&["STARTTLS"]), no_tls),
        then(hello(&["STARTTLS"]), good_transaction()),
    ])
    .await;
    let configuration = configuration(&dns, peer.address.port(), "");
    let site = Site::new(&configuration.replace("\"sendport.test\"", "\"client.example.test\""));
    insert(&site, "ops@tls.test");
    let service = site.run();
    site.wait_until_all_final(Duration::from_secs(60)).await;
    let attempt = "SELECT Outcome || ' ' || coalesce(TlsVersion, 'cleartext') FROM Attempt";
    assert_eq!(site.value(attempt), "relayed cleartext");
    assert_eq!(service.stop(), Some(0));
    peer.finish().await;
}
