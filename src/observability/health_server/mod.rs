//! Health and metrics over HTTP/1.1.
//!
//! In: `GET` and `HEAD`. Out: four pages that a [`HealthSource`] renders. No client can harm the
//! service: connections, their duration and the size of a request are bounded, and no request
//! queries the database.

mod pages;

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

pub use pages::NAME;
use pages::respond;

/// Connections at a time. One more closes the oldest, so idle clients keep no other out.
const MAX_CONNECTIONS: usize = 32;

/// Longest duration of a connection.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest time until its request has arrived.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// Limits of a request's header.
const MAX_HEADER_BYTES: usize = 16 * 1024;
const MAX_HEADER_FIELDS: usize = 64;

/// Pause after `accept` failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the pages show. Called for each request: must answer from memory.
pub trait HealthSource: Send + Sync {
    /// Whether the loops of the service run.
    fn liveness(&self) -> HealthStatus;

    /// Whether the service can work.
    fn readiness(&self) -> HealthStatus;

    /// The text exposition format of Prometheus, and its content type.
    fn metrics(&self) -> (String, &'static str);
}

/// The status code of a page, with its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthStatus {
    /// 200
    Pass(String),
    /// 503
    Fail(String),
}

/// A listening server.
pub struct HealthServer {
    listener: TcpListener,
}

impl HealthServer {
    /// Listens, and accepts nothing yet.
    ///
    /// # Errors
    /// That of the system, for example that the address is in use.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self { listener })
    }

    /// The address with the actual port if 0 was asked for.
    ///
    /// # Errors
    /// That of the system.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until it is dropped.
    pub async fn serve(self, source: Arc<dyn HealthSource>) {
        let mut open = OpenConnections::default();
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let connection = tokio::spawn(connection(stream, source.clone()));
                    open.add(connection.abort_handle());
                }
                // Out of descriptors, for example: others may close meanwhile.
                Err(error) => {
                    tracing::debug!(%error, "health connection accept failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// The connections, oldest first. Dropping it closes all.
#[derive(Default)]
struct OpenConnections(VecDeque<AbortHandle>);

impl OpenConnections {
    fn add(&mut self, connection: AbortHandle) {
        self.0.retain(|connection| !connection.is_finished());
        if self.0.len() >= MAX_CONNECTIONS
            && let Some(oldest) = self.0.pop_front()
        {
            oldest.abort();
        }
        self.0.push_back(connection);
    }
}

impl Drop for OpenConnections {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

/// Answers one request and closes the connection.
async fn connection(stream: TcpStream, source: Arc<dyn HealthSource>) {
    let service = service_fn(move |request| {
        let source = source.clone();
        async move { Ok::<_, std::convert::Infallible>(respond(&request, &*source)) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEADER_BYTES)
        .max_headers(MAX_HEADER_FIELDS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    if let Ok(Err(error)) = tokio::time::timeout(CONNECTION_TIMEOUT, served).await {
        tracing::trace!(%error, "health request failed");
    }
}
