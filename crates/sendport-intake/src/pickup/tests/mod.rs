//! Folders in a temporary one, with a queue that records.

mod folders;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use sendport_core::clock::SystemClock;
use sendport_core::domain::{AlertId, ReceivedMessage, RecipientKind, TransactionId};

use super::*;
use crate::observer::NoObserver;
use crate::queue::Queued;
use crate::settings::IntakeConfig;

const FILE: &str = "X-Sender: a@contoso.com\nX-Receiver: b@x.test\nSubject: x\n\nbody\n";

/// One message a transaction.
#[derive(Default)]
struct Database {
    messages: Mutex<BTreeMap<TransactionId, (ReceivedMessage, String)>>,
    refusal: Mutex<Option<QueueError>>,
    is_away: AtomicBool,
    /// It commits, and the answer does not arrive.
    loses_answers: AtomicBool,
}

#[async_trait]
impl MessageQueue for Database {
    async fn commit(&self, message: Arc<ReceivedMessage>) -> Result<Queued, QueueError> {
        if let Some(refusal) = self.refusal.lock().clone() {
            return Err(refusal);
        }
        let mut text = Vec::new();
        let take = |piece: &[u8]| {
            text.extend_from_slice(piece);
            Ok::<_, std::io::Error>(())
        };
        message.content.pieces(1000, take).unwrap();
        let text = String::from_utf8_lossy(&text).into_owned();
        let mut messages = self.messages.lock();
        messages
            .entry(message.transaction)
            .or_insert((Arc::into_inner(message).expect("the only one"), text));
        match self.loses_answers.load(Ordering::Relaxed) {
            true => Err(no_answer()),
            false => Ok(Queued::Alert(AlertId(1))),
        }
    }

    async fn check(&self, _bytes: Option<u64>) -> Result<(), QueueError> {
        match self.is_away.load(Ordering::Relaxed) {
            true => Err(no_answer()),
            false => Ok(()),
        }
    }
}

struct Site {
    root: tempfile::TempDir,
    database: Arc<Database>,
    settings: String,
}

impl Site {
    fn new(settings: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("pickup")).unwrap();
        Self {
            root,
            database: Arc::default(),
            settings: settings.to_owned(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path("pickup").join(name), content).unwrap();
    }

    /// The intake, as after a start.
    fn start(&self) -> Arc<Pickup> {
        self.start_at("pickup", "sqlite:a.db")
    }

    /// That of a service with another name of the folder, or another database.
    fn start_at(&self, folder: &str, database: &str) -> Arc<Pickup> {
        let folder = self.path(folder);
        let text = format!(
            "kind = \"pickup\"\nfolder = {folder:?}\nsettle_time = \"0s\"\nsend_port = \"default\"\nallow_senders = \
             [\"contoso.com\"]\nlocal_domain = \"contoso.com\"\n{}",
            self.settings
        );
        let config: IntakeConfig = toml::from_str(&text).unwrap();
        assert_eq!(config.problems(), []);
        let dependencies = IntakeDependencies {
            queue: Arc::clone(&self.database) as Arc<dyn MessageQueue>,
            observer: Arc::new(NoObserver),
            clock: Arc::new(SystemClock),
            folder: self.root.path().to_owned(),
            default_hostname: "db1.test".to_owned(),
            host_name: "db1".to_owned(),
            database: database.to_owned(),
        };
        let settings = config.pickup().unwrap();
        let name = |_| Some("www-data".to_owned());
        PickupIntake::open("local", AlertOrigin::Pickup, settings, dependencies, name)
            .unwrap()
            .0
    }

    /// The messages after one look at the folder.
    async fn messages(&self) -> Vec<(ReceivedMessage, String)> {
        self.start().look().await;
        std::mem::take(&mut *self.database.messages.lock())
            .into_values()
            .collect()
    }

    async fn message(&self, content: &str) -> (ReceivedMessage, String) {
        self.write("x.eml", content);
        let mut messages = self.messages().await;
        assert_eq!((messages.len(), self.names("badmail").len()), (1, 0));
        messages.remove(0)
    }

    /// The text beside the one refused file, which is removed.
    async fn refusal(&self, content: impl AsRef<[u8]>) -> String {
        self.write("x.eml", content);
        assert!(self.messages().await.is_empty());
        let names = self.names("badmail");
        assert_eq!(names.len(), 2, "{names:?}");
        let text = names
            .iter()
            .find(|name| name.ends_with(".eml.txt"))
            .unwrap();
        let text = fs::read_to_string(self.path("badmail").join(text)).unwrap();
        for name in &names {
            fs::remove_file(self.path("badmail").join(name)).unwrap();
        }
        text
    }

    fn names(&self, folder: &str) -> Vec<String> {
        names(&self.path(folder))
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.map(|it| it.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name != ".lock").collect();
    names.sort();
    names
}

fn recipients(message: &ReceivedMessage) -> Vec<(&str, RecipientKind)> {
    let recipients = message.envelope.recipients.iter();
    recipients
        .map(|it| (it.address.as_str(), it.kind))
        .collect()
}

#[tokio::test]
async fn the_lines_at_the_top_are_the_envelope_and_are_removed() {
    let site = Site::new("[send_port_by_sender]\n\"contoso.com\" = \"erp\"\n");
    let content = "x-sender: a@contoso.com RET=HDRS\nx-receiver: b@x.test\nx-receiver: c@x.test\nTo: B <b@x.test>\nFrom: \
                   a@contoso.com\nDate: x\nMessage-ID: <1@x.test>\n\nline\n.\n\nlast";
    let (message, text) = site.message(content).await;
    assert_eq!(message.envelope.reverse_path.as_str(), "a@contoso.com");
    let expected = [
        ("b@x.test", RecipientKind::To),
        ("c@x.test", RecipientKind::Bcc),
    ];
    assert_eq!(recipients(&message), expected);
    assert!(message.envelope.returns.is_some());
    assert_eq!(
        (message.origin, &*message.send_port),
        (AlertOrigin::Pickup, "erp")
    );
    assert_eq!(message.client.user.as_deref(), Some("www-data"));
    assert_eq!(message.header.message_id, "<1@x.test>");
    let (received, rest) = text.split_once("\r\n\t").unwrap();
    assert_eq!(
        received,
        "Received: by db1.test (sendport pickup, user www-data)"
    );
    let rest = rest.split_once("+0000\r\n").unwrap().1;
    assert_eq!(
        rest,
        "To: B <b@x.test>\r\nFrom: a@contoso.com\r\nDate: x\r\nMessage-ID: <1@x.test>\r\n\r\nline\r\n.\r\n\r\nlast\r\n"
    );
    assert_eq!(
        (site.names("pickup").len(), site.names("pickup-taken").len()),
        (0, 0)
    );
}

#[tokio::test]
async fn the_header_is_the_envelope_where_there_is_no_other() {
    let site = Site::new("[aliases]\nROOT = [\"ops@contoso.com\", \"oncall@contoso.com\"]\n");
    let content = "From: mdadm monitoring <root>\nTo: root, x\nCc: c@x.test, ops@contoso.com\nBcc: d@x.test\n\nbody\n";
    let (message, text) = site.message(content).await;
    assert_eq!(message.envelope.reverse_path.as_str(), "root@contoso.com");
    assert_eq!(
        recipients(&message),
        [
            ("ops@contoso.com", RecipientKind::Cc),
            ("oncall@contoso.com", RecipientKind::Bcc),
            ("x@contoso.com", RecipientKind::To),
            ("c@x.test", RecipientKind::Cc),
            ("d@x.test", RecipientKind::Bcc),
        ]
    );
    for field in [
        "Date: ",
        "Message-ID: <",
        "From: mdadm monitoring <root@contoso.com>\r\n",
        "To: root@contoso.com, x@contoso.com\r\n",
    ] {
        assert!(text.contains(&format!("\r\n{field}")), "{text}");
    }
}

#[tokio::test]
async fn a_byte_order_mark_is_left_out_and_utf16_is_named() {
    let site = Site::new("");
    let (message, text) = site.message(&format!("\u{feff}{FILE}")).await;
    assert_eq!(message.envelope.reverse_path.as_str(), "a@contoso.com");
    assert!(!text.contains('\u{feff}'), "{text}");
    let utf16: Vec<u8> = format!("\u{feff}{FILE}")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let refusal = site.refusal(utf16).await;
    assert!(
        refusal.contains("550 5.6.0 the message is UTF-16"),
        "{refusal}"
    );
}

#[tokio::test]
async fn a_missing_from_is_the_sender() {
    let site = Site::new("allow_null_sender = true\n");
    for (name, from) in [
        ("", "From: root@contoso.com\r\n"),
        (
            "X-Sender-Name: Cron Daemon\n",
            "From: Cron Daemon <root@contoso.com>\r\n",
        ),
        (
            "X-Sender-Name: (Cron, Daemon)\n",
            "From: \"(Cron, Daemon)\" <root@contoso.com>\r\n",
        ),
        (
            "X-Sender-Name: J\u{fc}rgen\n",
            "From: =?utf-8?B?SsO8cmdlbg==?=\r\n <root@contoso.com>\r\n",
        ),
    ] {
        let content = format!("X-Sender: root\nX-Receiver: b@x.test\n{name}Subject: x\n\nbody\n");
        let (_, text) = site.message(&content).await;
        assert!(
            text.contains(&format!("\r\n{from}Subject: x\r\n\r\nbody")),
            "{text}"
        );
    }
    let (message, text) = site
        .message("X-Sender: <>\nX-Receiver: b@x.test\n\nbody\n")
        .await;
    assert!(message.envelope.reverse_path.0.is_none() && !text.contains("From:"));
}

#[tokio::test]
async fn a_long_message_is_whole() {
    let site = Site::new("");
    let body = "0123456789abcdef0123456789abcd\n".repeat(100_000);
    let (_, text) = site.message(&format!("{FILE}{body}")).await;
    let expected = format!("\r\n\r\nbody\r\n{}", body.replace('\n', "\r\n"));
    assert!(text.ends_with(&expected));
}

#[tokio::test]
async fn a_refused_file_is_kept_with_the_reason() {
    let site = Site::new(
        "max_message_size = \"64KiB\"\nmax_recipients = 2\nhop_limit = 2\nallow_recipient_domains = [\"x.test\"]\n",
    );
    let received = "Received: x\n".repeat(3);
    let large = "x".repeat(70_000);
    for (content, reason) in [
        (
            "Subject: x\n\nbody\n".to_owned(),
            "550 5.1.7 there is no sender",
        ),
        (
            "From: a@contoso.com\n\nbody\n".to_owned(),
            "550 5.1.0 there is no recipient",
        ),
        (
            "From: a@contoso.com\nTo: John Doe\n\n".to_owned(),
            "550 5.1.3 the header has an address that cannot be used: 'John Doe'",
        ),
        (
            "X-Sender: a@evil.test\nX-Receiver: b@x.test\n\n".to_owned(),
            "550 5.7.1 <a@evil.test> is no reverse-path",
        ),
        (
            "X-Sender: <>\nX-Receiver: b@x.test\n\n".to_owned(),
            "550 5.7.1 <> is no reverse-path",
        ),
        (
            "X-Sender: a@contoso.com\nX-Receiver: b@y.test\n\n".to_owned(),
            "550 5.7.1 relaying denied: y.test",
        ),
        (
            "X-Sender: a@contoso.com\nX-Receiver: b%y.test@x.test\n\n".to_owned(),
            "550 5.7.1 X-Receiver: relaying denied",
        ),
        (
            "From: a@contoso.com\nTo: b@x.test, c@x.test, d@x.test\n\n".to_owned(),
            "too many recipients: 3",
        ),
        (
            "From: a@contoso.com\nX-Receiver: b@x.test\n\n".to_owned(),
            "at the top of the file",
        ),
        (
            format!("{FILE}{large}"),
            "552 5.3.4 the message is too large",
        ),
        (
            format!("X-Sender: a@contoso.com\nX-Receiver: b@x.test\n{received}\n"),
            "554 5.4.6",
        ),
        (format!("{FILE}\0"), "550 5.6.0 NUL"),
        (format!("{FILE}a\rb"), "550 5.5.2 bare CR"),
    ] {
        let text = site.refusal(&content).await;
        assert!(text.contains(reason), "{text}");
        assert!(
            text.contains("[intake.local]") && text.contains("File:    x.eml"),
            "{text}"
        );
    }
    *site.database.refusal.lock() = Some(QueueError::Refused("no such column".to_owned()));
    let text = site.refusal(FILE).await;
    assert!(
        text.contains("554 5.3.0 the database refuses the message: no such column"),
        "{text}"
    );
}
