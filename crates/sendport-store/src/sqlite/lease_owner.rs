//! Whether the process that owns a lease still runs.
//!
//! The clock of this store is the machine's own, which jumps: a lease that seems to have run
//! out is taken only from a process that is really dead, where that can be known.

use super::values::Columns;
use crate::ColumnError;

/// A holder of leases whose time is over, and the host it runs on.
pub(super) struct Owner {
    pub(super) id: String,
    host_name: Option<String>,
    process_id: Option<u32>,
    stopped: bool,
}

impl Owner {
    pub(super) fn read(row: &Columns<'_, '_>) -> Result<Self, ColumnError> {
        Ok(Self {
            id: row.text("LeaseOwner")?,
            host_name: row.optional_text("HostName")?,
            process_id: row
                .optional_integer("ProcessId")?
                .and_then(|id| u32::try_from(id).ok()),
            stopped: row.optional_text("StoppedAt")?.is_some(),
        })
    }

    /// It recorded its stop, or nothing on this host shows that it runs.
    pub(super) fn is_gone(&self, this_host: Option<&str>) -> bool {
        let here = this_host.is_some() && self.host_name.as_deref() == this_host;
        match self.process_id {
            Some(id) if here && !self.stopped && id != std::process::id() => !is_running(id),
            _ => true,
        }
    }
}

/// A process of this number that runs the same program: a number is given out again after
/// a restart, and what has it then holds no lease of ours.
#[cfg(target_os = "linux")]
fn is_running(process_id: u32) -> bool {
    let program = |process: &str| std::fs::read_to_string(format!("/proc/{process}/comm")).ok();
    let other = program(&process_id.to_string());
    other.is_some() && other == program("self")
}

/// Elsewhere the lease alone decides.
#[cfg(not(target_os = "linux"))]
fn is_running(_process_id: u32) -> bool {
    false
}
