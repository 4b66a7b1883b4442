//! The composition root: the only place that names concrete adapters.

mod authentications;
mod certificates;
mod database;
mod demo;
mod desk;
mod directory;
mod health_check;
mod health_server;
mod instance;
mod owner;
mod parts;
mod preview;
mod probe;
mod protectors;
mod refusals;
mod rehearsal;
mod service;
mod start;
mod templates;
mod tokens;
mod under_way;
mod unreported;
mod version;

use std::sync::Arc;

use crate::clock::{Clock, SystemClock};
use crate::domain::Timestamp;
use crate::store::StoreError;

pub use crate::delivery::dispatcher::{Preview, PreviewCopy, PreviewReader, PreviewTexts};
pub use crate::ldap::{Directory, LdapError, Person};
pub use crate::smime::Protection;
pub use crate::spool::{FolderSpace, OutcomeSpool};
pub use crate::template::{Change, ChangeKind, VERB as RENDER_WORKER, render_worker};
pub use certificates::{
    CertificateImport, CheckedCertificate, ImportedCertificate, certificate_owner,
    check_certificates, import_certificates, thumbprint,
};
pub use database::{
    check_connection, check_database, check_environment, migration_script, open_store,
    schema_problem,
};
pub use demo::DemoDatabase;
pub use desk::{alert_called, alerts_called, no_alert};
pub use directory::import_people;
pub use health_check::{ask_health, health_address, try_listen};
pub use owner::{Owner, owner_of_database, owner_of_state_folder};
pub use parts::{
    authentications_of, load_templates, make_relays, make_send_ports, make_smtp_relay,
    open_audit_folders, reply_table, window_states,
};
pub use preview::{preview_alert, preview_template};
pub use probe::{Look, name_of_this_host, open_relay_check, probe};
pub use protectors::{ProtectionState, protection_states};
pub use refusals::start_refusals;
pub use rehearsal::refused_beforehand;
pub use service::{Kept, Service};
pub use templates::{
    Imported, export_templates, file_stem, import_templates, read_template_folder, try_templates,
};
pub use under_way::UnderWay;
pub use unreported::unreported;
pub use version::VERSIONS;

/// Why the service cannot start or go on. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The configuration.
    #[error("{0}")]
    Config(String),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database is not one that this configuration may work on.
    #[error("{0}")]
    WrongDatabase(String),
    /// No alert, or more than one, is called so.
    #[error("{0}")]
    NoAlert(String),
    /// The alert would fail.
    #[error("{0}")]
    WouldFail(String),
    /// Health and metrics cannot listen at the configured address.
    #[error("{0}")]
    Http(String),
}

/// By this machine's clock.
pub fn now() -> Timestamp {
    system_clock().now()
}

fn system_clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}
