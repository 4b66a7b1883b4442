//! A relay over Microsoft Graph: `POST /users/{mailbox}/sendMail` with the whole message as MIME.
//!
//! [`GraphRelay`] stands beside the relays of `sendport-smtp` behind the same trait. One request is one transaction: its
//! reply, an HTTP status with the name of an error, is for all recipients (`reply`). `request` carries it out; the last
//! block of its body is what the final dot is to SMTP (`gated_body`). Graph sends to whom the header names, so the relay
//! refuses a message whose header names others than the envelope. `access` reads what a token permits.

mod access;
mod gated_body;
mod relay;
mod reply;
mod request;

pub use access::GraphAccess;
pub use relay::{GraphRelay, RelayDependencies, SettingsError};
