//! Health and metrics over HTTP/1.1, for whoever watches the service.
//!
//! In come `GET` and `HEAD`; out go four pages that [`Pages`] makes. Nothing that a client does
//! may harm the work: connections, their time and what is read of a request are bounded, and no
//! request asks the database.

mod answer;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

pub use answer::NAME;
use answer::answer;

/// So many connections at a time. One more ends the oldest, so that nobody is kept out by those
/// who only sit there.
const CONNECTIONS: usize = 32;

/// The whole life of a connection, and of that the time until its request is there.
const LIFE: Duration = Duration::from_secs(10);
const HEADER: Duration = Duration::from_secs(5);

/// Bounds of a request's header.
const HEADER_OCTETS: usize = 16 * 1024;
const HEADER_FIELDS: usize = 64;

/// A pause after the system refused a connection.
const BREATH: Duration = Duration::from_millis(100);

/// What is shown. Asked at each request: must answer from what is known.
pub trait Pages: Send + Sync {
    /// Whether the process lives.
    fn alive(&self) -> Verdict;

    /// Whether the service can work.
    fn ready(&self) -> Verdict;

    /// The text exposition format of Prometheus, and its content type.
    fn metrics(&self) -> (String, &'static str);
}

/// Yes or no, in words: the body of the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// 200
    Yes(String),
    /// 503
    No(String),
}

/// A server that listens.
pub struct Server {
    listener: TcpListener,
}

impl Server {
    /// Listens; serves nothing yet.
    ///
    /// # Errors
    /// What the system says, such as that the address is in use.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self { listener })
    }

    /// Where it listens: the port that was found where 0 was asked for.
    ///
    /// # Errors
    /// What the system says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until it is dropped.
    pub async fn serve(self, pages: Arc<dyn Pages>) {
        let mut open = Open::default();
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let connection = tokio::spawn(connection(stream, pages.clone()));
                    open.add(connection.abort_handle());
                }
                // Out of descriptors, for example: others may be closed meanwhile.
                Err(error) => {
                    tracing::debug!(%error, "health connection accept failed");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    }
}

/// The connections, the oldest first; all end with it.
#[derive(Default)]
struct Open(VecDeque<AbortHandle>);

impl Open {
    fn add(&mut self, connection: AbortHandle) {
        self.0.retain(|connection| !connection.is_finished());
        if self.0.len() >= CONNECTIONS
            && let Some(oldest) = self.0.pop_front()
        {
            oldest.abort();
        }
        self.0.push_back(connection);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

/// One request, and the end.
async fn connection(stream: TcpStream, pages: Arc<dyn Pages>) {
    let service = service_fn(move |request| {
        let pages = pages.clone();
        async move { Ok::<_, std::convert::Infallible>(answer(&request, &*pages)) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER)
        .max_buf_size(HEADER_OCTETS)
        .max_headers(HEADER_FIELDS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    if let Ok(Err(error)) = tokio::time::timeout(LIFE, served).await {
        tracing::trace!(%error, "request for the health page was not answered");
    }
}
