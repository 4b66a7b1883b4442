//! The configuration: one section = one struct = one file.

pub mod relay;
pub mod secret;
