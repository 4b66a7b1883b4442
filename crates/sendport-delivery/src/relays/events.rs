//! Events of a relay whose state changed, for `EventLog` and the log.

use sendport_core::domain::Reply;
use sendport_core::replies::Entry;
use sendport_store::EventSeverity;

/// Severity, type and text of a change.
pub(crate) type RelayEvent = (EventSeverity, &'static str, String);

pub(crate) fn in_use_again() -> RelayEvent {
    let what = "is in use again".to_owned();
    (EventSeverity::Information, "relay-circuit-closed", what)
}

pub(crate) fn opened(what: String) -> RelayEvent {
    (EventSeverity::Warning, "relay-circuit-opened", what)
}

pub(crate) fn throttled(reply: &str) -> RelayEvent {
    opened(format!("takes nothing now, because of a limit: {reply}"))
}

pub(crate) fn unthrottled() -> RelayEvent {
    let what = "takes as much as is configured again".to_owned();
    (EventSeverity::Information, "relay-unthrottled", what)
}

pub(crate) fn throttled_to(reply: &str, connections: u32, rate: Option<&str>) -> RelayEvent {
    let rate = rate.map_or(String::new(), |rate| format!(" and {rate}"));
    let what = format!("is asked for less, at most {connections} connections{rate}: {reply}");
    (EventSeverity::Warning, "relay-throttled", what)
}

/// The text with cause and advice of the table of replies.
pub(crate) fn paused(reply: &Reply, entry: Option<&Entry>) -> RelayEvent {
    let what = match entry {
        Some(entry) => format!("is paused: {reply}. {} {}", entry.cause, entry.advice),
        None => format!("is paused until an operator corrects it: {reply}"),
    };
    (EventSeverity::Error, "relay-paused", what)
}
