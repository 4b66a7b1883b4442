//! Graph behind an SMTP relay that is cut in the middle, and an SMTP relay behind Graph.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::fake_graph::NextAnswer;
use crate::{Cloud, insert};

const WITHIN: Duration = Duration::from_secs(600);

/// An SMTP server that stores messages in a folder, in a process of its own; killed when dropped.
struct Sink {
    child: Child,
    address: SocketAddr,
}

impl Sink {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sendport"))
            .args(["sink", "--listen", "127.0.0.1:0", "--folder"])
            .arg(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("start a sink");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("its output");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let address = line.split([' ', ',']).find_map(|word| word.parse().ok());
        let address = address.unwrap_or_else(|| panic!("no address in: {line}"));
        Self { child, address }
    }

    fn section(&self) -> String {
        format!(
            "[relay.smtp]\nkind = 'smtp'\nhost = '{}'\nport = {}\ntls = 'none'\nehlo_name = 'sendport.test'\n",
            self.address.ip(),
            self.address.port()
        )
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The Message-IDs of the files of a folder.
fn message_ids(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).expect("a folder").flatten();
    let id = |text: String| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("Message-ID: <"));
        line.map(|rest| rest.trim_end_matches('>').to_owned())
    };
    files
        .filter(|file| file.path().extension().is_some_and(|it| it == "eml"))
        .filter_map(|file| id(std::fs::read_to_string(file.path()).expect("text")))
        .collect()
}

/// How many alerts the run has; `SENDPORT_GRAPH_ALERTS=10000` for the long one.
fn alerts() -> usize {
    let set = std::env::var("SENDPORT_GRAPH_ALERTS").ok();
    set.map_or(300, |count| count.parse().expect("a number"))
}

/// Everything arrives, and twice only what is in doubt.
#[tokio::test(flavor = "multi_thread")]
async fn the_smtp_relay_is_cut_and_graph_takes_the_rest() {
    let cloud = Cloud::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    let sink = Sink::start(folder.path());
    let site = cloud.site("['smtp', 'm365']", &sink.section());
    let alerts = alerts();
    for _ in 0..alerts {
        insert(&site, "ToRecipients", "'ops@contoso.example'");
    }
    let service = site.run();
    site.wait_until("SELECT count(*) >= 30 FROM Attempt", "1", WITHIN)
        .await;
    drop(sink);
    site.wait_until_all_final(WITHIN).await;
    assert_eq!(service.stop(), Some(0));
    assert_eq!(
        site.value("SELECT count(*) FROM AlertStatus WHERE Status = 'relayed'"),
        alerts.to_string()
    );
    let mut arrived: BTreeMap<String, usize> = BTreeMap::new();
    let over_graph = cloud.graph.taken().into_iter().map(|it| it.message_id);
    for id in message_ids(folder.path()).into_iter().chain(over_graph) {
        *arrived.entry(id).or_default() += 1;
    }
    assert_eq!(arrived.len(), alerts, "nothing is lost");
    let twice = arrived.values().filter(|count| **count > 1).count();
    let in_doubt: usize = site
        .value("SELECT count(*) FROM Attempt WHERE Outcome = 'unknown'")
        .parse()
        .expect("a number");
    assert!(
        twice <= in_doubt,
        "{twice} arrived twice, {in_doubt} are in doubt"
    );
    assert!(!cloud.graph.taken().is_empty());
}

/// What Graph refuses for its application, and what it cannot take, goes over the relay behind it at once.
#[tokio::test(flavor = "multi_thread")]
async fn the_relay_behind_graph_takes_what_graph_does_not() {
    let cloud = Cloud::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    let sink = Sink::start(folder.path());
    let site = cloud.site("['m365', 'smtp']", &sink.section());
    let sql = "INSERT INTO Alert (ToRecipients, Subject, Body) VALUES ('ops@contoso.example', 'large', \
               replace(hex(zeroblob(1700000)), '00', 'ab '))";
    site.database().execute(sql, []).expect("insert");
    let service = site.run();
    site.wait_until_all_final(WITHIN).await;
    assert_eq!(
        site.value("SELECT Status || ' ' || Relay || ' ' || AttemptCount FROM Delivery"),
        "relayed smtp 1"
    );
    cloud
        .graph
        .next(NextAnswer::Refuse("403 Forbidden", "", "ErrorAccessDenied"));
    insert(&site, "ToRecipients", "'ops@contoso.example'");
    site.wait_until_all_final(WITHIN).await;
    assert_eq!(service.stop(), Some(0));
    assert_eq!(
        site.value("SELECT group_concat(DISTINCT Status || ' ' || Relay || ' ' || AttemptCount) FROM Delivery"),
        "relayed smtp 1"
    );
    assert_eq!(message_ids(folder.path()).len(), 2);
    assert_eq!(cloud.graph.refused(), ["ErrorAccessDenied"]);
}
