//! The identity of this run of the service.

use sendport_core::domain::{InstanceId, InstanceInfo};

use crate::config::Config;

pub(super) fn instance(config: &Config) -> InstanceInfo {
    let host_name = host_name();
    let process_id = std::process::id();
    let name = match config.service.instance_name.trim() {
        "" => format!("{host_name}:{process_id}"),
        name => name.to_owned(),
    };
    InstanceInfo {
        id: InstanceId::random(),
        name,
        host_name,
        process_id,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        environment: config.environment.clone(),
    }
}

/// The name of this computer: the kernel's own word, else what the shell says.
pub fn host_name() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let variable = || {
        std::env::var("COMPUTERNAME")
            .or_else(|_| std::env::var("HOSTNAME"))
            .ok()
    };
    kernel
        .or_else(variable)
        .map_or_else(|| "localhost".to_owned(), |name| name.trim().to_owned())
}
