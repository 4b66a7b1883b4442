//! A server that accepts a number of connections and of messages in a window, and counts the
//! requests beyond that. It may refuse everything for a limit, as if others used it up.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Its limits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PeerLimits {
    pub(crate) connections: usize,
    pub(crate) messages: usize,
    pub(crate) window: Duration,
}

/// Where it refuses everything: the beginning of a line (`MAIL`, `.`), or `""` for the greeting;
/// and the reply.
pub(crate) type Refusal = (&'static str, &'static str);

/// What it counted.
#[derive(Debug, Default, Clone)]
pub(crate) struct PeerCounts {
    open: usize,
    mails: Vec<Instant>,
    refuses: Option<Refusal>,
    /// When each connection came.
    pub(crate) connects: Vec<Instant>,
    pub(crate) accepted: usize,
    pub(crate) refused_connections: usize,
    pub(crate) refused_messages: usize,
}

impl PeerCounts {
    /// Most connections that came within any window of such a length.
    pub(crate) fn most_connects(&self, window: Duration) -> usize {
        let from = |first: &Instant| {
            let within = |at: &&Instant| **at >= *first && **at - *first < window;
            self.connects.iter().filter(within).count()
        };
        self.connects.iter().map(from).max().unwrap_or_default()
    }
}

/// The server, until it is dropped.
pub(crate) struct LimitingPeer {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<PeerCounts>>,
    task: JoinHandle<()>,
}

impl LimitingPeer {
    pub(crate) async fn start(most: PeerLimits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::new(Mutex::new(PeerCounts::default()));
        let task = tokio::spawn(accept(listener, most, seen.clone()));
        Self {
            address,
            seen,
            task,
        }
    }

    pub(crate) fn seen(&self) -> PeerCounts {
        self.seen.lock().clone()
    }

    /// From now on it refuses everything like this, or nothing beyond its limits.
    pub(crate) fn refuse(&self, refusal: Option<Refusal>) {
        self.seen.lock().refuses = refusal;
    }
}

/// The reply to what begins with `line`, where everything is refused there.
fn refused(seen: &Mutex<PeerCounts>, line: &str) -> Option<&'static str> {
    let refuses = seen.lock().refuses.filter(|(at, _)| match *at {
        "" => line.is_empty(),
        at => line.starts_with(at),
    });
    refuses.map(|(_, reply)| reply)
}

impl Drop for LimitingPeer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, most: PeerLimits, seen: Arc<Mutex<PeerCounts>>) {
    while let Ok((tcp, _)) = listener.accept().await {
        let seen = seen.clone();
        tokio::spawn(async move {
            let room = enter(most, &seen);
            // A client that goes is no failure of the test.
            let _served = serve(BufReader::new(tcp), room, most, &seen).await;
            seen.lock().open -= 1;
        });
    }
}

fn enter(most: PeerLimits, seen: &Mutex<PeerCounts>) -> bool {
    let mut seen = seen.lock();
    seen.open += 1;
    seen.connects.push(Instant::now());
    let room = seen.open <= most.connections;
    seen.refused_connections += usize::from(!room);
    room
}

/// True where the window has room for another message.
fn mail(most: PeerLimits, seen: &Mutex<PeerCounts>) -> bool {
    let (mut seen, now) = (seen.lock(), Instant::now());
    seen.mails.retain(|at| now - *at < most.window);
    let room = seen.mails.len() < most.messages;
    if room {
        seen.mails.push(now);
    } else {
        seen.refused_messages += 1;
    }
    room
}

async fn serve(
    mut tcp: BufReader<TcpStream>,
    room: bool,
    most: PeerLimits,
    seen: &Mutex<PeerCounts>,
) -> std::io::Result<()> {
    if !room {
        return tcp
            .write_all(
                b"421 4.7.0 peer.example.test Error: too many connections from 127.0.0.1\r\n",
            )
            .await;
    }
    let (mut line, mut content) = (String::new(), false);
    if let Some(reply) = refused(seen, "") {
        return tcp.write_all(format!("{reply}\r\n").as_bytes()).await;
    }
    tcp.write_all(b"220 peer.example.test ESMTP\r\n").await?;
    while read(&mut tcp, &mut line).await? {
        let refusal = refused(seen, &line);
        let reply = match line.get(..4).unwrap_or_default() {
            _ if content && line != ".\r\n" => continue,
            _ if content => {
                content = false;
                seen.lock().accepted += usize::from(refusal.is_none());
                refusal.unwrap_or("250 2.0.0 accepted")
            }
            "MAIL" if refusal.is_some() => refusal.unwrap_or_default(),
            "EHLO" => "250-peer.example.test\r\n250 ENHANCEDSTATUSCODES",
            "MAIL" if !mail(most, seen) => "451 4.7.500 Server busy. Please try again later",
            "DATA" => {
                content = true;
                "354 go"
            }
            "QUIT" => return tcp.write_all(b"221 2.0.0 bye\r\n").await,
            _ => "250 2.0.0 ok",
        };
        tcp.write_all(format!("{reply}\r\n").as_bytes()).await?;
        if reply.starts_with("421") {
            return Ok(());
        }
    }
    Ok(())
}

async fn read(tcp: &mut BufReader<TcpStream>, line: &mut String) -> std::io::Result<bool> {
    line.clear();
    Ok(tcp.read_line(line).await? > 0)
}
