//! `--json`: one document with everything.

use serde_json::Value;

use crate::support::probe::probe_at;
use crate::support::scripted_peer::{Expect, Peer, hello, send, then};

#[tokio::test]
async fn it_holds_steps_refusals_and_warnings() {
    let script = then(
        hello(&["SIZE 1000000", "AUTH PLAIN"]),
        [
            Expect("MAIL FROM:"),
            send("250 2.1.0 ok"),
            Expect("RCPT TO:"),
            send("452 4.2.2 mailbox full"),
            Expect("RSET"),
            send("250 ok"),
            Expect("QUIT"),
            send("221 bye"),
        ],
    );
    let peer = Peer::start(vec![script]).await;
    let arguments = ["--to", "bob@example.test", "--json"];
    let probed = probe_at(peer.address, &arguments).await;
    peer.finish().await;
    assert_eq!(probed.code, 18, "{probed:?}");
    let document: Value = serde_json::from_str(&probed.output).expect("JSON alone");
    assert_eq!(document["exit_code"], 18);
    let session = &document["sessions"][0];
    assert_eq!(session["failed"], "rcpt");
    assert_eq!(session["server"]["name"], "peer.example.test");
    let refusal = &session["refusals"][0];
    assert_eq!(refusal["recipient"], "bob@example.test");
    assert_eq!(
        (&refusal["code"], &refusal["enhanced"]),
        (&452.into(), &"4.2.2".into())
    );
    assert_eq!(
        (&refusal["key"], &refusal["fault"]),
        (&"mailbox-full".into(), &"recipient".into())
    );
    let warnings = session["warnings"].as_array().expect("a list");
    let keys: Vec<_> = warnings.iter().map(|it| it["key"].as_str()).collect();
    assert!(keys.contains(&Some("sign-in-offered-in-clear")), "{keys:?}");
    let events = session["events"].as_array().expect("a list");
    let said: Vec<_> = events.iter().filter_map(|it| it["line"].as_str()).collect();
    assert_eq!(said[0], "EHLO client.example.test");
    assert!(
        events
            .iter()
            .any(|it| it["took_ms"].is_u64() && it["phase"] == "rcpt")
    );
    assert!(
        session["extensions"][0]["meaning"]
            .as_str()
            .is_some_and(|it| it.contains("1000000 octets"))
    );
}
