//! The send port that a SQL Server database is missing: alerts inserted by SQL become emails, and the
//! status of every recipient is written back.
//!
//! An application inserts a row into an alert table, inside its own transaction. A service claims
//! the row, renders the message, submits it to an SMTP relay, and writes the relay's reply back
//! for each recipient. This crate is that service, as a library and as the program `sendport`.
//!
//! # Example
//!
//! [`app`] contains everything that is needed to embed the service: [`app::open_store`] opens the
//! database that the configuration names, and [`app::Service`] works on it until it is stopped.
//! This example creates a SQLite database, inserts an alert with SQL, as an application does, and
//! runs the service until a relay of kind `file` has accepted the message.
//!
//! ```
//! use sendport::app::{self, Service};
//! use sendport::config::Config;
//! use tokio_util::sync::CancellationToken;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let file = folder.path().join("sendport.toml");
//! std::fs::create_dir(folder.path().join("mails"))?;
//! std::fs::write(
//!     &file,
//!     r#"
//!     environment = "test"
//!     http.listen = ""
//!
//!     [relay.files]
//!     kind = "file"
//!     folder = "mails"
//!
//!     [send_port.default]
//!     from = "Contoso alerts <alerts@contoso.com>"
//!     relays = ["files"]
//!     "#,
//! )?;
//!
//! // Create the tables, in the file sendport.db next to the configuration.
//! let config = Config::load(Some(&file))?;
//! let store = app::open_store(&config)?;
//! store.migrate().await?;
//! store.name_environment(&config.environment).await?;
//!
//! // The application needs nothing but SQL.
//! let application = rusqlite::Connection::open(folder.path().join("sendport.db"))?;
//! application.execute(
//!     "INSERT INTO Alert (ToRecipients, Subject, Body)
//!      VALUES ('ops@contoso.com', 'Order 4711 is late', 'By two hours.')",
//!     [],
//! )?;
//!
//! // Run the service until it has sent the alert.
//! let stop = CancellationToken::new();
//! let service = tokio::spawn(Service::new(config, store).await?.run(stop.clone()));
//! let status = || -> rusqlite::Result<String> {
//!     application.query_row("SELECT Status FROM AlertStatus", [], |row| row.get(0))
//! };
//! while ["queued", "sending"].contains(&status()?.as_str()) {
//!     tokio::time::sleep(std::time::Duration::from_millis(20)).await;
//! }
//! stop.cancel();
//! service.await??;
//!
//! // The relay has accepted the message: it is an .eml file.
//! assert_eq!(status()?, "relayed");
//! assert_eq!(std::fs::read_dir(folder.path().join("mails"))?.count(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! # The pipeline
//!
//! Each step takes the type of the previous one: `Lease<Alert>` → `RenderedAlert` → `Message` →
//! `SecuredMessage` → `SubmissionReport` → `Outcome`. A relay accepts only a `SecuredMessage`, and only
//! `sendport_smime::secure` makes one, by a plan that follows from the send port and the alert.
//! `docs/architecture.md` describes the crates, the modules and their dependencies.

pub mod app;
pub mod certificate_monitor;
pub mod cli;
pub mod config;
pub mod feedback;
pub mod import;
pub mod ldap;
pub mod observability;
pub mod probe;
pub mod sink;
pub mod verify;
