use std::path::Path;
use std::time::Duration;

use crate::site::{Site, text};
use crate::support::people::{People, Person};
use crate::{any_port, plain_relay, send_port_over, sink_at};

/// A send port that encrypts to the database's certificates alone.
fn encrypting(relay: &str) -> String {
    let encrypts = "[send_port.default]\nprotection = \"encrypt\"\n";
    let port = send_port_over(relay).replace("[send_port.default]\n", encrypts);
    port + "[send_port.default.encryption]\n"
}

fn discarding() -> Site {
    Site::new(&encrypting("[relay.main]\nkind = \"discard\"\n"))
}

/// Exit code and both outputs of `sendport cert`.
fn cert(site: &Site, arguments: &[&str]) -> (Option<i32>, String) {
    let output = site.sendport(&[&["cert"], arguments].concat());
    (output.status.code(), text(&output))
}

fn done(site: &Site, arguments: &[&str]) -> String {
    let (code, shown) = cert(site, arguments);
    assert_eq!(code, Some(0), "{shown}");
    shown
}

fn insert(site: &Site, reference: &str) {
    let sql = "INSERT INTO Alert (Reference, ToRecipients, Subject, Body)
               VALUES (?1, 'Alice <Alice@Example.Test>', 'late', 'Order 4711')";
    site.database().execute(sql, [reference]).expect("insert");
}

fn failed(site: &Site, reference: &str) -> String {
    site.value(&format!(
        "SELECT Status || ' ' || EnhancedStatusCode || ' ' || ReplyText || ' ' || Cause
         FROM Delivery WHERE Reference = '{reference}'"
    ))
}

fn mails(folder: &Path) -> Vec<Vec<u8>> {
    let files = std::fs::read_dir(folder).expect("a folder");
    let read = |file: std::io::Result<std::fs::DirEntry>| std::fs::read(file.expect("one").path());
    files.map(|file| read(file).expect("read")).collect()
}

fn thumbprint_of(people: &People, name: &str) -> String {
    let own = format!("{name}.own.pem");
    let shown = people.openssl(&["x509", "-noout", "-fingerprint", "-sha1", "-in", &own]);
    let shown = String::from_utf8_lossy(&shown).into_owned();
    shown
        .split_once('=')
        .expect("a fingerprint")
        .1
        .trim()
        .to_owned()
}

/// From the import of a certificate to its end, while the service runs.
#[tokio::test(flavor = "multi_thread")]
async fn imported_used_revoked_and_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let people = People::new(folder.path());
    people.add(&Person::new("alice", "Alice@example.test"));
    let received = folder.path().join("received");
    let sink = sink_at(any_port(), &received, &[]).await;
    let site = Site::new(&encrypting(&plain_relay(sink.local_addr())));
    let soon = Duration::from_secs(60);

    insert(&site, "valid");
    let preview = text(&site.sendport(&["preview", "1"]));
    let none = "there is no certificate for Alice@Example.Test";
    assert!(preview.contains(none), "{preview}");
    let file = people.path("alice.own.pem").display().to_string();
    let shown = done(&site, &["import", &file]);
    assert!(
        shown.starts_with("added    alice@example.test: CN=alice, in "),
        "{shown}"
    );
    let preview = text(&site.sendport(&["preview", "1"]));
    assert!(preview.contains("encrypt: submitted as "), "{preview}");
    let service = site.run();
    site.wait_until_all_final(soon).await;
    let all = mails(&received);
    assert_eq!(all.len(), 1, "{}", failed(&site, "valid"));
    assert!(!String::from_utf8_lossy(&all[0]).contains("Order 4711"));
    let opened = people.decrypt(&all[0], "alice").expect("opened");
    assert!(String::from_utf8_lossy(&opened).contains("Order 4711"));

    let thumbprint = thumbprint_of(&people, "alice").to_lowercase();
    let shown = done(
        &site,
        &["revoke", &thumbprint, "--reason", "laptop was stolen"],
    );
    assert!(shown.starts_with("revoked ") && shown.contains("of alice@example.test"));
    insert(&site, "revoked");
    site.wait_until_all_final(soon).await;
    let why = failed(&site, "revoked");
    assert!(
        why.starts_with("failed 5.7.5 ") && why.contains(": laptop was stolen"),
        "{why}"
    );
    assert!(why.contains("certificate was revoked"), "{why}");
    let (code, shown) = cert(&site, &["check"]);
    assert_eq!(code, Some(1));
    assert!(
        shown.contains("FAIL  alice@example.test: ") && shown.contains("laptop"),
        "{shown}"
    );
    assert!(done(&site, &["import", &file]).starts_with("known    alice@example.test"));

    let shown = done(&site, &["remove", "ALICE@example.test"]);
    assert!(shown.starts_with("removed "), "{shown}");
    insert(&site, "removed");
    site.wait_until_all_final(soon).await;
    assert!(failed(&site, "removed").contains(none));
    assert_eq!(service.stop(), Some(0));
    assert_eq!(mails(&received).len(), 1, "nothing else was sent");
    let noted =
        "SELECT group_concat(EventType) FROM EventLog WHERE EventType LIKE 'certificate-re%'";
    assert_eq!(site.value(noted), "certificate-revoked,certificate-removed");
}

/// What certificates come in, and what is no certificate of a recipient.
#[test]
fn from_every_kind_of_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let people = People::new(folder.path());
    people.add(&Person::new("alice", "alice@example.test"));
    people.add(&Person::on_curve("bob", "bob@example.test", "P-384"));
    people.openssl(&[
        "crl2pkcs7",
        "-nocrl",
        "-certfile",
        "alice.pem",
        "-outform",
        "DER",
        "-out",
        "alice.p7b",
    ]);
    people.openssl(&[
        "crl2pkcs7",
        "-nocrl",
        "-certfile",
        "bob.pem",
        "-out",
        "bob.p7c",
    ]);
    people.openssl(&[
        "x509",
        "-in",
        "bob.own.pem",
        "-outform",
        "DER",
        "-out",
        "bob.cer",
    ]);
    let all = people.path("all");
    std::fs::create_dir_all(&all).expect("a folder");
    for name in ["alice.p7b", "bob.p7c"] {
        std::fs::copy(people.path(name), all.join(name)).expect("copy");
    }
    std::fs::write(all.join("notes.txt"), "no certificate").expect("write");
    let site = discarding();
    let shown = done(&site, &["import", &all.display().to_string()]);
    let mut begins: Vec<_> = shown
        .lines()
        .map(|line| line.split(", in ").next())
        .collect();
    let alice = Some("added    alice@example.test: CN=alice");
    let bob = Some("added    bob@example.test: CN=bob");
    let authority = Some("skipped  CN=Test CA for mail");
    let mut expected = vec![alice, authority, authority, bob];
    begins.sort_unstable();
    expected.sort_unstable();
    assert_eq!(begins, expected, "{shown}");
    let bob = people.path("bob.cer").display().to_string();
    assert!(done(&site, &["import", &bob]).starts_with("known    bob@"));
    imported_certificates_are_listed(&site, &people, &bob);
}

fn imported_certificates_are_listed(site: &Site, people: &People, bob: &str) {
    let gateway = [
        "import",
        bob,
        "--address",
        "Ops@Contoso.com",
        "--cipher",
        "aes-256-gcm",
    ];
    assert!(done(site, &gateway).starts_with("added    ops@contoso.com: CN=bob"));
    let list = site.sendport(&["cert", "list", "--json"]);
    let list: serde_json::Value = serde_json::from_slice(&list.stdout).expect("JSON");
    let of = |n: usize, key: &str| list[n][key].as_str().unwrap_or_default().to_owned();
    assert_eq!(of(0, "Address"), "alice@example.test");
    assert_eq!(
        of(0, "Thumbprint"),
        thumbprint_of(people, "alice").replace(':', "")
    );
    assert_eq!(of(0, "KeyAlgorithm"), "RSA 2048");
    assert_eq!(of(0, "Issuer"), "CN=Test CA for mail");
    assert_eq!(
        of(1, "KeyUsage"),
        "digitalSignature, keyAgreement, emailProtection"
    );
    assert_eq!(
        (of(2, "BoundBy"), of(2, "Cipher")),
        ("operator".to_owned(), "aes-256-gcm".to_owned())
    );
    let table = done(site, &["list", "bob@example.test"]);
    assert!(
        table.contains("EC P-384") && !table.contains("alice"),
        "{table}"
    );
    assert_eq!(done(site, &["check"]).matches("ok    ").count(), 3);
}

/// Each error says what to do, and nothing is bound to an address by mistake.
#[test]
fn import_reports_why_a_file_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let people = People::new(folder.path());
    people.add(&Person::new("alice", "alice@example.test"));
    people.add(&Person::new("bob", "bob@example.test"));
    let file = |name: &str| people.path(name).display().to_string();
    std::fs::write(people.path("torn.cer"), "-----BEGIN CERTIFICATE-----\nMIIB").expect("write");
    let both =
        ["alice.own.pem", "bob.own.pem"].map(|it| std::fs::read(people.path(it)).expect("read"));
    std::fs::write(people.path("both.pem"), both.concat()).expect("write");
    std::fs::create_dir_all(people.path("empty")).expect("a folder");
    let site = discarding();
    for (arguments, shown) in [
        (vec![file("absent.pem")], "absent.pem: No such file"),
        (
            vec![file("torn.cer")],
            "torn.cer: expected certificates in PEM, one in DER, or PKCS #7",
        ),
        (vec![file("ca.pem")], "nothing was imported"),
        (vec![file("empty")], "holds no file *.pem"),
        (
            vec![
                file("both.pem"),
                "--address".into(),
                "ops@contoso.com".into(),
            ],
            "2 certificates in it do not name the address (CN=alice; CN=bob)",
        ),
        (
            vec![
                file("both.pem"),
                file("ca.pem"),
                "--address".into(),
                "x@y.com".into(),
            ],
            "import them one by one",
        ),
        (
            vec![file("alice.own.pem"), "--address".into(), "nobody".into()],
            "'nobody' is no mail address",
        ),
        (
            vec![file("alice.own.pem"), "--cipher".into(), "rc2".into()],
            "--cipher: 'rc2' is not a cipher; write one of aes-256-cbc",
        ),
    ] {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (code, text) = cert(&site, &[&["import"], &arguments[..]].concat());
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains(shown), "{text}");
    }
    assert_eq!(site.value("SELECT count(*) FROM Certificate"), "0");

    valid_files_beside_damaged_ones_are_imported(&site, &people);
}

fn valid_files_beside_damaged_ones_are_imported(site: &Site, people: &People) {
    let file = |name: &str| people.path(name).display().to_string();
    let (code, shown) = cert(site, &["import", &file("torn.cer"), &file("alice.own.pem")]);
    assert_eq!(code, Some(1), "{shown}");
    assert!(
        shown.contains("added    alice@example.test") && shown.contains("1 of 2 files"),
        "{shown}"
    );
    let second = file("second.pem");
    people.add(&Person::new("second", "alice@example.test"));
    done(site, &["import", &second]);
    let (code, shown) = cert(site, &["remove", "alice@example.test"]);
    assert_eq!(code, Some(1));
    assert!(
        shown.contains("there are 2 certificates for alice@example.test"),
        "{shown}"
    );
    assert_eq!(
        done(site, &["remove", "alice@example.test", "--all"])
            .matches("removed ")
            .count(),
        2
    );
    let (code, shown) = cert(site, &["revoke", "4711"]);
    assert_eq!(code, Some(1));
    assert!(shown.contains("'4711' is no thumbprint"), "{shown}");
}

#[test]
fn check_says_which_send_port_does_not_believe_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let [ours, others] = ["ours", "others"].map(|name| People::new(&folder.path().join(name)));
    ours.add(&Person::new("alice", "alice@example.test"));
    let alice = ours.path("alice.own.pem").display().to_string();
    for (authority, code, wanted) in [
        (&ours, 0, "ok    alice@example.test: "),
        (
            &others,
            1,
            "is not trusted: unable to get local issuer certificate ('alice') (send port default)",
        ),
    ] {
        let ca_file = authority.path("ca.pem").display().to_string();
        let port = encrypting("[relay.main]\nkind = \"discard\"\n");
        let site = Site::new(&format!(
            "{port}ca_file = '{ca_file}'\nrevocation = 'off'\n"
        ));
        done(&site, &["import", &alice]);
        let (ended, shown) = cert(&site, &["check"]);
        assert!(ended == Some(code) && shown.contains(wanted), "{shown}");
    }
}
