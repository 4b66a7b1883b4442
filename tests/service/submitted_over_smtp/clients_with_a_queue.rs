//! Mail servers that have the intake as their smart host, and want TLS of it: what they pass on arrives octet for octet.

use super::clients::{EIGHT_BIT, SEVEN_BIT};
use super::*;
use crate::support::certificates::TestAuthority;
use crate::support::exim::Exim;
use crate::support::postfix::{Postfix, PostfixOptions};
use crate::support::received::sorted;

const WITHIN: Duration = Duration::from_secs(60);

/// Parameters of MAIL, the recipient, and the message.
type Mail = (&'static str, &'static str, Vec<u8>);

/// Seven bits with dots, eight bits, addresses beyond ASCII, and more than one block of content.
fn mails() -> Vec<Mail> {
    let eight_bit = " BODY=8BITMIME";
    let utf8 = EIGHT_BIT.replace("To: ops@", "To: j\u{fc}rgen@");
    let long = EIGHT_BIT.to_owned() + &"Z\u{e4}hler 4711\r\n.\r\n".repeat(100_000);
    vec![
        ("", "ops@example.test", SEVEN_BIT.to_vec()),
        (eight_bit, "ops@example.test", EIGHT_BIT.into()),
        (
            " BODY=8BITMIME SMTPUTF8",
            "j\u{fc}rgen@example.test",
            utf8.into(),
        ),
        (eight_bit, "ops@example.test", long.into()),
    ]
}

/// An intake that requires TLS, with a certificate of the authority.
async fn intake_with_tls(authority: &TestAuthority, folder: &std::path::Path) -> Intake {
    authority.write_server(folder, &["127.0.0.1"]);
    let file = |name: &str| folder.join(name).display().to_string();
    let settings = format!(
        "tls = \"starttls_required\"\ncertificate_file = '{}'\nkey_file = '{}'\n",
        file("cert.pem"),
        file("key.pem")
    );
    Intake::start(&settings).await
}

/// Submits the messages to the mail server, and compares them with what arrives behind the intake. `log` is the server's.
async fn pass_unchanged(intake: &Intake, server: SocketAddr, log: impl Fn() -> String) {
    let mails = mails();
    let mut client = RawClient::connect(server);
    assert_eq!(&client.ask("EHLO client.test")[..3], "250");
    for (parameters, recipient, message) in &mails {
        let mail = format!("MAIL FROM:<app@example.test>{parameters}");
        assert_eq!(&client.ask(&mail)[..3], "250");
        assert_eq!(&client.ask(&format!("RCPT TO:<{recipient}>"))[..3], "250");
        assert_eq!(&client.ask("DATA")[..3], "354");
        let lines = message.split_inclusive(|octet| *octet == b'\n');
        let stuffed = lines.flat_map(|line| match line.starts_with(b".") {
            true => [b".", line].concat(),
            false => line.to_vec(),
        });
        client.send(&stuffed.collect::<Vec<_>>());
        assert_eq!(&client.ask(".")[..3], "250");
    }
    let count = "SELECT count(*) FROM Alert";
    let wanted = mails.len().to_string();
    intake.site.wait_until(count, &wanted, WITHIN).await;
    let relayed = intake.relayed().await;
    // That of the mail server, too.
    let without_two = |it: &Vec<u8>| without_added_fields(&without_added_fields(it));
    let found = sorted(relayed.iter().map(without_two));
    let wanted = sorted(mails.into_iter().map(|(_, _, message)| message));
    assert!(found == wanted, "the octets differ: {}", log());
    for message in &relayed {
        let protocol = String::from_utf8_lossy(&message[..message.len().min(1000)]);
        assert!(protocol.contains("SMTPS (TLSv1.3"), "{protocol}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postfix_submits_over_tls() {
    if !Postfix::available() {
        return;
    }
    let (authority, folder) = (TestAuthority::new(), tempfile::tempdir().expect("a folder"));
    let intake = intake_with_tls(&authority, folder.path()).await;
    let relayhost = format!("[127.0.0.1]:{}", intake.address.port());
    let as_client = [
        ("virtual_mailbox_domains", ""),
        ("default_transport", "smtp"),
        ("relay_transport", "smtp"),
        ("relayhost", &relayhost),
        ("mynetworks", "127.0.0.0/8"),
        ("smtpd_relay_restrictions", "permit_mynetworks, reject"),
        ("smtp_tls_security_level", "encrypt"),
    ];
    let options = PostfixOptions {
        main_cf: as_client
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        ..PostfixOptions::default()
    };
    let postfix = Postfix::start(options).await;
    pass_unchanged(&intake, postfix.plain(), || postfix.mail_log()).await;
    intake.stop().await;
}

/// Exim sends the content by BDAT to a server that offers CHUNKING.
#[tokio::test(flavor = "multi_thread")]
async fn exim_submits_chunks_over_tls() {
    if !Exim::available() {
        return;
    }
    let (authority, folder) = (TestAuthority::new(), tempfile::tempdir().expect("a folder"));
    let intake = intake_with_tls(&authority, folder.path()).await;
    let exim = Exim::with_smart_host(&authority, intake.address).await;
    pass_unchanged(&intake, exim.plain(), || exim.log()).await;
    let log = exim.log();
    let sent: Vec<_> = log.lines().filter(|line| line.contains(" => ")).collect();
    assert_eq!(sent.len(), mails().len(), "{log}");
    // K is CHUNKING, X the cipher, and CV whether the certificate is verified.
    let is_chunked = |line: &&str| {
        line.contains(" K ") && line.contains(" X=TLS1.3") && line.contains(" CV=yes")
    };
    assert!(sent.iter().all(is_chunked), "{log}");
    intake.stop().await;
}
