//! `[send_port.<name>]`: the settings of a send port, as the configuration has them.

pub mod attachments;
pub mod audit;
pub mod delivery_window;
pub mod encryption;
pub mod notify;
pub mod received;
pub mod reports;
pub mod retention;
pub mod rules;
mod send_port;
pub mod signing;
pub mod written_path;

pub use attachments::{AttachmentsConfig, FileFolderConfig};
pub use audit::{AuditConfig, AuditKeep};
pub use delivery_window::DeliveryWindowConfig;
pub use encryption::EncryptionConfig;
pub use notify::DigestRecipients;
pub use received::ReceivedProtected;
pub use reports::ReportsTo;
pub use retention::{RetentionConfig, SendPortRetention};
pub use rules::FromRule;
pub use send_port::{RetryConfig, SendPortConfig};
pub use signing::SigningConfig;
