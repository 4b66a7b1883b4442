use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::insert_many;
use crate::site::Site;

/// A sink in a process of its own, killed when dropped.
struct SinkProcess {
    child: Child,
    address: SocketAddr,
}

impl SinkProcess {
    fn start(listen: SocketAddr, folder: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sendport"))
            .args(["sink", "--listen", &listen.to_string(), "--folder"])
            .arg(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("start a sink");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("its output");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let address = line.split([' ', ',']).find_map(|word| word.parse().ok());
        Self {
            address: address.unwrap_or_else(|| panic!("no address in: {line}")),
            child,
        }
    }
}

impl Drop for SinkProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn any() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn two_relays(first: SocketAddr, second: SocketAddr, of_first: &str) -> String {
    let relay = |name: &str, at: SocketAddr, more: &str| {
        format!(
            "[relay.{name}]\nkind = \"smtp\"\nhost = \"{}\"\nport = {}\ntls = \"none\"\nehlo_name = \"sendport.test\"\n{more}\n",
            at.ip(),
            at.port()
        )
    };
    let (first, second) = (relay("first", first, of_first), relay("second", second, ""));
    format!(
        "{first}{second}
[send_port.default]
from = \"Contoso alerts <alerts@example.test>\"
relays = [\"first\", \"second\"]
[send_port.default.retry]
first_delay = \"1s\"
longest_delay = \"2s\"
"
    )
}

/// How often each message reached each recipient, over all folders.
fn arrived(folders: &[&Path]) -> BTreeMap<(String, String), usize> {
    let mut counts = BTreeMap::new();
    for folder in folders {
        let files = std::fs::read_dir(folder).expect("a folder of a sink");
        let mails = files.flatten().map(|file| file.path());
        for mail in mails.filter(|path| path.extension().is_some_and(|e| e == "eml")) {
            let text = std::fs::read_to_string(&mail).expect("a mail");
            let id = value(&text, "Message-ID: ").next().expect("a Message-ID");
            for receiver in value(&text, "X-Receiver: ") {
                *counts.entry((id.clone(), receiver)).or_default() += 1;
            }
        }
    }
    counts
}

fn value<'m>(mail: &'m str, name: &'m str) -> impl Iterator<Item = String> + 'm {
    let header = mail.lines().take_while(|line| !line.is_empty());
    header.filter_map(move |line| line.strip_prefix(name).map(str::to_owned))
}

fn count(site: &Site, sql: &str) -> usize {
    site.value(sql).parse().expect("a number")
}

/// SIGKILL of the first relay in the middle: everything goes over the second, nothing is lost,
/// only what was in doubt can be there twice, and the first probe after the return brings the
/// traffic back.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_alerts_fail_over_and_come_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let [at_first, at_second] = ["first", "second"].map(|name| folder.path().join(name));
    let first = SinkProcess::start(any(), &at_first);
    let second = SinkProcess::start(any(), &at_second);
    let address = first.address;
    let site = Site::new(&two_relays(address, second.address, ""));
    insert_many(&site, 10_000);
    let service = site.run();
    let relayed =
        |count| format!("SELECT count(*) >= {count} FROM AlertState WHERE FinalAt IS NOT NULL");
    site.wait_until(&relayed(2_500), "1", Duration::from_secs(240))
        .await;
    drop(first);
    site.wait_until(&relayed(5_000), "1", Duration::from_secs(240))
        .await;
    let over_second =
        "SELECT count(*) > 1000 FROM Attempt WHERE Relay = 'second' AND Outcome = 'relayed'";
    assert_eq!(site.value(over_second), "1");

    let first = SinkProcess::start(address, &at_first);
    let due = "SELECT coalesce(max(0, (julianday(RetryAt) - julianday('now')) * 86400), 0) || '' FROM RelayState WHERE Relay = 'first'";
    let until_probe = Duration::from_secs_f64(site.value(due).parse().expect("seconds"));
    come_back(&site, until_probe).await;
    insert_many(&site, 50);
    site.wait_until_all_final(Duration::from_secs(240)).await;
    let newest = "SELECT count(*) FROM Attempt WHERE Relay = 'first' AND AlertId IN (SELECT AlertId FROM Alert ORDER BY AlertId DESC LIMIT 50)";
    assert_eq!(count(&site, newest), 50);
    assert_eq!(service.stop(), Some(0));
    drop((first, second));

    let inserted = count(&site, "SELECT count(*) FROM Alert");
    assert_eq!(
        count(
            &site,
            "SELECT count(*) FROM AlertStatus WHERE Status = 'relayed'"
        ),
        inserted
    );
    let arrived = arrived(&[&at_first, &at_second]);
    assert_eq!(arrived.len(), inserted, "none lost");
    let twice = arrived.values().filter(|count| **count > 1).count();
    let unknown = count(
        &site,
        "SELECT count(*) FROM Attempt WHERE Outcome = 'unknown'",
    );
    assert!(
        twice <= unknown && unknown <= 10,
        "{twice} twice, {unknown} in doubt"
    );
}

/// One alert now and then, so that there is something to probe with.
async fn come_back(site: &Site, until_probe: Duration) {
    let closed = "SELECT count(*) FROM EventLog WHERE EventType = 'relay-circuit-closed' AND Relay = 'first'";
    let deadline = Instant::now() + until_probe + Duration::from_secs(60);
    let mut pace = tokio::time::interval(Duration::from_millis(200));
    while site.value(closed) == "0" {
        assert!(
            Instant::now() < deadline,
            "not back within one probe, {until_probe:?}"
        );
        insert_many(site, 1);
        pace.tick().await;
    }
}

/// A first relay that takes connections and never says a word: only what finds that out, and
/// one probe at a time, waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_first_relay_that_hangs_does_not_stall_the_others() {
    let silent = std::net::TcpListener::bind(any()).expect("a port");
    let folder = tempfile::tempdir().expect("a folder");
    let second = SinkProcess::start(any(), folder.path());
    let hangs = "[relay.first.timeout]\ngreeting = \"8s\"\n";
    let address = silent.local_addr().expect("an address");
    let site = Site::new(&two_relays(address, second.address, hangs));
    insert_many(&site, 300);
    let service = site.run();
    site.wait_until_all_final(Duration::from_secs(60)).await;
    let half_open = "SELECT count(*) FROM RelayState WHERE Relay = 'first' AND Condition IN ('open', 'half_open')";
    site.wait_until(half_open, "1", Duration::from_secs(60))
        .await;
    // While a probe hangs for its eight seconds, everything else goes at once.
    for _ in 0..5 {
        let begun = Instant::now();
        insert_many(&site, 20);
        let waiting = "SELECT count(*) <= 1 FROM AlertState WHERE FinalAt IS NULL";
        site.wait_until(waiting, "1", Duration::from_secs(60)).await;
        assert!(begun.elapsed() < Duration::from_secs(7));
    }
    site.wait_until_all_final(Duration::from_secs(60)).await;
    let sql = "SELECT count(*) FROM Attempt WHERE Relay = 'second' AND Outcome = 'relayed'";
    assert_eq!(count(&site, sql), 400);
    assert_eq!(
        count(&site, "SELECT sum(AttemptCount) FROM AlertState"),
        400,
        "unspent before"
    );
    assert_eq!(service.stop(), Some(0));
}
