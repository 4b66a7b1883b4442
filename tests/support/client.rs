//! The real relay, and messages to submit.

use std::net::SocketAddr;
use std::sync::Arc;

use sendport_core::clock::SystemClock;
use sendport_core::domain::Message;
use sendport_core::domain::{
    Command, Envelope, ForwardPath, Reply, ReversePath, SubmissionEnd, SubmissionReport,
};
use sendport_core::secret::Secret;
use sendport_smime::{ProtectionPlan, SecuredMessage, secure};
use sendport_smtp::relay::authentication::NoSharedLedger;
use sendport_smtp::relay::{BeforeFinalDot, Relay, SubmissionGate};
use sendport_smtp::settings::relay::SmtpRelay as Config;
use sendport_smtp::{RelayDependencies, SmtpRelay};

/// Long enough for a slow machine; a test of a time-out says how short it is.
const PATIENT: &str = r#"
    [timeout]
    connect = "60s"
    greeting = "60s"
    tls_handshake = "60s"
    command = "60s"
    mail = "60s"
    rcpt = "60s"
    data = "60s"
    data_block = "60s"
    end_of_data = "60s"
    quit = "300ms"
"#;

/// Lets every final dot through.
pub(crate) struct Open;

impl SubmissionGate for Open {
    fn may_send_final_dot(&self, _so_far: BeforeFinalDot<'_>) -> bool {
        true
    }
}

/// Lets none through.
pub(crate) struct Shut;

impl SubmissionGate for Shut {
    fn may_send_final_dot(&self, _so_far: BeforeFinalDot<'_>) -> bool {
        false
    }
}

/// `settings` as in a relay's section, tables such as `[auth]` last.
pub(crate) fn config(at: SocketAddr, settings: &str) -> Config {
    let text = format!(
        "host = \"{}\"\nport = {}\nehlo_name = \"client.example.test\"\n{settings}\n",
        at.ip(),
        at.port()
    );
    let text = if settings.contains("[timeout]") {
        text
    } else {
        text + PATIENT
    };
    toml::from_str(&text).expect("settings of a relay")
}

pub(crate) fn relay(at: SocketAddr, settings: &str) -> SmtpRelay {
    relay_with_password(at, settings, None)
}

pub(crate) fn relay_with_password(
    at: SocketAddr,
    settings: &str,
    password: Option<&str>,
) -> SmtpRelay {
    let password = password.map(|word| Secret::new(word.to_owned()));
    let around = surroundings(password);
    SmtpRelay::new("test", &config(at, settings), around).expect("usable settings")
}

/// Of a relay that shares nothing with other instances.
pub(crate) fn surroundings(password: Option<Secret>) -> RelayDependencies {
    RelayDependencies {
        password,
        default_ehlo_name: None,
        authentications: Arc::new(NoSharedLedger),
        clock: Arc::new(SystemClock),
    }
}

pub(crate) fn envelope(recipients: &[&str]) -> Envelope {
    let paths = (0..)
        .zip(recipients)
        .map(|(ordinal, &address)| ForwardPath {
            ordinal,
            address: address.parse().expect("an address"),
        });
    Envelope {
        reverse_path: ReversePath(Some("alerts@example.test".parse().expect("an address"))),
        forward_paths: paths.collect(),
        dsn: None,
    }
}

pub(crate) fn message(id: &str, body: &str) -> SecuredMessage {
    let bytes = format!(
        "From: alerts@example.test\r\nTo: ops@example.test\r\nSubject: late\r\n\
         Message-ID: <{id}>\r\nMIME-Version: 1.0\r\n\r\n{body}"
    );
    secure(
        Message {
            message_id: format!("<{id}>"),
            bytes: bytes.into_bytes(),
        },
        &ProtectionPlan::Unprotected,
    )
    .expect("needs nothing")
}

pub(crate) fn small_message() -> SecuredMessage {
    message("1@example.test", "Order 4711 is late.\r\n")
}

/// Submits a small message through an open gate.
pub(crate) async fn submit(relay: &dyn Relay, recipients: &[&str]) -> SubmissionReport {
    relay
        .submit(&envelope(recipients), &small_message(), &Open)
        .await
}

/// What the user reads in the row of a recipient.
pub(crate) fn reply_to(report: &SubmissionReport, ordinal: u32) -> String {
    report
        .reply_to_recipient(ordinal)
        .map_or_else(|| "nothing".to_owned(), Reply::to_string)
}

/// Why nothing was begun; panics where something was.
pub(crate) fn not_begun(
    report: &SubmissionReport,
) -> (&Reply, Option<sendport_core::domain::Fault>) {
    match &report.end {
        SubmissionEnd::NotBegun { reply, fault } => (reply, *fault),
        other => panic!("expected NotBegun, found {other:?}: {:?}", report.replies),
    }
}

pub(crate) fn last_reply(report: &SubmissionReport) -> (&Reply, Option<u32>) {
    let last = report.replies.last().expect("a reply");
    (&last.reply, last.ordinal)
}

pub(crate) fn commands(report: &SubmissionReport) -> Vec<Command> {
    report
        .replies
        .iter()
        .map(|reply| reply.reply.command)
        .collect()
}
