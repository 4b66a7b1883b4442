//! What the service shows of itself: its log, its metrics, and its health, over HTTP and to systemd.
//!
//! [`health`] collects the state of database, lease, queue and relays; [`health_server`] and
//! [`systemd`] report it. [`metrics`] are counted by the rooms that do the work.

pub mod health;
pub mod health_server;
pub mod log;
pub mod metrics;
pub mod systemd;
