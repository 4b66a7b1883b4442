//! What an alert would become.

use std::sync::Arc;

use super::parts::{make_send_ports, reply_table, template_shelf};
use super::protectors::{crl_folder, fetch_lists};
use super::{AppError, system_clock};
use crate::config::Config;
use crate::dispatcher::{CertificateShelf, NotComposed, Preview, Sources, preview};
use crate::domain::AlertId;
use crate::smime::CrlShelf;
use crate::store::{Loaded, Store};

/// Reads an alert, in whatever state it is, and makes what the service would submit for it.
/// The inner error says why it would not: the alert would fail, in a sentence.
///
/// # Errors
/// [`AppError`] where there is no such alert or send port, or the database does not answer.
pub async fn preview_alert(
    config: &Config,
    store: &Arc<dyn Store>,
    id: AlertId,
) -> Result<Result<Preview, String>, AppError> {
    let alert = match store.whole_alert(id).await? {
        Some(Loaded::Alert(alert) | Loaded::Large { alert, .. }) => *alert,
        Some(Loaded::Unreadable { reason, .. }) => return Ok(Err(reason)),
        None => return Err(AppError::WrongDatabase(format!("there is no alert {id}"))),
    };
    let shelf = Arc::new(CrlShelf::reading(&crl_folder(config)));
    let ports = make_send_ports(config, &shelf)?;
    let Some(port) = ports.get(&alert.send_port) else {
        let known: Vec<_> = ports.keys().map(String::as_str).collect();
        return Err(AppError::Config(format!(
            "alert {id} is for the send port '{}', which this configuration does not have; it has: {}",
            alert.send_port,
            known.join(", ")
        )));
    };
    let templates = template_shelf(config, store).await?;
    let clock = system_clock();
    let sources = Sources {
        templates: &templates,
        contents: &**store,
        certificates: &Arc::new(CertificateShelf::new(store.clone())),
    };
    let replies = reply_table(config)?;
    let made = loop {
        let made = preview(alert.clone(), port, &sources, &replies, &*clock).await;
        let unsecured = matches!(made, Err(NotComposed::Unprotected { .. }));
        if !unsecured || fetch_lists(&shelf).await == 0 {
            break made;
        }
    };
    match made {
        Ok(preview) => Ok(Ok(preview)),
        Err(NotComposed::Never(refusal)) => Ok(Err(refusal.reason)),
        Err(NotComposed::Unprotected { why, .. }) => Ok(Err(why)),
        Err(NotComposed::NotNow { error, .. }) => Err(error.into()),
        Err(NotComposed::NotYet(_, why)) => Ok(Err(why.unwrap_or_default())),
    }
}
