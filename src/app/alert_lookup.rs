//! Finds an alert by any of its names.

use sendport_core::domain::{AlertId, PublicId};
use sendport_store::{AlertLine, Store, StoreError};
use uuid::Uuid;

use super::AppError;

/// Most alerts of one Reference that an error lists.
const MAX_LISTED: u32 = 10;

/// The alerts with this name, newest first: the one with this number; else the one with this public
/// id, which its Message-IDs contain; else those with this Reference, trimmed.
///
/// # Errors
/// [`StoreError`].
pub async fn find_alerts(
    store: &dyn Store,
    name: &str,
    limit: u32,
) -> Result<Vec<AlertLine>, StoreError> {
    if let Ok(id) = name.parse().map(AlertId) {
        let found = store.alerts(Some(id), 1).await?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    store
        .alerts_named(public_id(name), name.trim(), limit)
        .await
}

/// The only alert with this name.
///
/// # Errors
/// [`AppError::NoAlert`], or [`AppError::AmbiguousReference`].
pub async fn find_alert(store: &dyn Store, name: &str) -> Result<AlertLine, AppError> {
    let mut found = find_alerts(store, name, MAX_LISTED).await?;
    if found.len() > 1 {
        let numbers: Vec<_> = found.iter().map(|it| it.alert_id.to_string()).collect();
        return Err(AppError::AmbiguousReference {
            reference: name.to_owned(),
            numbers: numbers.join(", "),
        });
    }
    found
        .pop()
        .ok_or_else(|| AppError::NoAlert(name.to_owned()))
}

/// A public id, or the one that a Message-ID begins with: `<id.variant@domain>`.
fn public_id(name: &str) -> Option<PublicId> {
    let name = name.trim().trim_start_matches('<');
    let left = name.split(['@', '.', '>']).next().unwrap_or(name);
    Uuid::try_parse(left).ok().map(PublicId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_public_id_from_a_message_id() {
        let id = "0123abcd-89ab-4def-8123-456789abcdef";
        let expected = Uuid::try_parse(id).ok().map(PublicId);
        for name in [
            id.to_owned(),
            id.to_uppercase(),
            format!("{{{id}}}"),
            format!("<{id}@contoso.com>"),
            format!("{id}.utf8.to-2@contoso.com"),
        ] {
            assert_eq!(public_id(&name), expected, "{name}");
        }
        assert_eq!(public_id("order-4711"), None);
        assert_eq!(public_id("<4711@contoso.com>"), None);
    }
}
