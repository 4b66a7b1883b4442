use std::path::Path;
use std::process::Command;
use std::time::Duration;

use sendport_core::domain::RecipientKind;

use crate::not_run::not_run;
use crate::plain_relay;
use crate::site::{Site, text};
use crate::support::certificates::TestAuthority;
use crate::support::exim::{Authenticator, Exim};
use crate::support::maildir::DeliveredMessage;
use crate::support::people::{PASSWORD, People, Person};
use crate::support::postfix::{Postfix, PostfixOptions};
use crate::support::submitted::{Submitted, submit};

/// Of Debian, which has dkimpy for it.
const PYTHON: &str = "/usr/bin/python3";

/// Prints a line for each signature of the message: domain, algorithm, and whether it is valid.
const VERIFY: &str = "
import dkim, re, sys
records = dict(line.rstrip('\\n').split('\\t') for line in open(sys.argv[1]))
def dns(name, timeout=5):
    record = records.get(name.decode().rstrip('.'))
    return record.encode() if record else None
message = open(sys.argv[2], 'rb').read()
verifier = dkim.DKIM(message)
count = sum(1 for name, _ in verifier.headers if name.lower() == b'dkim-signature')
for index in range(count):
    try:
        valid = verifier.verify(idx=index, dnsfunc=dns)
    except dkim.DKIMException as error:
        valid = error
    fields = verifier.signature_fields
    print(fields[b'd'].decode(), fields[b'a'].decode(), valid)
";

const WITHIN: Duration = Duration::from_secs(60);

/// A client wrote it in 8 bits.
const SUBMITTED: &str = "Received: from app\r\nFrom: App <app@example.test>\r\nTo: user1@example.test\r\n\
    Subject: Gr=?utf-8?q?=C3=BC?=\r\nDate: Mon, 30 Nov 2026 10:00:00 +0000\r\nMessage-ID: <eight@app>\r\n\
    MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
    Grüße  \t von Auftrag 4711.\r\n\r\n\r\n";

fn has_verifier() -> bool {
    let found = Command::new(PYTHON)
        .args(["-c", "import dkim, nacl"])
        .output();
    let has = found.is_ok_and(|output| output.status.success());
    if !has {
        not_run(
            "DKIM verified by dkimpy: the packages python3-dkim and python3-nacl are not installed",
        );
    }
    has
}

fn generate(folder: &Path, name: &str, arguments: &[&str]) {
    let made = Command::new("openssl")
        .args(["genpkey", "-out"])
        .arg(folder.join(name))
        .args(arguments)
        .output()
        .expect("openssl");
    assert!(made.status.success(), "{made:?}");
}

/// The records as `sendport dkim` prints them, in a file for the verifier.
fn publish(site: &Site, folder: &Path) {
    let printed = text(&site.sendport(&["dkim"]));
    let value =
        |line: &str, key: &str| line.trim().strip_prefix(key).map(|it| it.trim().to_owned());
    let names = printed.lines().filter_map(|line| value(line, "name "));
    let values = printed.lines().filter_map(|line| value(line, "value "));
    let records = names
        .zip(values)
        .map(|(name, value)| format!("{name}\t{value}\n"));
    let records: Vec<String> = records.collect();
    assert!(records.len() >= 2, "{printed}");
    std::fs::write(folder.join("records"), records.concat()).expect("write");
}

/// What dkimpy says of a message as it arrived.
fn verified(folder: &Path, bytes: &[u8]) -> Vec<String> {
    std::fs::write(folder.join("message"), bytes).expect("write");
    let output = Command::new(PYTHON)
        .args(["-c", VERIFY])
        .args([folder.join("records"), folder.join("message")])
        .output()
        .expect("python3");
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).expect("UTF-8");
    let mut lines: Vec<String> = printed.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

fn send_port(folder: &Path, name: &str, settings: &str) -> String {
    let key = |key: &str, domain: &str, file: &str| {
        format!(
            "[send_port.{name}.dkim.{key}]\ndomain = \"{domain}\"\nselector = \"{key}\"\nkey_file = '{}'\n",
            folder.join(file).display()
        )
    };
    [
        format!(
            "[send_port.{name}]\nfrom = \"alerts@example.test\"\nrelays = [\"main\"]\n{settings}\n"
        ),
        key("rsa", "Example.Test", "rsa.key"),
        key("ed", "example.test", "ed.key"),
        key("sub", "eu.example.test", "rsa.key"),
    ]
    .concat()
}

fn keys(folder: &Path) {
    generate(
        folder,
        "rsa.key",
        &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    );
    generate(folder, "ed.key", &["-algorithm", "ED25519"]);
}

const BOTH: [&str; 2] = [
    "example.test ed25519-sha256 True",
    "example.test rsa-sha256 True",
];

fn of<'a>(arrived: &'a [DeliveredMessage], subject: &str) -> &'a [u8] {
    let has = |it: &&DeliveredMessage| {
        String::from_utf8_lossy(&it.bytes).contains(&format!("Subject: {subject}\n"))
    };
    &arrived.iter().find(has).expect("arrived").bytes
}

/// Rendered, with an attachment, signed by S/MIME, from a subdomain: all signatures are valid behind a relay.
async fn verified_behind(relay: &str, arrived: impl AsyncFn(usize) -> Vec<DeliveredMessage>) {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    keys(folder);
    let people = People::new(folder);
    people.add(&Person::new("rsa", "alerts@example.test"));
    std::fs::write(people.path("password"), format!("{PASSWORD}\n")).expect("write");
    let signing = format!(
        "[send_port.smime.signing]\ncertificate_file = '{}'\nkey_file = '{}'\npassword_file = '{}'\n",
        people.path("rsa.pem").display(),
        people.path("rsa.encrypted.key").display(),
        people.path("password").display()
    );
    let allow = "allow_from = ['@berlin.eu.example.test', '@other.test']";
    let site = Site::new(
        &[
            relay,
            &send_port(folder, "plain", allow),
            &send_port(folder, "smime", "protection = \"sign\""),
            &signing,
        ]
        .concat(),
    );
    let checked = text(&site.sendport(&["check", "--offline"]));
    let line = "ok    send_port.plain.dkim.rsa: RSA of 2048 bits, rsa._domainkey.example.test";
    assert!(checked.contains(line), "{checked}");
    publish(&site, folder);
    for (port, from, subject) in [
        ("plain", "NULL", "plain"),
        ("plain", "'Berlin <a@berlin.eu.example.test>'", "below"),
        ("plain", "'a@other.test'", "other"),
        ("smime", "NULL", "smime"),
    ] {
        let sql = format!(
            "INSERT INTO Alert (SendPort, FromAddress, ToRecipients, Subject, Body) VALUES \
             ('{port}', {from}, 'user1@example.test', '{subject}', 'Grüße' || char(10) || '.' || char(10) || '  late  ')"
        );
        site.database().execute_batch(&sql).expect("insert");
    }
    let service = site.run();
    site.wait_until_all_final(WITHIN).await;
    assert_eq!(service.stop(), Some(0));
    let arrived = arrived(4).await;
    let plain = of(&arrived, "plain");
    assert_eq!(verified(folder, plain), BOTH);
    assert_eq!(verified(folder, of(&arrived, "smime")), BOTH);
    let below = ["eu.example.test rsa-sha256 True"];
    assert_eq!(verified(folder, of(&arrived, "below")), below);
    assert_eq!(verified(folder, of(&arrived, "other")), [""; 0]);
    let text = String::from_utf8(plain.to_vec()).expect("UTF-8");
    let changes = [
        ("Subject: plain", "Subject: plaim"),
        ("From: ", "From: boss@example.test\nFrom: "),
        ("Subject: ", "Cc: boss@example.test\nSubject: "),
    ];
    for (what, instead) in changes {
        let changed = text.replacen(what, instead, 1);
        assert_ne!(changed, text);
        let found = verified(folder, changed.as_bytes());
        assert!(
            found.iter().all(|line| !line.ends_with("True")),
            "{found:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dkimpy_verifies_what_postfix_delivered() {
    if !Postfix::available() || !has_verifier() {
        return;
    }
    let postfix = Postfix::start(PostfixOptions::default()).await;
    let arrived = async |count| postfix.wait_for_messages(count, WITHIN).await;
    verified_behind(&plain_relay(postfix.plain()), arrived).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dkimpy_verifies_what_exim_delivered() {
    if !Exim::available() || !has_verifier() {
        return;
    }
    let exim = Exim::start(&TestAuthority::new(), Authenticator::Spa).await;
    let arrived = async |count| exim.wait_for_messages(count, WITHIN).await;
    verified_behind(&plain_relay(exim.plain()), arrived).await;
}

/// The signature is that of the form that the relay gets, and a From that the send port may not use has none.
#[tokio::test(flavor = "multi_thread")]
async fn submitted_messages_are_signed_in_the_form_that_is_sent() {
    if !Postfix::available() || !has_verifier() {
        return;
    }
    for keywords in ["", "8bitmime, smtputf8"] {
        let without = ("smtpd_discard_ehlo_keywords", keywords);
        let postfix = Postfix::start(PostfixOptions {
            main_cf: vec![(without.0.to_owned(), without.1.to_owned())],
            ..PostfixOptions::default()
        })
        .await;
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        keys(folder);
        let port = send_port(folder, "plain", "allow_from = ['app@example.test']");
        let site = Site::new(&(plain_relay(postfix.plain()) + &port));
        publish(&site, folder);
        let stranger = SUBMITTED
            .replace("app@example.test", "boss@example.test")
            .replace("eight@", "boss@");
        for (message_id, bytes) in [("<eight@app>", SUBMITTED), ("<boss@app>", &stranger)] {
            let submitted = Submitted {
                send_port: "plain",
                recipients: &[("user1@example.test", RecipientKind::To)],
                message_id,
                bytes: bytes.as_bytes(),
            };
            submit(&site.path("sendport.db"), submitted).await;
        }
        let service = site.run();
        site.wait_until_all_final(WITHIN).await;
        assert_eq!(service.stop(), Some(0));
        let arrived = postfix.wait_for_messages(2, WITHIN).await;
        let with = |id: &str| {
            let found = arrived.iter().find(|it| it.message_id == id);
            verified(folder, &found.expect("arrived").bytes)
        };
        assert_eq!(with("<eight@app>"), BOTH, "without {keywords}");
        assert_eq!(with("<boss@app>"), [""; 0]);
    }
}
