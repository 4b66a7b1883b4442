//! The intake over TCP and TLS on loopback, with a queue that records.

mod certificates;
mod connections;
mod server;
mod tls;
