//! Checks the intakes, each alone and beside the others.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};

use sendport_core::domain::shown_names;
use sendport_intake::settings::IntakeConfig;

use super::validate::{Problems, below, check_name};
use super::{Config, section};

impl Config {
    pub(super) fn check_intakes(&self, found: &mut Problems) {
        for (name, intake) in &self.intake {
            self.check_intake(name, intake, found);
        }
        self.check_pickup_folders(found);
        self.check_listeners(found);
    }

    fn check_intake(&self, name: &str, intake: &IntakeConfig, found: &mut Problems) {
        let section = section("intake", name);
        check_name(&section, name, found);
        found.extend(below(&section, intake.problems()));
        for (key, port) in intake.send_ports() {
            if !self.send_port.contains_key(port) {
                let (wanted, known) = (
                    self::section("send_port", port),
                    shown_names(self.send_port.keys()),
                );
                found.add(
                    format!("{section}.{key}"),
                    format!("there is no [{wanted}]; there are: {known}"),
                );
            }
        }
    }

    /// What is in a folder of an intake belongs to it alone: a file that one refused must not be a message of another.
    fn check_pickup_folders(&self, found: &mut Problems) {
        let mut folders: BTreeMap<PathBuf, String> = BTreeMap::new();
        for (name, intake) in &self.intake {
            let Some(pickup) = intake.pickup() else {
                continue;
            };
            let intake = section("intake", name);
            let own = [
                ("folder", pickup.folder.clone()),
                ("folder", pickup.taken()),
                ("badmail", pickup.badmail()),
            ];
            for (key, folder) in own {
                let folder = resolved(&folder);
                if let Some(other) = folders.get(&folder) {
                    let what = format!(
                        "{} belongs to [{other}]; name another one",
                        folder.display()
                    );
                    found.add(format!("{intake}.{key}"), what);
                }
                folders.insert(folder, intake.clone());
            }
        }
    }

    /// Of two listeners on one port, the second cannot start.
    fn check_listeners(&self, found: &mut Problems) {
        let mut before: Vec<(String, SocketAddr)> = Vec::new();
        for (name, intake) in &self.intake {
            let IntakeConfig::Smtp(smtp) = intake else {
                continue;
            };
            let intake = section("intake", name);
            for address in &smtp.listen {
                let taken = before.iter().find(|(_, other)| overlap(*other, *address));
                if let Some((by, other)) = taken {
                    let what = format!("{address} is taken: [{by}] listens on {other}");
                    found.add(format!("{intake}.listen"), what);
                }
                before.push((intake.clone(), *address));
            }
        }
    }
}

/// One name for each folder, whatever links lead to it. What does not exist yet is in a folder that does.
fn resolved(folder: &Path) -> PathBuf {
    let mut ancestors = folder.ancestors();
    let real = ancestors.find_map(|ancestor| {
        let rest = folder.strip_prefix(ancestor).ok()?;
        Some(ancestor.canonicalize().ok()?.join(rest))
    });
    let mut resolved = PathBuf::new();
    for part in real.as_deref().unwrap_or(folder).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if resolved.file_name().is_some() => {
                resolved.pop();
            }
            part => resolved.push(part),
        }
    }
    resolved
}

/// Both cannot be bound. Port 0 is any free one.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let is_any = one.ip().is_unspecified() || other.ip().is_unspecified();
    let is_same = one.ip() == other.ip() || is_any && one.is_ipv4() == other.is_ipv4();
    one.port() != 0 && one.port() == other.port() && is_same
}
