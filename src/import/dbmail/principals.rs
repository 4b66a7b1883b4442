//! Who may use a profile.

use super::super::carry::ImportedConfig;
use super::snapshot::{Principal, Profile, Snapshot};

/// The administrator of a server, who may use every profile.
const ADMINISTRATOR: &str = "sa";

/// Logins that may use the profile; empty: everybody.
pub(super) fn allowed(
    snapshot: &Snapshot,
    profile: &Profile,
    made: &mut ImportedConfig,
) -> Vec<String> {
    let what = format!("profile '{}'", profile.name);
    let of_profile = |row: &&Principal| row.profile_id == profile.profile_id;
    let rows: Vec<_> = snapshot.principals.iter().filter(of_profile).collect();
    if rows.iter().any(|row| row.is_public) {
        return Vec::new();
    }
    let mut logins = Vec::new();
    for row in rows {
        let name = row.name.as_deref().unwrap_or_default();
        match kind(row) {
            Kind::Login => logins.push(name.to_owned()),
            Kind::Group => made.note(
                what.as_str(),
                format!(
                    "members of '{name}' may use it; allow_principals compares logins alone, add the \
                     logins of its members"
                ),
            ),
            Kind::Gone => made.note(
                what.as_str(),
                "one of its principals does not exist any more; it is left out",
            ),
        }
        if row.is_default && !name.is_empty() {
            made.note(
                what.as_str(),
                format!(
                    "it is the default profile of '{name}'; sendport has one default for all, the send \
                     port 'default', so that login names the send port in each alert"
                ),
            );
        }
    }
    logins.sort();
    logins.dedup();
    if logins.is_empty() {
        made.note(
            what.as_str(),
            "no login but members of sysadmin may use it; allow_principals has 'sa' alone, add the logins \
             that write alerts, or remove the key to allow every login",
        );
        logins.push(ADMINISTRATOR.to_owned());
    }
    logins
}

enum Kind {
    Login,
    Group,
    Gone,
}

/// By the `type` of `sys.server_principals` and `sys.database_principals`.
fn kind(row: &Principal) -> Kind {
    let Some(name) = row.name.as_deref() else {
        return Kind::Gone;
    };
    match row.kind.as_deref().map(str::trim) {
        _ if name.trim().is_empty() => Kind::Gone,
        Some("G" | "X" | "R" | "A") => Kind::Group,
        _ => Kind::Login,
    }
}
