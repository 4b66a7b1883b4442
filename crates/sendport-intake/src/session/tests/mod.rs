//! Sessions over a connection in memory, with a queue that records.

mod authentication;
mod content;
mod hostile;
mod lifecycle;
mod mail;
mod pieces;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use sendport_core::clock::SystemClock;
use sendport_core::domain::{AlertId, ReceivedContent, ReceivedMessage};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::task::JoinHandle;

use super::serve;
use crate::listener::{Intake, IntakeDependencies};
use crate::observer::{IntakeActivity, IntakeObserver};
use crate::queue::{MessageQueue, QueueError, Queued};
use crate::settings::IntakeConfig;

const MINIMAL: &str = r#"
    kind = "smtp"
    listen = ["127.0.0.1:0"]
    send_port = "default"
    allow_senders = ["contoso.com"]
"#;

/// Records what is committed and observed; `refusal` is its answer instead.
#[derive(Default)]
pub(super) struct Recorder {
    messages: Mutex<Vec<ReceivedMessage>>,
    activities: Mutex<Vec<IntakeActivity>>,
    refusal: Mutex<Option<QueueError>>,
    checked: Mutex<Vec<Option<u64>>>,
    /// The commit does not end.
    hangs: bool,
}

#[async_trait]
impl MessageQueue for Recorder {
    async fn commit(&self, message: Arc<ReceivedMessage>) -> Result<Queued, QueueError> {
        if self.hangs {
            std::future::pending::<()>().await;
        }
        if let Some(refusal) = self.refusal.lock().clone() {
            return Err(refusal);
        }
        let mut messages = self.messages.lock();
        messages.push(Arc::into_inner(message).expect("the only one"));
        Ok(Queued::Alert(AlertId(4710 + messages.len() as i64)))
    }

    async fn check(&self, bytes: Option<u64>) -> Result<(), QueueError> {
        self.checked.lock().push(bytes);
        Ok(())
    }
}

impl IntakeObserver for Recorder {
    fn record(&self, activity: IntakeActivity) {
        self.activities.lock().push(activity);
    }
}

pub(super) fn octets(content: &ReceivedContent) -> Vec<u8> {
    let mut all = Vec::new();
    let take = |piece: &[u8]| {
        all.extend_from_slice(piece);
        Ok::<_, std::io::Error>(())
    };
    content.pieces(4096, take).unwrap();
    all
}

/// An intake for one test, and its client.
pub(super) struct Server {
    pub(super) intake: Arc<Intake>,
    recorder: Arc<Recorder>,
    client: IpAddr,
}

impl Server {
    /// With keys in front of the tables, or tables, after the minimal settings.
    pub(super) fn new(settings: &str) -> Self {
        Self::with(settings, Recorder::default())
    }

    pub(super) fn with(settings: &str, recorder: Recorder) -> Self {
        let recorder = Arc::new(recorder);
        let settings = toml::from_str(&format!("{MINIMAL}\n{settings}")).unwrap();
        let IntakeConfig::Smtp(settings) = settings else {
            panic!("{settings:?}");
        };
        assert_eq!(settings.problems(), []);
        let dependencies = IntakeDependencies {
            queue: Arc::clone(&recorder) as Arc<dyn MessageQueue>,
            observer: Arc::clone(&recorder) as Arc<dyn IntakeObserver>,
            clock: Arc::new(SystemClock),
            folder: std::env::temp_dir(),
            default_hostname: "mail.test".to_owned(),
            host_name: "mail".to_owned(),
            database: "sqlite:a.db".to_owned(),
        };
        let intake = Intake::new("test".to_owned(), *settings, dependencies).unwrap();
        Self {
            intake: Arc::new(intake),
            recorder,
            client: [127, 0, 0, 1].into(),
        }
    }

    pub(super) fn client(mut self, address: &str) -> Self {
        self.client = address.parse().unwrap();
        self
    }

    pub(super) fn connect(&self) -> Client {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let serving = serve(Arc::clone(&self.intake), Box::new(theirs), self.client);
        Client {
            stream: ours,
            received: Vec::new(),
            serving: tokio::spawn(serving),
        }
    }

    /// All replies to these octets, line by line, without the greeting.
    pub(super) async fn replies(&self, input: &[u8]) -> Vec<String> {
        let mut client = self.connect();
        client.send(input).await;
        client.rest().await.split_off(1)
    }

    /// The replies to these lines.
    pub(super) async fn lines(&self, lines: &[&str]) -> Vec<String> {
        let input: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        self.replies(input.as_bytes()).await
    }

    pub(super) fn messages(&self) -> Vec<ReceivedMessage> {
        std::mem::take(&mut self.recorder.messages.lock())
    }

    /// The one message, and its octets.
    pub(super) fn message(&self) -> (ReceivedMessage, String) {
        let message = self.messages().pop().expect("a message");
        let octets = octets(&message.content);
        (message, String::from_utf8_lossy(&octets).into_owned())
    }
}

pub(super) struct Client {
    stream: DuplexStream,
    received: Vec<u8>,
    serving: JoinHandle<()>,
}

impl Client {
    pub(super) async fn send(&mut self, octets: &[u8]) {
        // The server may have closed.
        let _sent = self.stream.write_all(octets).await;
    }

    /// The next reply line.
    pub(super) async fn reply(&mut self) -> String {
        loop {
            if let Some(at) = self.received.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=at).collect();
                return String::from_utf8(line).unwrap().trim_end().to_owned();
            }
            let read = self.stream.read_buf(&mut self.received).await.unwrap();
            assert_ne!(read, 0, "the server closed");
        }
    }

    pub(super) async fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes()).await;
        self.reply().await
    }

    /// Everything until the server closes, which it does when the client has nothing more to say.
    pub(super) async fn rest(mut self) -> Vec<String> {
        let _closed = self.stream.shutdown().await;
        let reading = self.stream.read_to_end(&mut self.received);
        tokio::time::timeout(Duration::from_secs(60), reading)
            .await
            .unwrap()
            .unwrap();
        self.serving.await.unwrap();
        let text = String::from_utf8(self.received).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}
