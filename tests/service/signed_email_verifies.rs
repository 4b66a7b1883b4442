use std::time::Duration;

use crate::plain_relay;
use crate::site::{Site, text};
use crate::support::people::{PASSWORD, People, Person, parts_of_signed};
use crate::support::postfix::{Postfix, PostfixOptions};

/// A send port for each way to sign, named by it.
fn send_ports(people: &People) -> String {
    let file = |name: &str| people.path(name).display().to_string();
    let port = |name: &str, from: &str, signing: &str| {
        format!(
            "[send_port.{name}]\nfrom = \"{from}\"\nrelays = [\"main\"]\nprotection = \"sign\"\n\
             [send_port.{name}.signing]\n{signing}\n"
        )
    };
    let rsa = format!(
        "certificate_file = '{}'\nkey_file = '{}'\npassword_file = '{}'\n",
        file("rsa.pem"),
        file("rsa.encrypted.key"),
        file("password")
    );
    let curve = format!(
        "pkcs12_file = '{}'\npassword_file = '{}'\n",
        file("curve.p12"),
        file("password")
    );
    let (alerts, other) = ("Contoso <alerts@example.test>", "curve@example.test");
    [
        port("clear", alerts, &rsa),
        port(
            "opaque",
            alerts,
            &format!("{rsa}form = 'opaque'\ndigest = 'sha512'"),
        ),
        port("pss", alerts, &format!("{rsa}rsa_padding = 'pss'")),
        port("curve", other, &format!("{curve}digest = 'sha384'")),
    ]
    .concat()
}

fn people(folder: &std::path::Path) -> People {
    let people = People::new(folder);
    people.add(&Person::new("rsa", "Alerts@example.test"));
    people.add(&Person::on_curve("curve", "curve@example.test", "P-384"));
    std::fs::write(people.path("password"), format!("{PASSWORD}\n")).expect("write");
    people
}

/// What every reader finds right, and what is not any more once a byte is changed.
#[tokio::test(flavor = "multi_thread")]
async fn openssl_and_gpgsm_verify_it_and_detect_a_changed_byte() {
    if !Postfix::available() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let people = people(folder.path());
    let postfix = Postfix::start(PostfixOptions::default()).await;
    let site = Site::new(&(plain_relay(postfix.plain()) + &send_ports(&people)));
    let checked = text(&site.sendport(&["check"]));
    let line = "ok    send_port.curve.signing: curve@example.test, EC key, valid until ";
    assert!(checked.contains(line), "{checked}");
    let soon = "note  send_port.curve.signing: the signing certificate expires in 0 days";
    assert!(checked.contains(soon), "{checked}");
    let names = ["clear", "curve", "opaque", "pss"];
    for name in names {
        let sql = format!(
            "INSERT INTO Alert (SendPort, ToRecipients, BccRecipients, Subject, Body) \
             VALUES ('{name}', 'user1@example.test', 'user2@example.test', 'by {name}', 'Order 4711: it is late, and nobody knows why.' || char(10) || '.' || char(10) || 'Grüße')"
        );
        site.database().execute_batch(&sql).expect("insert");
    }
    let service = site.run();
    site.wait_until_all_final(Duration::from_secs(60)).await;
    assert_eq!(service.stop(), Some(0));
    let protection = "SELECT group_concat(DISTINCT Protection || ' ' || Outcome) FROM Attempt";
    assert_eq!(site.value(protection), "sign relayed");

    let messages = postfix.wait_for_messages(8, Duration::from_secs(60)).await;
    let gpgsm = people.gpgsm(&[]);
    for name in names {
        let subject = format!("Subject: by {name}\r\n");
        let fits = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).contains(&subject);
        let message = messages
            .iter()
            .map(|it| it.as_submitted())
            .find(fits)
            .expect(name);
        right_by_openssl(&people, name, &message);
        if name != "opaque"
            && let Some(gpgsm) = &gpgsm
        {
            let (mut content, signature) = parts_of_signed(&message);
            assert!(gpgsm.verify(&content, &signature), "{name} by gpgsm");
            content[20] ^= 1;
            let verified = gpgsm.verify(&content, &signature);
            assert!(!verified, "{name}: gpgsm saw no change");
        }
    }
}

/// And not any more with one byte changed.
fn right_by_openssl(people: &People, name: &str, message: &[u8]) {
    let content = people.verify(message).expect(name);
    let content = String::from_utf8(content).expect("7-bit");
    assert!(content.starts_with("Date: "), "{content}");
    let kind = "\r\nContent-Type: text/plain; charset=utf-8; hp=\"clear\";\r\n protected-headers=\"v1\"\r\n";
    assert!(content.contains(kind), "{content}");
    assert!(content.contains("Order 4711:"), "{content}");
    assert!(content.contains("\nGr=C3=BC=C3=9Fe"), "{content}");
    let printed = people.print(message);
    for attribute in [
        "signingTime",
        "S/MIME Capabilities",
        "id-smime-aa-signingCertificateV2",
        "aes-256-cbc",
    ] {
        assert!(printed.contains(attribute), "{name}: {attribute}");
    }
    for absent in ["rc2", "aes-256-gcm"] {
        assert!(!printed.contains(absent), "{printed}");
    }
    let mut changed = message.to_vec();
    let place = changed.windows(4).position(|it| it == b"4711");
    // Where it is opaque, the content is near the start of the base64.
    let body = message.windows(4).position(|it| it == b"\r\n\r\n");
    let place = place.unwrap_or(body.expect("a body") + 124);
    changed[place] = if changed[place] == b'4' { b'5' } else { b'4' };
    let verified = people.verify(&changed);
    assert!(verified.is_none(), "{name}: the change was not seen");
}

/// The service does not start with an identity that readers would not believe, and says why.
#[test]
fn a_wrong_identity_is_refused_at_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    people(folder.path());
    let cases = [
        (
            "certificate_file = 'curve.pem'\nkey_file = 'curve.key'",
            "the signing certificate is for curve@example.test",
        ),
        (
            "certificate_file = 'rsa.pem'\nkey_file = 'curve.key'",
            "the private key is not that of the certificate",
        ),
        (
            "certificate_file = 'rsa.pem'\nkey_file = 'rsa.encrypted.key'",
            "password_file or password_env",
        ),
        (
            "pkcs12_file = 'rsa.p12'",
            "expected PKCS #12 and its password",
        ),
        ("form = 'clear'", "name one: certificate_file"),
    ];
    for (signing, why) in cases {
        let signing = signing.replace("= '", &format!("= '{}/", folder.path().display()));
        let signing = signing.replace(&format!("{}/clear", folder.path().display()), "clear");
        let port = format!(
            "[relay.main]\nkind = 'discard'\n[send_port.default]\nfrom = 'alerts@example.test'\n\
             relays = ['main']\nprotection = 'sign'\n[send_port.default.signing]\n{signing}\n"
        );
        let config = folder.path().join("sendport.toml");
        let database = "environment = 'test'\n[database]\nconnection = 'sqlite:sendport.db'\n";
        std::fs::write(&config, format!("{database}{port}")).expect("write");
        for verb in [&["check", "--offline"][..], &["run"]] {
            let output = std::process::Command::new(env!("CARGO_BIN_EXE_sendport"))
                .arg("--config")
                .arg(&config)
                .args(verb)
                .output()
                .expect("sendport to run");
            let shown = text(&output);
            assert!(
                !output.status.success() && shown.contains(why),
                "{verb:?}: {shown}"
            );
        }
    }
}
