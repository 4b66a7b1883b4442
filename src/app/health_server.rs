//! Starts the listener for health and metrics.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sendport_store::Store;
use tokio_util::task::AbortOnDropHandle;

use super::{AppError, schema_problem};
use crate::config::{HttpConfig, Listen};
use crate::observability::health::{DatabaseCheck, HealthMonitor};
use crate::observability::health_server::HealthServer;

/// Time between two attempts to listen at an address in use.
const RETRY_EVERY: Duration = Duration::from_secs(10);

/// The tasks. Dropping it ends them.
pub(super) struct HealthTasks {
    _server: AbortOnDropHandle<()>,
    _check: AbortOnDropHandle<()>,
}

/// Starts to listen; `None` if `http.listen` is empty.
///
/// # Errors
/// [`AppError::Http`] if the configured address is not available.
pub(super) async fn start(
    config: &HttpConfig,
    lease: Duration,
    monitor: &Arc<HealthMonitor>,
    store: &Arc<dyn Store>,
) -> Result<Option<HealthTasks>, AppError> {
    let listen = config.listen();
    let listen = listen.map_err(|error| AppError::config_at("http.listen", error))?;
    let check = database_check(config, lease, monitor, store);
    let monitor = monitor.clone();
    let server = match listen {
        Listen::Off => return Ok(None),
        Listen::Must(address) => {
            let server = bind(address).await.map_err(AppError::Http)?;
            tokio::spawn(server.serve(monitor))
        }
        Listen::IfFree(address) => tokio::spawn(serve_once_free(address, monitor)),
    };
    Ok(Some(HealthTasks {
        _server: AbortOnDropHandle::new(server),
        _check: AbortOnDropHandle::new(tokio::spawn(check.run())),
    }))
}

fn database_check(
    config: &HttpConfig,
    lease: Duration,
    monitor: &Arc<HealthMonitor>,
    store: &Arc<dyn Store>,
) -> DatabaseCheck {
    DatabaseCheck {
        monitor: monitor.clone(),
        store: store.clone(),
        problem: Box::new(|store| Box::pin(async move { schema_problem(&*store).await })),
        queue_interval: config.queue_interval,
        lease,
    }
}

async fn bind(address: SocketAddr) -> Result<HealthServer, ListenerError> {
    let bound = async {
        let server = HealthServer::bind(address).await?;
        Ok::<_, io::Error>((server.address()?, server))
    };
    match bound.await {
        Ok((address, server)) => {
            tracing::info!(%address, "metrics listener started");
            Ok(server)
        }
        Err(error) => Err(ListenerError::new(address, error)),
    }
}

/// Why it cannot listen, with the remedy.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen at {address} for health and metrics: {source}; {}, or to \"\" for no listener",
    advice(.source)
)]
pub struct ListenerError {
    address: SocketAddr,
    source: io::Error,
}

impl ListenerError {
    pub(super) fn new(address: SocketAddr, source: io::Error) -> Self {
        Self { address, source }
    }
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "find out who has the port (ss -ltnp), or set http.listen to another one"
        }
        _ => "set http.listen to an address of this machine and a port that the service may use",
    }
}

/// Listens at the default address as soon as it is free: another instance on this machine may have
/// it, and email matters more than this listener.
async fn serve_once_free(address: SocketAddr, monitor: Arc<HealthMonitor>) {
    let mut reported = false;
    loop {
        match bind(address).await {
            Ok(server) => return server.serve(monitor).await,
            Err(error) if !std::mem::replace(&mut reported, true) => {
                let what = format_args!("http.listen: {error}");
                tracing::warn!(%what, "metrics listener failed, retrying");
            }
            Err(_) => {}
        }
        tokio::time::sleep(RETRY_EVERY).await;
    }
}
