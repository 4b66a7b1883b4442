//! `[relay.<name>]`: what the relays are set up with, as it is written in the configuration.

pub mod auth;
pub mod graph;
pub mod limits;
pub mod mx;
pub mod password;
pub mod relay;
pub mod timeouts;
pub mod tls;
