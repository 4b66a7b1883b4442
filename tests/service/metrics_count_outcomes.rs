use std::collections::BTreeMap;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::time::Duration;

use sendport::observability::metrics::catalogue;
use sendport::sink::{Sink, SinkOptions};

use crate::health::{self, Samples};
use crate::not_run::not_run;
use crate::site::Site;
use crate::support::peer;
use crate::{plain_relay, send_port_over};

const WITHIN: Duration = Duration::from_secs(60);

/// Two that are relayed, one for both of which the second recipient does not exist, one that
/// reaches no recipient, one that is tried again, one that cannot be built, one without a send port.
const ALERTS: &str = "
INSERT INTO Alert (ToRecipients, Subject, Body) VALUES
    ('a@example.test', 's', 'b'), ('b@example.test', 's', 'b'),
    ('c@example.test; nobody@example.test', 's', 'b'),
    ('nobody@example.test; not an address', 's', 'b'),
    ('busy@example.test', 's', 'b');
INSERT INTO Alert (ToRecipients, Subject, Body) VALUES
    ('d@example.test', 'two' || char(13) || 'lines', 'b');
INSERT INTO Alert (ToRecipients, Subject, Body, SendPort) VALUES
    ('e@example.test', 's', 'b', 'someone@example.test');";

/// What is shown of them.
const EXPECTED: &str = r#"
sendport_alerts_total{send_port="default",status="relayed"} 3
sendport_alerts_total{send_port="default",status="partial"} 1
sendport_alerts_total{send_port="default",status="failed"} 2
sendport_alerts_total{send_port="default",status="delayed"} 1
sendport_alerts_total{send_port="default",status="expired"} 0
sendport_recipients_total{send_port="default",status="relayed"} 4
sendport_recipients_total{send_port="default",status="failed"} 4
sendport_recipients_total{send_port="default",status="delayed"} 1
sendport_recipients_failed_total{fault="recipient",send_port="default"} 3
sendport_recipients_failed_total{fault="message",send_port="default"} 1
sendport_recipients_failed_total{fault="relay",send_port="default"} 0
sendport_claimed_alerts_total{send_port="default"} 7
sendport_created_to_relayed_seconds_count{send_port="default"} 3
sendport_submissions_total{relay="main",reply_class="2xx"} 4
sendport_submissions_total{relay="main",reply_class="4xx"} 1
sendport_submissions_total{relay="main",reply_class="5xx"} 1
sendport_submissions_total{relay="main",reply_class="broken"} 0
sendport_submission_faults_total{fault="recipient",relay="main"} 2
sendport_transaction_duration_seconds_count{relay="main"} 6
sendport_final_dot_duration_seconds_count{relay="main"} 4
sendport_relay_state{relay="main",state="closed"} 1
sendport_queue_alerts{send_port="default",status="queued"} 0
sendport_queue_up 1
sendport_ready 1
sendport_database_up 1
sendport_database_outages_total 0
sendport_spool_writable 1
sendport_spool_entries 0
sendport_events_total{severity="information",type="instance-started"} 1
"#;

async fn sink(folder: &std::path::Path) -> Sink {
    let options = SinkOptions {
        folder: folder.to_owned(),
        refuse: vec!["nobody".to_owned()],
        delay: vec![("busy".to_owned(), 1)],
        ..SinkOptions::default()
    };
    Sink::start(options).await.expect("start")
}

/// A port without a listener.
fn closed_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_is_counted_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let sink = sink(folder.path()).await;
    let intake = "[intake.local]\nkind = \"smtp\"\nlisten = [\"127.0.0.1:0\"]\nsend_port = \"default\"\nallow_senders = [\"*\"]\n\
        [feedback.source.bounces]\nkind = \"folder\"\nfolder = \"bounces\"\n";
    let settings = send_port_over(&plain_relay(sink.local_addr())) + intake;
    let site = Site::watched(&settings);
    site.database().execute_batch(ALERTS).expect("insert");
    let service = site.run();
    let address = site.health_address().await;
    let waiting = "SELECT count(*) FROM AlertState WHERE FinalAt IS NULL";
    site.wait_until(waiting, "1", WITHIN).await;
    for (settled, value) in [
        ("sendport_queue_unrouted_alerts", 1.0),
        ("sendport_alerts_in_flight{send_port=\"default\"}", 0.0),
        (
            "sendport_queue_alerts{send_port=\"default\",status=\"sending\"}",
            0.0,
        ),
        (
            "sendport_queue_alerts{send_port=\"default\",status=\"delayed\"}",
            0.0,
        ),
        ("sendport_spool_entries", 0.0),
    ] {
        health::wait_for_sample(address, settled, value).await;
    }

    let samples = Samples::of(address);
    samples.are(EXPECTED);
    let stored = bytes_in(folder.path());
    let submitted = samples.get("sendport_submitted_bytes_total{relay=\"main\"}");
    assert!(submitted.is_some_and(|bytes| bytes > 0.0 && bytes <= stored));
    let lease = samples.get("sendport_lease_remaining_seconds");
    assert!(lease.is_some_and(|seconds| seconds > 0.0 && seconds <= 8.0));
    let (_, text) = health::get(address, "/metrics");
    assert!(!text.contains('@'), "what applications write is no label");
    parsed_by_prometheus(&text);
    linted_by_prometheus(&text);
    assert_eq!(service.stop(), Some(0));
    sink.stop().await;
}

/// The sink's files have a few lines more than the messages.
fn bytes_in(folder: &std::path::Path) -> f64 {
    let files = std::fs::read_dir(folder).expect("the sink's folder");
    let size =
        |file: std::fs::DirEntry| std::fs::read_to_string(file.path()).map(|text| text.len());
    let sizes: Vec<_> = files
        .flatten()
        .map(size)
        .collect::<Result<_, _>>()
        .expect("mails");
    f64::from(u32::try_from(sizes.iter().sum::<usize>()).expect("a small number"))
}

/// Prometheus' own parser finds what the catalogue says, which the documentation says as well.
fn parsed_by_prometheus(text: &str) {
    if !peer::available("the parser of Python's prometheus_client") {
        return;
    }
    const PARSE: &str = "
import sys
from prometheus_client.parser import text_string_to_metric_families as parse
for family in parse(sys.stdin.read()):
    total = '_total' if family.type == 'counter' else ''
    print(family.name + total, family.type, family.documentation, sep='\\t')
    assert family.samples, family.name
";
    let mut parser = Command::new(peer::unpacked("python", "bin/python").join("bin/python"))
        .args(["-c", PARSE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("run Python");
    let mut stdin = parser.stdin.take().expect("its input");
    stdin.write_all(text.as_bytes()).expect("write");
    drop(stdin);
    let output = parser.wait_with_output().expect("its output");
    assert!(output.status.success());
    let output = String::from_utf8(output.stdout).expect("text");
    let found: BTreeMap<_, _> = output
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .collect();
    let expected = catalogue::ALL.iter().filter_map(|metric| {
        // Without TLS and signatures there is no certificate of ours or of a relay.
        let shown = !metric.name.contains("certificate") || metric.name.contains("recipient");
        let what = format!("{}\t{}", metric.kind.as_str(), metric.help);
        shown.then_some((metric.name, what))
    });
    let expected: BTreeMap<_, _> = expected.collect();
    let expected: BTreeMap<_, _> = expected.iter().map(|(k, v)| (*k, v.as_str())).collect();
    assert_eq!(found, expected);
}

/// Names, units and texts as Prometheus' own tool wants them.
fn linted_by_prometheus(text: &str) {
    let tool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut tool) = tool else {
        not_run("promtool is not installed");
        return;
    };
    let mut stdin = tool.stdin.take().expect("its input");
    stdin.write_all(text.as_bytes()).expect("write");
    drop(stdin);
    let output = tool.wait_with_output().expect("its output");
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && message.is_empty(), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_show_an_unreachable_relay_and_its_return() {
    let dead = closed_port();
    let site = Site::watched(&send_port_over(&plain_relay(dead)));
    crate::insert_many(&site, 1);
    let service = site.run();
    let address = site.health_address().await;
    let open = "sendport_relay_state{relay=\"main\",state=\"open\"}";
    health::wait_for_sample(address, open, 1.0).await;
    let queued = "sendport_queue_alerts{send_port=\"default\",status=\"queued\"}";
    health::wait_for_sample(address, queued, 1.0).await;
    let samples = Samples::of(address);
    let not_begun = "sendport_submissions_total{relay=\"main\",reply_class=\"not_begun\"}";
    assert!(samples.get(not_begun).is_some_and(|count| count >= 1.0));
    samples.are(
        r#"
        sendport_relay_state{relay="main",state="closed"} 0
        sendport_events_total{severity="warning",type="relay-circuit-opened"} 1
        sendport_connect_duration_seconds_count{relay="main"} 0
        sendport_ready 1
        "#,
    );
    let folder = tempfile::tempdir().expect("a folder");
    let options = SinkOptions {
        listen: dead,
        folder: folder.path().to_owned(),
        ..SinkOptions::default()
    };
    let sink = Sink::start(options).await.expect("start");
    site.wait_until_all_final(WITHIN).await;
    let closed = "sendport_relay_state{relay=\"main\",state=\"closed\"}";
    health::wait_for_sample(address, closed, 1.0).await;
    let samples = Samples::of(address);
    samples.are(
        r#"
        sendport_relay_state_changes_total{relay="main",state="closed"} 1
        sendport_connect_duration_seconds_count{relay="main"} 1
        "#,
    );
    let tried = "sendport_relay_state_changes_total{relay=\"main\",state=\"half_open\"}";
    assert!(samples.get(tried).is_some_and(|count| count >= 1.0));
    assert_eq!(service.stop(), Some(0));
    sink.stop().await;
}
