//! The composition root: the only place that names concrete adapters.

mod alert_lookup;
mod auth_ledger;
mod certificates;
mod components;
mod database;
mod database_mail;
mod database_mail_comparison;
mod database_tokens;
mod demo;
mod directory_import;
mod dkim;
mod dry_run;
mod feedback;
mod health_check;
mod health_server;
mod instance;
mod intake;
mod intake_spool;
mod missing_certificates;
mod owner;
mod preview;
mod probe;
mod protection;
mod purge;
mod running_transactions;
mod service;
mod startup;
mod startup_check;
mod templates;
mod verify;
mod version;

use std::sync::Arc;

use sendport_core::clock::{Clock, SystemClock};
use sendport_core::domain::Timestamp;
use sendport_smime::BoxError;
use sendport_store::StoreError;

pub use crate::ldap::{Directory, DirectoryEntry, LdapError};
pub use alert_lookup::{find_alert, find_alerts};
pub use certificates::{
    CertificateImport, CheckedCertificate, ImportedCertificate, SkipReason, ThumbprintError,
    UnusableCertificate, certificate_owner, check_certificates, import_certificates, thumbprint,
};
pub use components::{
    load_templates, make_graph_relay, make_relays, make_send_ports, make_smtp_relay,
    open_audit_folders, open_auth_ledger, reply_table, window_states,
};
pub use database::{
    check_connection, check_database, check_environment, migration_script, open_store,
    schema_problem,
};
pub use database_mail::{database_mail, database_mail_script};
pub use database_mail_comparison::{MessageDifference, compare_database_mail};
pub use demo::DemoDatabase;
pub use directory_import::import_people;
pub use dkim::{DkimState, dkim_states, unsigned_by_dkim};
pub use dry_run::dry_run;
pub use health_check::{HealthAddressError, ask_health, health_address, try_listen};
pub use health_server::ListenerError;
pub use instance::host_name;
pub use intake_spool::{IntakeSpool, intake_spools};
pub use missing_certificates::{
    digest_recipients_without_certificate, redirect_address_without_certificate,
};
pub use owner::{FileOwner, full_name, owner_of_database, owner_of_state_folder, user_name};
pub use preview::{PreviewError, preview_alert, preview_template};
pub use probe::{ProbeContext, name_of_this_host, open_relay_check, probe};
pub use protection::{ProtectionState, protection_states};
pub use purge::{PurgeSelection, Purger, old_alerts};
pub use running_transactions::RunningTransactions;
pub use sendport_delivery::dispatcher::{Preview, PreviewCopy, PreviewReader, PreviewTexts};
pub use sendport_message::template::{Change, ChangeKind, VERB as RENDER_WORKER, render_worker};
pub use sendport_smime::Protection;
pub use sendport_store::spool::{FolderSpace, OutcomeSpool};
pub use service::{Service, UnrecordedOutcomes};
pub use startup_check::startup_problems;
pub use templates::{
    TemplateImport, export_templates, file_stem, import_templates, read_template_folder,
    try_templates,
};
pub use verify::{VerifyPlan, verify};
pub use version::VERSIONS;

/// Why the service cannot start or continue, with the remedy.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] SettingError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database has another schema or environment than this configuration.
    #[error("{0}")]
    WrongDatabase(String),
    /// No alert has this name.
    #[error(
        "there is no alert '{0}'; an alert is named by its number, its PublicId, its Message-ID or its Reference"
    )]
    NoAlert(String),
    /// More than one alert has this Reference.
    #[error("several alerts have the Reference '{reference}': {numbers}; name one by its number")]
    AmbiguousReference {
        /// The Reference.
        reference: String,
        /// The alerts' numbers, with commas.
        numbers: String,
    },
    /// The alert would fail.
    #[error("{0}")]
    WouldFail(String),
    /// Health and metrics cannot listen at the configured address.
    #[error("http.listen: {0}")]
    Http(#[source] ListenerError),
}

/// A key, a file or an option that cannot be used, and why.
#[derive(Debug, thiserror::Error)]
#[error("{prefix}{source}")]
pub struct SettingError {
    /// Names the key or file, where the cause does not.
    prefix: String,
    source: BoxError,
}

impl SettingError {
    /// With a cause that names the key or file itself.
    pub(crate) fn new(cause: impl Into<BoxError>) -> Self {
        Self {
            prefix: String::new(),
            source: cause.into(),
        }
    }

    /// With the section in front of a cause that begins with the key.
    pub(crate) fn below(section: impl std::fmt::Display, cause: impl Into<BoxError>) -> Self {
        Self {
            prefix: format!("{section}."),
            source: cause.into(),
        }
    }

    /// With the key or file in front of the cause.
    pub(crate) fn at(place: impl std::fmt::Display, cause: impl Into<BoxError>) -> Self {
        Self {
            prefix: format!("{place}: "),
            source: cause.into(),
        }
    }
}

impl AppError {
    /// [`AppError::Config`] with a cause that names the key or file itself.
    pub(crate) fn config(cause: impl Into<BoxError>) -> Self {
        Self::Config(SettingError::new(cause))
    }

    /// [`AppError::Config`] with the key or file in front of the cause.
    pub(crate) fn config_at(place: impl std::fmt::Display, cause: impl Into<BoxError>) -> Self {
        Self::Config(SettingError::at(place, cause))
    }
}

/// The time of this machine's clock.
pub fn now() -> Timestamp {
    system_clock().now()
}

fn system_clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}
