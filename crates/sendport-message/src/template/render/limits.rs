//! Resource limits of a render worker. On systems without them only minijinja's limits apply.

use std::time::Duration;

/// Memory limit of a worker, in bytes.
pub(super) const MEMORY: u64 = 256 << 20;
/// CPU limit of one request.
pub(super) const PROCESSOR_TIME: u64 = 2;
/// A request that takes longer counts as slow.
pub(super) const SLOW: Duration = Duration::from_millis(250);

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::time::Duration;

    use rustix::process::{
        Pid, Resource, Rlimit, getpriority_process, getrlimit, setpriority_process, setrlimit,
    };
    use rustix::time::{ClockId, clock_gettime};

    use super::{MEMORY, PROCESSOR_TIME};

    /// Stack limit, in bytes.
    const STACK: u64 = 8 << 20;

    /// Limits the memory of this process, disables core dumps, which would contain the payload, and
    /// makes the system kill it before the service when memory runs out.
    pub(in super::super) fn limit_memory() -> io::Result<()> {
        let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
        lower(Resource::Core, 0)?;
        lower(Resource::Stack, STACK)?;
        lower(Resource::Data, MEMORY)
    }

    /// Makes this process end after [`PROCESSOR_TIME`], to a second.
    pub(in super::super) fn limit_time() -> io::Result<()> {
        let spent = clock_gettime(ClockId::ProcessCPUTime).tv_sec;
        let limit = Rlimit {
            current: Some(spent.unsigned_abs() + 1 + PROCESSOR_TIME),
            ..getrlimit(Resource::Cpu)
        };
        Ok(setrlimit(Resource::Cpu, limit)?)
    }

    /// Lowers the priority: beside a busy process it gets a quarter of a CPU.
    pub(in super::super) fn lower_priority(process: u32) -> io::Result<()> {
        let process = i32::try_from(process).ok().and_then(Pid::from_raw);
        let priority = getpriority_process(process)? + 5;
        Ok(setpriority_process(process, priority)?)
    }

    /// CPU time of this thread.
    pub(in super::super) fn processor_time() -> Duration {
        clock_gettime(ClockId::ThreadCPUTime)
            .try_into()
            .unwrap_or_default()
    }

    fn lower(resource: Resource, most: u64) -> io::Result<()> {
        let found = getrlimit(resource);
        let limit = found.current.map_or(most, |current| current.min(most));
        let limit = Rlimit {
            current: Some(limit),
            maximum: found.maximum,
        };
        Ok(setrlimit(resource, limit)?)
    }
}

#[cfg(target_os = "linux")]
pub(super) use linux::lower_priority;
#[cfg(target_os = "linux")]
pub(super) use linux::{limit_memory, limit_time, processor_time};

#[cfg(not(target_os = "linux"))]
pub(super) fn limit_memory() -> std::io::Result<()> {
    Ok(())
}

#[cfg(not(target_os = "linux"))]
pub(super) fn limit_time() -> std::io::Result<()> {
    Ok(())
}

#[cfg(not(target_os = "linux"))]
pub(super) fn lower_priority(_process: u32) -> std::io::Result<()> {
    Ok(())
}

#[cfg(not(target_os = "linux"))]
pub(super) fn processor_time() -> Duration {
    Duration::ZERO
}
