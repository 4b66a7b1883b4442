//! Reports to the senders of submitted messages.

use std::process::{Command, Stdio};

use super::*;
use crate::support::received::messages;

const MESSAGE: &[u8] =
    b"Subject: Order 4711\r\nFrom: app@example.test\r\nMessage-ID: <4711@app>\r\n\r\nlate";

const WITHIN: Duration = Duration::from_secs(60);

const REPORTS: &str =
    "SELECT count(*) FROM AlertStatus WHERE Origin = 'report' AND Status = 'relayed'";

/// A service behind whose intake a relay refuses `gone1` and `gone2`, and delays `slow` for long.
async fn start(settings: &str) -> Intake {
    let mails = tempfile::tempdir().expect("a folder");
    let sink = Sink::start(sendport::sink::SinkOptions {
        listen: any_port(),
        folder: mails.path().to_owned(),
        refuse: vec!["gone1".to_owned(), "gone2".to_owned()],
        delay: vec![("slow".to_owned(), 1_000_000)],
    });
    let sink = sink.await.expect("start");
    let port = send_port_over(&plain_relay(sink.local_addr()));
    let keys = format!("{settings}[send_port.default.retry]");
    let port = port.replace("[send_port.default.retry]", &keys);
    let site = Site::new(&format!("{port}{INTAKE}allow_null_sender = true\n"));
    let service = site.run();
    let address = site.intake_address().await;
    Intake {
        site,
        service,
        sink,
        mails,
        address,
    }
}

impl Intake {
    /// Submits the message with these parameters of MAIL and of each RCPT.
    fn submit(&self, mail: &str, recipients: &[&str]) {
        let mut client = RawClient::connect(self.address);
        client.ask("EHLO client.test");
        assert_eq!(&client.ask(&format!("MAIL FROM:{mail}"))[..3], "250");
        for recipient in recipients {
            assert_eq!(&client.ask(&format!("RCPT TO:{recipient}"))[..3], "250");
        }
        assert_eq!(&client.ask("DATA")[..3], "354");
        client.send(MESSAGE);
        assert_eq!(&client.ask("\r\n.")[..3], "250");
    }

    async fn wait_for_reports(&self, count: &str) {
        self.site.wait_until(REPORTS, count, WITHIN).await;
    }

    /// The reports at the relay, as Python's email module reads them, in order.
    fn reports(&self) -> Vec<String> {
        let files = messages(self.mails.path()).into_iter();
        let texts = files.map(|file| std::fs::read(file).expect("readable"));
        let reports = texts.filter(|text| {
            text.starts_with(b"X-Sender: <>\r\n") || text.starts_with(b"X-Sender: \r\n")
        });
        let mut read: Vec<_> = reports.map(|text| read_by_python(&text)).collect();
        read.sort();
        read
    }

    fn why(&self, alert: &str) -> String {
        crate::site::text(&self.site.sendport(&["why", alert]))
    }
}

/// Receivers, header fields, types of the parts, and the fields of the part for programs.
fn read_by_python(report: &[u8]) -> String {
    const READ: &str = "
import email, email.policy, sys
m = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
assert not m.defects, m.defects
for name in ('X-Receiver', 'To', 'From', 'Auto-Submitted', 'In-Reply-To'):
    print(name + '=' + str(m[name]))
print(m.get_content_type(), m['content-type'].params['report-type'])
text, status, returned = m.iter_parts()
assert text.get_content_type() == 'text/plain'
for block in status.get_payload():
    for name, value in block.items():
        print(name + '=' + str(value) if not name.endswith('Date') else name)
print(returned.get_content_type())
print(returned.get_payload() if isinstance(returned.get_payload(), str) else returned.get_payload()[0])
";
    let mut python = Command::new("python3")
        .args(["-c", READ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3");
    let mut input = python.stdin.take().expect("a pipe");
    input.write_all(report).expect("written");
    drop(input);
    let output = python.wait_with_output().expect("python ends");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(report)
    );
    String::from_utf8(output.stdout).expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sender_gets_a_report_about_the_refused_recipient() {
    let intake = start("").await;
    intake.submit(
        "<app@example.test> RET=HDRS ENVID=Q+2B7",
        &[
            "<ok@example.test>",
            "<gone1@example.test> NOTIFY=FAILURE ORCPT=rfc822;Gone+2B1@example.test",
            "<gone2@example.test> NOTIFY=NEVER",
        ],
    );
    intake.wait_for_reports("1").await;
    let [report] = &intake.reports()[..] else {
        panic!("one: {:?}", intake.reports());
    };
    let host = report
        .lines()
        .find_map(|line| line.strip_prefix("Reporting-MTA=dns; "));
    let expected = format!(
        "X-Receiver=app@example.test\nTo=app@example.test\n\
         From=Mail Delivery Service <alerts@example.test>\nAuto-Submitted=auto-replied\nIn-Reply-To=<4711@app>\n\
         multipart/report delivery-status\nOriginal-Envelope-Id=Q+7\nReporting-MTA=dns; {}\nArrival-Date\n\
         Original-Recipient=rfc822;Gone+1@example.test\nFinal-Recipient=rfc822; gone1@example.test\nAction=failed\n\
         Status=5.1.1\nRemote-MTA=dns; sink.localhost\nDiagnostic-Code=smtp; 550 5.1.1 ",
        host.expect("a host")
    );
    assert!(
        report.starts_with(&expected),
        "{report}\nexpected {expected}"
    );
    let rest = &report[expected.len()..];
    let (_, rest) = rest.split_once('\n').expect("the reply");
    assert!(
        rest.starts_with("Last-Attempt-Date\ntext/rfc822-headers\nReceived: from client.test"),
        "{rest}"
    );
    assert!(
        rest.contains("Subject: Order 4711") && !rest.contains("late"),
        "{rest}"
    );
    let why = intake.why("1");
    for sentence in [
        "a report is sent to the reverse-path app@example.test as alert 2: 1 recipient failed",
        "no report to the reverse-path app@example.test because NOTIFY of the client does not ask for it: 1 recipient failed",
    ] {
        assert!(why.contains(sentence), "{why}");
    }
    assert!(
        intake
            .why("2")
            .contains("to report to the sender of alert 1")
    );
    intake.stop().await;
}

/// The sink offers no DSN.
#[tokio::test(flavor = "multi_thread")]
async fn a_relay_without_dsn_and_a_delay_are_reported_to_who_asked() {
    let intake = start("report_delay_after = \"1s\"\n").await;
    intake.submit(
        "<app@example.test> RET=FULL",
        &["<ok@example.test> NOTIFY=SUCCESS", "<ok2@example.test>"],
    );
    intake.submit(
        "<app@example.test>",
        &["<slow@example.test> NOTIFY=FAILURE,DELAY"],
    );
    intake.submit("<app@example.test>", &["<slow@example.test>"]);
    intake.wait_for_reports("2").await;
    let reports = intake.reports();
    let about = |action: &str| {
        let found = reports
            .iter()
            .filter(|it| it.contains(&format!("\nAction={action}\n")));
        found.cloned().collect::<Vec<_>>().concat()
    };
    let relayed = about("relayed");
    assert!(
        relayed.contains("Final-Recipient=rfc822; ok@example.test\nAction=relayed\nStatus=2.0.0\n"),
        "{relayed}"
    );
    assert!(!relayed.contains("ok2@"), "{relayed}");
    assert!(
        relayed.contains("\ntext/rfc822-headers\n"),
        "RET is for failures: {relayed}"
    );
    let delayed = about("delayed");
    assert!(
        delayed
            .contains("Final-Recipient=rfc822; slow@example.test\nAction=delayed\nStatus=4.2.1\n"),
        "{delayed}"
    );
    assert!(delayed.contains("Will-Retry-Until"), "{delayed}");
    intake.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_are_notified_instead_where_the_send_port_says_so() {
    let intake = start(
        "reports_to = \"operators\"\nnotify_failures_to = \"ops@example.test\"\nnotify_interval = \"1s\"\n",
    )
    .await;
    intake.submit("<app@example.test>", &["<gone1@example.test>"]);
    let digests = "SELECT count(*) FROM AlertStatus WHERE Origin = 'digest' AND Status = 'relayed'";
    intake.site.wait_until(digests, "1", WITHIN).await;
    let recorded = "SELECT count(*) FROM DeliveryReport WHERE Reason LIKE 'reports_to %'";
    intake.site.wait_until(recorded, "1", WITHIN).await;
    assert_eq!(intake.reports(), Vec::<String>::new());
    intake.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_beyond_the_limit_wait_and_nothing_reports_a_report() {
    let intake = start("reports_per_minute = 1\n").await;
    intake.submit("<>", &["<gone1@example.test>"]);
    let recorded = "SELECT max(Reason) FROM DeliveryReport";
    intake
        .site
        .wait_until(recorded, "it is the null reverse-path", WITHIN)
        .await;
    for _ in 0..2 {
        intake.submit("<gone2@example.test>", &["<gone1@example.test>"]);
    }
    let ended = "SELECT count(*) FROM AlertStatus WHERE Origin = 'report' AND Status = 'failed'";
    intake.site.wait_until(ended, "1", WITHIN).await;
    let limited = "SELECT count(*) FROM EventLog WHERE EventType = 'delivery-reports-limited'";
    intake.site.wait_until(limited, "1", WITHIN).await;
    let reports = "SELECT count(*) FROM DeliveryReport WHERE ReportAlertId IS NOT NULL";
    assert_eq!(intake.site.value(reports), "1", "the second one waits");
    intake.stop().await;
}

/// Killed at any moment, each failure is reported once.
#[tokio::test(flavor = "multi_thread")]
async fn killed_and_each_failure_is_reported_once() {
    let mut intake = start("reports_per_minute = 1000\n").await;
    for round in 1..=10 {
        for _ in 0..5 {
            intake.submit(
                "<app@example.test>",
                &["<gone1@example.test>", "<ok@example.test>"],
            );
        }
        let some = format!("SELECT count(*) >= {} FROM DeliveryReport", round * 5 - 4);
        intake.site.wait_until(&some, "1", WITHIN).await;
        intake.service.kill();
        // The address of the next service is the last one in the log.
        std::fs::remove_file(intake.site.path("service.log")).expect("removed");
        intake.service = intake.site.run();
        intake.address = intake.site.intake_address().await;
    }
    intake.wait_for_reports("50").await;
    let twice = "SELECT count(*) FROM (SELECT AlertId FROM DeliveryReport GROUP BY AlertId HAVING count(DISTINCT ReportAlertId) <> 1)";
    assert_eq!(intake.site.value(twice), "0");
    assert_eq!(
        intake
            .site
            .value("SELECT count(*) FROM AlertStatus WHERE Origin = 'report'"),
        "50"
    );
    intake.stop().await;
}
