//! The intake: accepts whole messages over SMTP (RFC 5321, RFC 6409) and commits each of them as one alert.
//!
//! It knows no database: [`MessageQueue`] is where an accepted message goes.
//!
//! [`SmtpIntake`] listens; `listener` → `session` (one task for each connection: `connection`, `command`, `tls`, `auth`)
//! → `access` (who may send what) → `content` (what arrives, checked, bounded, completed) → [`MessageQueue::commit`] →
//! `250`.
//!
//! [`PickupIntake`] takes message files of programs on this host from a folder: `pickup` → [`submission`] (what such a
//! file says) → `access` → `content` → [`MessageQueue::commit`] → the file is removed.
//!
//! [`SpooledQueue`] is a [`MessageQueue`] in front of another one, which keeps messages on the disk while that is away.

mod access;
mod auth;
mod client_limits;
mod command;
mod connection;
mod content;
mod listener;
pub mod observer;
mod pickup;
mod queue;
mod reply;
mod session;
pub mod settings;
mod spool;
pub mod submission;
mod tls;
mod transaction;
mod users;

pub use listener::{IntakeDependencies, SmtpIntake, StartError};
pub use pickup::{FolderError, FolderFindings, PickupIntake, folder_findings};
pub use queue::{MessageQueue, QueueError, Queued};
pub use spool::{
    SpoolContents, SpoolDependencies, SpoolError, SpoolLimits, SpooledQueue, spool_contents,
};
pub use tls::{PemError, TlsSettingsError};
pub use users::{PasswordHash, PasswordHashError, UsersError};
