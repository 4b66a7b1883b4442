//! The SMTP client: sessions and mail transactions with a relay (RFC 5321, RFC 6409).
//!
//! [`SmtpRelay`] takes an envelope and a secured message and gives a report with the reply to every
//! command. No other module knows the protocol: replies leave it as [`sendport_core::domain::Reply`],
//! failures as [`crate::relay::SessionError`]. The retry policy decides what a reply means for a
//! recipient.
//!
//! `connect` → `session` (greeting, EHLO, STARTTLS, AUTH) → `transaction` (MAIL, RCPT, DATA, the
//! content) → back into the `pool`. An `observer` sees every step; a `dry_run` is a session that
//! stops at a given step.

mod auth;
mod authentication_guard;
mod chunking;
mod connect;
pub mod content;
mod desync;
mod dry_run;
mod dsn;
pub mod ehlo_name;
pub mod extensions;
pub mod mail_hosts;
mod mx;
pub mod observer;
mod pipelining;
mod pool;
mod preflight;
mod redaction;
pub mod relay;
pub mod reply_parser;
mod session;
mod session_initiation;
pub mod settings;
mod smtp_relay;
mod stream;
mod submission;
mod tls;
mod transaction;

pub use auth::CredentialsError;
pub use authentication_guard::{AuthGuard, AuthPermit};
pub use ehlo_name::InvalidEhloName;
pub use mx::MxRelay;
pub use smtp_relay::{RelayDependencies, SettingsError, SettingsErrorKind, SmtpRelay};
pub use tls::TlsSettingsError;
