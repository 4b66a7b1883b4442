//! Health and metrics, shown while this lives.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;

use super::{AppError, schema_problem};
use crate::config::{HttpConfig, Listen};
use crate::http::Server;
use crate::store::Store;
use crate::watch::{Look, Watch};

/// How often an address that was in use is tried again.
const TRY_EVERY: Duration = Duration::from_secs(10);

/// The tasks; they end when this is dropped.
pub(super) struct Shown {
    _server: AbortOnDropHandle<()>,
    _look: AbortOnDropHandle<()>,
}

/// Begins to show health and metrics; `None` where that is off.
///
/// # Errors
/// [`AppError::Http`] where an address is configured that cannot be listened on.
pub(super) async fn show(
    config: &HttpConfig,
    lease: Duration,
    watch: &Arc<Watch>,
    store: &Arc<dyn Store>,
) -> Result<Option<Shown>, AppError> {
    let listen = config.listen();
    let listen = listen.map_err(|what| AppError::Config(format!("http.listen: {what}")))?;
    let (watch, look) = (watch.clone(), look(config, lease, watch, store));
    let server = match listen {
        Listen::Off => return Ok(None),
        Listen::Must(address) => {
            let server = bind(address).await.map_err(AppError::Http)?;
            tokio::spawn(server.serve(watch))
        }
        Listen::IfFree(address) => tokio::spawn(serve_once_free(address, watch)),
    };
    Ok(Some(Shown {
        _server: AbortOnDropHandle::new(server),
        _look: AbortOnDropHandle::new(tokio::spawn(look.run())),
    }))
}

fn look(config: &HttpConfig, lease: Duration, watch: &Arc<Watch>, store: &Arc<dyn Store>) -> Look {
    Look {
        watch: watch.clone(),
        store: store.clone(),
        problem: Box::new(|store| Box::pin(async move { schema_problem(&*store).await })),
        queue_interval: config.queue_interval,
        lease,
    }
}

async fn bind(address: SocketAddr) -> Result<Server, String> {
    let bound = async {
        let server = Server::bind(address).await?;
        Ok::<_, io::Error>((server.address()?, server))
    };
    match bound.await {
        Ok((address, server)) => {
            tracing::info!(%address, "metrics listener started");
            Ok(server)
        }
        Err(error) => Err(format!("http.listen: {}", cannot_be_shown(address, &error))),
    }
}

/// In a sentence, with what to do.
pub(super) fn cannot_be_shown(address: SocketAddr, error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "find out who has the port (ss -ltnp), or set http.listen to another one"
        }
        _ => "set http.listen to an address of this machine and a port that the service may use",
    };
    format!(
        "health and metrics cannot be shown at {address}: {error}; {advice}, or to \"\" for none"
    )
}

/// At the usual address: it matters less than the mail, and another instance on this machine may
/// have it.
async fn serve_once_free(address: SocketAddr, watch: Arc<Watch>) {
    let mut said = false;
    loop {
        match bind(address).await {
            Ok(server) => return server.serve(watch).await,
            Err(what) if !std::mem::replace(&mut said, true) => {
                tracing::warn!(what, "metrics listener failed, retrying");
            }
            Err(_) => {}
        }
        tokio::time::sleep(TRY_EVERY).await;
    }
}
