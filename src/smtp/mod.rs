//! The submission session: everything that speaks SMTP to a relay (RFC 5321, RFC 6409).
//!
//! In come an envelope and a secured message through [`SmtpRelay`], out goes a report with
//! the reply to every command. No other room of the house knows the wire: replies leave as
//! [`crate::domain::Reply`], failures as [`crate::relay::NotReady`]. What a reply means for
//! a recipient is decided by the retry policy, not here.
//!
//! Whoever wants to look on is told every step (`observer`); a `dry_run` is a session that
//! stops where one says.
//!
//! `connect` → `session` (greeting, EHLO, STARTTLS, AUTH) → `transaction` (MAIL, RCPT, DATA,
//! the content) → back into the `pool`.

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
pub mod observer;
mod pipelining;
mod pool;
mod preflight;
mod redaction;
mod relay;
pub mod reply_parser;
mod session;
mod stream;
mod tls;
mod transaction;

pub use relay::{RelayDependencies, SettingsError, SmtpRelay};
pub use tls::TlsSettingsError;
