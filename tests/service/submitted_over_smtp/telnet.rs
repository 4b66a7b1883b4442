//! The session that administrators type by hand.

use std::process::{Command, Stdio};

use super::*;
use crate::not_run::not_run;

/// As the documentation of BizTalk Server tells them to: a blank after the colon, no angle brackets, lower case.
const TYPED: &str = "HELO contoso.com\nMAIL FROM: biztalk@contoso.com\nRCPT TO: ops@example.test\ndata\nSubject: This is a test\n\nThis is the message.\n.\nquit\n";

#[tokio::test(flavor = "multi_thread")]
async fn the_session_typed_in_telnet_ends_in_a_relayed_row() {
    let intake = Intake::start("").await;
    let mut netcat = Command::new("nc");
    netcat.args(["-C", "-N", "127.0.0.1", &intake.address.port().to_string()]);
    let Ok(mut child) = netcat.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() else {
        not_run("the session typed in nc: netcat-openbsd is not installed");
        return intake.stop().await;
    };
    let typed = child.stdin.take().expect("a pipe");
    std::thread::spawn(move || {
        let mut typed = typed;
        typed.write_all(TYPED.as_bytes()).expect("written");
    });
    let output = child.wait_with_output().expect("nc ends");
    let replies = String::from_utf8_lossy(&output.stdout);
    assert!(
        replies.contains("\r\n250 2.0.0 queued as 1\r\n"),
        "{replies}"
    );
    let relayed = intake.relayed().await;
    assert_eq!(relayed.len(), 1);
    let text = String::from_utf8_lossy(&relayed[0]).into_owned();
    assert!(
        text.ends_with("Subject: This is a test\r\n\r\nThis is the message.\r\n"),
        "{text}"
    );
    assert!(
        text.contains("\r\nDate: ") && text.contains("\r\nMessage-ID: <"),
        "{text}"
    );
    assert_eq!(
        intake.site.value("SELECT Status FROM AlertState"),
        "relayed"
    );
    assert_eq!(intake.site.value("SELECT Origin FROM AlertState"), "smtp");
    assert_eq!(
        intake.site.value("SELECT Subject FROM Alert"),
        "This is a test"
    );
    intake.stop().await;
}
