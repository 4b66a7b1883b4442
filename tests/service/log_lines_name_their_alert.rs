//! Many alerts in flight: each line of the delivery says whose it is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Formatter;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::site::Site;
use crate::support::limiting_peer::{LimitingPeer, PeerLimits};
use crate::{insert_many, plain_relay, send_port_over};

const ALERTS: u32 = 200;

/// A relay that takes everything, and a service that logs all it does.
async fn log_of_many(variables: &[(&str, &str)]) -> (Site, String) {
    let most = PeerLimits {
        connections: 50,
        messages: usize::MAX,
        window: Duration::from_secs(1),
    };
    let peer = LimitingPeer::start(most).await;
    let relay = plain_relay(peer.address) + "max_connections = 20\n";
    let site = Site::new(&send_port_over(&relay));
    insert_many(&site, ALERTS);
    let refused =
        "INSERT INTO Alert (ToRecipients, Body, Reference) VALUES ('nobody', 'x', 'order-0')";
    site.database().execute(refused, []).expect("insert");
    let all: Vec<_> = [("RUST_LOG", "info,sendport=trace")]
        .into_iter()
        .chain(variables.iter().copied())
        .collect();
    let service = site.run_under(&all, &[]);
    site.wait_until_all_final(Duration::from_secs(120)).await;
    assert_eq!(service.stop(), Some(0));
    let log = site.log();
    (site, log)
}

/// What a span of this name says in one line.
fn span<'l>(line: &'l Value, name: &str) -> Option<&'l Value> {
    let spans = line["spans"].as_array()?;
    spans.iter().find(|span| span["name"] == name)
}

/// The keys of a line and of its spans, as often as they occur.
struct Keys(Vec<String>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Line;
        impl<'de> Visitor<'de> for Line {
            type Value = Keys;

            fn expecting(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
                f.write_str("a line of the log")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "spans" => {
                            let spans: Vec<BTreeMap<String, Value>> = map.next_value()?;
                            let of_spans = spans.into_iter().flat_map(BTreeMap::into_keys);
                            keys.extend(of_spans.filter(|key| key != "name"));
                        }
                        _ => {
                            map.next_value::<Value>()?;
                            keys.push(key);
                        }
                    }
                }
                Ok(Keys(keys))
            }
        }
        from.deserialize_map(Line)
    }
}

/// Lines of a kept connection that no alert uses any more.
const OF_NO_ALERT: [&str; 1] = ["the server did not answer QUIT"];

#[tokio::test(flavor = "multi_thread")]
async fn in_json_each_line_of_a_delivery_has_its_alert_and_each_of_a_transaction_its_attempt() {
    let (site, log) = log_of_many(&[("SENDPORT__LOG__FORMAT", "json")]).await;
    let (mut recorded, mut submissions) = (BTreeSet::new(), BTreeSet::new());
    let mut lines = 0;
    for text in log.lines() {
        let line: Value = serde_json::from_str(text).unwrap_or_else(|_| panic!("{text}"));
        let message = line["message"].as_str().expect("a message");
        let target = line["target"].as_str().unwrap_or_default();
        let of_a_transaction = target.contains("smtp") && !OF_NO_ALERT.contains(&message);
        if !of_a_transaction && !message.starts_with("alert ") {
            continue;
        }
        lines += 1;
        let Keys(mut keys) = serde_json::from_str(text).expect("a line");
        keys.sort();
        assert!(
            keys.windows(2).all(|two| two[0] != two[1]),
            "a key twice: {line}"
        );
        let alert = span(&line, "alert").unwrap_or_else(|| panic!("no alert: {line}"));
        assert_eq!(alert["send_port"], "default", "{line}");
        let id = alert["alert"].as_i64().expect("an id");
        let reference = alert["reference"].as_str().expect("a reference");
        if message.starts_with("alert ") {
            recorded.insert((id, reference.to_owned()));
        }
        if of_a_transaction {
            let attempt = span(&line, "attempt").unwrap_or_else(|| panic!("no attempt: {line}"));
            assert_eq!(
                (&attempt["relay"], &attempt["attempt"]),
                (&"main".into(), &1.into())
            );
            if message == "submission ended" {
                let message_id = attempt["message_id"].as_str().expect("a Message-ID");
                submissions.insert((id, message_id.to_owned()));
            }
        }
    }
    assert!(lines > 5 * ALERTS, "{lines} lines");
    let pairs = |sql: &str| -> BTreeSet<(i64, String)> {
        let database = site.database();
        let mut statement = database.prepare(sql).expect("prepare");
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.expect("rows").map(|row| row.expect("a row")).collect()
    };
    assert_eq!(
        recorded,
        pairs("SELECT AlertId, Reference FROM AlertStatus")
    );
    assert_eq!(submissions, pairs("SELECT AlertId, MessageId FROM Attempt"));
    assert!(!log.contains("user1@example.test"), "an address is masked");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_text_a_submission_names_alert_reference_send_port_relay_attempt_and_message_id() {
    let (site, log) = log_of_many(&[]).await;
    let message_id = site.value("SELECT MessageId FROM Attempt JOIN AlertStatus USING (AlertId) WHERE Reference = 'order-7'");
    let id = site.value("SELECT AlertId FROM AlertStatus WHERE Reference = 'order-7'");
    let whose = format!(
        "alert{{alert={id} reference=\"order-7\" send_port=\"default\"}}:attempt{{relay=\"main\" attempt=1 message_id=\"{message_id}\"}}"
    );
    let ended = |line: &&str| line.contains("submission ended") && line.contains(&whose);
    assert_eq!(log.lines().filter(ended).count(), 1, "{whose}");
}
