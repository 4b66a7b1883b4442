//! A spool in a temporary folder, in front of a queue that records.

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
use crate::observer::NoObserver;

/// What the database does with the next messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Mood {
    #[default]
    Fine,
    Away,
    /// It commits, and the answer does not arrive.
    Forgetful,
    Hanging,
    /// It has little space left, which the files of the spool occupy.
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
            Mood::Away => return Err(QueueError::Unavailable("away".to_owned())),
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

struct Site {
    folder: tempfile::TempDir,
    database: Arc<Database>,
    limits: SpoolLimits,
}

impl Site {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            database: Arc::default(),
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
            observer: Arc::new(NoObserver),
            clock: Arc::new(SystemClock),
            free_space: |_, bytes| match bytes {
                0..500_000 => Ok(()),
                _ => Err(QueueError::Full("the disk is full".to_owned())),
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
        spool_contents(&self.path())
            .unwrap()
            .map_or(0, |it| it.messages)
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

/// Brings messages until the spool is empty.
async fn bring_all(queue: &SpooledQueue) {
    let stop = CancellationToken::new();
    let running: JoinHandle<()> = tokio::spawn(queue.clone().run(stop.clone()));
    let emptied = async {
        while queue.0.is_behind() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(30), emptied)
        .await
        .expect("the spool is emptied");
    stop.cancel();
    running.await.unwrap();
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
    let read = queue.0.folder.read(&entry).unwrap();
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
    site.is(Mood::Tight);
    bring_all(&queue).await;
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

#[tokio::test]
async fn files_that_are_cut_are_removed_and_damaged_ones_are_kept_apart() {
    let site = Site::new();
    site.is(Mood::Away);
    let queue = site.open();
    for text in ["cut", "damaged", "fine"] {
        queue.commit(message(text)).await.unwrap();
    }
    drop(queue);
    let entries = folder::list(&site.path()).unwrap();
    let mut files: Vec<_> = fs::read_dir(site.path())
        .unwrap()
        .map(|it| it.unwrap().path())
        .collect();
    files.sort();
    assert_eq!((entries.len(), files.len()), (3, 3));
    // As if the process had been killed while it wrote.
    let content = fs::read(&files[0]).unwrap();
    fs::write(&files[0], &content[..content.len() / 2]).unwrap();
    let content = fs::read(&files[1]).unwrap();
    fs::write(
        &files[1],
        String::from_utf8_lossy(&content).replace("\"send_port\"", "\"xend_port\""),
    )
    .unwrap();
    site.is(Mood::Fine);
    let queue = site.open();
    assert_eq!(site.waiting(), 2, "nobody got a reply to what is cut");
    bring_all(&queue).await;
    assert_eq!(site.messages(), ["fine"]);
    let files = site.refused();
    assert!(
        files[1].1.contains("the file in the spool is damaged"),
        "{files:?}"
    );
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
