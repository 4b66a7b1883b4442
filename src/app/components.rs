//! Builds the components that the configuration names, each from its section.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use sendport_core::regular_file;
use sendport_core::replies::ReplyTable;
use sendport_delivery::audit::FolderTrail;
use sendport_delivery::dispatcher::TemplateCache;
use sendport_delivery::send_port::SendPort;
use sendport_delivery::settings::SendPortConfig;
use sendport_graph::GraphRelay;
use sendport_message::template::{Renderer, TemplateSource};
use sendport_smime::CrlCache;
use sendport_smtp::relay::authentication::{AuthLedger, NoSharedLedger};
use sendport_smtp::relay::{Relay, discard::DiscardRelay, file::FileRelay};
use sendport_smtp::settings::graph::GraphRelay as GraphConfig;
use sendport_smtp::settings::mx::MxRelay as MxConfig;
use sendport_smtp::settings::password::resolve_password;
use sendport_smtp::settings::relay::RelayConfig;
use sendport_smtp::settings::relay::SmtpRelay as SmtpConfig;
use sendport_smtp::{MxRelay, RelayDependencies, SmtpRelay, ehlo_name};
use sendport_store::Store;

use super::auth_ledger::DatabaseAuthLedger;
use super::database::{open_store, schema_problem};
use super::dkim;
use super::feedback::{return_path_keys, return_path_tokens};
use super::protection::protector;
use super::{AppError, SettingError, system_clock};
use crate::config::{Config, section};
use crate::observability::metrics::Metrics;

/// The shared ledger of refused credentials in the database of `config`; an empty one if the
/// database is unavailable.
pub async fn open_auth_ledger(config: &Config) -> Arc<dyn AuthLedger> {
    if let Ok(store) = open_store(config)
        && let Ok(None) = schema_problem(&*store).await
    {
        return DatabaseAuthLedger::new(store);
    }
    Arc::new(NoSharedLedger)
}

/// Builds every relay of the configuration; `metrics` count their events.
///
/// # Errors
/// [`AppError::Config`] naming relay and key.
pub fn make_relays(
    config: &Config,
    authentications: &Arc<dyn AuthLedger>,
    metrics: Option<&Metrics>,
) -> Result<Vec<Arc<dyn Relay>>, AppError> {
    let make = |(name, relay): (&String, &RelayConfig)| -> Result<Arc<dyn Relay>, AppError> {
        Ok(match relay {
            RelayConfig::Smtp(smtp) => {
                let mut relay = make_smtp_relay(name, smtp, authentications)?;
                if let Some(watch) = metrics.and_then(|metrics| metrics.relay(name)) {
                    relay = relay.with_observer(watch.clone());
                }
                Arc::new(relay)
            }
            RelayConfig::Mx(mx) => {
                let mut relay = make_mx_relay(name, mx)?;
                if let Some(watch) = metrics.and_then(|metrics| metrics.relay(name)) {
                    relay = relay.with_observer(watch.clone());
                }
                Arc::new(relay)
            }
            RelayConfig::Graph(graph) => {
                let mut relay = make_graph_relay(name, graph, authentications)?;
                if let Some(watch) = metrics.and_then(|metrics| metrics.relay(name)) {
                    relay = relay.with_observer(watch.clone());
                }
                Arc::new(relay)
            }
            RelayConfig::File(file) => Arc::new(FileRelay::new(name, file, system_clock())),
            RelayConfig::Discard(_) => Arc::new(DiscardRelay::new(name, system_clock())),
        })
    };
    config.relay.iter().map(make).collect()
}

/// Builds the relay of one section.
///
/// # Errors
/// [`AppError::Config`] naming relay and key.
pub fn make_smtp_relay(
    name: &str,
    smtp: &SmtpConfig,
    authentications: &Arc<dyn AuthLedger>,
) -> Result<SmtpRelay, AppError> {
    let password = resolve_password(&smtp.auth);
    let password = password.map_err(|error| SettingError::below(section("relay", name), error))?;
    let around = RelayDependencies {
        password,
        default_ehlo_name: ehlo_name::of_this_host(),
        authentications: authentications.clone(),
        clock: system_clock(),
    };
    let relay = SmtpRelay::new(name, smtp, around).map_err(AppError::config)?;
    let Some(oauth2) = &smtp.auth.oauth2 else {
        return Ok(relay);
    };
    let tokens = sendport_oauth2::source(name, oauth2, system_clock()).map_err(|error| {
        AppError::config_at(
            format_args!("{}.auth.oauth2", section("relay", name)),
            error,
        )
    })?;
    Ok(relay.with_token_source(tokens))
}

/// Builds the relay of one section of `kind = "mx"`.
///
/// # Errors
/// [`AppError::Config`] naming relay and key.
pub(super) fn make_mx_relay(name: &str, mx: &MxConfig) -> Result<MxRelay, AppError> {
    let relay = MxRelay::new(name, mx, ehlo_name::of_this_host(), system_clock());
    relay.map_err(AppError::config)
}

/// Builds the relay of one section of `kind = "graph"`.
///
/// # Errors
/// [`AppError::Config`] naming relay and key.
pub fn make_graph_relay(
    name: &str,
    graph: &GraphConfig,
    authentications: &Arc<dyn AuthLedger>,
) -> Result<GraphRelay, AppError> {
    let around = sendport_graph::RelayDependencies {
        authentications: authentications.clone(),
        clock: system_clock(),
    };
    GraphRelay::new(name, graph, around).map_err(AppError::config)
}

/// The table of replies, with the administrator's entries first.
///
/// # Errors
/// [`AppError::Config`] naming file and entry.
pub fn reply_table(config: &Config) -> Result<ReplyTable, AppError> {
    let file = &config.replies.file;
    if file.as_os_str().is_empty() {
        return Ok(ReplyTable::built_in());
    }
    let place = format_args!("replies.file '{}'", file.display());
    let text = regular_file::read_to_string(file);
    let text = text.map_err(|error| AppError::config_at(place, error))?;
    ReplyTable::with_own(&text).map_err(|error| AppError::config_at(place, error))
}

/// Reads every send port of the configuration; `crl_cache` caches CRLs.
///
/// # Errors
/// [`AppError::Config`] naming the send port.
pub fn make_send_ports(
    config: &Config,
    crl_cache: &Arc<CrlCache>,
) -> Result<BTreeMap<String, SendPort>, AppError> {
    let keys = return_path_keys(config)?;
    let make = |(name, port): (&String, &SendPortConfig)| {
        let tokens = return_path_tokens(config, (name, port), keys.as_ref())?;
        let protector = protector(name, port, crl_cache)?;
        let dkim = dkim::keys(name, port)?;
        let mut port = SendPort::from_config(name, port)
            .map_err(|error| AppError::config_at(section("send_port", name), error))?;
        port.protector = protector;
        port.dkim = dkim;
        port.return_path_tokens = tokens;
        Ok((name.clone(), port))
    };
    config.send_port.iter().map(make).collect()
}

/// Describes for each send port whether its delivery window is open. [`make_send_ports`] reports
/// windows that cannot be read.
pub fn window_states(config: &Config) -> Vec<(String, String)> {
    let now = system_clock().now();
    let state = |(name, port): (&String, &SendPortConfig)| {
        let port = SendPort::from_config(name, port).ok()?;
        Some((name.clone(), port.window_state(now)?))
    };
    config.send_port.iter().filter_map(state).collect()
}

/// Opens the audit folder of every send port that has one.
///
/// # Errors
/// [`AppError::Config`] naming the key.
pub fn open_audit_folders(config: &Config) -> Result<BTreeMap<String, FolderTrail>, AppError> {
    let mut opened = BTreeMap::new();
    for (name, port) in &config.send_port {
        let Some(folder) = port.audit.as_ref().and_then(|audit| audit.folder.as_ref()) else {
            continue;
        };
        let trail = FolderTrail::open(folder).map_err(|error| {
            let section = section("send_port", name);
            AppError::config_at(format_args!("{section}.audit.folder"), error)
        })?;
        opened.insert(name.clone(), trail);
    }
    Ok(opened)
}

/// Reads and compiles the templates of a folder.
///
/// # Errors
/// [`AppError::Config`] naming file and line.
pub async fn load_templates(folder: &Path) -> Result<TemplateSource, AppError> {
    if folder.as_os_str().is_empty() {
        return Ok(TemplateSource::empty());
    }
    let key = "templates.folder";
    let source = TemplateSource::read(folder).map_err(|error| AppError::config_at(key, error))?;
    let compiled = Renderer::default().compile(&source).await;
    compiled
        .map_err(|error| AppError::config_at(key, error))?
        .map_err(|problem| AppError::config_at(key, problem))?;
    Ok(source)
}

/// The templates of folder and database.
///
/// # Errors
/// As [`load_templates`].
pub(super) async fn template_cache(
    config: &Config,
    store: &Arc<dyn Store>,
) -> Result<TemplateCache, AppError> {
    let folder = load_templates(&config.templates.folder).await?;
    Ok(TemplateCache::new(folder, store.clone()))
}
