use std::time::Duration;

use crate::site::{Site, text};
use crate::support::certificates::TestAuthority;
use crate::support::people::{People, Person};
use crate::support::slapd::{BASE, Entry, PASSWORD, READER, Slapd};
use crate::{any_port, plain_relay, send_port_over, sink_at};

const ENDED: (&str, &str) = ("20200101000000Z", "20210101000000Z");

fn entry(people: &People, mail: &str, certificate: &str) -> Entry<'static> {
    vec![
        ("mail", mail.as_bytes().to_vec()),
        ("userCertificate;binary", der(people, certificate)),
    ]
}

fn der(people: &People, name: &str) -> Vec<u8> {
    let own = format!("{name}.own.pem");
    people.openssl(&["x509", "-in", &own, "-outform", "DER"])
}

/// What a mail program publishes: nothing, signed, with what it can open.
fn published(people: &People, name: &str) -> Vec<u8> {
    let (own, key) = (format!("{name}.own.pem"), format!("{name}.key"));
    let arguments = ["cms", "-sign", "-binary", "-nodetach", "-outform", "DER"];
    let whose = ["-in", &own, "-signer", &own, "-inkey", &key];
    people.openssl(&[&arguments[..], &whose[..]].concat())
}

/// An authority of mail certificates and what it issued.
fn people(folder: &std::path::Path) -> People {
    let people = People::new(folder);
    for name in ["anna", "bob", "carol", "gateway"] {
        people.add(&Person::new(name, &format!("{name}@example.test")));
    }
    people.add(&Person::new("paul", "paul@xn--bcher-kva.example"));
    people.add(&Person {
        validity: Some(ENDED),
        ..Person::new("dora", "dora@example.test")
    });
    people
}

fn entries(people: &People) -> Vec<Entry<'static>> {
    let mut by_proxy = entry(people, "carol.new@example.test", "carol");
    by_proxy.push(("proxyAddresses", b"smtp:Carol@Example.Test".to_vec()));
    by_proxy.push(("proxyAddresses", b"X500:/o=Example/cn=carol".to_vec()));
    let mut abroad = entry(people, "paul@example.test", "paul");
    abroad.push(("proxyAddresses", "smtp:paul@Bücher.example".into()));
    vec![
        entry(people, "Anna@Example.Test", "anna"),
        vec![
            ("mail", b"bob@example.test".to_vec()),
            ("userSMIMECertificate", published(people, "bob")),
        ],
        by_proxy,
        abroad,
        entry(people, "dora@example.test", "dora"),
        entry(people, "emil@example.test", "gateway"),
        vec![
            ("mail", b"fred@example.test".to_vec()),
            ("userSMIMECertificate", b"\x30\x03abc".to_vec()),
        ],
    ]
}

/// Exit code and both outputs.
fn import(site: &Site, url: &str, more: &[&str]) -> (Option<i32>, String) {
    let arguments = ["cert", "import", "--ldap", url, "--base", BASE];
    let output = site.sendport(&[&arguments[..], more].concat());
    (output.status.code(), text(&output))
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_are_encrypted_to_imported_certificates() {
    if !Slapd::available() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (people, authority) = (people(folder.path()), TestAuthority::new());
    let slapd = Slapd::start(&authority, &entries(&people)).await;
    let sink = sink_at(any_port(), &folder.path().join("mails"), &[]).await;
    let port = send_port_over(&plain_relay(sink.local_addr())).replace(
        "[send_port.default]\n",
        "[send_port.default]\nprotection = \"encrypt\"\n",
    );
    let site = Site::new(&(port + "[send_port.default.encryption]\n"));
    let (authorities, password) = (site.path("ca.pem"), site.path("password"));
    std::fs::write(&authorities, authority.pem()).expect("a file");
    std::fs::write(&password, PASSWORD).expect("a file");
    let (authorities, password) = (authorities.display(), password.display());
    let trusted = format!("--ca-file={authorities}");
    let authenticated = [
        &*trusted,
        "--user",
        READER,
        &format!("--password-file={password}"),
    ];

    let (code, shown) = import(&site, &slapd.tls_url(), &authenticated);
    assert_eq!(code, Some(0), "{shown}");
    for line in [
        "added    anna@example.test: ",
        "added    bob@example.test: ",
        "added    carol@example.test: ",
        "the certificate in the directory expired at 2021-01-01T00:00:00Z",
        "it is for gateway@example.test, but the directory has it with emil@example.test",
        "expected certificates in PEM, one in DER, or PKCS #7 with certificates, found none",
        "added    paul@xn--bcher-kva.example: ",
        "7 people, 4 certificates\n",
    ] {
        assert!(shown.contains(line), "{line} is missing in\n{shown}");
    }
    let source = "SELECT Source FROM Certificate WHERE Address = 'anna@example.test'";
    let place = format!("{} cn=Person 0,{BASE}", slapd.tls_url());
    assert_eq!(site.value(source), place);
    let capabilities = "SELECT Capabilities FROM Certificate WHERE Address = 'bob@example.test'";
    assert!(site.value(capabilities).contains("aes-256-cbc"));
    let (_, again) = import(
        &site,
        &slapd.plain_url(),
        &[&authenticated[..], &["--starttls"]].concat(),
    );
    assert_eq!(again.matches("known  ").count(), 4, "{again}");

    let sql = "INSERT INTO Alert (ToRecipients, Subject, Body) VALUES ('carol@example.test', 's', 'Order 4711')";
    site.database().execute(sql, []).expect("insert");
    let service = site.run();
    site.wait_until_all_final(Duration::from_secs(60)).await;
    assert_eq!(service.stop(), Some(0));
    let file = std::fs::read_dir(folder.path().join("mails"))
        .expect("the mails")
        .next()
        .expect("one mail");
    let mail = std::fs::read(file.expect("one mail").path()).expect("to read it");
    let opened = people.decrypt(&mail, "carol").expect("to open it");
    assert!(String::from_utf8_lossy(&opened).contains("Order 4711"));
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_searches_are_explained() {
    let site = Site::new(&send_port_over("[relay.main]\nkind = \"discard\"\n"));
    let unreachable = "ldaps://127.0.0.1:1";
    for (more, wanted) in [
        (
            &[][..],
            "the directory ldaps://127.0.0.1:1 cannot be reached: ",
        ),
        (
            &["--user", "me"][..],
            "--user needs a password: --password-file or --password-env",
        ),
        (&["some.pem"][..], "cannot be used with"),
    ] {
        let (code, shown) = import(&site, unreachable, more);
        assert!(code != Some(0) && shown.contains(wanted), "{shown}");
    }
    let output = site.sendport(&["cert", "import", "--ldap", unreachable]);
    assert!(text(&output).contains("--base"), "{}", text(&output));
}
