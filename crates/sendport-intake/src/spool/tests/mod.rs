//! A spool in a temporary folder, in front of a queue that records.

mod outside;

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;

use sendport_core::clock::SystemClock;
use sendport_core::domain::{
    AlertId, AlertOrigin, BodyType, DsnReturn, EnvelopeRecipient, IntakeClient, Notify, NotifyOn,
    ReceivedContent, ReceivedEnvelope, ReceivedHeader, RecipientKind, ReversePath, TransactionId,
};
use tokio::task::JoinHandle;

use super::*;

/// What the database does with the next messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Mood {
    #[default]
    Fine,
    Away,
    /// It commits, and the answer does not arrive.
    Forgetful,
    Hanging,
    /// It answers, and takes nothing.
    Locked,
    /// It has little space left.
    Tight,
    /// It refuses messages with this text.
    Refusing(&'static str),
}

#[derive(Default)]
struct Database {
    mood: Mutex<Mood>,
    /// Each once, in the order of the first commits: the texts.
    messages: Mutex<Vec<(TransactionId, String)>>,
}

#[async_trait]
impl MessageQueue for Database {
    async fn commit(&self, message: Arc<ReceivedMessage>) -> Result<Queued, QueueError> {
        let mood = *self.mood.lock();
        let text = text(&message);
        match mood {
            Mood::Away | Mood::Locked => return Err(QueueError::Unavailable("away".to_owned())),
            Mood::Hanging => std::future::pending().await,
            Mood::Refusing(what) if text.contains(what) => {
                return Err(QueueError::Refused("it is refused".to_owned()));
            }
            _ => {}
        }
        let mut messages = self.messages.lock();
        if !messages
            .iter()
            .any(|(known, _)| *known == message.transaction)
        {
            messages.push((message.transaction, text));
        }
        match mood {
            Mood::Forgetful => Err(QueueError::Unavailable("lost".to_owned())),
            _ => Ok(Queued::Alert(AlertId(1))),
        }
    }

    async fn check(&self, _bytes: Option<u64>) -> Result<(), QueueError> {
        match *self.mood.lock() {
            Mood::Tight => Err(QueueError::Full("little space".to_owned())),
            Mood::Away | Mood::Hanging => Err(QueueError::Unavailable("away".to_owned())),
            _ => Ok(()),
        }
    }
}

fn text(message: &ReceivedMessage) -> String {
    let mut octets = Vec::new();
    let take = |piece: &[u8]| {
        octets.extend_from_slice(piece);
        Ok::<_, io::Error>(())
    };
    message.content.pieces(7, take).unwrap();
    String::from_utf8(octets).unwrap()
}

fn message(text: &str) -> Arc<ReceivedMessage> {
    let recipient = |address: &str, notify, original: Option<&str>| EnvelopeRecipient {
        address: address.parse().unwrap(),
        kind: RecipientKind::To,
        notify,
        original: original.map(str::to_owned),
    };
    let failure = BTreeSet::from([NotifyOn::Failure]);
    Arc::new(ReceivedMessage {
        transaction: TransactionId::random(),
        intake: "local".to_owned(),
        origin: AlertOrigin::Smtp,
        send_port: "default".to_owned(),
        client: IntakeClient {
            address: Some(Ipv4Addr::LOCALHOST.into()),
            helo: Some("client.test".to_owned()),
            user: None,
        },
        envelope: ReceivedEnvelope {
            reverse_path: ReversePath(Some("a@x.test".parse().unwrap())),
            recipients: vec![
                recipient(
                    "\"b c\"@x.test",
                    Some(Notify::On(failure)),
                    Some("rfc822;d@x.test"),
                ),
                recipient("\u{fc}@x.test", Some(Notify::Never), None),
            ],
            body: BodyType::EightBitMime,
            smtp_utf8: true,
            envelope_id: Some("id 1".to_owned()),
            returns: Some(DsnReturn::Headers),
        },
        header: ReceivedHeader {
            message_id: "<1@x.test>".to_owned(),
            from: Some("a@x.test".to_owned()),
            subject: Some("x".to_owned()),
            from_allowed: true,
        },
        content: ReceivedContent::Memory(text.as_bytes().to_vec()),
    })
}

const DATABASE: &str = "the database of the test";

/// Keeps what the metrics show: messages that wait, and refused ones.
#[derive(Default)]
struct Observed(Mutex<(u64, u32)>);

impl IntakeObserver for Observed {
    fn record(&self, activity: IntakeActivity) {
        let mut observed = self.0.lock();
        match activity {
            IntakeActivity::Spooled { messages, .. } => observed.0 = messages,
            IntakeActivity::SpoolRefused => observed.1 += 1,
            _ => {}
        }
    }
}

struct Site {
    folder: tempfile::TempDir,
    database: Arc<Database>,
    observer: Arc<Observed>,
    limits: SpoolLimits,
}

impl Site {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            database: Arc::default(),
            observer: Arc::default(),
            limits: SpoolLimits {
                bytes: 1 << 20,
                age: Duration::from_secs(3600),
                wait: Duration::from_millis(50),
            },
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("intake-spool/local")
    }

    fn dependencies(&self) -> SpoolDependencies {
        SpoolDependencies {
            queue: Arc::clone(&self.database) as Arc<dyn MessageQueue>,
            database: DATABASE.to_owned(),
            observer: Arc::clone(&self.observer) as Arc<dyn IntakeObserver>,
            clock: Arc::new(SystemClock),
            // Of this size, or with this file in the folder.
            free_space: |folder, bytes| match bytes >= 500_000 || folder.join("full").exists() {
                false => Ok(()),
                true => Err(QueueError::Full("the disk is full".to_owned())),
            },
        }
    }

    /// As after a start; nothing brings messages yet.
    fn open(&self) -> SpooledQueue {
        SpooledQueue::open("local", &self.path(), self.limits, self.dependencies()).unwrap()
    }

    fn is(&self, mood: Mood) {
        *self.database.mood.lock() = mood;
    }

    fn messages(&self) -> Vec<String> {
        let messages = self.database.messages.lock();
        messages.iter().map(|(_, text)| text.clone()).collect()
    }

    fn waiting(&self) -> usize {
        spool_contents(&self.path(), None).unwrap().messages
    }

    fn refused(&self) -> Vec<(String, String)> {
        let entries = fs::read_dir(self.path().join("refused")).unwrap();
        let mut files: Vec<_> = entries.map(|it| it.unwrap().path()).collect();
        files.sort();
        let read = |path: PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (
                name,
                String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned(),
            )
        };
        files.into_iter().map(read).collect()
    }
}

/// Brings messages until it is stopped.
struct Running(CancellationToken, JoinHandle<()>);

impl Running {
    fn start(queue: &SpooledQueue) -> Self {
        let stop = CancellationToken::new();
        let running = tokio::spawn(queue.clone().run(stop.clone()));
        Self(stop, running)
    }

    async fn stop(self) {
        self.0.cancel();
        self.1.await.unwrap();
    }
}

async fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = timeout(Duration::from_secs(30), waiting).await;
    waited.unwrap_or_else(|_| panic!("{what}"));
}

/// Brings messages until the spool is empty.
async fn bring_all(queue: &SpooledQueue) {
    let running = Running::start(queue);
    wait_until("the spool is emptied", || !queue.0.is_behind()).await;
    running.stop().await;
}

/// The lines that a test logs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Of this thread, which is that of the test's tasks.
    fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn count(&self, what: &str) -> usize {
        let log = self.0.lock();
        String::from_utf8_lossy(&log).matches(what).count()
    }
}

#[tokio::test]
async fn what_comes_while_the_database_is_away_is_brought_later_in_order() {
    let site = Site::new();
    let queue = site.open();
    assert_eq!(
        queue.commit(message("0")).await,
        Ok(Queued::Alert(AlertId(1)))
    );
    site.is(Mood::Away);
    assert_eq!(queue.check(Some(1)).await, Ok(()));
    for number in 1..=3 {
        let message = message(&number.to_string());
        assert_eq!(
            queue.commit(message.clone()).await,
            Ok(Queued::Spooled(message.transaction))
        );
    }
    assert_eq!((site.waiting(), site.messages().len()), (3, 1));
    site.is(Mood::Fine);
    assert!(
        matches!(queue.commit(message("4")).await, Ok(Queued::Spooled(_))),
        "behind the others"
    );
    bring_all(&queue).await;
    assert_eq!(site.messages(), ["0", "1", "2", "3", "4"]);
    assert_eq!(site.waiting(), 0);
    assert!(matches!(
        queue.commit(message("5")).await,
        Ok(Queued::Alert(_))
    ));
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_one_message() {
    let site = Site::new();
    for mood in [Mood::Forgetful, Mood::Hanging] {
        let queue = site.open();
        site.is(mood);
        assert!(matches!(
            queue.commit(message(&format!("{mood:?}"))).await,
            Ok(Queued::Spooled(_))
        ));
        site.is(Mood::Fine);
        bring_all(&queue).await;
    }
    assert_eq!(site.messages(), ["Forgetful", "Hanging"]);
}

#[tokio::test]
async fn a_start_brings_what_is_there_first_and_the_message_is_the_same() {
    let site = Site::new();
    site.is(Mood::Away);
    let first = message("first");
    assert!(matches!(
        site.open().commit(first.clone()).await,
        Ok(Queued::Spooled(_))
    ));
    site.is(Mood::Fine);
    let queue = site.open();
    assert!(matches!(
        queue.commit(message("second")).await,
        Ok(Queued::Spooled(_))
    ));
    let entry = folder::list(&site.path()).unwrap().remove(0);
    let read = queue.0.folder.read(&entry).unwrap().message;
    assert_eq!(text(&read), "first");
    let same = |message: &ReceivedMessage| serde_json::to_value(message).unwrap();
    assert_eq!(same(&read), same(&first));
    assert_eq!(read.envelope, first.envelope);
    bring_all(&queue).await;
    assert_eq!(site.messages(), ["first", "second"]);
}

#[tokio::test]
async fn a_full_spool_takes_no_more() {
    let mut site = Site::new();
    site.limits.bytes = 3000;
    site.is(Mood::Away);
    let queue = site.open();
    let kept = queue.commit(message(&"x".repeat(1000))).await;
    assert!(matches!(kept, Ok(Queued::Spooled(_))), "{kept:?}");
    assert_eq!(queue.check(Some(10)).await, Ok(()));
    let refused = queue.check(Some(2000)).await.unwrap_err();
    assert!(
        matches!(&refused, QueueError::Full(what) if what.contains("max_spool_size is 3000")),
        "{refused}"
    );
    assert!(matches!(
        queue.commit(message(&"x".repeat(2000))).await,
        Err(QueueError::Full(_))
    ));
    assert_eq!(site.waiting(), 1);
    site.limits.bytes = 1 << 20;
    let full = site.open().check(Some(500_000)).await;
    assert_eq!(full, Err(QueueError::Full("the disk is full".to_owned())));
    site.limits.age = Duration::ZERO;
    let queue = site.open();
    let refused = queue.check(None).await.unwrap_err();
    assert!(
        matches!(&refused, QueueError::Full(what) if what.contains("max_spool_age")),
        "{refused}"
    );
    // The files of the spool occupy the disk that the database needs.
    site.is(Mood::Tight);
    fs::write(site.path().join("full"), "").unwrap();
    bring_all(&queue).await;
    fs::remove_file(site.path().join("full")).unwrap();
    site.is(Mood::Fine);
    assert_eq!(queue.check(Some(100)).await, Ok(()), "there is room again");
}

#[tokio::test]
async fn what_the_database_refuses_is_kept_with_a_text_and_holds_up_nobody() {
    let site = Site::new();
    site.is(Mood::Away);
    let queue = site.open();
    let refused = message("bad content\r\n");
    queue.commit(refused.clone()).await.unwrap();
    queue.commit(message("good")).await.unwrap();
    site.is(Mood::Refusing("bad"));
    bring_all(&queue).await;
    assert_eq!(site.messages(), ["good"]);
    let files = site.refused();
    assert_eq!(
        files[0],
        (
            format!("{}.eml", refused.transaction),
            "bad content\r\n".to_owned()
        )
    );
    let text = &files[1].1;
    for line in [
        "Reason: it is refused\n",
        "Sender: <a@x.test>\n",
        "Recipient: <\"b c\"@x.test>\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    // In front of the spool, it is the reply.
    assert!(matches!(
        queue.commit(message("bad")).await,
        Err(QueueError::Refused(_))
    ));
}

/// As long as another program holds the lock of the database.
#[tokio::test]
async fn the_log_says_when_messages_are_kept_and_when_no_longer() {
    let (log, _guard) = Log::start();
    let site = Site::new();
    site.is(Mood::Locked);
    let queue = site.open();
    let running = Running::start(&queue);
    for text in ["1", "2"] {
        let kept = queue.commit(message(text)).await;
        assert!(matches!(kept, Ok(Queued::Spooled(_))), "{kept:?}");
    }
    // Longer than the pause before the database is asked again.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let (begin, end) = (
        "messages are kept in the spool",
        "the spool is empty, messages are committed at once",
    );
    assert_eq!((log.count(begin), log.count(end)), (1, 0));
    site.is(Mood::Fine);
    wait_until("it ends", || log.count(end) == 1).await;
    assert_eq!(site.messages(), ["1", "2"]);
    assert_eq!((site.waiting(), log.count(begin)), (0, 1));
    running.stop().await;
}

#[tokio::test]
async fn without_space_for_the_database_messages_are_kept() {
    let site = Site::new();
    let queue = site.open();
    site.is(Mood::Tight);
    assert_eq!(queue.check(Some(100)).await, Ok(()));
    let kept = queue.commit(message("1")).await;
    assert!(matches!(kept, Ok(Queued::Spooled(_))), "{kept:?}");
    let running = Running::start(&queue);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(site.messages(), [""; 0], "the rest of its space is its own");
    site.is(Mood::Fine);
    wait_until("it is brought", || site.messages() == ["1"]).await;
    running.stop().await;
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let site = Site::new();
    fs::write(site.folder.path().join("intake-spool"), "").unwrap();
    let opened = SpooledQueue::open("local", &site.path(), site.limits, site.dependencies());
    let Err(error) = opened else {
        panic!("it is no folder")
    };
    assert!(
        error.to_string().starts_with("spool: the folder "),
        "{error}"
    );
}
