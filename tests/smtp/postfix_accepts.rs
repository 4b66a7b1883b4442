//! A real Postfix: every way to connect and to authenticate.

use std::time::Duration;

use sendport_core::domain::{Command, Fault, SubmissionReport};
use sendport_smtp::relay::Relay;

use crate::support::certificates::AUTHORITY_NAME;
use crate::support::client::{Open, envelope, message, not_begun, relay_with_password, reply_to};
use crate::support::postfix::{HOST_NAME, PASSWORD, Postfix, PostfixOptions, USER};

const BODY: &str = "Order 4711\r\n..\r\n.dot\r\n";
const WITHIN: Duration = Duration::from_secs(60);

async fn start() -> Postfix {
    let at_once = ("smtpd_error_sleep_time".to_owned(), "0".to_owned());
    let options = PostfixOptions {
        main_cf: vec![at_once],
        ..PostfixOptions::default()
    };
    Postfix::start(options).await
}

async fn send(
    postfix: &Postfix,
    settings: &str,
    password: Option<&str>,
    id: &str,
) -> SubmissionReport {
    let address = if settings.contains("implicit") {
        postfix.implicit_tls()
    } else {
        postfix.plain()
    };
    let settings = settings
        .replace("$CA", &postfix.ca_file().display().to_string())
        .replace("$USER", &format!("{USER}@{HOST_NAME}"));
    let settings = settings + "\n[timeout]\nend_of_data = \"20s\"\n";
    let relay = relay_with_password(address, &settings, password);
    let to = envelope(&[
        "bob@example.test",
        "nouser@example.test",
        "defer@example.test",
    ]);
    let report = relay.submit(&to, &message(id, BODY), &Open).await;
    relay.close().await;
    report
}

#[tokio::test]
async fn over_plain_starttls_and_implicit_tls() {
    if !Postfix::available() {
        return;
    }
    let postfix = start().await;
    let ways = [
        ("tls = \"none\"", "plain@x", None),
        (
            "tls = \"opportunistic\"",
            "opportunistic@x",
            Some("TLSv1.3"),
        ),
        (
            "tls = \"starttls\"\nca_file = \"$CA\"",
            "starttls@x",
            Some("TLSv1.3"),
        ),
        (
            "tls = \"implicit\"\nca_file = \"$CA\"\nca_file_only = true",
            "implicit@x",
            Some("TLSv1.3"),
        ),
    ];
    for (settings, id, version) in ways {
        let report = send(&postfix, settings, None, id).await;
        assert!(report.is_accepted(), "{settings}: {report:?}");
        assert_eq!(report.facts.tls_version.as_deref(), version);
        assert!(reply_to(&report, 1).starts_with("550 5.1.1"), "{report:?}");
        assert!(reply_to(&report, 2).starts_with("450 4.2.0"), "{report:?}");
    }
    postfix.wait_for_messages(ways.len(), WITHIN).await;
    postfix.wait_until_idle(WITHIN).await;
    let once = |(_, id, _)| ((format!("<{id}>"), "bob@example.test".to_owned()), 1);
    assert_eq!(
        postfix.count_by_message_id_and_recipient(),
        ways.map(once).into()
    );
    for delivered in postfix.messages() {
        let id = delivered.message_id.trim_matches(['<', '>']);
        assert_eq!(
            String::from_utf8_lossy(&delivered.as_submitted()),
            String::from_utf8_lossy(message(id, BODY).bytes())
        );
    }
}

#[tokio::test]
async fn authenticated_by_plain_and_login() {
    if !Postfix::available() {
        return;
    }
    let postfix = start().await;
    for (mechanism, expected) in [("plain", "PLAIN"), ("login", "LOGIN"), ("auto", "PLAIN")] {
        let settings = format!(
            "tls = \"starttls\"\nca_file = \"$CA\"\n[auth]\nmechanism = \"{mechanism}\"\n\
             username = \"$USER\""
        );
        let report = send(&postfix, &settings, Some(PASSWORD), "signed-in@x").await;
        assert!(report.is_accepted(), "{mechanism}: {report:?}");
        assert_eq!(report.facts.auth_mechanism.as_deref(), Some(expected));
    }
}

#[tokio::test]
async fn not_with_a_wrong_password_or_authority() {
    if !Postfix::available() {
        return;
    }
    let postfix = start().await;
    let settings = "tls = \"starttls\"\nca_file = \"$CA\"\n[auth]\nmechanism = \"auto\"\n\
                    username = \"$USER\"";
    let report = send(&postfix, settings, Some("wrong"), "wrong@x").await;
    let (reply, fault) = not_begun(&report);
    assert_eq!((reply.command, reply.code), (Command::Auth, 535));
    assert_eq!(fault, Some(Fault::Configuration));
    let report = send(&postfix, "tls = \"implicit\"", None, "unknown-ca@x").await;
    let (reply, fault) = not_begun(&report);
    assert_eq!(
        (reply.command, fault),
        (Command::Connect, Some(Fault::Configuration))
    );
    assert!(reply.text.contains(AUTHORITY_NAME), "{reply}");
    postfix.wait_until_idle(WITHIN).await;
    assert!(postfix.messages().is_empty());
}
