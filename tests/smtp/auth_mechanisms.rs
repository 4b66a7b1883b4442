//! A real Postfix with Cyrus SASL: each mechanism with the right password and with a wrong one.

use std::time::Duration;

use sendport_core::domain::{Command, Fault, SubmissionReport};
use sendport_smtp::relay::Relay;

use crate::support::client::{Open, envelope, message, not_begun, relay_with_password};
use crate::support::postfix::{PASSWORD, Postfix, PostfixOptions, USER};

const WITHIN: Duration = Duration::from_secs(60);

/// Configured, and by its registered name.
const MECHANISMS: [(&str, &str); 6] = [
    ("plain", "PLAIN"),
    ("login", "LOGIN"),
    ("cram-md5", "CRAM-MD5"),
    ("scram-sha-1", "SCRAM-SHA-1"),
    ("scram-sha-256", "SCRAM-SHA-256"),
    ("ntlm", "NTLM"),
];

async fn postfix_with(mechanisms: &str) -> Postfix {
    let settings = [
        ("smtpd_error_sleep_time", "0"),
        ("myhostname", "postfix.test"),
    ];
    Postfix::start(PostfixOptions {
        main_cf: settings
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .to_vec(),
        mechanisms: mechanisms.to_owned(),
        ..PostfixOptions::default()
    })
    .await
}

async fn all() -> Postfix {
    postfix_with(&MECHANISMS.map(|(_, name)| name).join(" ")).await
}

/// To a foreign domain, which Postfix accepts from authenticated clients only.
async fn send(
    postfix: &Postfix,
    auth: &str,
    tls: &str,
    password: &str,
    id: &str,
) -> SubmissionReport {
    let settings =
        format!("{tls}\n[auth]\n{auth}\n").replace("$CA", &postfix.ca_file().display().to_string());
    let relay = relay_with_password(postfix.plain(), &settings, Some(password));
    let envelope = envelope(&["bob@elsewhere.test"]);
    let report = relay
        .submit(&envelope, &message(id, "Order 4711\r\n"), &Open)
        .await;
    relay.close().await;
    report
}

fn auth(mechanism: &str, username: &str) -> String {
    format!("mechanism = '{mechanism}'\nusername = '{username}'")
}

const STARTTLS: &str = "tls = \"starttls\"\nca_file = \"$CA\"";

#[tokio::test]
async fn accepts_the_right_password() {
    if !Postfix::available() {
        return;
    }
    let postfix = all().await;
    for (mechanism, name) in MECHANISMS {
        let id = format!("{mechanism}@x");
        let report = send(&postfix, &auth(mechanism, USER), STARTTLS, PASSWORD, &id).await;
        assert!(report.is_accepted(), "{mechanism}: {report:?}");
        assert_eq!(report.facts.auth_mechanism.as_deref(), Some(name));
    }
    postfix.wait_for_messages(MECHANISMS.len(), WITHIN).await;
}

#[tokio::test]
async fn refuses_a_wrong_password() {
    if !Postfix::available() {
        return;
    }
    let postfix = all().await;
    for (mechanism, name) in MECHANISMS {
        let report = send(
            &postfix,
            &auth(mechanism, USER),
            STARTTLS,
            "wrong",
            "wrong@x",
        )
        .await;
        let (reply, fault) = not_begun(&report);
        assert_eq!(
            (reply.command, reply.code),
            (Command::Auth, 535),
            "{mechanism}: {reply}"
        );
        assert_eq!(fault, Some(Fault::Configuration), "{mechanism}");
        let failure = format!("SASL {name} authentication failed");
        postfix.wait_for_log(&failure, WITHIN).await;
        assert_eq!(
            postfix.mail_log().matches(&failure).count(),
            1,
            "{mechanism}"
        );
    }
}

#[tokio::test]
async fn uses_challenge_response_on_an_unencrypted_connection() {
    if !Postfix::available() {
        return;
    }
    let postfix = postfix_with("PLAIN LOGIN NTLM").await;
    let auto = auth("auto", USER);
    let report = send(&postfix, &auto, "tls = \"none\"", PASSWORD, "clear@x").await;
    assert!(report.is_accepted(), "{report:?}");
    assert_eq!(report.facts.auth_mechanism.as_deref(), Some("NTLM"));
    let report = send(&postfix, &auto, STARTTLS, PASSWORD, "tls@x").await;
    assert_eq!(report.facts.auth_mechanism.as_deref(), Some("PLAIN"));
}

#[tokio::test]
async fn ntlm_with_a_domain_and_version_1() {
    if !Postfix::available() {
        return;
    }
    let postfix = postfix_with("PLAIN NTLM").await;
    let domain = auth("auto", &format!("testdom\\{USER}"));
    let old = auth("ntlm", USER) + "\nallow_ntlmv1 = true";
    for settings in [domain, old] {
        let report = send(&postfix, &settings, STARTTLS, PASSWORD, "ntlm@x").await;
        assert!(report.is_accepted(), "{settings}: {report:?}");
        assert_eq!(report.facts.auth_mechanism.as_deref(), Some("NTLM"));
    }
}
