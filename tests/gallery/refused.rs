//! What a send port does not take, and what the operator reads then.

use std::time::Duration;

use sendport::sink::{Sink, SinkOptions};

use crate::inserted::pseudo_random;
use crate::site::{Site, text};

/// Failed recipients with reason and advice, by the alert's subject.
const WHY: &str = "SELECT group_concat(Subject || ': ' || Status || ', ' || Reason || ' ' || Advice, char(10)) FROM (SELECT * FROM FailedDelivery ORDER BY Subject)";

async fn sink(folder: &std::path::Path) -> Sink {
    let options = SinkOptions {
        listen: std::net::SocketAddr::from(([127, 0, 0, 1], 0)),
        folder: folder.to_owned(),
        ..SinkOptions::default()
    };
    Sink::start(options).await.expect("start")
}

fn site_over(sink: &Sink) -> Site {
    let port = sink.local_addr().port();
    Site::new(&format!(
        "[relay.main]
kind = \"smtp\"
host = \"127.0.0.1\"
port = {port}
tls = \"none\"
[send_port.default]
from = \"Contoso alerts <alerts@example.test>\"
relays = [\"main\"]
[send_port.default.attachments]
max_size = \"1MB\"
"
    ))
}

fn insert(site: &Site, subject: &str, columns: &str, values: &[&dyn rusqlite::ToSql]) {
    let mut database = site.database();
    let transaction = database.transaction().expect("begin");
    let alert = "INSERT INTO Alert (ToRecipients, Subject) VALUES ('ops@example.test', ?1)";
    transaction.execute(alert, [subject]).expect("insert");
    let id = transaction.last_insert_rowid();
    let places = vec!["?"; values.len()].join(", ");
    let sql = format!("INSERT INTO Attachment (AlertId, {columns}) VALUES ({id}, {places})");
    transaction.execute(&sql, values).expect("attach");
    transaction.commit().expect("commit");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_message_fails_with_a_reason_and_affects_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let sink = sink(folder.path()).await;
    let site = site_over(&sink);
    let large = pseudo_random(1_000_001);
    let small = b"x".as_slice();
    insert(&site, "1", "FileName, Content", &[&"dump.zip", &large]);
    insert(&site, "2", "FileName, Content", &[&"Setup.EXE ", &small]);
    insert(&site, "3", "FileName, Content", &[&"a\r\nBcc: x@y", &small]);
    insert(
        &site,
        "4",
        "MediaType, Content",
        &[&"text/plain\nX: y", &small],
    );
    insert(&site, "5", "MediaType, Content", &[&"nonsense", &small]);
    insert(&site, "6", "ContentId, Content", &[&"<a b>", &small]);
    insert(&site, "7", "Description, Content", &[&"a\0b", &small]);
    insert(
        &site,
        "8",
        "FileName, Content",
        &[&"dump.zip", &&large[1..]],
    );
    let service = site.run();
    site.wait_until_all_final(Duration::from_secs(60)).await;
    assert_eq!(service.stop(), Some(0));
    assert_eq!(sink.received(), 1, "the last one alone");

    let why = site.value(WHY);
    let lines: Vec<_> = why.lines().collect();
    let expected = [
        "1: failed, attachment 'dump.zip' has 1000001 bytes, the send port 'default' takes at most 1000000 (1MB); send less, or a link, or raise attachments.max_size",
        "2: failed, attachment 'Setup.EXE': the send port 'default' takes no .exe files",
        "3: failed, column Attachment.FileName holds a carriage return",
        "4: failed, column Attachment.MediaType holds a line feed",
        "5: failed, attachment 5 '': column MediaType cannot be used: expected a media type such as text/csv",
        "6: failed, attachment 6 '': column ContentId cannot be used: expected letters",
        "7: failed, column Attachment.Description holds a NUL",
    ];
    assert_eq!(lines.len(), expected.len(), "{why}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(expected), "{line}");
    }
    sink.stop().await;
}

/// It is refused by its length: of 64 MB the service reads nothing.
#[tokio::test(flavor = "multi_thread")]
async fn too_long_values_are_not_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let sink = sink(folder.path()).await;
    let site = site_over(&sink);
    let content = pseudo_random(64_000_000);
    insert(&site, "long", "FileName, Content", &[&"a.zip", &content]);
    let service = site.run();
    site.wait_until_all_final(Duration::from_secs(60)).await;
    let process = site.value("SELECT ProcessId FROM Instance WHERE StoppedAt IS NULL");
    let io = std::fs::read_to_string(format!("/proc/{process}/io")).unwrap_or_default();
    assert_eq!(service.stop(), Some(0));
    sink.stop().await;
    let why = site.value(WHY);
    assert!(why.contains("'a.zip' has 64000000 bytes"), "{why}");
    let Some(read) = io.lines().find_map(|line| line.strip_prefix("rchar: ")) else {
        eprintln!("the system does not say what a process reads: not looked at");
        return;
    };
    let read: u64 = read.parse().expect("a number");
    assert!(read < 16_000_000, "{read} bytes were read");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_sent_from_the_command_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let sink = sink(folder.path()).await;
    let site = site_over(&sink);
    let file = site.path("Größe.csv");
    std::fs::write(&file, "a;b\n").expect("write");
    let service = site.run();
    // A caller that waits for an alert without a running service gets an error at once.
    let published = "SELECT count(*) FROM SendPort";
    let soon = std::time::Duration::from_secs(60);
    site.wait_until(published, "1", soon).await;
    let file = file.to_string_lossy().into_owned();
    let arguments = [
        "send",
        "--to",
        "ops@example.test",
        "--subject",
        "x",
        "--wait",
    ];
    let sent = site.sendport(&[&arguments[..], &["--attach", &file, "--attach", &file]].concat());
    assert!(sent.status.success(), "{}", text(&sent));
    let absent = site.sendport(&[&arguments[..], &["--attach", "/nowhere/x"]].concat());
    assert!(!absent.status.success());
    assert!(
        text(&absent).contains("the file /nowhere/x cannot be read"),
        "{}",
        text(&absent)
    );
    assert_eq!(service.stop(), Some(0));
    let files = std::fs::read_dir(folder.path()).expect("a folder");
    let bytes: Vec<_> = files
        .map(|entry| std::fs::read(entry.expect("an entry").path()).expect("readable"))
        .collect();
    assert_eq!(bytes.len(), 1);
    let read = mail_parser::MessageParser::default()
        .parse(&bytes[0])
        .expect("a message");
    let attached: Vec<_> = read.attachments().collect();
    assert_eq!(attached.len(), 2);
    for part in attached {
        use mail_parser::MimeHeaders as _;
        assert_eq!(part.attachment_name(), Some("Größe.csv"));
        assert_eq!(part.contents(), b"a;b\n");
    }
    sink.stop().await;
}
