//! The composition root: the only place that names concrete adapters.

mod alert_lookup;
mod auth_ledger;
mod certificates;
mod components;
mod database;
mod database_tokens;
mod demo;
mod digest_recipients;
mod directory_import;
mod dry_run;
mod health_check;
mod health_server;
mod instance;
mod owner;
mod preview;
mod probe;
mod protection;
mod running_transactions;
mod service;
mod startup;
mod startup_check;
mod templates;
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
pub use alert_lookup::{alert_not_found, find_alert, find_alerts};
pub use certificates::{
    CertificateImport, CheckedCertificate, ImportedCertificate, certificate_owner,
    check_certificates, import_certificates, thumbprint,
};
pub use components::{
    load_templates, make_relays, make_send_ports, make_smtp_relay, open_audit_folders,
    open_auth_ledger, reply_table, window_states,
};
pub use database::{
    check_connection, check_database, check_environment, migration_script, open_store,
    schema_problem,
};
pub use demo::DemoDatabase;
pub use digest_recipients::digest_recipients_without_certificate;
pub use directory_import::import_people;
pub use dry_run::dry_run;
pub use health_check::{ask_health, health_address, try_listen};
pub use owner::{Owner, owner_of_database, owner_of_state_folder};
pub use preview::{preview_alert, preview_template};
pub use probe::{ProbeContext, name_of_this_host, open_relay_check, probe};
pub use protection::{ProtectionState, protection_states};
pub use running_transactions::RunningTransactions;
pub use service::{Service, UnrecordedOutcomes};
pub use startup_check::startup_problems;
pub use templates::{
    TemplateImport, export_templates, file_stem, import_templates, read_template_folder,
    try_templates,
};
pub use version::VERSIONS;

/// Why the service cannot start or continue, with the remedy.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The configuration.
    #[error("{0}")]
    Config(String),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database has another schema or environment than this configuration.
    #[error("{0}")]
    WrongDatabase(String),
    /// No alert, or more than one, has this name.
    #[error("{0}")]
    NoAlert(String),
    /// The alert would fail.
    #[error("{0}")]
    WouldFail(String),
    /// Health and metrics cannot listen at the configured address.
    #[error("{0}")]
    Http(String),
}

/// The time of this machine's clock.
pub fn now() -> Timestamp {
    system_clock().now()
}

fn system_clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}
