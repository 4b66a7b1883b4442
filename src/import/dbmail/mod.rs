//! Database Mail: profiles become send ports, accounts become relays.
//!
//! Tables: [Database Mail configuration
//! objects](https://learn.microsoft.com/sql/relational-databases/database-mail/database-mail-configuration-objects).

mod accounts;
mod history;
mod parameters;
mod principals;
mod snapshot;

use std::collections::BTreeMap;

use super::carry::{ImportedConfig, ImportedPort};
use super::names::Names;

pub use history::{SentMessage, sent_messages};
pub use snapshot::{DbMailError, Snapshot};

/// The send port of an alert that names none.
const DEFAULT: &str = "default";

/// Makes relays and send ports of the settings of Database Mail.
pub fn import(snapshot: &Snapshot) -> ImportedConfig {
    carry(snapshot).0
}

/// The configuration, and where in it the send port of each profile is.
fn carry(snapshot: &Snapshot) -> (ImportedConfig, BTreeMap<i64, usize>) {
    let server = match snapshot.server.trim() {
        "" => "Database Mail".to_owned(),
        server => format!("Database Mail of {server}"),
    };
    let mut made = ImportedConfig::new(server);
    let relays = accounts::relays(snapshot, &mut made);
    let parameters = parameters::carry(snapshot, &mut made);
    let mut names = Names::default();
    let mut profiles: Vec<_> = snapshot.profiles.iter().collect();
    profiles.sort_by_key(|profile| profile.profile_id);
    let mut ports = BTreeMap::new();
    for profile in profiles {
        let what = format!("profile '{}'", profile.name);
        let accounts = snapshot.accounts_of(profile.profile_id);
        let Some(first) = accounts.first() else {
            made.note(
                what,
                "it has no account, so Database Mail could not send by it; it is left out",
            );
            continue;
        };
        note_equal_sequence(snapshot, profile.profile_id, &what, &mut made);
        let is_default = default_profile(snapshot) == Some(profile.profile_id);
        // Names of send ports have upper and lower case, names of profiles mostly not.
        let wanted = match is_default && profile.name.trim().eq_ignore_ascii_case(DEFAULT) {
            true => DEFAULT,
            false => &profile.name,
        };
        let name = names.unique(wanted, "profile");
        if name != profile.name {
            made.note(
                what.as_str(),
                format!("the send port's name is '{name}'; applications write that name"),
            );
        }
        let from = accounts::from(first, &mut made);
        accounts::note_other_senders(&what, &accounts, &mut made);
        let of_account = |account: &&snapshot::Account| relays[&account.account_id].clone();
        let mut port = ImportedPort::new(name, from, accounts.iter().map(of_account).collect());
        port.allow_principals = principals::allowed(snapshot, profile, &mut made);
        port.retry = parameters.retry(accounts.len());
        port.attachments = parameters.attachments.clone();
        port.remarks = remarks(profile);
        ports.insert(profile.profile_id, made.send_ports.len());
        made.send_ports.push(port);
    }
    add_default(snapshot, &ports, &mut names, &mut made);
    note_from_address(&mut made);
    (made, ports)
}

fn remarks(profile: &snapshot::Profile) -> Vec<String> {
    let description = profile.description.as_deref().map(str::trim);
    let description = description.filter(|text| !text.is_empty());
    let described = description.map(|text| format!("Profile '{}': {text}", profile.name));
    described.into_iter().collect()
}

/// Database Mail takes either of two accounts with the same number first.
fn note_equal_sequence(
    snapshot: &Snapshot,
    profile_id: i64,
    what: &str,
    made: &mut ImportedConfig,
) {
    let of_profile = snapshot.profile_accounts.iter();
    let mut numbers: Vec<_> = of_profile
        .filter(|row| row.profile_id == profile_id)
        .map(|row| row.sequence_number)
        .collect();
    let all = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    if numbers.len() < all {
        made.note(
            format!("{what}, sequence_number"),
            "several accounts have the same number; the relays are in the order of account_id, correct \
             it if another one is preferred",
        );
    }
}

/// The one that a caller uses who names none.
fn default_profile(snapshot: &Snapshot) -> Option<i64> {
    let is_default = |row: &&snapshot::Principal| row.is_public && row.is_default;
    let row = snapshot.principals.iter().find(is_default);
    row.map(|row| row.profile_id)
}

/// A send port `default`, which an alert without `SendPort` uses, like the default public profile.
fn add_default(
    snapshot: &Snapshot,
    ports: &BTreeMap<i64, usize>,
    names: &mut Names,
    made: &mut ImportedConfig,
) {
    let Some(at) = default_profile(snapshot).and_then(|id| ports.get(&id)) else {
        return;
    };
    let mut port = made.send_ports[*at].clone();
    if port.name == DEFAULT {
        return;
    }
    if names.unique(DEFAULT, DEFAULT) != DEFAULT {
        made.note(
            format!("profile '{}'", port.name),
            format!(
                "it is the default public profile, but another profile is named '{DEFAULT}', and an alert that \
                 names no send port uses that one; rename one of the two send ports"
            ),
        );
        return;
    }
    port.remarks = vec![format!(
        "'{}' is the default public profile: an alert that names no send port uses this one.",
        port.name
    )];
    DEFAULT.clone_into(&mut port.name);
    made.send_ports.push(port);
}

fn note_from_address(made: &mut ImportedConfig) {
    if made.send_ports.is_empty() {
        return;
    }
    made.note(
        "@from_address",
        "with Database Mail every caller may set any From address; a send port allows only the addresses \
         in its key allow_from, add those that callers use",
    );
}

#[cfg(test)]
#[path = "import_tests.rs"]
mod tests;
