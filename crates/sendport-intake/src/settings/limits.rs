//! Defaults of the limits of `[intake.<name>]`.

use std::time::Duration;

use sendport_core::byte_size::ByteSize;

/// Most `Received` fields where `hop_limit` is not set. RFC 5321 section 6.3 suggests 100, for servers between
/// organisations. A submitted message has one for each server inside of one; a loop costs a row each time round.
pub const MOST_HOPS: u32 = 30;

pub(super) fn message_size() -> ByteSize {
    ByteSize(50 << 20)
}

/// RFC 5321 section 4.5.3.1.8 asks for 100.
pub(super) fn recipients() -> u32 {
    1000
}

pub(super) fn connections() -> u32 {
    1000
}

pub(super) fn connections_per_client() -> u32 {
    200
}

pub(super) fn messages_per_connection() -> u32 {
    1000
}

pub(super) fn errors() -> u32 {
    20
}

pub(super) fn hops() -> u32 {
    MOST_HOPS
}

pub(super) fn spool_size() -> ByteSize {
    ByteSize(1 << 30)
}

/// As an alert waits by default.
pub(super) fn spool_age() -> Duration {
    Duration::from_secs(2 * 24 * 3600)
}
