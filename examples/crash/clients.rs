//! Clients that submit messages to the intake of a service that is killed, and what became of each message.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::count::Counts;
use crate::database::Database;

/// Longer than a commit of a busy engine takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Numbers of messages.
#[derive(Default)]
pub(crate) struct Submitted {
    /// Answered with 250: committed, or in the spool.
    accepted: BTreeSet<u32>,
    /// Their final dot was written: they may be committed.
    uncertain: BTreeSet<u32>,
    /// Neither.
    refused: BTreeSet<u32>,
}

/// Clients that submit one message after the other until it is enough.
pub(crate) struct Clients {
    enough: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<Submitted>>,
}

impl Clients {
    pub(crate) fn start(count: u32, intake: SocketAddr) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let next = Arc::new(AtomicU32::new(0));
        let client = |_| {
            let (enough, next) = (Arc::clone(&enough), Arc::clone(&next));
            tokio::spawn(async move {
                let mut submitted = Submitted::default();
                while !enough.load(Ordering::Relaxed) {
                    session(intake, &next, &enough, &mut submitted).await;
                    // The service is down; it is started again at once.
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                submitted
            })
        };
        Self {
            tasks: (0..count).map(client).collect(),
            enough,
        }
    }

    /// Stops them; the service runs. What they were told.
    pub(crate) async fn stop(self) -> Submitted {
        self.enough.store(true, Ordering::Relaxed);
        let mut all = Submitted::default();
        for task in self.tasks {
            let one = task.await.expect("a client");
            all.accepted.extend(one.accepted);
            all.uncertain.extend(one.uncertain);
            all.refused.extend(one.refused);
        }
        all
    }
}

impl Submitted {
    /// Compares the replies with the rows.
    pub(crate) async fn count(self, database: &Database) -> Counts {
        let mut counts = Counts::default();
        for number in self.accepted {
            let rows = rows(database, number).await;
            counts.alerts += 1;
            counts.lost += u32::from(rows == 0);
            counts.duplicated += rows.saturating_sub(1);
        }
        for number in self.uncertain {
            let rows = rows(database, number).await;
            counts.unknown += rows.min(1);
            counts.duplicated += rows.saturating_sub(1);
        }
        for number in self.refused {
            counts.duplicated += rows(database, number).await;
        }
        counts
    }
}

async fn rows(database: &Database, number: u32) -> u32 {
    let query = format!("SELECT count(*) FROM {{Alert}} WHERE Subject = 'Message {number}'");
    database.value(&query).await.parse().unwrap_or(0)
}

/// One connection, until it breaks.
async fn session(
    intake: SocketAddr,
    next: &AtomicU32,
    enough: &AtomicBool,
    submitted: &mut Submitted,
) {
    let Ok(stream) = TcpStream::connect(intake).await else {
        return;
    };
    let mut stream = BufReader::new(stream);
    if !(reply(&mut stream).await.is_some() && ask(&mut stream, "EHLO client.test").await) {
        return;
    }
    while !enough.load(Ordering::Relaxed) {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let begun = ask(&mut stream, "MAIL FROM:<a@example.test>").await
            && ask(&mut stream, "RCPT TO:<b@example.test>").await
            && ask(&mut stream, "DATA").await;
        if !begun {
            submitted.refused.insert(number);
            return;
        }
        let content = format!("Subject: Message {number}\r\n\r\n{number}\r\n.");
        if ask(&mut stream, &content).await {
            submitted.accepted.insert(number);
        } else {
            submitted.uncertain.insert(number);
            return;
        }
    }
}

/// False where the reply is missing, or a refusal.
async fn ask(stream: &mut BufReader<TcpStream>, line: &str) -> bool {
    let line = format!("{line}\r\n");
    if stream.get_mut().write_all(line.as_bytes()).await.is_err() {
        return false;
    }
    let reply = reply(stream).await;
    reply.is_some_and(|reply| reply.starts_with('2') || reply.starts_with("354"))
}

/// The last line of a reply; `None` where the connection breaks.
async fn reply(stream: &mut BufReader<TcpStream>) -> Option<String> {
    loop {
        let mut line = String::new();
        let read = timeout(PATIENCE, stream.read_line(&mut line)).await;
        if !matches!(read, Ok(Ok(1..))) || !line.ends_with('\n') {
            return None;
        }
        if line.as_bytes().get(3) != Some(&b'-') {
            return Some(line);
        }
    }
}
