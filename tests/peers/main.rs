//! The peers of other tests are what those tests take them for, seen by a client that is not ours.

#[path = "../support/not_run.rs"]
mod not_run;
#[expect(dead_code, reason = "this binary needs a part of what the peers offer")]
#[path = "../support"]
mod support {
    pub(crate) mod certificates;
    pub(crate) mod client;
    pub(crate) mod dovecot;
    pub(crate) mod exim;
    pub(crate) mod kdc;
    pub(crate) mod maildir;
    pub(crate) mod peer;
    pub(crate) mod postfix;
    pub(crate) mod python_peer;
    pub(crate) mod slapd;
    #[cfg(feature = "sqlserver-gssapi")]
    pub(crate) mod tds_server;
}

mod authenticated_by_curl;
#[cfg(feature = "sqlserver-gssapi")]
mod database_kerberos;
#[cfg(feature = "gssapi")]
mod kerberos_ticket_refused;
mod ldap_directory;
mod man_in_the_middle;
mod relay_matrix;
mod reset_after_refusals;
mod tampered_ntlm;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{interval, timeout};

use support::postfix::{HOST_NAME, PASSWORD, Postfix, PostfixOptions};

const WITHIN: Duration = Duration::from_secs(60);
const MESSAGE: &str =
    "Message-ID: <one@contoso.test>\r\nSubject: A line\r\n\r\nBcc stays\r\n..two dots\r\n\r\n";

#[tokio::test]
async fn mail_is_delivered_to_each_recipient_as_submitted() {
    if !Postfix::available() {
        return;
    }
    let postfix = Postfix::start(PostfixOptions::default()).await;
    let to = [
        "--to=bob@example.test",
        "--to=Any.One+tag@example.test",
        "--data",
    ];
    let replies = client(&postfix, &to).await;
    assert_eq!(
        codes(&replies),
        ["EHLO 250", "MAIL 250", "RCPT 250", "RCPT 250", "DATA 250"]
    );

    let messages = postfix.wait_for_messages(2, WITHIN).await;
    postfix.wait_until_idle(WITHIN).await;
    for message in &messages {
        assert_eq!(String::from_utf8_lossy(&message.as_submitted()), MESSAGE);
    }
    let once = |recipient: &str| (("<one@contoso.test>".to_owned(), recipient.to_owned()), 1);
    assert_eq!(
        postfix.count_by_message_id_and_recipient(),
        BTreeMap::from([once("bob@example.test"), once("Any.One+tag@example.test")]),
    );
}

#[tokio::test]
async fn the_certificate_holds_for_its_names_under_its_authority_only() {
    if !Postfix::available() {
        return;
    }
    let postfix = Postfix::start(PostfixOptions::default()).await;
    let ca_file = format!("--ca-file={}", postfix.ca_file().display());
    for name in ["localhost", HOST_NAME, "127.0.0.1"] {
        let name = format!("--verify-name={name}");
        let replies = client(&postfix, &["--tls=starttls", &ca_file, &name]).await;
        assert_eq!(codes(&replies), ["STARTTLS 220", "EHLO 250"], "{name}");
    }
    let failure = client(
        &postfix,
        &["--tls=starttls", &ca_file, "--verify-name=other.test"],
    )
    .await;
    assert!(failure.contains("Hostname mismatch"), "{failure}");
    let failure = client(&postfix, &["--tls=starttls"]).await;
    assert!(failure.contains("CERTIFICATE_VERIFY_FAILED"), "{failure}");
}

#[tokio::test]
async fn implicit_tls_accepts_mail() {
    if !Postfix::available() {
        return;
    }
    let postfix = Postfix::start(PostfixOptions::default()).await;
    let ca_file = format!("--ca-file={}", postfix.ca_file().display());
    let to = [
        "--tls=implicit",
        &ca_file,
        "--to=bob@example.test",
        "--data",
    ];
    let replies = client(&postfix, &to).await;
    assert_eq!(
        codes(&replies),
        ["EHLO 250", "MAIL 250", "RCPT 250", "DATA 250"]
    );
    postfix.wait_for_messages(1, WITHIN).await;
}

#[tokio::test]
async fn relays_only_for_authenticated_clients() {
    if !Postfix::available() {
        return;
    }
    let postfix = Postfix::start(PostfixOptions::default()).await;
    let replies = client(&postfix, &["--to=bob@elsewhere.test"]).await;
    assert!(replies.contains("RCPT 554 5.7.1"), "{replies}");

    let password = format!("--password={PASSWORD}");
    for (n, mechanism) in ["--auth=PLAIN", "--auth=LOGIN"].into_iter().enumerate() {
        let to = [mechanism, &password, "--to=bob@elsewhere.test", "--data"];
        let replies = client(&postfix, &to).await;
        assert_eq!(
            codes(&replies),
            ["EHLO 250", "AUTH 235", "MAIL 250", "RCPT 250", "DATA 250"],
            "{mechanism}",
        );
        let messages = postfix.wait_for_messages(n + 1, WITHIN).await;
        assert_eq!(messages[n].recipient, "bob@elsewhere.test");
    }
}

#[tokio::test]
async fn auth_offers_the_configured_mechanisms() {
    let options = PostfixOptions {
        mechanisms: "NTLM".to_owned(),
        ..PostfixOptions::default()
    };
    if !Postfix::available() {
        return;
    }
    let postfix = Postfix::start(options).await;
    let replies = client(&postfix, &[]).await;
    assert!(replies.contains(" AUTH NTLM "), "{replies}");
}

#[tokio::test]
async fn a_wrong_password_is_refused() {
    if !Postfix::available() {
        return;
    }
    let postfix = Postfix::start(PostfixOptions::default()).await;
    for mechanism in ["--auth=PLAIN", "--auth=LOGIN"] {
        let replies = client(&postfix, &[mechanism, "--password=Secret-2"]).await;
        assert!(replies.contains("AUTH 535 5.7.8"), "{replies}");
    }
}

#[tokio::test]
async fn some_recipients_are_refused_or_deferred() {
    if !Postfix::available() {
        return;
    }
    let postfix = Postfix::start(PostfixOptions::default()).await;
    let to = [
        "--to=nouser.7@example.test",
        "--to=defer.7@example.test",
        "--to=dave@example.test",
        "--data",
    ];
    let replies = client(&postfix, &to).await;
    assert!(replies.contains("RCPT 550 5.1.1"), "{replies}");
    assert!(replies.contains("RCPT 450 4.2.0"), "{replies}");
    let messages = postfix.wait_for_messages(1, WITHIN).await;
    assert_eq!(messages[0].recipient, "dave@example.test");
}

#[tokio::test]
async fn the_twenty_first_refused_recipient_ends_the_connection() {
    // At its default of 1 s, Postfix takes half a minute for this.
    let error_sleep_time = ("smtpd_error_sleep_time".to_owned(), "0".to_owned());
    let options = PostfixOptions {
        main_cf: vec![error_sleep_time],
        ..PostfixOptions::default()
    };
    if !Postfix::available() {
        return;
    }
    let postfix = Postfix::start(options).await;
    let to: Vec<String> = (0..25)
        .map(|n| format!("--to=nouser{n}@example.test"))
        .collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    let replies = client(&postfix, &to).await;
    assert_eq!(replies.matches("RCPT 550").count(), 20, "{replies}");
    assert!(replies.trim_end().ends_with("too many errors"), "{replies}");
    assert!(replies.contains("RCPT 421 4.7.0"), "{replies}");
}

#[tokio::test]
async fn a_stopped_postfix_starts_again_on_its_ports_with_what_it_had() {
    if !Postfix::available() {
        return;
    }
    let mut postfix = Postfix::start(PostfixOptions::default()).await;
    let (plain, implicit_tls) = (postfix.plain(), postfix.implicit_tls());
    let to = ["--to=bob@example.test", "--data"];
    client(&postfix, &to).await;
    postfix.wait_for_messages(1, WITHIN).await;
    postfix.wait_until_idle(WITHIN).await;

    postfix.stop().await;
    for address in [plain, implicit_tls] {
        let refused = TcpStream::connect(address).await.expect_err("no listener");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    }

    postfix.start_again().await;
    assert_eq!(
        (postfix.plain(), postfix.implicit_tls()),
        (plain, implicit_tls)
    );
    client(&postfix, &to).await;
    postfix.wait_for_messages(2, WITHIN).await;
    postfix.wait_until_idle(WITHIN).await;
    assert_eq!(postfix.messages().len(), 2);
}

#[tokio::test]
async fn a_dropped_postfix_leaves_nothing_behind() {
    if !Postfix::available() {
        return;
    }
    let postfix = Postfix::start(PostfixOptions::default()).await;
    let (plain, ca_file) = (postfix.plain(), postfix.ca_file().to_owned());
    drop(postfix);
    assert!(!ca_file.exists());
    // Its children hold the listening socket, too.
    let refused = async {
        let mut ticks = interval(Duration::from_millis(10));
        while TcpStream::connect(plain).await.is_ok() {
            ticks.tick().await;
        }
    };
    timeout(WITHIN, refused)
        .await
        .expect("no listener any more");
}

/// What `client.py` printed: the replies, or why there are none.
async fn client(postfix: &Postfix, arguments: &[&str]) -> String {
    let implicit = arguments.contains(&"--tls=implicit");
    let address = if implicit {
        postfix.implicit_tls()
    } else {
        postfix.plain()
    };
    let mut child = Command::new("python3")
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/peers/client.py"
        ))
        .arg(address.port().to_string())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python3 to run");
    let mut input = child.stdin.take().expect("its standard input");
    // A client that does not read the message has closed its end.
    let _ = input.write_all(MESSAGE.as_bytes()).await;
    drop(input);
    let output = child.wait_with_output().await.expect("python3 to end");
    [output.stdout, output.stderr]
        .map(|text| String::from_utf8_lossy(&text).into_owned())
        .concat()
}

/// Each reply without its text.
fn codes(replies: &str) -> Vec<String> {
    replies
        .lines()
        .map(|line| line.splitn(3, ' ').take(2).collect::<Vec<_>>().join(" "))
        .collect()
}
