//! What the scenarios share: peers to talk to, and a client that is quick to make.

pub(crate) mod certificates;
pub(crate) mod client;
pub(crate) mod postfix;
pub(crate) mod scripted_peer;
