//! `sendport check` looks at relays as the probe does, and at the file of one's own replies.

use crate::support::certificates::TestAuthority;
use crate::support::scripted_peer::{Expect, Peer, Tls, hello, hello_again, send, then};
use crate::support::site::{Site, text};

#[tokio::test]
async fn notes_an_expiring_certificate_and_a_malformed_entry() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = TestAuthority::new();
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, authority.pem()).expect("ca.pem");
    let replies = folder.path().join("replies.toml");
    let entry = "[[reply]]\nkey = 'k'\ncode = '5yy'\nfault = 'relay'\ncause = 'c'\nadvice = 'a'\n";
    std::fs::write(&replies, entry).expect("a table");
    let start = then(
        hello(&["STARTTLS", "AUTH PLAIN"]),
        [Expect("STARTTLS"), send("220 go"), Tls],
    );
    let end = [Expect("QUIT"), send("221 bye")];
    let script = then(then(start, hello_again(&["SIZE 1000"])), end);
    let shown = authority.issue(&["127.0.0.1"]);
    let peer = Peer::start_with(vec![script], Some(shown.acceptor())).await;
    let config = format!(
        "[replies]\nfile = '{}'\n[relay.main]\nkind = 'smtp'\nhost = '127.0.0.1'\nport = {}\n\
         ca_file = '{}'\nehlo_name = 'client.example.test'\n",
        replies.display(),
        peer.address.port(),
        ca_file.display()
    );
    // The tables do not need the file, nor do they mind it.
    let checked = tokio::task::spawn_blocking(move || {
        let site = Site::new(&config);
        text(&site.sendport(&["check"]))
    });
    let output = checked.await.expect("a check");
    peer.finish().await;
    for line in [
        "ok    relay.main: peer.example.test, 127.0.0.1:",
        "note  relay.main: the certificate of '127.0.0.1' expires in 0 days",
        "FAIL  replies.file: replies.file '",
        "entry 'k' of the table of replies: 'y' is neither a number nor x",
    ] {
        assert!(output.contains(line), "'{line}' is not in:\n{output}");
    }
    assert!(
        !output.contains("before the connection is encrypted"),
        "{output}"
    );
}
