//! Passwords are neither in the output nor in the log nor in JSON, also where the server repeats
//! them.

use crate::support::postfix::PASSWORD;
use crate::support::probe::probe_at;
use crate::support::scripted_peer::{Expect, Peer, Step, hello, send, then};

/// `Secret-1`, and `\0alice\0Secret-1`.
const ENCODED: [&str; 2] = ["U2VjcmV0LTE", "AGFsaWNlAFNlY3JldC0x"];

async fn shown(mechanism: &str, dialogue: Vec<Step>) -> String {
    let mut shown = String::new();
    for json in [false, true] {
        let offered = ["AUTH PLAIN LOGIN CRAM-MD5"];
        let peer = Peer::start(vec![then(hello(&offered), dialogue.clone())]).await;
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("dialogue.log").display().to_string();
        let mut arguments = vec!["--tls", "none", "--auth", mechanism, "--user", "alice"];
        arguments.extend(["--password-env", "PROBE_PASSWORD", "--allow-cleartext-auth"]);
        arguments.extend(["--log", log.as_str()]);
        arguments.extend(json.then_some("--json"));
        let probed = probe_at(peer.address, &arguments).await;
        assert_eq!(probed.code, 16, "{probed:?}");
        let heard = peer.finish().await;
        // The password did travel, or there would be nothing to strike out.
        assert!(
            heard
                .iter()
                .any(|line| ENCODED.iter().any(|it| line.contains(it))),
            "{heard:?}"
        );
        let log = std::fs::read_to_string(log).expect("the log");
        assert!(
            log.contains(&format!("C: AUTH {}", mechanism.to_uppercase())),
            "{log}"
        );
        let has_time = |line: &str| line.as_bytes()[..25].ends_with(b"Z ");
        assert!(log.lines().all(has_time), "{log}");
        assert!(log.contains("<redacted>"), "{log}");
        shown += &(probed.output + &probed.errors + &log);
    }
    shown
}

fn hides(shown: &str) {
    for secret in [PASSWORD].iter().chain(&ENCODED) {
        assert!(!shown.contains(secret), "'{secret}' is in:\n{shown}");
    }
    assert!(shown.contains("535"), "{shown}");
}

#[tokio::test]
async fn redacts_plain() {
    let repeated = format!("535 5.7.8 no {PASSWORD} for alice: AGFsaWNlAFNlY3JldC0x");
    let dialogue = vec![Expect("AUTH PLAIN AGFsaWNlAFNlY3JldC0x"), send(&repeated)];
    let shown = shown("plain", dialogue).await;
    hides(&shown);
    assert!(
        shown.contains("no <redacted> for alice: <redacted>"),
        "{shown}"
    );
}

#[tokio::test]
async fn redacts_login() {
    let dialogue = vec![
        Expect("AUTH LOGIN"),
        send("334 VXNlcm5hbWU6"),
        Expect("YWxpY2U="),
        send("334 UGFzc3dvcmQ6"),
        Expect("U2VjcmV0LTE="),
        send("535-5.7.8 not U2VjcmV0LTE=\r\n535 5.7.8 nor Secret-1"),
    ];
    hides(&shown("login", dialogue).await);
}
