//! An SMTP server for tests and demonstrations: accepts mail and stores it as .eml files.
//!
//! Each message becomes a file and a [`Received`]. The sink can refuse or delay recipients, so that
//! every status of a recipient can be seen without a mail system. It relays nothing.

mod commands;
mod connection;
mod session;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::net::TcpListener;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How the sink behaves.
#[derive(Debug, Clone)]
pub struct SinkOptions {
    /// Where to listen; port 0 for any that is free.
    pub listen: SocketAddr,
    /// Where the messages are stored; created if it does not exist.
    pub folder: PathBuf,
    /// Recipients answered 550 5.1.1: whole addresses or local parts.
    pub refuse: Vec<String>,
    /// Recipients answered 451 4.2.1 so many times first: whole addresses or local parts.
    pub delay: Vec<(String, u32)>,
}

impl Default for SinkOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            folder: PathBuf::from("sink"),
            refuse: Vec::new(),
            delay: Vec::new(),
        }
    }
}

/// One accepted message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The address in MAIL, empty for the null reverse-path.
    pub sender: String,
    /// The addresses in RCPT that were accepted.
    pub recipients: Vec<String>,
    /// Its file.
    pub file: PathBuf,
    /// Size of the message in bytes, without the envelope lines in front.
    pub bytes: usize,
}

/// A running sink. Dropping it stops its sessions without waiting for them.
pub struct Sink {
    local_addr: SocketAddr,
    shared: Arc<Shared>,
    tasks: TaskTracker,
}

/// What all sessions share.
struct Shared {
    folder: PathBuf,
    refuse: Vec<String>,
    delay: Vec<(String, AtomicU32)>,
    count: watch::Sender<u64>,
    observers: broadcast::Sender<Received>,
    stopping: CancellationToken,
}

fn no_folder(folder: &Path, error: &io::Error) -> io::Error {
    let folder = folder.display();
    let what =
        format!("the folder {folder} for the messages cannot be created: {error}; name another");
    io::Error::new(error.kind(), what)
}

fn not_bound(address: SocketAddr, error: &io::Error) -> io::Error {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "find out which program uses the port (ss -ltnp), or name another"
        }
        _ => "name an address of this machine, and a port above 1023",
    };
    let what = format!("cannot listen on {address}: {error}; {advice}");
    io::Error::new(error.kind(), what)
}

impl Sink {
    /// Starts listening, in tasks of its own.
    ///
    /// # Errors
    /// The address cannot be bound, or the folder cannot be created; the error says what to do.
    pub async fn start(options: SinkOptions) -> io::Result<Self> {
        let made = tokio::fs::create_dir_all(&options.folder).await;
        made.map_err(|error| no_folder(&options.folder, &error))?;
        let bound = TcpListener::bind(options.listen).await;
        let listener = bound.map_err(|error| not_bound(options.listen, &error))?;
        let local_addr = listener.local_addr()?;
        let delay = options.delay.into_iter();
        let shared = Arc::new(Shared {
            folder: options.folder,
            refuse: options.refuse,
            delay: delay
                .map(|(who, times)| (who, AtomicU32::new(times)))
                .collect(),
            count: watch::Sender::new(0),
            observers: broadcast::Sender::new(1024),
            stopping: CancellationToken::new(),
        });
        let tasks = TaskTracker::new();
        tasks.spawn(accept(listener, Arc::clone(&shared), tasks.clone()));
        Ok(Self {
            local_addr,
            shared,
            tasks,
        })
    }

    /// Its address.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Messages accepted so far.
    pub fn received(&self) -> u64 {
        *self.shared.count.borrow()
    }

    /// Waits until `n` messages were accepted in all.
    pub async fn wait_for(&self, n: u64) {
        let mut count = self.shared.count.subscribe();
        // The sender lives as long as `self`: the channel cannot close.
        let _reached = count.wait_for(|&count| count >= n).await;
    }

    /// Every later message; a receiver that lags loses some.
    pub fn subscribe(&self) -> broadcast::Receiver<Received> {
        self.shared.observers.subscribe()
    }

    /// Ends open sessions with 421 and waits until they are closed.
    pub async fn stop(self) {
        self.shared.stopping.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.shared.stopping.cancel();
    }
}

impl Shared {
    fn refuses(&self, address: &str) -> bool {
        self.refuse.iter().any(|pattern| matches(pattern, address))
    }

    /// Uses up one of the delays.
    fn delays(&self, address: &str) -> bool {
        let times = self
            .delay
            .iter()
            .find(|(pattern, _)| matches(pattern, address));
        times.is_some_and(|(_, left)| {
            left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
                .is_ok()
        })
    }

    fn note(&self, received: Received) {
        self.count.send_modify(|count| *count += 1);
        // There may be no receiver.
        let _observers = self.observers.send(received);
    }
}

/// A whole address, or the part before the `@`.
fn matches(pattern: &str, address: &str) -> bool {
    let local = address.rsplit_once('@').map_or(address, |(local, _)| local);
    pattern.eq_ignore_ascii_case(address) || pattern.eq_ignore_ascii_case(local)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, tasks: TaskTracker) {
    loop {
        let accepted = tokio::select! {
            () = shared.stopping.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((tcp, _)) => {
                tasks.spawn(session::serve(tcp, Arc::clone(&shared)));
            }
            // Mostly out of descriptors: other sessions go on and free some.
            Err(error) => {
                tracing::warn!(%error, "sink accept failed");
                tokio::task::yield_now().await;
            }
        }
    }
}
