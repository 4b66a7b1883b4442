//! `--relay`: by the section of the configuration, with From of the send port that uses it, and
//! with entries of the administrator's own in the table of replies.

use crate::support::probe::{ProbeOutput, probe_configured};
use crate::support::scripted_peer::{Expect, Peer, hello, send, then};

const OWN: &str = r#"
[[reply]]
key = "house-rule"
command = ["RCPT"]
text = "ask mallory"
fault = "configuration"
cause = "Mallory's gateway wants to be asked first."
advice = "Call 4711."
"#;

async fn probed(replies: &str, arguments: &[&str]) -> ProbeOutput {
    let script = then(
        hello(&["SIZE 1000"]),
        [
            Expect("MAIL FROM:<alerts@example.test> SIZE="),
            send("250 ok"),
            Expect("RCPT TO:<bob@example.test>"),
            send("550 5.7.1 Ask Mallory"),
            Expect("RSET"),
            send("250 2.0.0 ok"),
            Expect("QUIT"),
            send("221 bye"),
        ],
    );
    let peer = Peer::start(vec![script]).await;
    let folder = tempfile::tempdir().expect("a folder");
    let own = folder.path().join("replies.toml");
    std::fs::write(&own, replies).expect("a table");
    let config = format!(
        "[replies]\nfile = '{}'\n[relay.main]\nkind = 'smtp'\nhost = '127.0.0.1'\nport = {}\n\
         tls = 'none'\nehlo_name = 'client.example.test'\n[send_port.default]\n\
         from = 'Alerts <alerts@example.test>'\nrelays = ['main']\n[database]\n\
         connection = 'sqlite:{}'\n",
        own.display(),
        peer.address.port(),
        folder.path().join("none.db").display()
    );
    let arguments = [&["--relay", "main", "--to", "bob@example.test"], arguments].concat();
    let probed = probe_configured(&config, &arguments).await;
    if probed.code != 3 {
        peer.finish().await;
    }
    probed
}

#[tokio::test]
async fn uses_its_settings_and_own_entries() {
    let probed = probed(OWN, &[]).await;
    probed.prints(
        18,
        &[
            "Mallory's gateway wants to be asked first.",
            "to do: Call 4711.",
            "(house-rule)",
        ],
    );
}

#[tokio::test]
async fn names_a_malformed_entry() {
    let probed = probed(&OWN.replace("RCPT", "RCTP"), &[]).await;
    assert_eq!(probed.code, 3, "{probed:?}");
    let text = ["replies.file", "house-rule", "'RCTP' is no command"];
    assert!(
        text.iter().all(|it| probed.errors.contains(it)),
        "{probed:?}"
    );
}

#[tokio::test]
async fn names_the_configured_relays_for_an_unknown_one() {
    let probed = probe_configured("", &["--relay", "main"]).await;
    assert_eq!(probed.code, 3, "{probed:?}");
    assert!(
        probed.errors.contains("has no relay 'main'; it has: none"),
        "{probed:?}"
    );
}
