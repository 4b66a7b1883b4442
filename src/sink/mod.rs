//! A small SMTP server for trying things out: believes everybody, delivers nothing, stores
//! each message as an .eml file (RFC 5321 as a server, on loopback).
//!
//! Speaks PIPELINING, SIZE, 8BITMIME and ENHANCEDSTATUSCODES. It can be told to refuse a
//! recipient, or to be busy for one the first few times.

mod session;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How a sink behaves.
#[derive(Debug, Clone)]
pub struct SinkOptions {
    /// Where it listens; port 0 lets the system choose one.
    pub listen: SocketAddr,
    /// Where the .eml files go; made if it is not there.
    pub folder: PathBuf,
    /// Answer 550 5.1.1 for these recipients: a whole address, or the part before the `@`.
    pub refuse: Vec<String>,
    /// Answer 451 4.2.1 for these recipients the first so many times.
    pub delay: Vec<(String, u32)>,
    /// Largest message in octets.
    pub max_size: usize,
}

impl Default for SinkOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            folder: PathBuf::from("sink"),
            refuse: Vec::new(),
            delay: Vec::new(),
            max_size: 50 * 1024 * 1024,
        }
    }
}

/// What all sessions share.
struct Shared {
    options: SinkOptions,
    /// How often each delayed recipient was asked for already.
    asked: Mutex<HashMap<String, u32>>,
    received: AtomicU64,
    changed: watch::Sender<u64>,
}

/// What a recipient is answered.
enum Verdict {
    Accept,
    Refuse,
    Delay,
}

impl Shared {
    fn verdict(&self, address: &str) -> Verdict {
        let local_part = address.rsplit_once('@').map_or(address, |(local, _)| local);
        let fits = |rule: &str| {
            rule.eq_ignore_ascii_case(address) || rule.eq_ignore_ascii_case(local_part)
        };
        if self.options.refuse.iter().any(|rule| fits(rule)) {
            return Verdict::Refuse;
        }
        let Some((rule, times)) = self.options.delay.iter().find(|(rule, _)| fits(rule)) else {
            return Verdict::Accept;
        };
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let count = asked.entry(rule.clone()).or_default();
        *count += 1;
        if *count <= *times {
            Verdict::Delay
        } else {
            Verdict::Accept
        }
    }

    fn count_received(&self) -> u64 {
        let received = self.received.fetch_add(1, Ordering::SeqCst) + 1;
        self.changed
            .send_modify(|count| *count = (*count).max(received));
        received
    }
}

/// A running sink. Dropped without [`Sink::stop`], it stops too, without waiting.
pub struct Sink {
    local_addr: SocketAddr,
    shared: Arc<Shared>,
    changed: watch::Receiver<u64>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Sink {
    /// Makes the folder and listens.
    ///
    /// # Errors
    /// What the system says about folder or address.
    pub async fn start(options: SinkOptions) -> std::io::Result<Self> {
        std::fs::create_dir_all(&options.folder)?;
        let listener = TcpListener::bind(options.listen).await?;
        let local_addr = listener.local_addr()?;
        let (changed, watched) = watch::channel(0);
        let shared = Arc::new(Shared {
            options,
            asked: Mutex::new(HashMap::new()),
            received: AtomicU64::new(0),
            changed,
        });
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(accept(
            listener,
            shared.clone(),
            stop.clone(),
            tasks.clone(),
        ));
        tasks.close();
        Ok(Self {
            local_addr,
            shared,
            changed: watched,
            stop,
            tasks,
        })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// How many messages it has stored.
    pub fn received(&self) -> u64 {
        self.shared.received.load(Ordering::SeqCst)
    }

    /// Returns when it has stored `count` messages.
    pub async fn wait_for(&self, count: u64) {
        // The sender lives in `shared`, so this cannot end early.
        let _ = self
            .changed
            .clone()
            .wait_for(|received| *received >= count)
            .await;
    }

    /// Takes no more connections, lets messages that are being received be stored, and ends.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                tasks.spawn(session::serve(stream, shared.clone(), stop.clone()));
            }
            // Too many open files, or a connection that was gone at once: the next may work.
            Err(error) => {
                tracing::warn!(%error, "sink cannot accept a connection");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
}
