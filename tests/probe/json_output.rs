//! `--json`: one document with everything.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::support::probe::probe_at;
use crate::support::scripted_peer::{Expect, Peer, hello, send, then};

#[tokio::test]
async fn has_steps_refusals_and_warnings() {
    let script = then(
        hello(&["SIZE 1000000", "AUTH PLAIN"]),
        [
            Expect("MAIL FROM:"),
            send("250 2.1.0 ok"),
            Expect("RCPT TO:"),
            send("452 4.2.2 mailbox full"),
            Expect("RSET"),
            send("250 2.0.0 ok"),
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
    let Unique(()) = serde_json::from_str(&probed.output).expect("each key once");
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
    assert!(keys.contains(&Some("cleartext-auth-offered")), "{keys:?}");
    let events = session["events"].as_array().expect("a list");
    let text: Vec<_> = events.iter().filter_map(|it| it["line"].as_str()).collect();
    assert_eq!(text[0], "EHLO client.example.test");
    assert!(
        events
            .iter()
            .any(|it| it["took_ms"].is_u64() && it["phase"] == "rcpt")
    );
    assert!(
        session["extensions"][0]["meaning"]
            .as_str()
            .is_some_and(|it| it.contains("1000000 bytes"))
    );
}

/// JSON in which no object has a key twice (RFC 8259 section 4).
struct Unique(());

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EachOnce).map(Self)
    }
}

struct EachOnce;

impl<'de> Visitor<'de> for EachOnce {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON with each key once")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = BTreeSet::new();
        while let Some((key, Unique(()))) = map.next_entry::<String, Unique>()? {
            assert!(seen.insert(key.clone()), "'{key}' twice beside {seen:?}");
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element::<Unique>()?.is_some() {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}
