//! Renders what an alert would become.

use std::sync::Arc;

use sendport_core::domain::{Alert, AlertId, TemplateText, shown_name, shown_names};
use sendport_delivery::ComposeError;
use sendport_delivery::dispatcher::{Preview, PreviewTexts, Sources, preview};
use sendport_delivery::protection::CertificateCache;
use sendport_message::template::{
    NotRendered, RenderError, Renderer, TemplateSource, files_of, sample_alert, sample_of,
};
use sendport_smime::CrlCache;
use sendport_store::attachments::AttachmentSource;
use sendport_store::{LoadResult, Store};

use super::components::{make_send_ports, reply_table, template_cache};
use super::protection::{crl_folder, fetch_lists};
use super::{AppError, system_clock};
use crate::config::Config;

/// Why an alert has no message.
#[derive(Debug, thiserror::Error)]
pub enum PreviewError {
    /// A value of its row cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// The alert fails.
    #[error("{0}")]
    Refused(String),
    /// An operator has to correct its protection first.
    #[error("{0}")]
    Unprotected(String),
    /// It is due again later.
    #[error("{0}")]
    Deferred(String),
}

/// Reads an alert in any status and builds the message that the service would submit for it. The
/// inner error is the reason why the alert would fail.
///
/// # Errors
/// [`AppError`] if there is no such alert or send port, or the database does not answer.
pub async fn preview_alert(
    config: &Config,
    store: &Arc<dyn Store>,
    id: AlertId,
) -> Result<Result<Preview, PreviewError>, AppError> {
    let alert = match store.whole_alert(id).await? {
        Some(LoadResult::Alert(alert) | LoadResult::Large { alert, .. }) => *alert,
        Some(LoadResult::Unreadable { reason, .. }) => {
            return Ok(Err(PreviewError::Unreadable(reason)));
        }
        None => return Err(AppError::NoAlert(id.to_string())),
    };
    match made(config, store, alert, &**store).await? {
        Ok(preview) => Ok(Ok(preview)),
        Err(ComposeError::Never(refusal)) => Ok(Err(PreviewError::Refused(refusal.reason))),
        Err(ComposeError::Unprotected { why, .. }) => Ok(Err(PreviewError::Unprotected(why))),
        Err(ComposeError::NotNow { error, .. }) => Err(error.into()),
        Err(ComposeError::Deferred(_, why)) => {
            Ok(Err(PreviewError::Deferred(why.unwrap_or_default())))
        }
    }
}

/// The dispatcher's result for an alert whose attachments come from `contents`.
pub(super) async fn made(
    config: &Config,
    store: &Arc<dyn Store>,
    alert: Alert,
    contents: &dyn AttachmentSource,
) -> Result<Result<Preview, ComposeError>, AppError> {
    let crl_cache = Arc::new(CrlCache::read_only(&crl_folder(config)));
    let ports = make_send_ports(config, &crl_cache)?;
    let Some(port) = ports.get(&alert.send_port) else {
        return Err(AppError::WouldFail(format!(
            "alert {} is for the send port {}, which this configuration does not have; it has: {}",
            alert.id,
            shown_name(&alert.send_port),
            shown_names(ports.keys())
        )));
    };
    let templates = template_cache(config, store).await?;
    let clock = system_clock();
    let sources = Sources {
        templates: &templates,
        contents,
        received: &**store,
        certificates: &Arc::new(CertificateCache::new(store.clone())),
    };
    let replies = reply_table(config)?;
    loop {
        let made = preview(alert.clone(), port, &sources, &replies, &*clock).await;
        let unsecured = matches!(made, Err(ComposeError::Unprotected { .. }));
        if !unsecured || fetch_lists(&crl_cache).await == 0 {
            return Ok(made);
        }
    }
}

/// Renders a template of `texts` with a payload or its sample. The inner error is the reason why an
/// alert would fail.
///
/// # Errors
/// [`AppError::Config`] where no process can be started for it.
pub async fn preview_template(
    texts: &[TemplateText],
    name: &str,
    language: &str,
    payload: Option<&str>,
) -> Result<Result<PreviewTexts, RenderError>, AppError> {
    let source = TemplateSource::of_files(files_of(texts));
    let payload = payload.or_else(|| sample_of(texts, name, language));
    let alert = sample_alert(name, language, payload);
    match Renderer::default().render(&source, &alert).await {
        Ok(rendered) => Ok(Ok(PreviewTexts::of(&rendered))),
        Err(NotRendered::Never(error)) => Ok(Err(error)),
        Err(error) => Err(AppError::config(error)),
    }
}
